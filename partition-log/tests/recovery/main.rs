//! What the file log makes of files that a crash, a bad disk or a careless hand has changed.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

mod files;

use std::fs;
use std::path::{Path, PathBuf};

use partition_log::admin::verify;
use partition_log::conformance::{Row, drain};
use partition_log::{Durability, FileLog, Log, LogError, LogOptions, RecordBuf, Recovery, TopicConfig};
use proptest::prelude::*;
use types::{EventTime, Offset, PartitionId};

const TOPIC: &str = "events";
const P0: PartitionId = PartitionId(0);

fn options() -> LogOptions {
    LogOptions { segment_bytes: 1000, index_interval_bytes: 100, ..LogOptions::default() }
}

fn open(dir: &Path) -> FileLog {
    FileLog::new(dir, options())
}

fn value(n: u64) -> Vec<u8> {
    format!("value {n}").repeat(1 + n as usize % 4).into_bytes()
}

/// Batches of three records; the last `unsynced` of them flushed only. An orderly end syncs all of them to the disk.
fn write(dir: &Path, batches: u64, unsynced: u64) {
    write_to(&open(dir), batches, unsynced, || {});
}

/// As `write`, but what is left is what a loss of power may leave: nothing of the last segment was synced to the disk.
fn write_and_crash(dir: &Path, batches: u64, unsynced: u64) {
    let written = tempfile::tempdir().unwrap();
    let log = FileLog::new(written.path(), LogOptions { durability: Durability::System, ..options() });
    write_to(&log, batches, unsynced, || {
        fs::create_dir_all(dir.join("events-0")).unwrap();
        for path in ["events.topic", "events-0"].map(|name| written.path().join(name)) {
            let all = if path.is_dir() {
                fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()).collect()
            } else {
                vec![path]
            };
            for file in all {
                fs::copy(&file, dir.join(file.strip_prefix(written.path()).unwrap())).unwrap();
            }
        }
    });
}

fn write_to(log: &FileLog, batches: u64, unsynced: u64, before_the_end: impl FnOnce()) {
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic(TOPIC, &config).unwrap();
    let mut writer = log.writer(TOPIC).unwrap().partition(P0).unwrap();
    for batch in 0..batches {
        for _ in 0..3 {
            let n = writer.end().0;
            writer.append(EventTime(n as i64), b"key", &value(n), &[("h", b"x")]).unwrap();
        }
        if batch + unsynced < batches { writer.sync().unwrap() } else { writer.flush().unwrap() }
    }
    before_the_end();
}

fn expected(numbers: std::ops::Range<u64>) -> Vec<Row> {
    numbers.map(|n| (n, n as i64, b"key".to_vec(), value(n), vec![(b"h".to_vec(), b"x".to_vec())])).collect()
}

fn read(dir: &Path) -> Vec<Row> {
    drain(&mut *open(dir).reader(TOPIC, P0, Offset(0)).unwrap())
}

/// Opens the topic for writing, once, and says what that put right.
fn recover(dir: &Path) -> Result<Vec<Recovery>, LogError> {
    Ok(open(dir).writer(TOPIC)?.recovery().to_vec())
}

fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(dir.join("events-0")).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = all.filter(|p| p.extension().is_some_and(|e| e == suffix)).collect();
    found.sort();
    found
}

fn truncate(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

fn append_bytes(path: &Path, bytes: &[u8]) {
    let mut all = fs::read(path).unwrap();
    all.extend_from_slice(bytes);
    fs::write(path, all).unwrap();
}

/// Where the batches of a segment begin, by the lengths in their headers.
fn batch_starts(path: &Path) -> Vec<u64> {
    let bytes = fs::read(path).unwrap();
    let (mut starts, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        starts.push(at as u64);
        at += 12 + u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    }
    starts
}

#[test]
fn an_orderly_end_leaves_nothing_to_put_right() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 30, 0);
    assert!(files(dir.path(), "log").len() > 3, "the test wants several segments");
    assert_eq!(recover(dir.path()).unwrap(), []);
    assert_eq!(read(dir.path()), expected(0..90));
}

