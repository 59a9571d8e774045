//! Rows of an Excel sheet.
//!
//! The library's reader of cells borrows the workbook, so both live on a thread of their own, which hands over blocks of rows
//! through a short queue and stops when nobody takes them any more.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use calamine::{DataRef, Reader, Xlsx as Workbook, open_workbook};

use super::guard::{self, Limits};
use super::{MOST_COLUMNS, Read};
use crate::{Record, TableError};

/// Rows that are handed over at once, the memory from which fewer are enough, and blocks that wait.
const BLOCK: usize = 256;
const BLOCK_BYTES: usize = 1 << 20;
const WAITING: usize = 4;
/// The longest row that is taken: a file of a few kilobytes can point at one long text as often as it has cells.
const ROW_BYTES: usize = 4 << 20;

type Block = Result<Vec<Row>, TableError>;

/// A row on its way.
#[derive(Debug, Default)]
struct Row {
    record: Record,
    /// Its beginning, if it was longer than is taken: all that is kept of such a row, since many may wait.
    too_long: Option<String>,
}

/// An Excel file whose first sheet is read row by row.
#[derive(Debug)]
pub(super) struct Xlsx {
    blocks: Receiver<Block>,
    block: Vec<Row>,
    next: usize,
}

impl Xlsx {
    pub(super) fn open(path: &Path) -> Result<(Vec<String>, Self), TableError> {
        Self::open_within(path, Limits::USUAL)
    }

    pub(super) fn open_within(path: &Path, limits: Limits) -> Result<(Vec<String>, Self), TableError> {
        guard::check(path, &limits)?;
        let (sender, blocks) = sync_channel(WAITING);
        let owned = path.to_owned();
        let spawned = std::thread::Builder::new().name("xlsx".to_owned()).spawn(move || {
            if let Err(error) = read(&owned, &sender) {
                // Whoever waited is gone: nobody to tell.
                let _ = sender.send(Err(error));
            }
        });
        spawned.map_err(|source| TableError::Io { path: path.to_owned(), source })?;
        let mut xlsx = Self { blocks, block: Vec::new(), next: 0 };
        let mut header = Record::default();
        let columns = match xlsx.next(&mut header)? {
            Read::Row => (0..header.len())
                .map(|at| header.as_text(at).unwrap_or_else(|| format!("column {}", at + 1)))
                .collect(),
            Read::End => Vec::new(),
            Read::Rejected { reason, .. } => {
                return Err(TableError::Limit {
                    path: path.to_owned(),
                    what: format!("its header is {reason}"),
                });
            }
        };
        Ok((columns, xlsx))
    }

    pub(super) fn next(&mut self, record: &mut Record) -> Result<Read, TableError> {
        if self.next == self.block.len() {
            match self.blocks.recv() {
                Err(_) => return Ok(Read::End),
                Ok(block) => (self.block, self.next) = (block?, 0),
            }
        }
        let row = &mut self.block[self.next];
        self.next += 1;
        std::mem::swap(record, &mut row.record);
        if let Some(original) = row.too_long.take() {
            let reason = format!("a row of more than {} MiB", ROW_BYTES >> 20);
            return Ok(Read::Rejected { reason, original });
        }
        Ok(Read::Row)
    }
}

/// Sends the rows of the first sheet, the header first.
fn read(path: &Path, to: &SyncSender<Block>) -> Result<(), TableError> {
    let content = |what: String| TableError::Content { path: PathBuf::from(path), what };
    let mut workbook: Workbook<_> =
        open_workbook(path).map_err(|error: calamine::XlsxError| content(error.to_string()))?;
    let sheet =
        workbook.sheet_names().first().cloned().ok_or_else(|| content("it has no sheet".to_owned()))?;
    let mut cells = workbook.worksheet_cells_reader(&sheet).map_err(|error| content(error.to_string()))?;
    let mut block = Blocks { rows: Vec::with_capacity(BLOCK), bytes: 0, to };
    let mut row: Option<(u32, Row)> = None;
    while let Some(cell) = cells.next_cell().map_err(|error| content(format!("sheet `{sheet}`: {error}")))? {
        let (number, column) = cell.get_position();
        if column as usize >= MOST_COLUMNS {
            return Err(content(format!("sheet `{sheet}` has a cell in column {}", u64::from(column) + 1)));
        }
        if row.as_ref().is_some_and(|(at, _)| *at != number)
            && let Some((_, done)) = row.take()
            && !block.add(done)
        {
            return Ok(());
        }
        row.get_or_insert_with(|| (number, Row::default())).1.take(column as usize, cell.get_value());
    }
    if let Some((_, last)) = row
        && block.add(last)
    {
        block.send();
    }
    Ok(())
}

/// Rows that are gathered before they are handed over.
struct Blocks<'a> {
    rows: Vec<Row>,
    bytes: usize,
    to: &'a SyncSender<Block>,
}

impl Blocks<'_> {
    /// Whether anybody still takes them.
    fn add(&mut self, row: Row) -> bool {
        self.bytes += row.record.bytes();
        self.rows.push(row);
        (self.rows.len() < BLOCK && self.bytes < BLOCK_BYTES) || self.send()
    }

    fn send(&mut self) -> bool {
        self.bytes = 0;
        let full = std::mem::replace(&mut self.rows, Vec::with_capacity(BLOCK));
        full.is_empty() || self.to.send(Ok(full)).is_ok()
    }
}

impl Row {
    fn take(&mut self, column: usize, value: &DataRef<'_>) {
        // Two cells of one place, or out of order: the first counts.
        if self.too_long.is_some() || self.record.len() > column {
            return;
        }
        let text = match value {
            DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.len(),
            DataRef::SharedString(text) => text.len(),
            _ => 0,
        };
        if self.record.bytes() + text > ROW_BYTES {
            self.too_long = Some(self.record.shown());
            self.record = Record::default();
            return;
        }
        self.record.pad(column);
        push(&mut self.record, value);
    }
}

fn push(record: &mut Record, value: &DataRef<'_>) {
    match value {
        DataRef::Int(number) => record.push_number(*number as f64),
        DataRef::Float(number) => record.push_number(*number),
        DataRef::String(text) => record.push_text(text),
        DataRef::SharedString(text) => record.push_text(text),
        DataRef::Bool(value) => record.push_text(if *value { "true" } else { "false" }),
        DataRef::DateTime(date) if date.is_datetime() => record.push_date(days(date)),
        // A duration is a number of days.
        DataRef::DateTime(duration) => record.push_number(duration.as_f64()),
        DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => record.push_text(text),
        // `#N/A` and the like.
        DataRef::Error(_) | DataRef::Empty => record.push_missing(),
    }
}

/// Days since 1970-01-01; not a number where the calendar ends.
fn days(date: &calamine::ExcelDateTime) -> f64 {
    let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
    let parts = (i16::try_from(year), i8::try_from(month), i8::try_from(day));
    let (Ok(year), Ok(month), Ok(day)) = parts else { return f64::NAN };
    let Ok(date) = jiff::civil::Date::new(year, month, day) else { return f64::NAN };
    let Ok(midnight) = date.to_zoned(jiff::tz::TimeZone::UTC) else { return f64::NAN };
    let seconds = (u32::from(hour) * 60 + u32::from(minute)) * 60 + u32::from(second);
    (midnight.timestamp().as_second() as f64 + f64::from(seconds)) / 86_400.0
}
