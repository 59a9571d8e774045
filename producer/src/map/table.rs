//! Joined tables: read whole, held in memory, looked up by key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::cell::Cell;
use super::error::{KeyError, MapError};
use super::file::{JoinSection, WhenMissing};
use super::layout::{self, Format, Layout};
use crate::import::text_table;

/// A table and how rows find theirs in it.
#[derive(Debug)]
pub(crate) struct Join {
    pub(crate) name: String,
    /// The slot of the row's column that is looked up.
    pub(crate) on: usize,
    /// The slot of the first joined column.
    pub(crate) first: usize,
    pub(crate) missing: WhenMissing,
    section: JoinSection,
    layout: Layout,
    rows: HashMap<Box<str>, Box<[Cell<'static>]>>,
}

impl Join {
    pub(crate) fn new(section: JoinSection, layout: Layout, on: usize, first: usize) -> Self {
        let (name, missing) = (section.name.clone(), section.missing);
        Self { name, on, first, missing, section, layout, rows: HashMap::new() }
    }

    /// What the table's file looks like: delimited text, with a header unless the map says that it has none.
    pub(crate) fn layout(section: &JoinSection) -> Result<Layout, KeyError> {
        let delimiter = layout::delimiter(section.delimiter.as_deref(), "delimiter")?;
        Ok(Layout {
            encoding: layout::encoding(section.encoding.as_deref(), "encoding")?,
            delimiter,
            quote: layout::quote(section.quote.as_deref(), "quote")?,
            header: section.header,
            ..Layout::of(if delimiter.is_some() { Format::Csv } else { Format::Auto })
        })
    }

    /// The joined cells of a key.
    pub(crate) fn row(&self, key: &str) -> Option<&[Cell<'static>]> {
        self.rows.get(key).map(|row| &**row)
    }

    /// Reads the table from the first of the folders that has it. O(size), all of it in memory.
    pub(crate) fn load(&mut self, places: &[PathBuf]) -> Result<(), MapError> {
        let tried: Vec<PathBuf> = places.iter().map(|place| place.join(&self.section.file)).collect();
        let Some(path) = tried.iter().find(|path| path.is_file()) else {
            let path = PathBuf::from(&self.section.file);
            let tried: Vec<String> = tried.iter().map(|p| p.display().to_string()).collect();
            let message =
                format!("the joined table `{}` is not there; looked for {}", self.name, tried.join(", "));
            return Err(MapError::Table { path, line: None, message });
        };
        self.read(path)
    }

    fn read(&mut self, path: &Path) -> Result<(), MapError> {
        let JoinSection { key, columns, .. } = &self.section;
        let names: Vec<String> = std::iter::once(key).chain(columns).cloned().collect();
        let wrong = |line, message| MapError::Table { path: path.to_owned(), line, message };
        let rows = &mut self.rows;
        let mut twice = None;
        text_table(path, &self.layout, &names, |line, cells| {
            let mut own = cells.iter().map(|cell| match cell {
                Cell::Text(text) if text.is_empty() => Cell::Missing,
                Cell::Text(text) => Cell::Text(text.clone().into_owned().into()),
                _ => Cell::Missing,
            });
            let Some(Cell::Text(key)) = own.next() else { return };
            if rows.insert(key.into(), own.collect()).is_some() {
                twice.get_or_insert((line, cells[0].show()));
            }
        })
        .map_err(|e| wrong(None, e.to_string()))?;
        match twice {
            Some((line, key)) => {
                let line = usize::try_from(line).ok();
                Err(wrong(
                    line,
                    format!("the key {key} stands here for the second time; a join needs one row for each"),
                ))
            }
            None => Ok(()),
        }
    }
}
