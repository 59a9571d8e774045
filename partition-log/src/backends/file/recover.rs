//! Opening a partition for writing: what a crash left is put right, and damage is told from a torn tail.
//!
//! Behind the durable place of the checkpoint, the first batch that is not whole and everything after it is the torn tail
//! of a crash: it goes. Before that place nothing is looked at; readers and `verify` find damage there. Where there is no
//! such place (a folder copied from a broker) the last segment is looked
//! through, and a bad batch that a whole one follows is damage, which stops the opening. So does a file that has lost what was
//! synced: to write on would give offsets that readers have seen to other records.

use std::fs::{self, File, OpenOptions};
use std::path::Path;
use std::time::Instant;

use types::{EventTime, Offset};

use super::checkpoint::{Checkpoint, CheckpointFile, Place};
use super::index::{Entry, IndexWriter, Moment, Position, read_all};
use super::locate::{confirm, is_gone, is_there, last_whole};
use super::names::{INDEX, LOG, TIME_INDEX, io_error, segment_path, segments, sync_dir};
use super::partition::{Active, BatchInfo, OpenPartition, Progress};
use super::scan::{Partition, Scan, ScanError};
use crate::format::BatchHeader;
use crate::{LogError, LogOptions, Recovery};

/// Opens a partition for writing. The second part is `None` if everything was in order.
pub(super) fn open(
    partition: Partition,
    options: &LogOptions,
) -> Result<(OpenPartition, Option<Recovery>), LogError> {
    let mut bases = segments(&partition.dir)?;
    refuse_if_gone(&partition, &bases)?;
    if bases.is_empty() {
        Active::create(&partition, Offset::ZERO)?;
        sync_dir(&partition.dir)?;
        bases.push(Offset::ZERO);
    }
    let checkpoint_file = CheckpointFile::open_writable(&partition.dir)?;
    let stored = checkpoint_file.read()?;
    let durable = stored.map(|c| c.durable).filter(|durable| is_there(&partition.dir, *durable));
    let tail = find_end(&partition, &bases, durable)?;
    if let Some(torn) = &tail.torn {
        cut(&partition, &bases, tail.end, torn)?;
    }
    bases.retain(|base| *base <= tail.end.segment);

    let interval = options.index_interval_bytes;
    let mut rebuilt = 0;
    for base in &bases[..bases.len() - 1] {
        rebuilt += check_closed(&partition, *base, interval)?;
    }
    let (active, renewed) = open_active(&partition, tail.end, interval)?;
    rebuilt += renewed;

    let visible = stored.map_or(Offset::ZERO, |c| c.visible.offset);
    let mut reason = tail.torn.as_ref().map_or(String::new(), |torn| torn.reason.clone());
    let lost = visible.since(tail.end.offset);
    if lost > 0 {
        reason = format!("{lost} records that readers could see are gone; {reason}");
    }
    let recovery = Recovery {
        partition: partition.id,
        truncated_bytes: tail.torn.as_ref().map_or(0, |torn| torn.bytes),
        reason,
        end: tail.end.offset,
        recovered_records: if stored.is_some() { tail.end.offset.since(visible) } else { 0 },
        rebuilt_indexes: rebuilt,
    };
    let mut opened = OpenPartition {
        partition,
        options: options.clone(),
        active,
        end: tail.end.offset,
        checkpoint_file,
        checkpoint: Checkpoint { visible: Place::default(), durable: durable.unwrap_or_default() },
        last_sync: Instant::now(),
        poisoned: None,
    };
    opened.sync_disk()?;
    opened.checkpoint.visible = tail.end;
    if stored != Some(opened.checkpoint) {
        opened.checkpoint_file.write(&opened.checkpoint)?;
        opened.checkpoint_file.sync()?;
    }
    let in_order = lost == 0
        && recovery.truncated_bytes == 0
        && recovery.recovered_records == 0
        && recovery.rebuilt_indexes == 0;
    Ok((opened, (!in_order).then_some(recovery)))
}

