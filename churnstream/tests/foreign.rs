//! Learning from a Kafka topic that others write, through a map: the rows are those of the same events in a log of ours.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

mod small;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use parquet::file::reader::SerializedFileReader;
use partition_log::conformance::broker;
use partition_log::{Log, LogOptions, PartitionWriter, RecordBuf, TopicConfig};
use types::{Event, EventTime, PartitionId};

const PARTITIONS: u32 = 2;
const MAP: &str = r#"
[entity]
type = "user"
id = "who"
[time]
column = "at"
format = "ms"
[type]
column = "did"
"#;

fn open(place: &str) -> partition_log::SharedLog {
    partition_log::open(place, &LogOptions::default()).unwrap()
}

fn writers(log: &dyn Log) -> Vec<Box<dyn PartitionWriter>> {
    let mut topic = log.writer("events").unwrap();
    (0..PARTITIONS).map(|partition| topic.partition(PartitionId(partition)).unwrap()).collect()
}

/// Writes the events of a log to two others: as they are, and as others would write them, without ticks. All happen at noon.
fn copy(from: &dyn Log, ours: &dyn Log, theirs: &dyn Log) {
    let (mut ours, mut theirs) = (writers(ours), writers(theirs));
    for partition in (0..PARTITIONS).map(PartitionId) {
        let mut reader = from.reader("events", partition, types::Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        for record in records.iter() {
            let mut event = Event::default();
            event.decode(record.value).unwrap();
            let is_tick = event.kind.starts_with('$');
            // Before the first event no tick is decided.
            if is_tick && event.ts.0 == small::DAY_0 {
                continue;
            }
            let at = EventTime(event.ts.0 + if is_tick { 0 } else { small::DAY / 2 });
            let mut value = Vec::new();
            event.ts = at;
            event.encode(&mut value);
            ours[partition.0 as usize].append(at, record.key, &value, &[]).unwrap();
            if !is_tick {
                let value = serde_json::json!({ "who": &*event.entity, "at": at.0, "did": &*event.kind });
                theirs[partition.0 as usize]
                    .append(at, record.key, value.to_string().as_bytes(), &[])
                    .unwrap();
            }
        }
    }
    ours.iter_mut().chain(&mut theirs).for_each(|writer| writer.sync().unwrap());
}

/// What a command says in JSON.
fn done(words: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream")).args(words).arg("--json").output().unwrap();
    assert!(output.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Trains a model and judges it; what both say, without what names a place in the log or a moment of now.
fn learnt(dir: &Path, name: &str, from: &[&str]) -> (String, serde_json::Value) {
    let path = |name: &str| dir.join(name).display().to_string();
    let (spec, labels) = (path("spec.toml"), path("labels.toml"));
    let (model, report) = (path(&format!("{name}-model")), path(&format!("{name}-report")));
    done(&[&["train", "--features", &spec, "--labels", &labels, "--to", &model], from].concat());
    let judged = ["backtest", "--model", &model, "--labels", &labels, "--report", &report];
    let mut told = done(&[&judged[..], from].concat());
    // Ticks are records in the one log alone.
    assert!(told["replay"].as_object_mut().unwrap().remove("records").is_some());
    let bundle = scorer::Bundle::load(Path::new(&model)).unwrap();
    (bundle.hash().to_string(), told)
}

/// The rows of an exported file, without what names a place in the log.
fn rows(dir: &Path, name: &str, words: &[&str]) -> Vec<BTreeMap<String, String>> {
    let path = dir.join(name);
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .args(["rows", "export", "--json", "--features"])
        .arg(dir.join("spec.toml"))
        .arg("--labels")
        .arg(dir.join("labels.toml"))
        .arg("--to")
        .arg(&path)
        .args(words)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    let columns = |row: parquet::record::Row| {
        let columns = row.get_column_iter().map(|(name, value)| (name.clone(), value.to_string()));
        columns.filter(|(name, _)| !["position", "offset"].contains(&name.as_str())).collect()
    };
    let mut rows: Vec<_> = reader.into_iter().map(|row| columns(row.unwrap())).collect();
    rows.sort();
    rows
}

#[test]
fn rows_of_a_topic_that_others_write_are_those_of_ours() {
    let Some(brokers) = broker::shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let small = open(&small::write(dir.path()));
    std::fs::write(dir.path().join("map.toml"), MAP).unwrap();
    let file = format!("file:{}", dir.path().join("noon").display());
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    let ours = open(&file);
    ours.create_topic("events", &config).unwrap();
    // Its note stands where those who read `kafka:BROKERS/PREFIX.` do not look.
    let prefix = format!("rows-{}", std::process::id());
    open(&format!("kafka:{}", brokers.bootstrap)).create_topic(&format!("{prefix}.events"), &config).unwrap();
    let place = format!("kafka:{}/{prefix}.", brokers.bootstrap);
    let theirs = open(&place);
    copy(small.as_ref(), ours.as_ref(), theirs.as_ref());

    let expected = rows(dir.path(), "ours.parquet", &["--from", &file]);
    let map = dir.path().join("map.toml");
    let found = rows(dir.path(), "theirs.parquet", &["--from", &place, "--map", &map.display().to_string()]);
    assert!(expected.len() > 1000, "{}", expected.len());
    assert_eq!(expected.len(), found.len());
    let differs = expected.iter().zip(&found).find(|(expected, found)| expected != found);
    assert_eq!(differs, None);

    let map = map.display().to_string();
    let (bundle, told) = learnt(dir.path(), "ours", &["--from", &file]);
    let (same, same_told) = learnt(dir.path(), "theirs", &["--from", &place, "--map", &map]);
    assert!(told["test"]["rows"].as_u64().unwrap() > 100, "{told}");
    assert_eq!(told, same_told);
    assert_eq!(bundle, same);
}
