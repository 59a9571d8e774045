//! The map as it stands in its TOML file. What each key means is said in [`super`].

use std::collections::BTreeMap;

use serde::Deserialize;

/// One name or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "a column's name or a list of names")]
pub(crate) enum Names {
    One(String),
    Many(Vec<String>),
}

impl Names {
    pub(crate) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Many(names) => names,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FormatName {
    #[default]
    Auto,
    Jsonl,
    Json,
    Csv,
    Tsv,
    Whitespace,
    Parquet,
    Confluent,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MapFile {
    #[serde(default)]
    pub(crate) format: FormatName,
    pub(crate) encoding: Option<String>,
    pub(crate) delimiter: Option<String>,
    pub(crate) quote: Option<String>,
    #[serde(default)]
    pub(crate) brackets: bool,
    #[serde(default)]
    pub(crate) ragged: bool,
    pub(crate) header: Option<bool>,
    pub(crate) columns: Option<Vec<String>>,
    pub(crate) each: Option<String>,
    #[serde(default)]
    pub(crate) skip_lines: u64,
    pub(crate) comment: Option<String>,
    #[serde(default)]
    pub(crate) null: Vec<String>,
    #[serde(default)]
    pub(crate) number: NumberSection,
    pub(crate) entity: EntitySection,
    pub(crate) time: TimeSection,
    pub(crate) arrival: Option<TimeSection>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<TypeSection>,
    pub(crate) event_id: Option<IdSection>,
    #[serde(default)]
    pub(crate) fields: BTreeMap<String, FieldEntry>,
    #[serde(default, rename = "where")]
    pub(crate) conditions: Vec<ConditionSection>,
    #[serde(default)]
    pub(crate) join: Vec<JoinSection>,
    #[serde(default)]
    pub(crate) event: Vec<EventSection>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NumberSection {
    pub(crate) decimal: Option<char>,
    pub(crate) thousands: Option<char>,
    #[serde(default)]
    pub(crate) strip: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenEmpty {
    #[default]
    Reject,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Normalise {
    Trim,
    Lowercase,
    Integer,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntitySection {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) id: Names,
    pub(crate) separator: Option<String>,
    #[serde(default)]
    pub(crate) empty: WhenEmpty,
    #[serde(default)]
    pub(crate) normalise: Vec<Normalise>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeSection {
    pub(crate) column: Names,
    pub(crate) format: String,
    pub(crate) since: Option<String>,
    pub(crate) zone: Option<String>,
    pub(crate) shift: Option<String>,
    pub(crate) not_before: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TypeSection {
    pub(crate) column: Option<Names>,
    pub(crate) constant: Option<String>,
    #[serde(default)]
    pub(crate) prefix: String,
    #[serde(default)]
    pub(crate) names: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct IdSection {
    pub(crate) column: Names,
    pub(crate) separator: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum FieldEntry {
    Column(String),
    Table(Box<FieldSection>),
}

/// By hand, so that what is wrong within a table is said.
impl<'de> Deserialize<'de> for FieldEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = FieldEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a column's name or a table")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<FieldEntry, E> {
                Ok(FieldEntry::Column(name.to_owned()))
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<FieldEntry, A::Error> {
                let table = FieldSection::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(FieldEntry::Table(Box::new(table)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FieldKind {
    #[default]
    Auto,
    Number,
    Text,
    Bool,
    Money,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldSection {
    pub(crate) column: Option<String>,
    pub(crate) constant: Option<toml::Value>,
    #[serde(default)]
    pub(crate) kind: FieldKind,
    pub(crate) scale: Option<f64>,
    pub(crate) currency: Option<String>,
    pub(crate) currency_column: Option<String>,
    #[serde(default)]
    pub(crate) minor: bool,
    #[serde(default)]
    pub(crate) required: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConditionSection {
    pub(crate) column: String,
    pub(crate) is: Option<Names>,
    pub(crate) is_not: Option<Names>,
    pub(crate) present: Option<bool>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JoinSection {
    pub(crate) name: String,
    pub(crate) file: String,
    pub(crate) key: String,
    pub(crate) on: String,
    pub(crate) columns: Vec<String>,
    pub(crate) encoding: Option<String>,
    pub(crate) delimiter: Option<String>,
    pub(crate) quote: Option<String>,
    pub(crate) header: Option<bool>,
    #[serde(default)]
    pub(crate) missing: WhenMissing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WhenMissing {
    #[default]
    Empty,
    Reject,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Spread {
    /// All at the row's time.
    #[default]
    None,
    /// Evenly over the 24 hours that begin at the row's time.
    Day,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventSection {
    #[serde(rename = "type")]
    pub(crate) kind: Option<TypeSection>,
    pub(crate) time: Option<TimeSection>,
    pub(crate) count: Option<String>,
    #[serde(default)]
    pub(crate) spread: Spread,
    #[serde(default)]
    pub(crate) fields: BTreeMap<String, FieldEntry>,
    #[serde(default, rename = "where")]
    pub(crate) conditions: Vec<ConditionSection>,
}