/// Refuses a partition that has lost what was synced to the disk.
fn refuse_if_gone(partition: &Partition, bases: &[Offset]) -> Result<(), LogError> {
    let stored = CheckpointFile::open(&partition.dir)?.map(|file| file.read()).transpose()?.flatten();
    let Some(Checkpoint { durable, .. }) = stored.filter(|c| is_gone(&partition.dir, bases, c.durable))
    else {
        return Ok(());
    };
    let end = bases.last().map(|last| last_whole(partition, *last)).transpose()?.unwrap_or_default();
    let detail = format!(
        "offsets {} to {} were synced and are gone: bring the file back, or remove {} to go on with what is left",
        end.offset,
        durable.offset.0.saturating_sub(1),
        partition.dir.join(super::checkpoint::NAME).display()
    );
    let path = segment_path(&partition.dir, durable.segment, LOG);
    Err(partition.damaged(end.offset, &path, end.position, detail))
}

/// Where a partition ends, and what lies behind that.
struct Tail {
    end: Place,
    torn: Option<Torn>,
}

struct Torn {
    bytes: u64,
    reason: String,
}

fn find_end(partition: &Partition, bases: &[Offset], durable: Option<Place>) -> Result<Tail, LogError> {
    let last = bases[bases.len() - 1];
    let from = durable.unwrap_or(Place { offset: last, segment: last, position: 0 });
    let mut end = from;
    let mut torn = None::<Torn>;
    for &base in bases.iter().filter(|base| **base >= from.segment) {
        let path = segment_path(&partition.dir, base, LOG);
        let position = if base == from.segment { from.position } else { 0 };
        let mut scan = Scan::open(partition, path, position, end.offset)?;
        if let Some(torn) = &mut torn {
            torn.bytes += scan.limit;
            continue;
        }
        if let Err(reason) =
            partition.check_offset(end.offset, base).or_else(|e| if position > 0 { Ok(()) } else { Err(e) })
        {
            torn = Some(Torn { bytes: scan.limit, reason });
            continue;
        }
        if position == 0 {
            scan.expected = base;
        }
        let bad = loop {
            match scan.next_batch() {
                Ok(Some(_)) => {}
                Ok(None) => break None,
                Err(ScanError::Bad(detail)) => break Some(detail),
                Err(error) => return Err(scan.error(error)),
            }
        };
        end = Place { offset: scan.expected, segment: base, position: scan.position };
        if let Some(reason) = bad {
            if durable.is_none() && scan.next_whole_batch()?.is_some() {
                return Err(scan.error(ScanError::Bad(reason)));
            }
            torn = Some(Torn { bytes: scan.limit - scan.position, reason });
        }
    }
    Ok(Tail { end, torn })
}

/// Removes what lies behind the end.
fn cut(partition: &Partition, bases: &[Offset], end: Place, torn: &Torn) -> Result<(), LogError> {
    tracing::warn!(
        topic = partition.topic,
        partition = partition.id.0,
        end = end.offset.0,
        bytes = torn.bytes,
        reason = torn.reason,
        "torn tail removed"
    );
    for base in bases.iter().filter(|base| **base > end.segment) {
        remove_segment(partition, *base)?;
    }
    let path = segment_path(&partition.dir, end.segment, LOG);
    let opened = OpenOptions::new().write(true).open(&path);
    let truncated = opened.and_then(|file| file.set_len(end.position).and_then(|()| file.sync_all()));
    truncated.map_err(io_error("truncate", &path))?;
    sync_dir(&partition.dir)
}

/// Removes a segment's files, the log first: without it the others are nothing.
pub(super) fn remove_segment(partition: &Partition, base: Offset) -> Result<(), LogError> {
    for suffix in [LOG, INDEX, TIME_INDEX] {
        let path = segment_path(&partition.dir, base, suffix);
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(io_error("remove", &path)(e)),
        }
    }
    Ok(())
}

/// The index entries that a segment's batches ask for.
pub(super) struct Entries {
    pub(super) positions: Vec<Position>,
    pub(super) moments: Vec<Moment>,
    pub(super) progress: Progress,
}

