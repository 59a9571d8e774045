//! A row's cells, in memory that is used again for the next row.

/// How much of a row is shown when it is rejected: bytes.
pub(crate) const SHOWN: usize = 2_000;

/// A cell's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Nothing, or a word that says so.
    Missing,
    /// A number; finite.
    Number(f64),
    /// Days since 1970-01-01, with a fraction for the time.
    Date(f64),
    /// Any other text, without white space around it.
    Text(&'a str),
}

#[derive(Debug, Clone, Copy, Default)]
enum Slot {
    #[default]
    Missing,
    Number(f64),
    Date(f64),
    /// From and to in the row's text.
    Text(usize, usize),
}

/// A row of a table. Filled by [`Table::next`](crate::Table::next).
#[derive(Debug, Clone, Default)]
pub struct Record {
    text: String,
    slots: Vec<Slot>,
}

impl Record {
    /// Forgets the row and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.slots.clear();
    }

    /// The number of cells.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no cell.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The value of a cell; missing beyond the end.
    #[must_use]
    pub fn value(&self, at: usize) -> Value<'_> {
        match self.slots.get(at) {
            None | Some(Slot::Missing) => Value::Missing,
            Some(Slot::Number(number)) => Value::Number(*number),
            Some(Slot::Date(days)) => Value::Date(*days),
            Some(Slot::Text(from, to)) => Value::Text(&self.text[*from..*to]),
        }
    }

    /// The cell as text, as an id needs it: whole numbers without a point.
    #[must_use]
    pub fn as_text(&self, at: usize) -> Option<String> {
        match self.value(at) {
            Value::Missing => None,
            Value::Number(number) | Value::Date(number) => Some(number.to_string()),
            Value::Text(text) => Some(text.to_owned()),
        }
    }

    /// Whether every cell is missing.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.slots.iter().all(|slot| matches!(slot, Slot::Missing))
    }

    /// The row as text, for people: its cells with commas between them, of a long row the beginning.
    #[must_use]
    pub fn shown(&self) -> String {
        let mut text = String::new();
        for at in 0..self.len() {
            if at > 0 {
                text.push(',');
            }
            match self.value(at) {
                Value::Missing => {}
                Value::Number(number) | Value::Date(number) => text.push_str(&number.to_string()),
                Value::Text(cell) => text.push_str(&cell[..cell.floor_char_boundary(SHOWN + 1)]),
            }
            if text.len() > SHOWN {
                text.truncate(text.floor_char_boundary(SHOWN));
                text.push_str(" ...");
                break;
            }
        }
        text
    }

    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.slots.len() * size_of::<Slot>()
    }

    /// Adds missing cells until there are so many.
    pub(crate) fn pad(&mut self, len: usize) {
        if self.slots.len() < len {
            self.slots.resize(len, Slot::Missing);
        }
    }

    pub(crate) fn push_missing(&mut self) {
        self.slots.push(Slot::Missing);
    }

    /// A number; missing if it is none.
    pub(crate) fn push_number(&mut self, number: f64) {
        self.slots.push(if number.is_finite() { Slot::Number(number) } else { Slot::Missing });
    }

    pub(crate) fn push_date(&mut self, days: f64) {
        self.slots.push(if days.is_finite() { Slot::Date(days) } else { Slot::Missing });
    }

    /// A text, which may be a word for missing. What it means is for the profile to say: an id of digits stays text.
    pub(crate) fn push_text(&mut self, text: &str) {
        let text = text.trim();
        if is_missing(text) {
            return self.push_missing();
        }
        let from = self.text.len();
        self.text.push_str(text);
        self.slots.push(Slot::Text(from, self.text.len()));
    }
}

/// Whether a text is a word for nothing.
fn is_missing(text: &str) -> bool {
    const WORDS: [&str; 7] = ["", "na", "n/a", "null", "none", "nan", "?"];
    text.len() <= 4 && WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

impl Value<'_> {
    /// The value as a number: of a text its number, of true and false 1 and 0.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        match self {
            Value::Missing | Value::Date(_) => None,
            Value::Number(number) => Some(number),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(1.0),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(0.0),
            // Rust reads `inf` and `infinity` too: no number to count with.
            Value::Text(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
        }
    }

    /// The value as days since 1970-01-01.
    #[must_use]
    pub fn days(self) -> Option<f64> {
        match self {
            Value::Date(days) => Some(days),
            Value::Missing | Value::Number(_) => None,
            Value::Text(text) => days_of(text),
        }
    }
}

/// Days since 1970-01-01 of `2024-02-01`, `2024-02-01T10:00:00` or `2024-02-01 10:00:00Z`, a zone counted.
fn days_of(text: &str) -> Option<f64> {
    // Cheap to say no to what is plainly none.
    let bytes = text.as_bytes();
    if bytes.len() < 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    const DAY: f64 = 86_400.0;
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_second() as f64 / DAY);
    }
    let local: jiff::civil::DateTime = text.parse().ok()?;
    let moment = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(moment.as_second() as f64 / DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_nothing_are_missing_and_others_stay() {
        let mut record = Record::default();
        for text in ["", "  ", "NA", "n/a", "NULL", "None", "NaN", "?", "no", " x ", "nano"] {
            record.push_text(text);
        }
        assert!((0..8).all(|at| record.value(at) == Value::Missing));
        assert_eq!(record.value(8), Value::Text("no"));
        assert_eq!(record.value(9), Value::Text("x"));
        assert_eq!(record.value(10), Value::Text("nano"));
        assert_eq!(record.value(99), Value::Missing);
    }

    #[test]
    fn numbers_and_dates_are_read() {
        assert_eq!(Value::Text("12.5").number(), Some(12.5));
        assert_eq!(Value::Text("TRUE").number(), Some(1.0));
        assert_eq!(Value::Text("inf").number(), None);
        assert_eq!(Value::Text("1,5").number(), None);
        assert_eq!(Value::Text("1970-01-02").days(), Some(1.0));
        assert_eq!(Value::Text("1970-01-02T12:00:00Z").days(), Some(1.5));
        assert_eq!(Value::Text("1970-01-02 12:00").days(), Some(1.5));
        assert_eq!(Value::Text("1970-01-02T12:00:00+12:00").days(), Some(1.0));
        assert_eq!(Value::Text("2024-13-01").days(), None);
        assert_eq!(Value::Text("0123456789").days(), None);
    }

    #[test]
    fn a_row_is_shown_with_commas_and_not_all_of_a_long_one() {
        let mut record = Record::default();
        record.push_text("a");
        record.push_missing();
        record.push_number(2.0);
        assert_eq!(record.shown(), "a,,2");
        record.push_text(&"é".repeat(SHOWN));
        let shown = record.shown();
        assert!(shown.starts_with("a,,2,éé") && shown.ends_with("é ..."), "{shown}");
        assert!((SHOWN..SHOWN + 4).contains(&shown.len()), "{}", shown.len());
    }

    #[test]
    fn a_whole_number_as_id_has_no_point() {
        let mut record = Record::default();
        record.push_number(1_234_567.0);
        record.push_text("0042");
        assert_eq!(record.as_text(0).as_deref(), Some("1234567"));
        assert_eq!(record.as_text(1).as_deref(), Some("0042"));
    }
}
