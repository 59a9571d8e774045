//! Removing old segments, as a whole: never the last one, never past the floor.

use std::fs;
use std::path::Path;

use types::{EventTime, Offset};

use super::checkpoint::CheckpointFile;
use super::index::{Moment, read_all};
use super::names::{LOG, TIME_INDEX, lock_segments, segment_path, segments, sync_dir};
use super::recover::{build_entries, remove_segment};
use super::scan::Partition;
use crate::{LogError, Retention};

/// Removes the oldest segments as far as `keep` and `floor` allow. Readers that have one open finish it, and a writer at work notices
/// nothing.
pub(super) fn retain(
    dir: &Path,
    partition: &Partition,
    keep: &Retention,
    floor: Offset,
) -> Result<(), LogError> {
    let _alone = lock_segments(dir, &partition.topic)?;
    let named = named(partition)?;
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
        if end > floor || base >= named || !(much || is_older(partition, base, keep.oldest)?) {
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

/// The oldest segment that the checkpoint names: by it readers know where the log ends, and the next writer where to go on. That may be
/// a closed one, until what is in the newest is synced. A checkpoint that cannot be read may name any.
fn named(partition: &Partition) -> Result<Offset, LogError> {
    let Some(file) = CheckpointFile::open(&partition.dir)? else { return Ok(Offset(u64::MAX)) };
    Ok(file.read()?.map_or(Offset::ZERO, |c| c.visible.segment.min(c.durable.segment)))
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
    use std::time::{Duration, Instant};

    use types::PartitionId;

    use super::super::FileLog;
    use crate::{Bounds, Durability, Log, LogOptions, RecordBuf, Retention, TopicConfig};

    use super::*;

    const P0: PartitionId = PartitionId(0);
    const ALL: Retention = Retention { oldest: None, max_bytes: Some(0) };

    fn log(dir: &Path, durability: Durability) -> FileLog {
        let options = LogOptions {
            segment_bytes: 2_000,
            index_interval_bytes: 300,
            durability,
            ..LogOptions::default()
        };
        let log = FileLog::new(dir, options);
        let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "explicit".into() };
        log.create_topic("t", &config).unwrap();
        log
    }

    #[test]
    fn what_the_checkpoint_names_stays_so_that_nobody_sees_what_is_not_synced() {
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), Durability::Always);
        let mut writer = log.writer("t").unwrap().partition(P0).unwrap();
        let mut append = |sync: bool| {
            writer.append(EventTime(0), b"", &[b'x'; 900], &[]).unwrap();
            if sync { writer.sync().unwrap() } else { writer.flush().unwrap() }
        };
        (0..6).for_each(|_| append(true));
        // Two in a segment: the last one that is synced is full, and what follows lies in another.
        append(false);
        let partition = log.partition("t", P0).unwrap();
        assert_eq!(segments(&partition.dir).unwrap().last(), Some(&Offset(6)));
        let left = Bounds { start: Offset(4), end: Offset(6) };
        assert_eq!(log.retain("t", P0, &ALL, Offset(u64::MAX)).unwrap(), left);
        assert_eq!(log.bounds("t", P0).unwrap(), left);
        append(true);
        let left = Bounds { start: Offset(6), end: Offset(8) };
        assert_eq!(log.retain("t", P0, &ALL, Offset(u64::MAX)).unwrap(), left);
        assert!(log.verify("t", P0).unwrap().findings.is_empty());
    }

    /// Writers that come and go, a reader that follows, those who look, and two who remove all that the reader has passed.
    fn beside_everybody(durability: Durability, writers: u64) {
        const EACH: u64 = 150;
        let dir = tempfile::tempdir().unwrap();
        let log = log(dir.path(), durability);
        let (passed, done, begun) = (AtomicU64::new(0), AtomicBool::new(false), Instant::now());
        let still = || {
            assert!(begun.elapsed() < Duration::from_secs(300), "it does not come to an end");
            !done.load(SeqCst)
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..writers {
                    let mut topic = log.writer("t").unwrap();
                    assert!(topic.recovery().is_empty(), "{:?}", topic.recovery());
                    let mut writer = topic.partition(P0).unwrap();
                    for i in n * EACH..(n + 1) * EACH {
                        writer.append(EventTime(i as i64), b"", &[b'v'; 80], &[]).unwrap();
                        match i % 5 {
                            0 => writer.sync().unwrap(),
                            1 | 2 => writer.flush().unwrap(),
                            _ => {}
                        }
                    }
                    writer.sync().unwrap();
                }
            });
            scope.spawn(|| {
                let (mut reader, mut watch) =
                    (log.reader("t", P0, Offset::ZERO).unwrap(), log.watch("t").unwrap());
                let (mut records, mut next) = (RecordBuf::default(), 0);
                while next < writers * EACH && still() {
                    records.clear();
                    if reader.read(&mut records, 1).unwrap() == 0 {
                        watch.wait(Duration::from_millis(20)).unwrap();
                    }
                    for record in records.iter() {
                        assert_eq!(record.offset, Offset(next), "nothing is missing and nothing comes twice");
                        next += 1;
                    }
                    passed.store(next, SeqCst);
                }
                done.store(true, SeqCst);
            });
            for _ in 0..2 {
                scope.spawn(|| {
                    while still() {
                        let floor = Offset(passed.load(SeqCst));
                        let left = log.retain("t", P0, &ALL, floor).unwrap();
                        let passed = Offset(passed.load(SeqCst));
                        assert!(left.start <= passed && left.end >= floor, "{left:?} {floor} {passed}");
                    }
                });
            }
            scope.spawn(|| {
                while still() {
                    let floor = Offset(passed.load(SeqCst));
                    let bounds = log.bounds("t", P0).unwrap();
                    assert!(bounds.end >= floor, "{bounds:?} {floor}");
                    let checked = log.verify("t", P0).unwrap();
                    assert!(checked.findings.is_empty(), "{checked:?}");
                    log.offset_at("t", P0, EventTime(floor.0 as i64)).unwrap();
                }
            });
        });
        let left = log.retain("t", P0, &ALL, Offset(writers * EACH)).unwrap();
        assert!(left.start > Offset(writers * EACH - 40), "{left:?}: only the newest segments are left");
    }

    #[test]
    fn it_disturbs_neither_writers_nor_readers() {
        beside_everybody(Durability::System, 40);
        beside_everybody(Durability::Always, 6);
    }
}
