//! Rows of text files.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::{MOST_COLUMNS, Read, io};
use crate::cell::SHOWN;
use crate::{Record, TableError};

/// The longest header line that is looked at.
const HEADER_BYTES: usize = 1 << 20;
/// The longest row that is taken.
const ROW_BYTES: usize = 1 << 20;
/// What is read in search of a row's end: a quote that never closes must not take in the rest of the file.
const SEARCH_BYTES: u64 = 64 << 20;

/// A file of which only so much is read until it is allowed more.
#[derive(Debug)]
struct Capped {
    file: BufReader<File>,
    left: u64,
}

impl std::io::Read for Capped {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Err(std::io::Error::other(format!(
                "no row ends within {} MiB: a quote is not closed",
                SEARCH_BYTES >> 20
            )));
        }
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = std::io::Read::read(&mut self.file, &mut into[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// A text file whose rows are read one by one.
#[derive(Debug)]
pub(super) struct Csv {
    path: PathBuf,
    reader: Reader<Capped>,
    separator: u8,
    row: ByteRecord,
    columns: usize,
}

impl Csv {
    pub(super) fn open(path: &Path) -> Result<(Vec<String>, Self), TableError> {
        let mut file = BufReader::with_capacity(1 << 16, File::open(path).map_err(io(path))?);
        let separator = separator(file.fill_buf().map_err(io(path))?);
        let mut reader = ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .has_headers(false)
            .from_reader(Capped { file, left: SEARCH_BYTES });
        let mut row = ByteRecord::new();
        let content = |what: String| TableError::Content { path: path.to_owned(), what };
        reader.read_byte_record(&mut row).map_err(|error| content(error.to_string()))?;
        if row.as_slice().len() > HEADER_BYTES || row.len() > MOST_COLUMNS {
            return Err(content(format!("its first line has {} columns: is it a table?", row.len())));
        }
        let mut columns = Vec::with_capacity(row.len());
        for name in &row {
            let name = std::str::from_utf8(name)
                .map_err(|_| content("its first line is not UTF-8: save it as UTF-8".to_owned()))?;
            columns.push(name.trim_start_matches('\u{feff}').trim().to_owned());
        }
        let csv = Self { path: path.to_owned(), reader, separator, row, columns: columns.len() };
        Ok((columns, csv))
    }

    pub(super) fn next(&mut self, record: &mut Record) -> Result<Read, TableError> {
        self.reader.get_mut().left = SEARCH_BYTES;
        match self.reader.read_byte_record(&mut self.row) {
            Ok(true) => {}
            Ok(false) => return Ok(Read::End),
            Err(error) => {
                let what = error.to_string();
                return Err(TableError::Content { path: self.path.clone(), what });
            }
        }
        if self.row.as_slice().len() > ROW_BYTES {
            let reason = format!("a row of {} bytes: is a quote not closed?", self.row.as_slice().len());
            return Ok(Read::Rejected { reason, original: self.original() });
        }
        if self.row.len() != self.columns {
            let reason = format!("{} values for {} columns", self.row.len(), self.columns);
            return Ok(Read::Rejected { reason, original: self.original() });
        }
        for cell in &self.row {
            match std::str::from_utf8(cell) {
                Ok(text) => record.push_text(text),
                Err(_) => {
                    return Ok(Read::Rejected { reason: "not UTF-8".to_owned(), original: self.original() });
                }
            }
        }
        Ok(Read::Row)
    }

    /// The row as it stood, but for quotes.
    fn original(&self) -> String {
        let mut text = String::new();
        for (at, cell) in self.row.iter().enumerate() {
            if at > 0 {
                text.push(char::from(self.separator));
            }
            text.push_str(&String::from_utf8_lossy(cell));
            if text.len() > SHOWN {
                text.truncate(text.floor_char_boundary(SHOWN));
                text.push_str(" ...");
                break;
            }
        }
        text
    }
}

/// What separates columns: what is most frequent in the first line.
fn separator(start: &[u8]) -> u8 {
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |separator: u8| line.iter().filter(|byte| **byte == separator).count();
    // Of equals the first: a comma, if there is none of all.
    let mut best = (b',', count(b','));
    for separator in [b';', b'\t', b'|'] {
        if count(separator) > best.1 {
            best = (separator, count(separator));
        }
    }
    best.0
}