/// Builds a segment's index entries from its batch headers. O(batches).
pub(super) fn build_entries(
    partition: &Partition,
    base: Offset,
    limit: Option<u64>,
    interval: u64,
) -> Result<Entries, LogError> {
    let mut scan = Scan::open(partition, segment_path(&partition.dir, base, LOG), 0, base)?;
    scan.limit = limit.map_or(scan.limit, |limit| limit.min(scan.limit));
    let mut entries = Entries { positions: Vec::new(), moments: Vec::new(), progress: Progress::default() };
    loop {
        let position = scan.position;
        let header = match scan.next_header() {
            Ok(Some(header)) => header,
            Ok(None) => return Ok(entries),
            Err(error) => return Err(scan.error(error)),
        };
        let due = entries.progress.note(position, header.total_len as u64, info(&header), interval);
        if let Some((position, moment)) = due {
            entries.positions.push(position);
            if entries.moments.last().is_none_or(|last| last.timestamp < moment.timestamp) {
                entries.moments.push(moment);
            }
        }
    }
}

fn info(header: &BatchHeader) -> BatchInfo {
    BatchInfo {
        end: header.last_offset().next(),
        first: EventTime(header.base_timestamp),
        newest: EventTime(header.max_timestamp),
    }
}

/// Opens the last segment. Its indexes are always computed and compared, so that a stale one cannot go on being stale.
fn open_active(partition: &Partition, end: Place, interval: u64) -> Result<(Active, u32), LogError> {
    let base = end.segment;
    let entries = build_entries(partition, base, Some(end.position), interval)?;
    let mut rebuilt = 0;
    let index = renew(&segment_path(&partition.dir, base, INDEX), base, &entries.positions, &mut rebuilt)?;
    let times = renew(&segment_path(&partition.dir, base, TIME_INDEX), base, &entries.moments, &mut rebuilt)?;
    let mut active = Active::open(partition, base, end.position, index, times)?;
    active.progress = entries.progress;
    Ok((active, rebuilt))
}

fn renew<E: Entry + PartialEq>(
    path: &Path,
    base: Offset,
    entries: &[E],
    rebuilt: &mut u32,
) -> Result<IndexWriter<E>, LogError> {
    if read_all::<E>(path, base)?.as_deref() == Some(entries) {
        return IndexWriter::open(path, base, entries);
    }
    *rebuilt += 1;
    tracing::info!(path = %path.display(), "index missing or stale, made again");
    IndexWriter::create(path, base, entries)
}

/// Makes the indexes of a closed segment again if one is missing or cannot be right. A full comparison would read every
/// batch header of the log at every start; `verify` does that.
fn check_closed(partition: &Partition, base: Offset, interval: u64) -> Result<u32, LogError> {
    let (index_path, times_path) =
        (segment_path(&partition.dir, base, INDEX), segment_path(&partition.dir, base, TIME_INDEX));
    let log_len =
        File::open(segment_path(&partition.dir, base, LOG)).and_then(|f| f.metadata()).map_or(0, |m| m.len());
    let positions = read_all::<Position>(&index_path, base)?;
    let moments = read_all::<Moment>(&times_path, base)?;
    let positions_right = match positions.as_deref() {
        None => false,
        Some([]) => log_len < interval.saturating_mul(64),
        Some([.., last]) => last.position < log_len && confirm(partition, base, *last)?.is_some(),
    };
    if positions_right && moments.is_some_and(|moments| !moments.is_empty() || log_len == 0) {
        return Ok(0);
    }
    rebuild_closed(partition, base, interval)
}

/// Makes both indexes of a closed segment again. Returns how many differ from what was there.
pub(super) fn rebuild_closed(partition: &Partition, base: Offset, interval: u64) -> Result<u32, LogError> {
    let mut entries = build_entries(partition, base, None, interval)?;
    // A closed segment's time index ends with the newest timestamp there is.
    if let Some(newest) = entries.progress.newest()
        && entries.moments.last().is_none_or(|last| last.timestamp < newest.timestamp)
    {
        entries.moments.push(newest);
    }
    let mut rebuilt = 0;
    renew(&segment_path(&partition.dir, base, INDEX), base, &entries.positions, &mut rebuilt)?.sync()?;
    renew(&segment_path(&partition.dir, base, TIME_INDEX), base, &entries.moments, &mut rebuilt)?.sync()?;
    Ok(rebuilt)
}