#[test]
fn a_torn_last_batch_is_cut_off_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    write_and_crash(dir.path(), 12, 1);
    let last = files(dir.path(), "log").pop().unwrap();
    let len = fs::metadata(&last).unwrap().len();
    let torn_from = *batch_starts(&last).last().unwrap();
    truncate(&last, len - 5);
    assert_eq!(read(dir.path()), expected(0..33), "readers saw nothing of it anyway");

    let recovery = recover(dir.path()).unwrap();
    assert_eq!(recovery.len(), 1);
    assert_eq!(recovery[0].truncated_bytes, len - 5 - torn_from);
    assert_eq!((recovery[0].end, recovery[0].recovered_records), (Offset(33), 0));
    assert!(recovery[0].reason.contains("cut"), "{}", recovery[0].reason);
    assert_eq!(fs::metadata(&last).unwrap().len(), torn_from);

    let mut writer = open(dir.path()).writer(TOPIC).unwrap().partition(P0).unwrap();
    for n in 33..36 {
        let at = writer.append(EventTime(n as i64), b"key", &value(n), &[("h", b"x")]).unwrap();
        assert_eq!(at, Offset(n));
    }
    writer.sync().unwrap();
    assert_eq!(read(dir.path()), expected(0..36));
}

#[test]
fn visible_records_that_a_loss_of_power_took_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    write_and_crash(dir.path(), 12, 0);
    let last = files(dir.path(), "log").pop().unwrap();
    truncate(&last, fs::metadata(&last).unwrap().len() - 1);
    // Before recovery readers see the whole batches, and no more.
    assert_eq!(read(dir.path()), expected(0..33));
    let checked = verify(&open(dir.path()), TOPIC).unwrap();
    assert!(
        !checked.ok && checked.by_partition[0].findings[0].detail.contains("offsets 33 to 35 could be read")
    );
    let recovery = recover(dir.path()).unwrap();
    assert!(verify(&open(dir.path()), TOPIC).unwrap().ok);
    assert!(recovery[0].reason.starts_with("3 records that readers could see are gone"), "{recovery:?}");
    assert_eq!(read(dir.path()), expected(0..33));
    // A consumer that had committed further is told.
    let error = open(dir.path()).reader(TOPIC, P0, Offset(36)).err().unwrap();
    assert!(matches!(error, LogError::OutOfRange { offset: Offset(36), end: Offset(33), .. }), "{error}");
}

#[test]
fn synced_records_that_are_gone_are_damage_to_whoever_comes() {
    type Spoil = fn(&[PathBuf]);
    let shorter: Spoil =
        |logs| truncate(logs.last().unwrap(), fs::metadata(logs.last().unwrap()).unwrap().len() / 3);
    let removed: Spoil = |logs| fs::remove_file(logs.last().unwrap()).unwrap();
    let empty: Spoil = |logs| logs.iter().for_each(|log| fs::remove_file(log).unwrap());
    for (name, spoil) in [("shorter", shorter), ("removed", removed), ("empty", empty)] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 30, 0);
        spoil(&files(dir.path(), "log"));
        let log = open(dir.path());
        assert_eq!(log.bounds(TOPIC, P0).unwrap().end, Offset(90), "{name}: what is promised");
        // A reader gives what is there and then names the damage, however often it is asked.
        let mut buf = RecordBuf::default();
        let left = match log.reader(TOPIC, P0, Offset(0)) {
            Err(error) => {
                assert!(name == "empty" && matches!(error, LogError::Damaged { .. }), "{name}: {error}");
                0
            }
            Ok(mut reader) => {
                let error = loop {
                    if let Err(error) = reader.read(&mut buf, 1 << 20) {
                        break error;
                    }
                };
                let again = reader.read(&mut buf, 1 << 20).unwrap_err();
                assert_eq!(again.to_string(), error.to_string());
                let left = buf.len() as u64;
                assert!(
                    matches!(error, LogError::Damaged { offset, .. } if offset == Offset(left)),
                    "{name}: {error}"
                );
                left
            }
        };
        assert!(left < 90 && left % 3 == 0);
        // A check finds it, and a writer does not give its offsets to others.
        let checked = verify(&log, TOPIC).unwrap();
        let findings = &checked.by_partition[0].findings;
        let words = format!("offsets {left} to 89 were synced and are gone");
        assert!(!checked.ok && findings.iter().any(|f| f.detail == words), "{name}: {findings:?}");
        let error = recover(dir.path()).unwrap_err();
        assert!(
            matches!(&error, LogError::Damaged { detail, .. } if detail.contains(&words)),
            "{name}: {error}"
        );
        // As the error says, whoever has no copy goes on with what is left.
        fs::remove_file(dir.path().join("events-0/checkpoint")).unwrap();
        recover(dir.path()).unwrap();
        assert_eq!(read(dir.path()), expected(0..left), "{name}");
        assert!(verify(&log, TOPIC).unwrap().ok, "{name}");
    }
}

