//! Rows of columns: delimited, quoted or not, or separated by blanks.

use std::borrow::Cow;

use memchr::memchr;
use types::RejectReason;

use super::blanks::{self, Marks};
use crate::map::{Cell, Delimiter, Reject};

/// What separates columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// Some text; columns may be quoted.
    Text {
        /// The text.
        delimiter: Delimiter,
        /// What encloses a column that has the delimiter or a line end in it.
        quote: Option<u8>,
    },
    /// A run of blanks and tabs; blanks before the first column do not count.
    Blanks(Marks),
}

/// Splits rows into the columns that are wanted.
#[derive(Debug)]
pub(crate) struct TextParser {
    separator: Separator,
    /// For each column of the file, its place among those wanted.
    places: Vec<Option<usize>>,
    wanted: usize,
    /// Whether a row may have another number of columns.
    ragged: bool,
}

impl TextParser {
    /// A parser for rows whose columns are called `names`, of which `wanted` are to be given, in that order.
    ///
    /// # Errors
    /// The wanted name that the file does not have.
    pub(crate) fn new(
        separator: Separator,
        names: &[String],
        wanted: &[String],
        ragged: bool,
    ) -> Result<Self, String> {
        let mut places = vec![None; names.len()];
        for (place, name) in wanted.iter().enumerate() {
            let at = names.iter().position(|n| n == name).ok_or_else(|| name.clone())?;
            places[at] = Some(place);
        }
        Ok(Self { separator, places, wanted: wanted.len(), ragged })
    }

    /// A parser that wants nothing: for the time before the columns are known.
    pub(crate) fn nameless(separator: Separator) -> Self {
        Self { separator, places: Vec::new(), wanted: 0, ragged: false }
    }

    /// Adds the wanted columns of a row to `cells`. A row without exactly as many columns as the others is refused,
    /// unless the map says that there are such.
    pub(crate) fn parse<'r>(&self, row: &'r [u8], cells: &mut Vec<Cell<'r>>) -> Result<(), Reject> {
        let text = super::utf8(row)?;
        let first = cells.len();
        cells.resize(first + self.wanted, Cell::Missing);
        let mut count = 0;
        columns(self.separator, text, |column| {
            if let Some(Some(place)) = self.places.get(count) {
                cells[first + place] = Cell::Text(column);
            }
            count += 1;
        });
        if count == self.places.len() || self.ragged {
            return Ok(());
        }
        let due = self.places.len();
        let detail = format!(
            "the row has {count} columns where {due} are due (`ragged = true` in the map takes such rows)"
        );
        Err(Reject::new(RejectReason::Mapping, detail))
    }

    /// Whether a row of several lines can be meant as one: it has as many columns as are due, and each quote that closes a
    /// column stands at its end. Where one does not, a stray quote has joined rows.
    pub(crate) fn fits(&self, row: &[u8]) -> bool {
        let mut count = 0;
        columns(self.separator, &String::from_utf8_lossy(row), |_| count += 1);
        (count == self.places.len() || self.ragged) && self.quotes_end_columns(row)
    }

    fn quotes_end_columns(&self, row: &[u8]) -> bool {
        let Separator::Text { delimiter, quote: Some(quote) } = self.separator else { return true };
        let row = row.strip_suffix(b"\r").unwrap_or(row);
        let mut at = 0;
        loop {
            if row.get(at) == Some(&quote) {
                at += 1;
                loop {
                    let Some(skip) = memchr(quote, &row[at..]) else { return false };
                    at += skip + 1;
                    if row.get(at) != Some(&quote) {
                        break;
                    }
                    at += 1;
                }
                if at < row.len() && !row[at..].starts_with(delimiter.as_bytes()) {
                    return false;
                }
            } else {
                at += delimiter.find(&row[at..]).unwrap_or(row.len() - at);
            }
            if at >= row.len() {
                return true;
            }
            at += delimiter.as_bytes().len();
        }
    }
}

