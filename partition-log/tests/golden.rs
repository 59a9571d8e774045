//! Another implementation of Kafka's formats, kafka-python, on both sides: it wrote the golden files, and reads ours.
//! `golden/make_golden.py` says how they were made.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use partition_log::conformance::{Row, drain};
use partition_log::{Compression, FileLog, Log, LogError, LogOptions, TopicConfig};
use types::{EventTime, Offset, PartitionId};

const P0: PartitionId = PartitionId(0);

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

type Json = (u64, i64, String, String, Vec<(String, String)>);

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn row((offset, timestamp, key, value, headers): Json) -> Row {
    let headers = headers.iter().map(|(name, value)| (bytes(name), bytes(value))).collect();
    (offset, timestamp, bytes(&key), bytes(&value), headers)
}

fn expected() -> BTreeMap<String, Vec<Row>> {
    let text = std::fs::read_to_string(golden().join("expected.json")).unwrap();
    let topics: BTreeMap<String, Vec<Json>> = serde_json::from_str(&text).unwrap();
    topics.into_iter().map(|(topic, rows)| (topic, rows.into_iter().map(row).collect())).collect()
}

#[test]
fn segments_of_another_implementation_are_read_right() {
    let log = FileLog::new(golden().join("broker"), LogOptions::default());
    let expected = expected();
    assert_eq!(log.topics().unwrap(), expected.keys().cloned().collect::<Vec<_>>());
    for (topic, rows) in expected {
        let bounds = log.bounds(&topic, P0).unwrap();
        let mut reader = log.reader(&topic, P0, bounds.start).unwrap();
        assert_eq!(drain(&mut *reader), rows, "{topic}");
        assert_eq!(reader.position(), bounds.end, "{topic}");
        // From every offset, those that compaction removed included.
        for from in bounds.start.0..=bounds.end.0 {
            reader.seek(Offset(from)).unwrap();
            let at = rows.partition_point(|row| row.0 < from);
            assert_eq!(drain(&mut *reader), rows[at..], "{topic} from {from}");
        }
        for time in rows.iter().map(|row| row.1) {
            let first = rows.iter().find(|row| row.1 >= time).unwrap().0;
            assert_eq!(
                log.offset_at(&topic, P0, EventTime(time)).unwrap(),
                Offset(first),
                "{topic} at {time}"
            );
        }
    }
}

#[test]
fn a_folder_from_a_broker_has_kafkas_defaults() {
    let log = FileLog::new(golden().join("broker"), LogOptions::default());
    let config = log.topic("gzip").unwrap().unwrap();
    assert_eq!(config, TopicConfig { partitions: 1, key: String::new(), partitioner: "murmur2".into() });
    let bounds = log.bounds("gzip", P0).unwrap();
    assert_eq!((bounds.start, bounds.end), (Offset(7), Offset(51)));
    assert!(matches!(log.reader("gzip", P0, Offset(6)), Err(LogError::OutOfRange { .. })));
}

/// Writes golden records with our writer, in every compression, to be read by kafka-python.
fn write_ours(dir: &Path, compression: Compression, rows: &[Row]) {
    let log = FileLog::new(
        dir,
        LogOptions { compression, batch_bytes: 2000, segment_bytes: 4000, ..LogOptions::default() },
    );
    log.create_topic(
        "ours",
        &TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() },
    )
    .unwrap();
    let mut writer = log.writer("ours").unwrap().partition(P0).unwrap();
    for (_, timestamp, key, value, headers) in rows {
        let headers: Vec<_> =
            headers.iter().map(|(n, v)| (std::str::from_utf8(n).unwrap(), v.as_slice())).collect();
        writer.append(EventTime(*timestamp), key, value, &headers).unwrap();
    }
    writer.sync().unwrap();
}

#[test]
fn another_implementation_reads_our_segments() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python/bin/python");
    let found = Command::new(&python).args(["-c", "import kafka.record, lz4, zstandard"]).output();
    if !found.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no kafka-python to test with");
        // Past what the test's runner captures: a test that passes would show nothing.
        let said = b"SKIPPED: there is no kafka-python to test with (scripts/setup python)\n";
        std::io::stderr().write_all(said).unwrap();
        return;
    }
    let rows = &expected()["none"];
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        write_ours(dir.path(), compression, rows);
        let entries =
            std::fs::read_dir(dir.path().join("ours-0")).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
        files.sort();
        let output = Command::new(&python).arg(golden().join("read_log.py")).args(files).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let read: Vec<Row> = String::from_utf8(output.stdout)
            .unwrap()
            .lines()
            .map(|line| row(serde_json::from_str(line).unwrap()))
            .collect();
        let ours: Vec<Row> = rows
            .iter()
            .zip(0..)
            .map(|(row, offset)| (offset, row.1, row.2.clone(), row.3.clone(), row.4.clone()))
            .collect();
        assert_eq!(read, ours, "{compression:?}");
    }
}
