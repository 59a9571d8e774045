//! One look at all rows: what each column is.

use std::collections::BTreeMap;

use crate::schema::{Column, Ignored, Kind, MOST_VALUES, Schema};
use crate::{Record, TableError, Value};

/// Longer texts are no categories.
const LONGEST_VALUE: usize = 200;
/// In a column of numbers (or dates) at most this share of the values may be something else; those rows are rejected.
const ODD_SHARE: f64 = 0.01;
/// Values of a label that mean lost, unless it is said.
const LOST_WORDS: [&str; 9] = ["yes", "y", "true", "1", "churn", "churned", "lost", "left", "leaver"];

/// What a table is for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The column that says who was lost.
    pub label: String,
    /// Its value that means lost; by default a word such as `yes`, `true`, `1` or `churned`.
    pub lost: Option<String>,
    /// The column that names the customer, if there is one.
    pub id: Option<String>,
    /// Columns to leave out.
    pub drop: Vec<String>,
}

/// What was seen of a table's columns. Memory: at most 256 texts a column.
#[derive(Debug, Clone)]
pub struct Profile {
    columns: Vec<Seen>,
    rows: u64,
}

/// What was seen of one column.
#[derive(Debug, Clone, Default)]
struct Seen {
    name: String,
    missing: u64,
    numbers: u64,
    dates: u64,
    texts: u64,
    /// How often each value occurs; those beyond the most that there may be are not counted.
    values: BTreeMap<String, u64>,
    /// Whether there are more values, or too long ones.
    overflow: bool,
    /// The last number, as long as each was one more than the one before.
    counting: Option<f64>,
    stopped_counting: bool,
}

impl Profile {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(columns: &[String]) -> Self {
        let of = |name: &String| Seen { name: name.clone(), ..Seen::default() };
        Self { columns: columns.iter().map(of).collect(), rows: 0 }
    }

    /// Takes note of a row.
    pub fn see(&mut self, record: &Record) {
        self.rows += 1;
        for (at, column) in self.columns.iter_mut().enumerate() {
            column.see(record, at);
        }
    }

    /// Rows seen.
    #[must_use]
    pub const fn rows(&self) -> u64 {
        self.rows
    }

    /// What the columns are, for a plan.
    ///
    /// # Errors
    /// If a column that the plan names is not there, the label does not say who was lost, or no column is left.
    pub fn schema(&self, plan: &Plan) -> Result<Schema, TableError> {
        let named = std::iter::once(&plan.label).chain(&plan.id).chain(&plan.drop);
        for name in named {
            if !self.columns.iter().any(|column| column.name == *name) {
                let there = self.columns.iter().map(|column| column.name.clone()).collect();
                return Err(TableError::NoColumn { name: name.clone(), there });
            }
        }
        let (mut columns, mut ignored) = (Vec::new(), Vec::new());
        let (mut lost, mut stayed) = (String::new(), Vec::new());
        for seen in &self.columns {
            if seen.name == plan.label {
                (lost, stayed) = seen.label(plan.lost.as_deref())?;
            } else if Some(&seen.name) == plan.id.as_ref() {
                continue;
            } else if plan.drop.contains(&seen.name) {
                ignored.push(Ignored { name: seen.name.clone(), why: "left out as asked".to_owned() });
            } else {
                match seen.kind() {
                    Ok(kind) => columns.push(Column { name: seen.name.clone(), kind }),
                    Err(why) => ignored.push(Ignored { name: seen.name.clone(), why }),
                }
            }
        }
        if columns.is_empty() {
            return Err(TableError::Empty("no column is left to learn from".to_owned()));
        }
        Ok(Schema::new(plan, lost, stayed, columns, ignored))
    }

    /// Rows without a value in a column of the schema, by column.
    #[must_use]
    pub fn missing(&self, name: &str) -> u64 {
        self.columns.iter().find(|column| column.name == name).map_or(0, |column| column.missing)
    }
}