/// Calls `visit` with each column of a row, unquoted.
pub(crate) fn columns<'r>(separator: Separator, row: &'r str, mut visit: impl FnMut(Cow<'r, str>)) {
    match separator {
        Separator::Blanks(marks) => blanks::columns(row, marks, visit),
        Separator::Text { delimiter, quote } => match quote {
            Some(quote) if memchr(quote, row.as_bytes()).is_some() => {
                quoted_columns(row, delimiter, quote, visit);
            }
            _ => {
                let mut from = 0;
                if let [byte] = delimiter.as_bytes() {
                    for at in memchr::memchr_iter(*byte, row.as_bytes()) {
                        visit(Cow::Borrowed(&row[from..at]));
                        from = at + 1;
                    }
                } else {
                    while let Some(length) = delimiter.find(&row.as_bytes()[from..]) {
                        visit(Cow::Borrowed(&row[from..from + length]));
                        from += length + delimiter.as_bytes().len();
                    }
                }
                visit(Cow::Borrowed(&row[from..]));
            }
        },
    }
}

/// Whether the first row names the columns: nothing in it reads as a number or a time. Where it has no name for some, as for that of the
/// rows' numbers where a data frame was written, or the same for two, the second must have values as the first has none.
pub(crate) fn is_header(first: &[String], second: Option<&[String]>) -> bool {
    let is_value = |text: &String| text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    if first.iter().any(is_value) || first.iter().all(String::is_empty) {
        return false;
    }
    let twice = (1..first.len()).any(|i| !first[i].is_empty() && first[..i].contains(&first[i]));
    let nameless = first.iter().any(String::is_empty);
    match second {
        Some(row) if twice || nameless => row.iter().any(is_value),
        Some(row) => row.iter().any(|text| is_value(text) || text.is_empty()) || row != first,
        None => !twice && !nameless,
    }
}

fn quoted_columns<'r>(row: &'r str, delimiter: Delimiter, quote: u8, mut visit: impl FnMut(Cow<'r, str>)) {
    let mut rest = row;
    loop {
        let (column, end) = if rest.as_bytes().first() == Some(&quote) {
            quoted_column(rest, delimiter, quote)
        } else {
            let end = delimiter.find(rest.as_bytes()).unwrap_or(rest.len());
            (Cow::Borrowed(&rest[..end]), end)
        };
        visit(column);
        match rest.get(end + delimiter.as_bytes().len()..) {
            Some(more) if end < rest.len() => rest = more,
            _ => return,
        }
    }
}

/// The column that begins with a quote, and where it ends. What follows its closing quote is taken as it stands.
fn quoted_column(text: &str, delimiter: Delimiter, quote: u8) -> (Cow<'_, str>, usize) {
    let bytes = text.as_bytes();
    let mut column = Cow::Borrowed("");
    let mut from = 1;
    loop {
        let close = memchr(quote, &bytes[from..]).map_or(text.len(), |at| from + at);
        push(&mut column, &text[from..close]);
        if bytes.get(close + 1) == Some(&quote) {
            push(&mut column, &text[close..=close]);
            from = close + 2;
            continue;
        }
        let after = (close + 1).min(text.len());
        let end = delimiter.find(&bytes[after..]).map_or(text.len(), |at| after + at);
        push(&mut column, &text[after..end]);
        return (column, end);
    }
}

