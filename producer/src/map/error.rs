//! What is wrong with a map: which file, which line, which key.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

/// Why a map cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The map, or a table that it joins.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{}{}: {}{message}", path.display(), Line(*line), Key(key))]
    Wrong {
        /// The map.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// The key, as in `fields.price.currency`; empty where the text is no TOML.
        key: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// A joined table cannot be used.
    #[error("{}{}: {message}", path.display(), Line(*line))]
    Table {
        /// The table's file.
        path: PathBuf,
        /// The line, from 1, where it is known.
        line: Option<usize>,
        /// What is wrong.
        message: String,
    },
}

struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

struct Key<'a>(&'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, "`{}`: ", self.0) }
    }
}

/// A key and what is wrong there; the place is found when the error leaves the module.
#[derive(Debug)]
pub(crate) struct KeyError {
    pub(crate) key: String,
    pub(crate) message: String,
}

impl KeyError {
    pub(crate) fn new(key: impl Into<String>, message: impl ToString) -> Self {
        Self { key: key.into(), message: message.to_string() }
    }

    /// The same for a key of a table.
    pub(crate) fn within(self, table: &str) -> Self {
        Self { key: format!("{table}.{}", self.key), ..self }
    }

    pub(crate) fn at(self, path: &Path, text: &str) -> MapError {
        let line = locate(text, &self.key).map(|at| line_of(text, at));
        MapError::Wrong { path: path.to_owned(), line, key: self.key, message: self.message }
    }
}

/// The error of text that is no map at all, or has an unknown key or a value of the wrong kind.
pub(crate) fn syntax(path: &Path, text: &str, error: &toml::de::Error) -> MapError {
    let line = error.span().map(|span| line_of(text, span.start));
    MapError::Wrong { path: path.to_owned(), line, key: String::new(), message: error.message().to_owned() }
}

fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes().iter().take(at).filter(|b| **b == b'\n').count()
}

/// Where the value of a dotted key begins; of the nearest table around it if it is not there. Lists count from 1.
fn locate(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut found = None;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        let (name, index) = match part.strip_suffix(']').and_then(|p| p.split_once('[')) {
            Some((name, index)) => (name, index.parse::<usize>().ok()),
            None => (part, None),
        };
        let Some((_, mut value)) = table.iter().find(|(k, _)| k.get_ref() == name) else { break };
        if let (Some(index), DeValue::Array(list)) = (index, value.get_ref()) {
            let Some(item) = list.get(index.wrapping_sub(1)) else { break };
            value = item;
        }
        found = Some(value.span().start);
        match value.get_ref() {
            DeValue::Table(inner) if parts.peek().is_some() => table = inner,
            _ => break,
        }
    }
    found
}
