//! Learning from a Kafka topic that others write, through a map: the rows are those of the same events in a log of ours.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

mod bounded;
mod small;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use consumer::{ConsumerOptions, Surroundings};
use parquet::file::reader::SerializedFileReader;
use parquet::record::Field;
use partition_log::conformance::broker;
use partition_log::{Log, LogOptions, PartitionWriter, RecordBuf, TopicConfig};
use types::{Event, EventTime, PartitionId, Score, Trigger};

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
    let mut command = Command::new(env!("CARGO_BIN_EXE_churnstream"));
    let output = bounded::output(command.args(words).arg("--json"));
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

/// The rows of an exported file.
fn export(dir: &Path, name: &str, words: &[&str]) -> Vec<parquet::record::Row> {
    let path = dir.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_churnstream"));
    command
        .args(["rows", "export", "--json", "--features"])
        .arg(dir.join("spec.toml"))
        .arg("--labels")
        .arg(dir.join("labels.toml"))
        .arg("--to")
        .arg(&path)
        .args(words);
    let output = bounded::output(&mut command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
    reader.into_iter().map(Result::unwrap).collect()
}

/// The same without what names a place in the log, in an order of their own.
fn rows(dir: &Path, name: &str, words: &[&str]) -> Vec<BTreeMap<String, String>> {
    let columns = |row: parquet::record::Row| {
        let columns = row.get_column_iter().map(|(name, value)| (name.clone(), value.to_string()));
        columns.filter(|(name, _)| !["position", "offset"].contains(&name.as_str())).collect()
    };
    let mut rows: Vec<_> = export(dir, name, words).into_iter().map(columns).collect();
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

/// All that a topic holds, by partition.
fn records(log: &dyn Log, topic: &str) -> Vec<RecordBuf> {
    let read = |partition| {
        let mut records = RecordBuf::default();
        if log.topic(topic).unwrap().is_some() {
            let start = log.bounds(topic, partition).unwrap().start;
            let mut reader = log.reader(topic, partition, start).unwrap();
            while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        }
        records
    };
    (0..PARTITIONS).map(PartitionId).map(read).collect()
}

/// A consumer of a topic that others write, which takes ticks by the clock when nothing comes.
fn options(dir: &Path, until_end: bool) -> ConsumerOptions {
    ConsumerOptions { until_end, tick_idle: Duration::from_millis(300), ..bounded::options(dir) }
}

/// Who was scored, as of when and where in the log.
type Scored = (String, i64, u32, u64);

fn swept(log: &dyn Log) -> BTreeSet<Scored> {
    let scores = records(log, consumer::SCORES);
    let scores = scores.iter().flat_map(RecordBuf::iter).map(|record| Score::decode(record.value).unwrap());
    let swept = scores.filter(|score| score.trigger == Trigger::Sweep);
    let place = |score: Score| (score.entity, score.as_of.0, score.source.partition.0, score.source.offset.0);
    swept.map(place).collect()
}

fn place_of(row: &parquet::record::Row) -> Scored {
    let number = |name: &str| match row.get_column_iter().find(|(column, _)| *column == name).unwrap().1 {
        Field::TimestampMillis(number) | Field::Long(number) => *number,
        Field::ULong(number) => i64::try_from(*number).unwrap(),
        Field::Int(number) => i64::from(*number),
        Field::UInt(number) => i64::from(*number),
        other => panic!("{name}: {other:?}"),
    };
    let entity = row.get_column_iter().find(|(column, _)| *column == "entity").unwrap().1.to_string();
    let (partition, position) = (number("partition"), number("position"));
    let entity = entity.trim_matches('"').to_owned();
    (entity, number("as_of"), u32::try_from(partition).unwrap(), u64::try_from(position).unwrap())
}

/// A consumer that nothing came to for days took their ticks by the clock. What came then stands behind those ticks, although it happened
/// before them, and only the control topic says so.
#[test]
fn rows_stand_where_a_consumer_swept_by_the_clock() {
    let Some(brokers) = broker::shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let small_log = open(&small::write(dir.path()));
    std::fs::write(dir.path().join("map.toml"), MAP).unwrap();
    small::bundle(dir.path(), "model", [0.5, -1.0], 10);
    let place = format!("kafka:{}/clock-{}.", brokers.bootstrap, std::process::id());
    // Of others: its note stands where those who read the prefix do not look.
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    let topic = format!("clock-{}.events", std::process::id());
    open(&format!("kafka:{}", brokers.bootstrap)).create_topic(&topic, &config).unwrap();
    let plain = open(&place);
    let map = dir.path().join("map.toml");
    let log =
        producer::foreign::through_map(open(&place), "events", &map, None, None, Duration::ZERO).unwrap();

    let append = |days: std::ops::Range<i64>| {
        let mut writers = writers(plain.as_ref());
        for (writer, records) in writers.iter_mut().zip(records(small_log.as_ref(), "events")) {
            for record in records.iter() {
                let mut event = Event::default();
                event.decode(record.value).unwrap();
                let day = (event.ts.0 - small::DAY_0).div_euclid(small::DAY);
                if !event.kind.starts_with('$') && days.contains(&day) {
                    let value =
                        serde_json::json!({ "who": &*event.entity, "at": event.ts.0, "did": &*event.kind });
                    writer.append(event.ts, record.key, value.to_string().as_bytes(), &[]).unwrap();
                }
            }
            writer.sync().unwrap();
        }
    };
    append(0..40);
    // Until every partition stands at a tick of long after.
    let around = Surroundings::new();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| consumer::run(&options(dir.path(), false), &log, &around).unwrap());
        let deadline = Instant::now() + Duration::from_secs(120);
        let is_far = |records: RecordBuf| {
            records.iter().last().is_some_and(|last| last.timestamp.0 > small::DAY_0 + 200 * small::DAY)
        };
        while !records(plain.as_ref(), consumer::CONTROL).into_iter().all(is_far) {
            assert!(Instant::now() < deadline && !run.is_finished(), "no ticks by the clock");
            std::thread::sleep(Duration::from_millis(200));
        }
        around.shutdown.request("it stands where it should");
        run.join().unwrap();
    });
    append(40..small::DAYS);
    bounded::run(&options(dir.path(), true), &log, &Surroundings::new());

    let swept = swept(plain.as_ref());
    let map = map.display().to_string();
    let rows: Vec<_> = export(dir.path(), "clock.parquet", &["--from", &place, "--map", &map]);
    let rows: BTreeSet<_> = rows.iter().map(place_of).collect();
    let late = rows.iter().filter(|row| row.1 > small::DAY_0 + 41 * small::DAY).count();
    assert!(late > 100, "{late} of {}", rows.len());
    let strange: Vec<_> = rows.difference(&swept).take(3).collect();
    assert!(strange.is_empty(), "nobody was swept there: {strange:?}");
}
