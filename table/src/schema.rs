//! What the columns of a table mean, and rows made of it.

use serde::{Deserialize, Serialize};

use crate::{Plan, Record, Table, TableError, Value};

/// The most different values of a category.
pub(crate) const MOST_VALUES: usize = 255;
/// The most values that have a feature of their own; the others share one.
const OWN_FEATURE: usize = 63;
/// The format that is written, and the only one read.
const VERSION: u32 = 1;

/// What the columns of a table mean: how a row becomes a model's values, and who was lost. It stands in a bundle as
/// `table.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    version: u32,
    /// The column that says who was lost.
    pub label: String,
    /// Its value for those who were.
    pub lost: String,
    /// Its other values.
    pub stayed: Vec<String>,
    /// The column that names the customer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The columns that are learnt from, in the order of their features.
    #[serde(rename = "column")]
    pub columns: Vec<Column>,
    /// The columns that are not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored: Vec<Ignored>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it is.
    #[serde(flatten)]
    pub kind: Kind,
}

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// A number.
    Number,
    /// A day or a moment.
    Date,
    /// One of some texts.
    Category {
        /// Those that training has seen, the most frequent first.
        values: Vec<String>,
    },
}

/// A column that is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ignored {
    /// Its name.
    pub name: String,
    /// Why.
    pub why: String,
}

impl Schema {
    pub(crate) fn new(
        plan: &Plan,
        lost: String,
        stayed: Vec<String>,
        columns: Vec<Column>,
        ignored: Vec<Ignored>,
    ) -> Self {
        let (label, id) = (plan.label.clone(), plan.id.clone());
        Self { version: VERSION, label, lost, stayed, id, columns, ignored }
    }

    /// Reads what [`to_toml`](Self::to_toml) wrote.
    ///
    /// # Errors
    /// If it is not that, or of another version.
    pub fn from_toml(text: &str) -> Result<Self, TableError> {
        let schema: Self = toml::from_str(text).map_err(|error| TableError::Schema(error.to_string()))?;
        if schema.version != VERSION {
            let what = format!("its version is {}; this program reads version {VERSION}", schema.version);
            return Err(TableError::Schema(what));
        }
        Ok(schema)
    }

    /// As it stands in a bundle.
    ///
    /// # Errors
    /// If a text cannot be written as TOML.
    pub fn to_toml(&self) -> Result<String, TableError> {
        toml::to_string(self).map_err(|error| TableError::Schema(error.to_string()))
    }

    /// What identifies the features: 16 hexadecimal digits, of everything but what was left out.
    #[must_use]
    pub fn hash(&self) -> String {
        let mut text = format!("table {}\n{:?}\n{:?}\n", self.version, self.label, self.lost);
        for column in &self.columns {
            text.push_str(&format!("{:?} {:?}\n", column.name, column.kind));
        }
        format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
    }

    /// The names of the features, in the order of a row.
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        self.columns.iter().flat_map(Column::features).collect()
    }

    /// For each feature, the place of its column.
    #[must_use]
    pub fn column_of_feature(&self) -> Vec<usize> {
        let of = |(at, column): (usize, &Column)| std::iter::repeat_n(at, column.width());
        self.columns.iter().enumerate().flat_map(of).collect()
    }
}

impl Column {
    /// The names of its features.
    #[must_use]
    pub fn features(&self) -> Vec<String> {
        let Kind::Category { values } = &self.kind else { return vec![self.name.clone()] };
        let named = |value: &String| format!("{}={value}", self.name);
        match values.len() {
            2 => vec![named(&values[1])],
            n if n <= OWN_FEATURE => values.iter().map(named).collect(),
            _ => {
                let own = values.iter().take(OWN_FEATURE).map(named);
                own.chain([format!("{}=other", self.name)]).collect()
            }
        }
    }

    /// The number of its features.
    fn width(&self) -> usize {
        match &self.kind {
            Kind::Number | Kind::Date => 1,
            Kind::Category { values } if values.len() == 2 => 1,
            Kind::Category { values } => values.len().min(OWN_FEATURE + 1),
        }
    }

