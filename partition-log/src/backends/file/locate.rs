//! Finding things without a writer's knowledge: what is visible, and where a batch lies.

use std::path::Path;

use types::Offset;

use super::checkpoint::{Checkpoint, CheckpointFile, Place};
use super::index::{Position, read_all};
use super::names::{INDEX, LOG, segment_path, segments};
use super::scan::{Partition, Scan, ScanError};
use crate::{Bounds, LogError};

/// The last index entry before or at `target` that the `.log` confirms, or the segment's beginning: where to scan from,
/// and the offset that is there.
pub(super) fn scan_start(
    partition: &Partition,
    base: Offset,
    target: Offset,
) -> Result<(u64, Offset), LogError> {
    let index = segment_path(&partition.dir, base, INDEX);
    let entries = read_all::<Position>(&index, base)?.unwrap_or_default();
    let before = entries.partition_point(|entry| entry.offset <= target);
    let Some(entry) = before.checked_sub(1).map(|i| entries[i]) else {
        return Ok((0, base));
    };
    Ok(confirm(partition, base, entry)?.map_or((0, base), |offset| (entry.position, offset)))
}

/// The base offset of the batch that an index entry points at; `None` if no such batch is there: the index is stale.
pub(super) fn confirm(
    partition: &Partition,
    base: Offset,
    entry: Position,
) -> Result<Option<Offset>, LogError> {
    // Whatever base offset stands there is taken as the expected one: only the entry is in question.
    let loose = Partition { dense: false, ..partition.clone() };
    let mut scan = Scan::open(&loose, segment_path(&partition.dir, base, LOG), entry.position, base)?;
    match scan.next_header() {
        // Older brokers gave a batch of batches one entry: the entry's offset may lie behind the first one's last.
        Ok(Some(h))
            if h.last_offset() == entry.offset || (!partition.dense && h.base_offset <= entry.offset) =>
        {
            Ok(Some(h.base_offset))
        }
        Ok(_) | Err(ScanError::Bad(_)) => Ok(None),
        Err(ScanError::Io(error)) => Err(error),
    }
}

/// What can be read of a partition, found without having it open.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) start: Offset,
    pub(super) visible: Place,
    /// Set if the files end before what the checkpoint says.
    pub(super) gone: Option<Gone>,
}

/// Records that readers could see, and that are in no file any more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gone {
    /// The offset after the last of them.
    pub(super) end: Offset,
    /// Whether some of them had been synced to the disk: then it is damage. Otherwise it is what a loss of power may do where
    /// the log was told not to sync at each batch.
    pub(super) synced: bool,
}

impl View {
    pub(super) fn bounds(&self) -> Bounds {
        Bounds { start: self.start, end: self.visible.offset.max(self.start) }
    }
}

/// The visible part by the checkpoint; without one (a folder copied from a broker) or where the files are shorter than it
/// says (a loss of power, not yet recovered), up to the last whole batch. If what was synced is gone, still what the
/// checkpoint says, so that whoever reads on comes upon the damage.
///
/// Beside a writer, retention may remove what a checkpoint named a moment ago, never what the newest one names: then it is looked again.
pub(super) fn view(partition: &Partition, checkpoint: Option<&CheckpointFile>) -> Result<View, LogError> {
    let read = || match checkpoint {
        Some(file) => file.read(),
        // There may be one by now.
        None => Ok(CheckpointFile::open(&partition.dir)?.map(|file| file.read()).transpose()?.flatten()),
    };
    loop {
        let bases = segments(&partition.dir)?;
        let start = bases.first().copied().unwrap_or_default();
        let stored = read()?;
        if let Some(Checkpoint { visible, .. }) = stored.filter(|c| is_there(&partition.dir, c.visible)) {
            return Ok(View { start, visible, gone: None });
        }
        if read()? != stored {
            continue;
        }
        let mut gone = None;
        if let Some(Checkpoint { visible, durable }) = stored {
            gone = Some(Gone { end: visible.offset, synced: is_gone(&partition.dir, &bases, durable) })
                .filter(|gone| gone.end > Offset::ZERO);
            if gone.is_some_and(|gone| gone.synced) {
                return Ok(View { start, visible, gone });
            }
        }
        let Some(&last) = bases.last() else {
            return Ok(View { start, visible: Place::default(), gone });
        };
        match last_whole(partition, last) {
            Err(error) if was_removed(partition, last, &error)? => {}
            visible => return Ok(View { start, visible: visible?, gone }),
        }
    }
}

/// Where the whole batches of the last segment end.
pub(super) fn last_whole(partition: &Partition, last: Offset) -> Result<Place, LogError> {
    let (position, offset) = scan_start(partition, last, Offset(u64::MAX))?;
    let mut scan = Scan::open(partition, segment_path(&partition.dir, last, LOG), position, offset)?;
    loop {
        match scan.next_batch() {
            Ok(Some(_)) => {}
            Ok(None) | Err(ScanError::Bad(_)) => break,
            Err(ScanError::Io(error)) => return Err(error),
        }
    }
    Ok(Place { offset: scan.expected, segment: last, position: scan.position })
}

/// Whether an error comes from a segment that was there and that retention has removed meanwhile.
pub(super) fn was_removed(partition: &Partition, base: Offset, error: &LogError) -> Result<bool, LogError> {
    let may = match error {
        LogError::Io { source, .. } => source.kind() == std::io::ErrorKind::NotFound,
        LogError::OutOfRange { .. } => true,
        _ => false,
    };
    Ok(may && !segments(&partition.dir)?.contains(&base))
}

/// Whether what was synced up to a place is in no file any more. What retention removed is not meant.
pub(super) fn is_gone(partition_dir: &Path, bases: &[Offset], durable: Place) -> bool {
    let kept = bases.first().is_none_or(|first| durable.segment >= *first);
    durable.offset > Offset::ZERO && kept && !is_there(partition_dir, durable)
}

/// Whether the segment of a place is long enough to hold it.
pub(super) fn is_there(partition_dir: &Path, place: Place) -> bool {
    let path = segment_path(partition_dir, place.segment, LOG);
    path.metadata().is_ok_and(|file| file.len() >= place.position)
}
