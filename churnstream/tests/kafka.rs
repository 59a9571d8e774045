//! The README's way from a file to scores on Kafka: import, train, score, look.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

mod bounded;
mod small;

use std::fmt::Write as _;
use std::process::Command;

use clap::Parser as _;
use consumer::{SCORES, Surroundings};
use partition_log::conformance::broker;
use partition_log::{LogOptions, RecordBuf, SharedLog};
use types::{Band, Event, PartitionId, Score};

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

fn open(place: &str) -> SharedLog {
    partition_log::open(place, &LogOptions::default()).unwrap()
}

/// All records of a topic that there are.
fn records(log: &SharedLog, topic: &str) -> Vec<RecordBuf> {
    let read = |partition| {
        let start = log.bounds(topic, partition).unwrap().start;
        let mut reader = log.reader(topic, partition, start).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        records
    };
    (0..PARTITIONS).map(PartitionId).map(read).collect()
}

/// The events of the small log as a table, in the order of their times.
fn table(log: &SharedLog) -> String {
    let mut rows = Vec::new();
    for record in records(log, "events").iter().flat_map(RecordBuf::iter) {
        let mut event = Event::default();
        event.decode(record.value).unwrap();
        if !event.kind.starts_with('$') {
            rows.push((event.ts.0, event.entity.to_string(), event.kind.to_string()));
        }
    }
    rows.sort();
    rows.iter().fold("at,who,did\n".to_owned(), |mut table, (at, who, did)| {
        writeln!(table, "{at},{who},{did}").unwrap();
        table
    })
}

fn churnstream(words: &[&str]) -> String {
    let output = bounded::output(Command::new(env!("CARGO_BIN_EXE_churnstream")).args(words));
    assert!(output.status.success(), "{words:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_file_is_imported_learnt_from_scored_and_looked_at() {
    let Some(brokers) = broker::shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let text = table(&open(&small::write(dir.path())));
    std::fs::write(path("events.csv"), &text).unwrap();
    std::fs::write(path("map.toml"), MAP).unwrap();
    let place = format!("kafka:{}/way-{}.", brokers.bootstrap, std::process::id());

    let (file, map) = (path("events.csv"), path("map.toml"));
    let words = ["producer", "import", &file, "--map", &map, "--to", &place, "--partitions", "2"];
    let producer::cli::Command::Import(import) = producer::cli::Cli::try_parse_from(words).unwrap().command
    else {
        panic!("an import");
    };
    bounded::within("import", move || {
        producer::import::run(&import, &producer::Surroundings::default()).unwrap();
    });
    let log = open(&place);
    let imported = records(&log, "events");
    let events = imported.iter().flat_map(RecordBuf::iter).filter(|record| !record.key.is_empty()).count();
    assert_eq!(events, text.lines().count() - 1);

    let (spec, labels, model) = (path("spec.toml"), path("labels.toml"), path("model"));
    churnstream(&["train", "--from", &place, "--features", &spec, "--labels", &labels, "--to", &model]);
    let around = Surroundings::new();
    let status = bounded::run(&bounded::options(dir.path()), &log, &around);
    assert!(around.last_commit.is_done(), "whoever waits for it would end with an error");
    let all: Vec<Score> = records(&log, SCORES)
        .iter()
        .flat_map(RecordBuf::iter)
        .map(|record| Score::decode(record.value).unwrap())
        .collect();
    assert_eq!(status.scores, all.len() as u64);
    let high = all.iter().filter(|score| score.band == Band::High).count();
    assert!(high > 20, "{high} of {}", all.len());

    let lines = high.to_string();
    let tail =
        ["scores", "tail", "--from", &place, "--band", "high", "--lines", &lines, "--json", "--no-follow"];
    let shown = churnstream(&tail);
    assert_eq!(shown.lines().count(), high);
    for line in shown.lines() {
        assert_eq!(Score::decode(line.as_bytes()).unwrap().band, Band::High, "{line}");
    }
}
