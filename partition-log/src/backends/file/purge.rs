//! Taking records out of what is stored: segments written anew without them.
//!
//! A batch keeps its first and last offset, so nothing about places changes for anybody. A segment that holds such
//! records is written beside the old one, synced, and put in its place in one step; its index, which knows bytes, goes before
//! that and is made again after it. Killed anywhere, the log holds the old or the new segment whole; run again, the rest is
//! done. Readers that have the old file open read on in it. What the disk keeps of a removed file is the system's matter.

use std::fs::{self, File};
use std::io::{BufWriter, Write};

use types::{Offset, PartitionId};

use super::FileLog;
use super::names::{INDEX, LOG, io_error, lock_segments, segment_path, segments, sync_dir};
use super::recover::rebuild_closed;
use super::scan::{Partition, Scan};
use super::writer::FileTopicWriter;
use crate::format::{BatchError, without};
use crate::{LogError, Record};

/// Where the new segment is written.
const PURGED: &str = "log.purged";

/// The steps of replacing a segment, each begun when the one before is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Write,
    RemoveIndex,
    Replace,
    Index,
    Done,
}

/// Removes the records of a partition that `drop` names. Returns how many there were. Nobody writes to the topic meanwhile.
pub(super) fn purge(
    log: &FileLog,
    topic: &str,
    id: PartitionId,
    drop: &mut dyn FnMut(&Record<'_>) -> bool,
) -> Result<u64, LogError> {
    purge_until(log, topic, id, drop, &mut |_| Ok(()))
}

fn purge_until(
    log: &FileLog,
    topic: &str,
    id: PartitionId,
    drop: &mut dyn FnMut(&Record<'_>) -> bool,
    before: &mut dyn FnMut(Step) -> Result<(), LogError>,
) -> Result<u64, LogError> {
    // It holds the lock, and has put right what a crash left.
    let mut writer = FileTopicWriter::open(log, topic)?;
    let _alone = lock_segments(log.dir(), topic)?;
    let partition = log.partition(topic, id)?;
    let mut concerned = Vec::new();
    for base in segments(&partition.dir)? {
        let mut found = false;
        each_batch(&partition, base, |bytes| {
            let mut out = Vec::new();
            found |= without(bytes, drop, &mut out)? > 0;
            Ok(())
        })?;
        if found {
            concerned.push(base);
        }
    }
    // The segment that is written to is closed first: what readers may see of it is known by bytes. And no checkpoint of
    // earlier days may come back after a loss of power that knows bytes of a segment which is shorter by then.
    let is_active_concerned = segments(&partition.dir)?.last().is_some_and(|last| concerned.contains(last));
    writer.settle(id, is_active_concerned)?;
    let mut purged = 0;
    for base in concerned {
        purged += replace(&partition, base, log.options().index_interval_bytes, drop, before)?;
    }
    Ok(purged)
}

/// Writes a closed segment anew.
fn replace(
    partition: &Partition,
    base: Offset,
    interval: u64,
    drop: &mut dyn FnMut(&Record<'_>) -> bool,
    before: &mut dyn FnMut(Step) -> Result<(), LogError>,
) -> Result<u64, LogError> {
    let (path, new) = (segment_path(&partition.dir, base, LOG), segment_path(&partition.dir, base, PURGED));
    before(Step::Write)?;
    let file = File::create(&new).map_err(io_error("create", &new))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let (mut purged, mut out, mut failed) = (0, Vec::new(), None);
    each_batch(partition, base, |bytes| {
        let dropped = without(bytes, drop, &mut out)?;
        purged += u64::from(dropped);
        if failed.is_none() {
            failed = file.write_all(if dropped > 0 { &out } else { bytes }).err();
        }
        Ok(())
    })?;
    let written = failed.map_or(Ok(()), Err).and_then(|()| file.flush());
    written.and_then(|()| file.get_ref().sync_all()).map_err(io_error("write", &new))?;

    before(Step::RemoveIndex)?;
    let index = segment_path(&partition.dir, base, INDEX);
    match fs::remove_file(&index) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io_error("remove", &index)(e)),
        _ => sync_dir(&partition.dir)?,
    }
    before(Step::Replace)?;
    fs::rename(&new, &path).map_err(io_error("replace", &path))?;
    sync_dir(&partition.dir)?;
    before(Step::Index)?;
    rebuild_closed(partition, base, interval)?;
    before(Step::Done)?;
    Ok(purged)
}

/// Calls `visit` with the bytes of each batch of a segment.
fn each_batch(
    partition: &Partition,
    base: Offset,
    mut visit: impl FnMut(&[u8]) -> Result<(), BatchError>,
) -> Result<(), LogError> {
    let mut scan = Scan::open(partition, segment_path(&partition.dir, base, LOG), 0, base)?;
    loop {
        let (position, offset) = (scan.position, scan.expected);
        match scan.next_batch() {
            Ok(None) => return Ok(()),
            Ok(Some((_, bytes))) => {
                if let Err(error) = visit(bytes) {
                    return Err(partition.damaged(offset, &scan.path, position, error.to_string()));
                }
            }
            Err(error) => return Err(scan.error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use types::EventTime;

    use super::*;
    use crate::conformance::{Row, drain};
    use crate::{Log, LogOptions, TopicConfig};

    const P0: PartitionId = PartitionId(0);

    fn filled(dir: &std::path::Path) -> FileLog {
        let options = LogOptions {
            segment_bytes: 800,
            index_interval_bytes: 100,
            batch_bytes: 300,
            ..LogOptions::default()
        };
        let log = FileLog::new(dir, options);
        log.create_topic(
            "t",
            &TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() },
        )
        .unwrap();
        let mut writer = log.writer("t").unwrap().partition(P0).unwrap();
        for n in 0..200_u64 {
            let key = format!("u{}", n % 4);
            writer
                .append(EventTime(n as i64), key.as_bytes(), format!("{key} said {n}").as_bytes(), &[])
                .unwrap();
        }
        writer.sync().unwrap();
        log
    }

    fn is_theirs(record: &Record<'_>) -> bool {
        record.key == b"u1" && record.offset < Offset(190)
    }

    fn rows(log: &FileLog) -> Vec<Row> {
        drain(&mut *log.reader("t", P0, Offset(0)).unwrap())
    }

    /// Whether a file of the partition holds the bytes.
    fn is_stored(log: &FileLog, bytes: &[u8]) -> bool {
        fs::read_dir(log.dir().join("t-0")).unwrap().any(|entry| {
            let file = fs::read(entry.unwrap().path()).unwrap();
            file.windows(bytes.len()).any(|window| window == bytes)
        })
    }

    fn check(log: &FileLog, before: &[Row], bounds: crate::Bounds) {
        let expected: Vec<Row> =
            before.iter().filter(|row| row.2 != b"u1" || row.0 >= 190).cloned().collect();
        assert_eq!(rows(log), expected);
        assert!(!is_stored(log, b"u1 said 10"), "not even where nobody reads");
        assert!(is_stored(log, b"u1 said 193"));
        let checked = log.verify("t", P0).unwrap();
        assert!(checked.findings.is_empty() && checked.notes.is_empty(), "{checked:?}");
        assert_eq!(checked.records, expected.len() as u64);
        assert_eq!(log.bounds("t", P0).unwrap(), bounds);
        // Seeking finds what is at or behind the place, by offset and by time.
        for from in (0..200).step_by(7) {
            let found = drain(&mut *log.reader("t", P0, Offset(from)).unwrap());
            let right: Vec<Row> = expected.iter().filter(|row| row.0 >= from).cloned().collect();
            assert_eq!(found, right);
            let first = expected.iter().find(|row| row.1 >= from as i64).unwrap().0;
            assert_eq!(log.offset_at("t", P0, EventTime(from as i64)).unwrap(), Offset(first));
        }
    }

    #[test]
    fn what_is_purged_is_in_no_file_and_the_rest_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path());
        let (before, bounds) = (rows(&log), log.bounds("t", P0).unwrap());
        let mut reader = log.reader("t", P0, Offset(0)).unwrap();
        let mut buf = crate::RecordBuf::default();
        reader.read(&mut buf, 1).unwrap();
        let held = log.writer("t").unwrap();
        assert!(matches!(purge(&log, "t", P0, &mut is_theirs), Err(LogError::Locked { .. })));
        std::mem::drop(held);
        assert_eq!(purge(&log, "t", P0, &mut is_theirs).unwrap(), 48);
        check(&log, &before, bounds);
        assert_eq!(purge(&log, "t", P0, &mut is_theirs).unwrap(), 0);
        // A reader that was in the middle goes on, and the next writer where the last one was.
        assert!(drain(&mut *reader).last().is_some_and(|row| row.0 == 199));
        let writer = log.writer("t").unwrap();
        assert!(writer.recovery().is_empty(), "{:?}", writer.recovery());
        std::mem::drop(writer);
        check(&log, &before, bounds);
    }

    #[test]
    fn killed_at_any_step_the_log_is_whole_and_the_next_run_ends_it() {
        for kill in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let log = filled(dir.path());
            let (before, bounds) = (rows(&log), log.bounds("t", P0).unwrap());
            let mut left = kill;
            let killed = purge_until(&log, "t", P0, &mut is_theirs, &mut |step| {
                left -= 1;
                // A killed write leaves half a file.
                if left < 0 && step == Step::RemoveIndex {
                    for entry in fs::read_dir(dir.path().join("t-0")).unwrap() {
                        let path = entry.unwrap().path();
                        if path.to_str().unwrap().ends_with(PURGED) {
                            fs::write(&path, &fs::read(&path).unwrap()[..70]).unwrap();
                        }
                    }
                }
                if left < 0 { Err(LogError::BadPlace("killed".into())) } else { Ok(()) }
            });
            if killed.is_ok() {
                assert!(kill > 20, "several segments are concerned");
                return;
            }
            // Nobody else's records are touched, and nothing is wrong.
            let others = |rows: &[Row]| rows.iter().filter(|row| row.2 != b"u1").cloned().collect::<Vec<_>>();
            assert_eq!(others(&rows(&log)), others(&before), "{kill}");
            let checked = log.verify("t", P0).unwrap();
            assert!(checked.findings.is_empty(), "{kill}: {checked:?}");
            if kill % 2 == 0 {
                std::mem::drop(log.writer("t").unwrap());
            }
            purge(&log, "t", P0, &mut is_theirs).unwrap();
            check(&log, &before, bounds);
        }
    }
}
