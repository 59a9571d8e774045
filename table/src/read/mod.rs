//! Tables row by row, whatever the format.

mod csv;
mod guard;
mod parquet;
mod scan;
mod xlsx;

#[cfg(all(test, target_os = "linux"))]
mod memory;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use crate::{Record, TableError};

/// The most columns that a table may have: as many as Excel's.
pub(crate) const MOST_COLUMNS: usize = 16_384;

/// A table that is being read.
#[derive(Debug)]
pub struct Table {
    columns: Vec<String>,
    rows: Rows,
    row: u64,
}

#[derive(Debug)]
enum Rows {
    Csv(Box<csv::Csv>),
    Parquet(Box<parquet::Parquet>),
    Xlsx(xlsx::Xlsx),
}

/// What came next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// A row, with its number from 1. The header is none.
    Row(u64),
    /// A row that cannot be used.
    Rejected {
        /// Its number, from 1.
        row: u64,
        /// Why.
        reason: String,
        /// As it stands in the file, as far as that can be shown.
        original: String,
    },
    /// There are no more.
    End,
}

impl Table {
    /// Opens a table by the ending of its name: .csv, .tsv, .txt, .xlsx or .parquet. The first line of a text or a sheet names the
    /// columns; what separates them is found by looking. Of an Excel file the first sheet is read.
    ///
    /// # Errors
    /// If the file cannot be read, is not what its ending says, has no columns or two of one name, or breaks a limit.
    pub fn open(path: &Path) -> Result<Self, TableError> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let (columns, rows) = match ending.to_ascii_lowercase().as_str() {
            "csv" | "tsv" | "txt" => {
                let (columns, csv) = csv::Csv::open(path)?;
                (columns, Rows::Csv(Box::new(csv)))
            }
            "parquet" => {
                let (columns, parquet) = parquet::Parquet::open(path)?;
                (columns, Rows::Parquet(Box::new(parquet)))
            }
            "xlsx" => {
                let (columns, xlsx) = xlsx::Xlsx::open(path)?;
                (columns, Rows::Xlsx(xlsx))
            }
            _ => return Err(TableError::Format { path: path.to_owned() }),
        };
        check(&columns, path)?;
        Ok(Self { columns, rows, row: 0 })
    }

    /// The columns' names, in order.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The place of a column.
    ///
    /// # Errors
    /// If there is none of this name; the error lists those that there are.
    pub fn column(&self, name: &str) -> Result<usize, TableError> {
        self.columns
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| TableError::NoColumn { name: name.to_owned(), there: self.columns.clone() })
    }

    /// Reads the next row into `record`. Rows without any value are passed over.
    ///
    /// # Errors
    /// If the file cannot be read any further. A row that cannot be used is [`Next::Rejected`], and the next one follows.
    pub fn next(&mut self, record: &mut Record) -> Result<Next, TableError> {
        loop {
            record.clear();
            let next = match &mut self.rows {
                Rows::Csv(csv) => csv.next(record)?,
                Rows::Parquet(parquet) => parquet.next(record)?,
                Rows::Xlsx(xlsx) => xlsx.next(record)?,
            };
            let read = match next {
                Read::End => return Ok(Next::End),
                Read::Rejected { reason, original } => {
                    self.row += 1;
                    return Ok(Next::Rejected { row: self.row, reason, original });
                }
                Read::Row => {
                    self.row += 1;
                    record.pad(self.columns.len());
                    !record.is_blank()
                }
            };
            if read {
                return Ok(Next::Row(self.row));
            }
        }
    }
}

/// What a format's reader came upon.
#[derive(Debug)]
enum Read {
    Row,
    Rejected { reason: String, original: String },
    End,
}

fn check(columns: &[String], path: &Path) -> Result<(), TableError> {
    let wrong = |what: String| Err(TableError::Content { path: path.to_owned(), what });
    if columns.is_empty() || columns.iter().all(String::is_empty) {
        return wrong("it has no columns: the first line must name them".to_owned());
    }
    if columns.len() > MOST_COLUMNS {
        return wrong(format!("it has {} columns; at most {MOST_COLUMNS} are read", columns.len()));
    }
    let mut sorted: Vec<&String> = columns.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => wrong(format!("two columns are called `{}`", twice[0])),
        None => Ok(()),
    }
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> TableError {
    let path: PathBuf = path.to_owned();
    move |source| TableError::Io { path, source }
}
