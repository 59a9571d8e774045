//! Removing old segments, as a whole: never the last one, never past the floor.

use std::fs;

use types::{EventTime, Offset};

use super::index::{Moment, read_all};
use super::names::{LOG, TIME_INDEX, segment_path, segments, sync_dir};
use super::recover::{build_entries, remove_segment};
use super::scan::Partition;
use crate::{LogError, Retention};

/// Removes the oldest segments as far as `keep` and `floor` allow. Readers that have one open finish it.
pub(super) fn retain(partition: &Partition, keep: &Retention, floor: Offset) -> Result<(), LogError> {
    let bases = segments(&partition.dir)?;
    let mut sizes = Vec::with_capacity(bases.len());
    for base in &bases {
        let path = segment_path(&partition.dir, *base, LOG);
        sizes.push(fs::metadata(&path).map_err(super::names::io_error("read", &path))?.len());
    }
    let mut bytes: u64 = sizes.iter().sum();
    let mut removed = 0;
    for (pair, size) in bases.windows(2).zip(&sizes) {
        // A segment ends where the next one begins.
        let (base, end) = (pair[0], pair[1]);
        let much = keep.max_bytes.is_some_and(|max| bytes > max);
        if end > floor || !(much || is_older(partition, base, keep.oldest)?) {
            break;
        }
        remove_segment(partition, base)?;
        bytes -= size;
        removed += 1;
    }
    if removed > 0 {
        sync_dir(&partition.dir)?;
        tracing::info!(
            topic = partition.topic,
            partition = partition.id.0,
            segments = removed,
            "old segments removed"
        );
    }
    Ok(())
}

/// Whether every record of a closed segment is older than `oldest`.
fn is_older(partition: &Partition, base: Offset, oldest: Option<EventTime>) -> Result<bool, LogError> {
    let Some(oldest) = oldest else { return Ok(false) };
    let entries = read_all::<Moment>(&segment_path(&partition.dir, base, TIME_INDEX), base)?;
    // The index says quickly that a segment is too young; that it is old enough is asked of the log itself, because removing
    // cannot be undone.
    if entries.is_some_and(|entries| entries.last().is_some_and(|last| last.timestamp >= oldest)) {
        return Ok(false);
    }
    let newest = build_entries(partition, base, None, u64::MAX)?.progress.newest();
    Ok(newest.is_none_or(|newest| newest.timestamp < oldest))
}