    /// Adds the values of its features. An error is why the row cannot be used; a note what could not be made use of.
    fn push(&self, value: Value<'_>, out: &mut Vec<f32>) -> Result<Option<Note>, String> {
        match &self.kind {
            Kind::Number => out.push(self.single(value, Value::number(value), "number")?),
            Kind::Date => out.push(self.single(value, Value::days(value), "date")?),
            Kind::Category { values } => {
                let width = self.width();
                let own;
                let text = match value {
                    Value::Missing => None,
                    Value::Text(text) => Some(text),
                    Value::Number(number) | Value::Date(number) => {
                        own = number.to_string();
                        Some(own.as_str())
                    }
                };
                let place = text.map(|text| values.iter().position(|value| value == text));
                let from = out.len();
                match place {
                    Some(Some(place)) => {
                        out.resize(from + width, 0.0);
                        if values.len() != 2 {
                            out[from + place.min(width - 1)] = 1.0;
                        } else if place == 1 {
                            out[from] = 1.0;
                        }
                    }
                    other => {
                        out.resize(from + width, f32::NAN);
                        let unseen = text.filter(|_| other.is_some()).unwrap_or_default();
                        return Ok(Some(match other {
                            None => Note::Missing,
                            Some(_) => Note::Unseen(unseen.to_owned()),
                        }));
                    }
                }
            }
        }
        Ok((value == Value::Missing).then_some(Note::Missing))
    }

    fn single(&self, value: Value<'_>, number: Option<f64>, kind: &str) -> Result<f32, String> {
        let shown = || match value {
            Value::Text(text) => text.chars().take(60).collect(),
            Value::Number(number) | Value::Date(number) => number.to_string(),
            Value::Missing => String::new(),
        };
        match (value, number) {
            (Value::Missing, _) => Ok(f32::NAN),
            (_, None) => Err(format!("`{}` is `{}`, which is no {kind}", self.name, shown())),
            (_, Some(number)) if (number as f32).is_finite() => Ok(number as f32),
            (_, Some(_)) => Err(format!("`{}` is {}, which is too large", self.name, shown())),
        }
    }
}

/// What could not be made use of in a row's column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// It has no value.
    Missing,
    /// Its category was not seen in training.
    Unseen(String),
}

/// A schema bound to the columns of a table.
#[derive(Debug)]
pub struct Encoder<'a> {
    schema: &'a Schema,
    /// For each column of the schema its place in the table.
    places: Vec<Option<usize>>,
    label: Option<usize>,
    id: Option<usize>,
}

impl<'a> Encoder<'a> {
    /// Finds the schema's columns in a table, by name.
    #[must_use]
    pub fn new(schema: &'a Schema, table: &Table) -> Self {
        let place = |name: &String| table.columns().iter().position(|column| column == name);
        Self {
            schema,
            places: schema.columns.iter().map(|column| place(&column.name)).collect(),
            label: place(&schema.label),
            id: schema.id.as_ref().and_then(place),
        }
    }

    /// The schema's columns that the table does not have.
    #[must_use]
    pub fn absent(&self) -> Vec<&'a str> {
        let columns = self.schema.columns.iter().zip(&self.places);
        columns.filter(|(_, place)| place.is_none()).map(|(column, _)| column.name.as_str()).collect()
    }

    /// Whether the table has the column that names the customer.
    #[must_use]
    pub const fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// The name of the customer.
    #[must_use]
    pub fn id(&self, record: &Record) -> Option<String> {
        record.as_text(self.id?)
    }

    /// Whether the customer was lost.
    ///
    /// # Errors
    /// If the label is missing or has a value that means neither; says so.
    pub fn lost(&self, record: &Record) -> Result<bool, String> {
        let text = self.label.and_then(|label| record.as_text(label));
        match text {
            None => Err(format!("the label `{}` is missing", self.schema.label)),
            Some(text) if text == self.schema.lost => Ok(true),
            Some(text) if self.schema.stayed.contains(&text) => Ok(false),
            Some(text) => {
                let shown: String = text.chars().take(60).collect();
                Err(format!("the label `{}` is `{shown}`", self.schema.label))
            }
        }
    }

    /// Adds a row's values to `out`, and to `notes` what could not be made use of: the column's place in the schema, and what.
    /// Columns that the table does not have are missing without a note.
    ///
    /// # Errors
    /// If the row cannot be used; says why, and `out` is as before.
    pub fn encode(
        &self,
        record: &Record,
        out: &mut Vec<f32>,
        notes: &mut Vec<(usize, Note)>,
    ) -> Result<(), String> {
        let from = out.len();
        for (at, (column, place)) in self.schema.columns.iter().zip(&self.places).enumerate() {
            let value = place.map_or(Value::Missing, |place| record.value(place));
            match column.push(value, out) {
                Ok(note) => notes.extend(note.filter(|_| place.is_some()).map(|note| (at, note))),
                Err(why) => {
                    out.truncate(from);
                    return Err(why);
                }
            }
        }
        Ok(())
    }
}