impl Seen {
    fn see(&mut self, record: &Record, at: usize) {
        let value = record.value(at);
        let number = value.number();
        match value {
            Value::Missing => self.missing += 1,
            Value::Number(_) => self.numbers += 1,
            Value::Date(_) => self.dates += 1,
            Value::Text(_) if number.is_some() => self.numbers += 1,
            Value::Text(_) if value.days().is_some() => self.dates += 1,
            Value::Text(_) => self.texts += 1,
        }
        match (number, self.counting) {
            (Some(number), Some(before)) if number == before + 1.0 => self.counting = Some(number),
            (Some(number), None) if number.fract() == 0.0 => self.counting = Some(number),
            _ => self.stopped_counting = true,
        }
        if self.overflow {
            return;
        }
        let Some(text) = record.as_text(at) else { return };
        if let Some(count) = self.values.get_mut(&text) {
            *count += 1;
        } else if self.values.len() < MOST_VALUES && text.len() <= LONGEST_VALUE {
            self.values.insert(text, 1);
        } else {
            self.overflow = true;
        }
    }

    /// What the column is; why not, if it is left out.
    fn kind(&self) -> Result<Kind, String> {
        let present = self.numbers + self.dates + self.texts;
        let odd = |others: u64| others as f64 <= ODD_SHARE * present as f64;
        if present == 0 {
            return Err("it has no value".to_owned());
        }
        if self.values.len() == 1 && !self.overflow && self.missing == 0 {
            return Err("it has the same value in every row".to_owned());
        }
        if !self.stopped_counting && present > 2 && self.missing == 0 {
            return Err("it counts the rows".to_owned());
        }
        let mostly_numbers = self.overflow && odd(self.texts + self.dates);
        let mostly_dates = self.overflow && odd(self.texts + self.numbers);
        if self.texts + self.dates == 0 || mostly_numbers {
            return Ok(Kind::Number);
        }
        if self.texts + self.numbers == 0 || mostly_dates {
            return Ok(Kind::Date);
        }
        if self.overflow {
            return Err(format!("it has more than {MOST_VALUES} different texts, or long ones"));
        }
        // The most frequent first; of equals the first by name.
        let mut values: Vec<(&String, u64)> =
            self.values.iter().map(|(value, count)| (value, *count)).collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        Ok(Kind::Category { values: values.into_iter().map(|(value, _)| value.clone()).collect() })
    }

    /// The label's value that means lost, and the others.
    fn label(&self, lost: Option<&str>) -> Result<(String, Vec<String>), TableError> {
        let values: Vec<&String> = self.values.keys().collect();
        let shown = values.iter().take(10).map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
        if self.overflow || values.len() > 20 {
            return Err(TableError::Label(format!(
                "the label `{}` has too many different values ({shown}, ...): it must say for each row whether the customer was lost",
                self.name
            )));
        }
        if values.len() < 2 {
            return Err(TableError::Label(format!(
                "the label `{}` has {}: a model needs some customers of both kinds",
                self.name,
                if values.is_empty() { "no value".to_owned() } else { format!("only the value {shown}") }
            )));
        }
        let is_lost = |value: &str| match lost {
            Some(lost) => value == lost,
            None => LOST_WORDS.iter().any(|word| value.eq_ignore_ascii_case(word)),
        };
        let (of_lost, others): (Vec<&String>, Vec<&String>) =
            values.into_iter().partition(|value| is_lost(value));
        match (&of_lost[..], lost) {
            ([one], _) if lost.is_some() || others.len() == 1 => {
                Ok(((*one).clone(), others.into_iter().cloned().collect()))
            }
            (_, Some(lost)) => Err(TableError::Label(format!(
                "no row has the value `{lost}` in the label `{}`: there are {shown}",
                self.name
            ))),
            _ => Err(TableError::Label(format!(
                "which value of the label `{}` means lost? There are {shown}; say it with --lost VALUE",
                self.name
            ))),
        }
    }
}