fn push<'r>(column: &mut Cow<'r, str>, part: &'r str) {
    if column.is_empty() {
        *column = Cow::Borrowed(part);
    } else if !part.is_empty() {
        column.to_mut().push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(separator: Separator, row: &str) -> Vec<String> {
        let mut all = Vec::new();
        columns(separator, row, |c| all.push(c.into_owned()));
        all
    }

    const COMMA: Separator = Separator::Text { delimiter: Delimiter::COMMA, quote: Some(b'"') };
    const BLANKS: Separator = Separator::Blanks(Marks { quote: None, brackets: false });

    #[test]
    fn columns_are_unquoted() {
        assert_eq!(split(COMMA, "a,,b"), ["a", "", "b"]);
        assert_eq!(split(COMMA, ""), [""]);
        assert_eq!(split(COMMA, "\"a,b\",\"c\"\"d\",\"\"\n,\"\""), ["a,b", "c\"d", "\n", ""]);
        assert_eq!(split(COMMA, "5\" disk,\"x\"y,\"open"), ["5\" disk", "xy", "open"]);
        assert_eq!(split(BLANKS, "  00001 19970101\t1   11.77 "), ["00001", "19970101", "1", "11.77"]);
    }

    #[test]
    fn delimiters_of_several_characters_and_no_quotes() {
        let several = |text: &str, quote| Separator::Text { delimiter: Delimiter::new(text).unwrap(), quote };
        assert_eq!(split(several("::", Some(b'"')), "1::a:b::::"), ["1", "a:b", "", ""]);
        assert_eq!(split(several("::", Some(b'"')), "\"x::y\"::\"\"\"q\"::z"), ["x::y", "\"q", "z"]);
        assert_eq!(split(several("||", None), "\"a||b|c|||"), ["\"a", "b|c", "|"]);
        assert_eq!(split(several(", ", Some(b'"')), "a,b, \"c, d\""), ["a,b", "c, d"]);
        let tabs = Separator::Text { delimiter: Delimiter::TAB, quote: None };
        assert_eq!(split(tabs, "\"Heroes\"\t\"Weird Al\tx"), ["\"Heroes\"", "\"Weird Al", "x"]);
    }

    #[test]
    fn ragged_rows_are_taken_where_it_is_said() {
        let names = ["a", "b"].map(str::to_owned);
        let parser = TextParser::new(COMMA, &names, &names, true).unwrap();
        for (row, expected) in [("1", ["1", ""]), ("1,2", ["1", "2"]), ("1,2,3", ["1", "2"])] {
            let mut cells = Vec::new();
            parser.parse(row.as_bytes(), &mut cells).unwrap();
            let found = cells.iter().map(|c| if let Cell::Text(text) = c { text.as_ref() } else { "" });
            assert!(found.eq(expected), "{row}");
        }
    }

    #[test]
    fn rows_of_another_width_are_refused() {
        let names = ["a", "b", "c"].map(str::to_owned);
        let parser = TextParser::new(COMMA, &names, &["c".to_owned(), "a".to_owned()], false).unwrap();
        let mut cells = Vec::new();
        parser.parse(b"1,2,3", &mut cells).unwrap();
        assert_eq!(cells, [Cell::Text("3".into()), Cell::Text("1".into())]);
        for row in ["1,2", "1,2,3,4", ""] {
            let error = parser.parse(row.as_bytes(), &mut Vec::new()).unwrap_err();
            assert_eq!(error.reason, RejectReason::Mapping, "{row}");
        }
        for (row, fits) in [
            ("a,\"b\nc\",d\r", true),
            ("a,b,\"c\"\"\n\"\"\"", true),
            ("\"a\n\",,", true),
            ("a,\"b,c\nd,e\"f,g", false),
            ("a,\"b\nc\" ,d", false),
            ("a,b,\"c\n", false),
        ] {
            assert_eq!(parser.fits(row.as_bytes()), fits, "{row}");
        }
        assert_eq!(parser.parse(b"1,\xff,3", &mut Vec::new()).unwrap_err().reason, RejectReason::InvalidUtf8);
        assert_eq!(TextParser::new(COMMA, &names, &["d".to_owned()], false).unwrap_err(), "d");
    }

    proptest::proptest! {
        #[test]
        fn what_is_quoted_reads_back(row in proptest::collection::vec("\\PC{0,8}", 1..6)) {
            let written: Vec<String> = row.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect();
            proptest::prop_assert_eq!(split(COMMA, &written.join(",")), row);
        }

        #[test]
        fn no_row_makes_it_panic(row in "[\",a\n é]{0,30}") {
            let _ = split(COMMA, &row);
        }
    }
}
