//! One file as a sequence of items: events of the log to be, and rows that are none.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use types::{EventTime, RejectReason};

use super::source::{Row, Rows, SourceError};
use super::summary::Counts;
use crate::map::{Cell, MappedRow, Mapping, RowMapper};

/// A file and how its rows are read.
#[derive(Debug, Clone)]
pub struct Input<'m> {
    /// The file.
    pub path: PathBuf,
    /// The map of its rows.
    pub mapping: &'m Mapping,
}

/// What is the same for all files of an import.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    /// What is later has not happened yet: it counts as arriving now.
    pub(crate) not_after: EventTime,
    /// Longer rows, in bytes, are dead letters.
    pub(crate) longest: usize,
    /// Bytes read of all files, compressed as they are.
    pub(crate) read: Arc<AtomicU64>,
}

/// What becomes one record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Item<'a> {
    /// Which of the import's files it is from.
    pub(crate) file: usize,
    /// Its row, from 1.
    pub(crate) line: u64,
    /// Which of the row's events it is, from 0.
    pub(crate) part: u32,
    /// The record's timestamp, by which imports are ordered.
    pub(crate) arrival: EventTime,
    pub(crate) body: Body<'a>,
}

impl Item<'_> {
    /// Writes its place in its file: the row, and from the second event of a row on which of them it is.
    pub(crate) fn write_position(&self, out: &mut Vec<u8>) {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{}", self.line);
        if self.part > 0 {
            let _ = write!(out, "#{}", u64::from(self.part) + 1);
        }
    }
}

/// An event, or what the map could not make one of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Body<'a> {
    Event { ts: EventTime, key: &'a [u8], value: &'a [u8] },
    Reject { reason: RejectReason, detail: &'a str, original: &'a [u8] },
}

/// Gives out a file's items in the file's order.
#[derive(Debug)]
pub(crate) struct Feed<'m> {
    reading: Reading,
    file: usize,
    rows: Rows,
    mapper: RowMapper<'m>,
    row: MappedRow,
    rejected: Option<Rejected>,
    line: u64,
    part: usize,
    /// The arrival of the last event: what a row without a time is taken to have.
    last: EventTime,
    cells: Vec<Cell<'static>>,
}

#[derive(Debug)]
struct Rejected {
    reason: RejectReason,
    detail: String,
    original: Vec<u8>,
}

impl<'m> Feed<'m> {
    /// Opens a file; nothing is read of its rows yet.
    pub(crate) fn open(input: &Input<'m>, file: usize, reading: &Reading) -> Result<Self, SourceError> {
        let Input { path, mapping } = input;
        let rows = Rows::open(path, mapping.layout(), mapping.columns(), reading.longest, &reading.read)?;
        if let Some(column) = mapping.naive_without_zone(&rows.naive_columns()) {
            let message = format!(
                "column `{column}` holds times that do not say in which zone they are; add `zone` to the map's time"
            );
            return Err(SourceError::Layout { path: path.clone(), message });
        }
        Ok(Self {
            reading: reading.clone(),
            file,
            rows,
            mapper: RowMapper::new(mapping),
            row: MappedRow::default(),
            rejected: None,
            line: 0,
            part: 0,
            last: EventTime(0),
            cells: Vec::new(),
        })
    }

    /// Goes to the next item; `false` at the end of the file.
    pub(crate) fn advance(&mut self, counts: &mut Counts) -> Result<bool, SourceError> {
        self.advance_to(counts, |_| true)
    }

    /// As [`Feed::advance`], passing over rows that are not wanted as if they were not there.
    pub(crate) fn advance_to(
        &mut self,
        counts: &mut Counts,
        mut is_wanted: impl FnMut(&Row<'_>) -> bool,
    ) -> Result<bool, SourceError> {
        self.part += 1;
        while self.rejected.take().is_some() || self.part >= self.row.len() {
            let Some(row) = self.rows.next()? else { return Ok(false) };
            if !is_wanted(&row) {
                continue;
            }
            counts.rows += 1;
            self.line = row.line;
            self.part = 0;
            let mut cells: Vec<Cell<'_>> = std::mem::take(&mut self.cells);
            cells.resize(self.mapper.joined_cells(), Cell::Missing);
            let fate = row.cells(&mut cells).and_then(|()| self.mapper.map(&mut cells, &mut self.row));
            match fate {
                Ok(fate) => counts.fate(fate),
                Err(reject) => {
                    self.row.clear();
                    counts.reject(reject.reason);
                    let original = row.original().into_owned();
                    self.rejected = Some(Rejected { reason: reject.reason, detail: reject.detail, original });
                }
            }
            self.cells = recycled(cells);
            if self.rejected.is_some() {
                return Ok(true);
            }
        }
        if let Some((event, ..)) = self.row.get(self.part) {
            // Nobody has received what has not happened: the consumer finds it to be ahead of its arrival.
            self.last = event.arrival.unwrap_or(event.ts).min(self.reading.not_after);
        }
        Ok(true)
    }

    /// The item at hand; `None` before the first and after the last.
    pub(crate) fn item(&self) -> Option<Item<'_>> {
        let body = match &self.rejected {
            Some(Rejected { reason, detail, original }) => Body::Reject { reason: *reason, detail, original },
            None => {
                let (event, key, value) = self.row.get(self.part)?;
                Body::Event { ts: event.ts, key, value }
            }
        };
        let part = u32::try_from(self.part).unwrap_or(u32::MAX);
        Some(Item { file: self.file, line: self.line, part, arrival: self.last, body })
    }
}

/// The memory of a list of cells, for cells of another lifetime.
pub(crate) fn recycled<'a>(mut cells: Vec<Cell<'_>>) -> Vec<Cell<'a>> {
    cells.clear();
    // There is nothing to convert; collecting in place keeps the allocation.
    cells.into_iter().map(|_| Cell::Missing).collect()
}

// The reasons' names are a closed list, so each fits the byte by which a sorted item remembers it.
const _: () = assert!(RejectReason::ALL.len() < u8::MAX as usize);
