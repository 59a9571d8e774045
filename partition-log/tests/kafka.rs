//! The Kafka backend on a real broker, and our segment files in the hands of Kafka's own tools.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::sync::Arc;

use partition_log::conformance::{Differences, Row, broker, drain, run_with};
use partition_log::{Compression, FileLog, KafkaLog, Log, LogOptions, SharedLog, TopicConfig};
use types::{EventTime, Offset, PartitionId};

const P0: PartitionId = PartitionId(0);

/// A name that no other run has used, for brokers that outlive one.
fn fresh(name: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}-{nanos}")
}

fn config() -> TopicConfig {
    TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() }
}

/// Writes records with and without keys and headers, in many batches.
fn fill(log: &dyn Log, topic: &str, records: u64) {
    log.create_topic(topic, &config()).unwrap();
    let mut writer = log.writer(topic).unwrap().partition(P0).unwrap();
    for n in 0..records {
        let (key, value) = (format!("user {}", n % 7), format!("{{\"number\":{n},\"is\":\"zoë\"}}"));
        let key = if n % 5 == 0 { "" } else { &key };
        let headers: &[(&str, &[u8])] = if n % 3 == 0 { &[("cs-source", b"file:1")] } else { &[] };
        let time = EventTime(1_700_000_000_000 + n.cast_signed());
        assert_eq!(writer.append(time, key.as_bytes(), value.as_bytes(), headers).unwrap(), Offset(n));
        if n % 100 == 99 {
            writer.sync().unwrap();
        }
    }
    writer.sync().unwrap();
}

fn read(log: &dyn Log, topic: &str) -> Vec<Row> {
    drain(&mut *log.reader(topic, P0, Offset::ZERO).unwrap())
}

#[test]
fn it_does_what_every_backend_must() {
    let Some(brokers) = broker::shared() else { return };
    let log: SharedLog = Arc::new(KafkaLog::new(&brokers.bootstrap, &LogOptions::default()).unwrap());
    let differences = Differences { shows_flushed: true, single_records: true, no_sizes: true };
    run_with(&log, &fresh("conformance"), differences);
}

#[test]
fn kafkas_own_tool_reads_our_segments() {
    // Needs Kafka's programs, not a broker; but where one is, the other is.
    if broker::shared().is_none() {
        return;
    }
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let log = FileLog::new(dir.path(), LogOptions { compression, ..LogOptions::default() });
        fill(&log, "events", 1000);
        let segment = dir.path().join("events-0/00000000000000000000.log");
        check_indexes(&segment);
        let dumped = broker::script()
            .args([
                "tool",
                "org.apache.kafka.tools.DumpLogSegments",
                "--deep-iteration",
                "--print-data-log",
                "--files",
            ])
            .arg(&segment)
            .output()
            .unwrap();
        let text = String::from_utf8(dumped.stdout).unwrap();
        assert!(dumped.status.success() && !text.contains("isvalid: false"), "{text}");
        assert_eq!(text.matches("isvalid: true").count(), 10, "one for each batch");
        let payload = |line: &str| line.split_once(" payload: ").map(|(_, payload)| payload.to_owned());
        let found: Vec<String> =
            text.lines().filter(|l| l.starts_with("| offset:")).filter_map(payload).collect();
        let ours: Vec<String> =
            read(&log, "events").into_iter().map(|row| String::from_utf8(row.3).unwrap()).collect();
        assert_eq!(found, ours);
    }
}

/// Kafka's tool finds both indexes sound, and each entry to fit the segment beside it; and would say it if one did not.
fn check_indexes(segment: &Path) {
    let tool = |how: &str, index: &Path| {
        let mut tool = broker::script();
        tool.args(["tool", "org.apache.kafka.tools.DumpLogSegments", how, "--files"]);
        let found = tool.arg(index).output().unwrap();
        (found.status.success(), String::from_utf8([found.stdout, found.stderr].concat()).unwrap())
    };
    let complains =
        |text: &str| text.contains("mismatch") || text.contains("Mismatch") || text.contains("Exception");
    for suffix in ["index", "timeindex"] {
        let index = segment.with_extension(suffix);
        let right = std::fs::read(&index).unwrap();
        assert!(!right.is_empty(), "{suffix} has entries");
        let (ended, text) = tool("--index-sanity-check", &index);
        assert!(ended && text.contains("passed sanity check."), "{suffix}: {text}");
        let (ended, text) = tool("--verify-index-only", &index);
        assert!(ended && !complains(&text), "{suffix}: {text}");
        // The last entry of an index says the wrong byte; that of a time index the wrong millisecond.
        let mut wrong = right.clone();
        let at = wrong.len() - if suffix == "index" { 1 } else { 5 };
        wrong[at] ^= 1;
        std::fs::write(&index, &wrong).unwrap();
        let (_, text) = tool("--verify-index-only", &index);
        assert!(complains(&text), "{suffix}: {text}");
        std::fs::write(&index, right).unwrap();
    }
}

#[test]
fn a_brokers_segments_are_read_as_files() {
    // Of its own: its folder must be at hand.
    let Some(brokers) = broker::start(1) else { return };
    let Some(dir) = &brokers.dir else { return };
    let kafka = KafkaLog::new(&brokers.bootstrap, &LogOptions::default()).unwrap();
    fill(&kafka, "events", 1000);
    let copy = tempfile::tempdir().unwrap();
    let files = FileLog::new(copy.path(), LogOptions::default());
    files.create_topic("events", &config()).unwrap();
    copy_segments(&dir.join("data-1/events-0"), &copy.path().join("events-0"));
    let rows = read(&kafka, "events");
    assert_eq!(rows.len(), 1000);
    assert_eq!(read(&files, "events"), rows);
    assert_eq!(files.verify("events", P0).unwrap().findings, []);
    broker::stop(&brokers);
}

fn copy_segments(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.extension().is_some_and(|end| ["log", "index", "timeindex"].iter().any(|kept| end == *kept)) {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
