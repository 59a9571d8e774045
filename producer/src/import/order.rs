//! In which order an import writes: as the files are, merged, or sorted.
//!
//! The log is to be in order of arrival. A look through the files tells how far they are from it: a file's *disorder* is
//! how far, at most, a row lies behind the newest row before it, whoever's it is. What the allowed lateness covers may
//! stay, as in a live stream; ticks then see late events as late. More than that is brought in order first.

use types::{EventTime, Millis};

use super::feed::{Input, Reading, recycled};
use super::source::{Rows, SourceError};
use crate::map::Cell;

/// How an import comes to be in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// One file after the other, as they are.
    AsRead,
    /// All files at once, the earliest row first.
    Merged,
    /// Through files of sorted runs.
    Sorted,
}

impl Order {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AsRead => "as_read",
            Self::Merged => "merged",
            Self::Sorted => "sorted",
        }
    }
}

/// So many files are merged with all of them open.
const MOST_MERGED: usize = 128;

/// Where a file lies in time.
#[derive(Debug, Clone, Copy)]
struct Extent {
    first: EventTime,
    last: EventTime,
    disorder: Millis,
}

/// Looks through the files and chooses. O(size of the files).
pub(crate) fn choose(files: &[Input<'_>], reading: &Reading, lateness: Millis) -> Result<Order, SourceError> {
    if files.iter().any(|file| file.mapping.is_ordered_by_join()) {
        return Ok(Order::Sorted);
    }
    let mut extents = Vec::with_capacity(files.len());
    for file in files {
        extents.extend(look_through(file, reading)?);
    }
    if extents.iter().any(|e| e.disorder > lateness) {
        return Ok(Order::Sorted);
    }
    let mut newest = EventTime::MIN;
    let mut between = Millis(0);
    for extent in &extents {
        if newest > EventTime::MIN {
            between = between.max(newest.since(extent.first));
        }
        newest = newest.max(extent.last);
    }
    Ok(match between > lateness {
        false => Order::AsRead,
        true if files.len() <= MOST_MERGED => Order::Merged,
        true => Order::Sorted,
    })
}

/// Reads nothing of a file but the times that order it. Rows without one do not matter, nor those of the future or
/// long before there were such files, which are mistakes. `None` if no row has one.
fn look_through(input: &Input<'_>, reading: &Reading) -> Result<Option<Extent>, SourceError> {
    let Input { path, mapping } = input;
    let (slots, columns) = mapping.order_columns();
    let mut rows = Rows::open(path, mapping.layout(), &columns, reading.longest, &reading.read)?;
    let mut extent: Option<Extent> = None;
    let mut text = String::new();
    let mut times: Vec<EventTime> = Vec::new();
    let mut spare: Vec<Cell<'static>> = Vec::new();
    let mut wide: Vec<Cell<'static>> = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells: Vec<Cell<'_>> = recycled(std::mem::take(&mut spare));
        if row.cells(&mut cells).is_ok() {
            let mut placed: Vec<Cell<'_>> = recycled(std::mem::take(&mut wide));
            placed.resize(mapping.width(), Cell::Missing);
            for item in cells.chunks_mut(slots.len().max(1)) {
                for (slot, cell) in slots.iter().zip(item) {
                    placed[*slot] = std::mem::take(cell);
                }
                mapping.order_times(&placed, &mut text, |time| times.push(time));
            }
            wide = recycled(placed);
            if mapping.layout().each.is_some() {
                // The import brings a row's events in order.
                times.sort_unstable();
            }
            for time in times.drain(..) {
                if time > reading.not_after || !time.is_possible() {
                    continue;
                }
                let extent = extent.get_or_insert(Extent { first: time, last: time, disorder: Millis(0) });
                extent.first = extent.first.min(time);
                extent.last = extent.last.max(time);
                extent.disorder = extent.disorder.max(extent.last.since(time));
            }
        }
        spare = recycled(cells);
    }
    Ok(extent)
}