#[test]
fn rubbish_behind_the_end_is_cut_off() {
    for rubbish in [&[0_u8; 1000][..], b"x", &[0xff; 70]] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 5, 0);
        append_bytes(&files(dir.path(), "log").pop().unwrap(), rubbish);
        assert_eq!(read(dir.path()), expected(0..15));
        let recovery = recover(dir.path()).unwrap();
        assert_eq!(recovery[0].truncated_bytes, rubbish.len() as u64);
        assert_eq!(read(dir.path()), expected(0..15));
        assert_eq!(recover(dir.path()).unwrap(), []);
    }
}

#[test]
fn a_flipped_byte_in_the_middle_is_an_error_that_stays() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 30, 0);
    let segment = files(dir.path(), "log").remove(1);
    let base: u64 = segment.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let start = batch_starts(&segment)[2];
    let mut bytes = fs::read(&segment).unwrap();
    bytes[start as usize + 90] ^= 0x10;
    fs::write(&segment, bytes).unwrap();

    for _ in 0..2 {
        let log = open(dir.path());
        let mut reader = log.reader(TOPIC, P0, Offset(0)).unwrap();
        let mut buf = RecordBuf::default();
        reader.read(&mut buf, usize::MAX).unwrap();
        assert_eq!(buf.len() as u64, base + 6, "all before the damage");
        for _ in 0..2 {
            match reader.read(&mut buf, usize::MAX).unwrap_err() {
                LogError::Damaged { offset, position, path, detail, .. } => {
                    assert_eq!((offset, position), (Offset(base + 6), start));
                    assert_eq!(path, segment);
                    assert!(detail.contains("CRC"), "{detail}");
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(buf.len() as u64, base + 6);
        // What follows can be read by who asks for it.
        reader.seek(Offset(base + 9)).unwrap();
        assert_eq!(drain(&mut *reader), expected(base + 9..90));
        drop(reader);
        // A writer neither minds nor mends it.
        assert_eq!(recover(dir.path()).unwrap(), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever byte the last file ends at, recovery keeps all whole batches before it and nothing else.
    #[test]
    fn any_cut_leaves_the_whole_batches(batches in 1_u64..12, unsynced in 0_u64..4, at in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        write_and_crash(dir.path(), batches, unsynced.min(batches));
        let last = files(dir.path(), "log").pop().unwrap();
        let base: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let starts = batch_starts(&last);
        let len = fs::metadata(&last).unwrap().len();
        let cut = at.index(len as usize + 1) as u64;
        truncate(&last, cut);
        let whole = starts.iter().skip(1).chain([&len]).filter(|end| **end <= cut).count() as u64;
        let end = base + whole * 3;
        for recovery in recover(dir.path()).unwrap() {
            prop_assert_eq!(recovery.end, Offset(end));
        }
        prop_assert_eq!(read(dir.path()), expected(0..end));
        prop_assert_eq!(recover(dir.path()).unwrap(), vec![]);
    }

    /// Whatever bit flips in what was synced, a reader gives the records before it and then names the place, or gives the
    /// same records as before. With and without a writer opening the log in between.
    #[test]
    fn any_flip_is_named(at in any::<prop::sample::Index>(), bit in 0_u32..8, reopen: bool) {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 12, 0);
        let logs = files(dir.path(), "log");
        let lens: Vec<_> = logs.iter().map(|p| fs::metadata(p).unwrap().len() as usize).collect();
        let (mut at, mut file) = (at.index(lens.iter().sum()), 0);
        while at >= lens[file] {
            at -= lens[file];
            file += 1;
        }
        let mut bytes = fs::read(&logs[file]).unwrap();
        bytes[at] ^= 1 << bit;
        fs::write(&logs[file], &bytes).unwrap();
        if reopen && let Err(error) = recover(dir.path()) {
            let named = matches!(error, LogError::Damaged { .. });
            prop_assert!(named, "{}", error);
        }
        let log = open(dir.path());
        let mut reader = log.reader(TOPIC, P0, Offset(0)).unwrap();
        let mut buf = RecordBuf::default();
        let outcome = loop {
            match reader.read(&mut buf, 1 << 20) {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        let rows: Vec<_> = buf.iter().map(|r| (r.offset.0, r.value.to_vec())).collect();
        let right: Vec<_> = (0..36).map(|n| (n, value(n))).collect();
        match outcome {
            Ok(()) => prop_assert_eq!(rows, right),
            Err(LogError::Damaged { offset, .. }) => {
                prop_assert_eq!(offset, Offset(rows.len() as u64));
                prop_assert_eq!(&rows[..], &right[..rows.len()]);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}
