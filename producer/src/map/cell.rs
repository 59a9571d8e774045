//! A value as it stands in a row, before the mapping says what it means.

use std::borrow::Cow;
use std::fmt::Write as _;

/// One column's value in one row.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Cell<'a> {
    /// The row has no such column, or it says null.
    #[default]
    Missing,
    /// Text. All that CSV and its like have.
    Text(Cow<'a, str>),
    /// A whole number.
    Int(i64),
    /// Another number; finite.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A moment with a type of its own (Parquet), in milliseconds since the epoch.
    Moment {
        /// The milliseconds; of the wall clock somewhere if `utc` is false.
        ms: i64,
        /// Whether it is an instant; a naive time needs the map's zone.
        utc: bool,
    },
    /// A list or an object.
    Other,
}

impl Cell<'_> {
    /// Appends the value as text; nothing for what is missing. `false` if it has no text (a list or an object).
    pub fn write_text(&self, out: &mut String) -> bool {
        match self {
            Self::Missing => {}
            Self::Text(text) => out.push_str(text),
            // Writing to a String cannot fail.
            Self::Int(n) | Self::Moment { ms: n, .. } => drop(write!(out, "{n}")),
            // The shortest form that reads back as the same number: `12.5`, and `12.0` for a whole one.
            Self::Float(n) => drop(write!(out, "{n:?}")),
            Self::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
            Self::Other => return false,
        }
        true
    }

    /// What kind of value it is, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Text(_) => "text",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::Moment { .. } => "a moment",
            Self::Other => "a list or an object",
        }
    }

    /// The value, shortened, for messages.
    pub(crate) fn show(&self) -> String {
        let mut text = String::new();
        if !self.write_text(&mut text) {
            return self.kind().to_owned();
        }
        show(&text)
    }
}

/// Text in quotes, shortened to what a message can bear.
pub(crate) fn show(text: &str) -> String {
    const LONGEST: usize = 60;
    let short: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("`{short}{more}`")
}
