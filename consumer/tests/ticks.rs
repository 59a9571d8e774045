//! Days on which nobody writes events: without ticks nobody is swept, and `producer tick` lets them pass. The built consumer reads what the
//! producer's commands wrote; how it writes its own is chosen by options.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what went wrong by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use clap::Parser as _;
use consumer::SCORES;
use partition_log::{Log as _, LogOptions, RecordBuf};
use support::World;
use types::{Offset, PartitionId, Score, Trigger};

const MAP: &str = "[entity]\ntype = \"user\"\nid = \"user\"\n[time]\ncolumn = \"at\"\nformat = \"rfc3339\"\n[type]\nconstant = \"play\"\n";
/// 2025-03-01, and a day.
const MARCH: i64 = 1_740_787_200_000;
const DAY: i64 = 86_400_000;

/// Runs a command of the producer.
fn produce(words: &[&str]) {
    let around = producer::Surroundings::default();
    match producer::cli::Cli::try_parse_from([&["producer"], words].concat()).unwrap().command {
        producer::cli::Command::Import(args) => {
            producer::import::run(&args, &around).unwrap();
        }
        producer::cli::Command::Tick(args) => {
            producer::tick_until::run(&args, &around).unwrap();
        }
        other => panic!("{other:?}"),
    }
}

/// Runs the consumer to the log's end.
fn consume(world: &World, place: &str, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_consumer"));
    command.args(["--from", place, "--until-end", "--store"]).arg(world.dir().join("store"));
    command.arg("--features").arg(world.spec_path()).arg("--model").arg(world.dir().join("first"));
    command.args(more).output().unwrap()
}

fn consume_well(world: &World, place: &str) {
    let output = consume(world, place, &["--compression", "zstd", "--durability", "interval:1s"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Who was swept as of which day of March.
fn swept(dir: &Path) -> BTreeMap<i64, Vec<String>> {
    let log = partition_log::FileLog::new(dir.join("log"), LogOptions::default());
    let mut records = RecordBuf::default();
    for partition in [0, 1] {
        let mut reader = log.reader(SCORES, PartitionId(partition), Offset::ZERO).unwrap();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
    }
    let mut found = BTreeMap::<i64, Vec<String>>::new();
    for record in records.iter() {
        let score = Score::decode(record.value).unwrap();
        if score.trigger == Trigger::Sweep {
            let day = (score.as_of.0 - MARCH) / DAY + 1;
            found.entry(day).or_default().push(score.entity.to_string());
        }
    }
    found.values_mut().for_each(|users| users.sort());
    found
}

fn rows(dir: &Path, name: &str, rows: &[(&str, u32)]) -> String {
    let lines = rows.iter().map(|(user, day)| format!("{user},2025-03-{day:02}T12:00:00Z\n"));
    let path = dir.join(name);
    std::fs::write(&path, "user,at\n".to_owned() + &lines.collect::<String>()).unwrap();
    path.display().to_string()
}

#[test]
fn silent_users_are_swept_on_days_that_pass_without_events() {
    let world = World::new(support::seed());
    let dir = world.dir();
    let map = dir.join("map.toml").display().to_string();
    std::fs::write(&map, MAP).unwrap();
    let place = format!("file:{}", dir.join("log").display());
    let first = rows(dir, "first.csv", &[("ann", 1), ("bob", 1), ("cid", 2), ("ann", 3)]);
    produce(&["import", &first, "--map", &map, "--to", &place, "--partitions", "2"]);
    consume_well(&world, &place);
    let before = swept(dir);
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), [2, 3]);
    // Consumed again, nothing has happened: no day has passed.
    consume_well(&world, &place);
    assert_eq!(swept(dir), before);

    produce(&["tick", "--to", &place, "--until", "2025-03-06"]);
    consume_well(&world, &place);
    let after = swept(dir);
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    for day in 4..=6 {
        assert_eq!(after[&day], ["ann", "bob", "cid"]);
    }

    // Newer events go on; one that is older than the newest tick missed its sweep, and counts.
    let second = rows(dir, "second.csv", &[("dan", 5), ("ann", 7), ("bob", 9)]);
    produce(&["import", &second, "--map", &map, "--to", &place]);
    consume_well(&world, &place);
    let later = swept(dir);
    assert_eq!(later.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(later[&6], after[&6]);
    for day in 7..=9 {
        assert_eq!(later[&day], ["ann", "bob", "cid", "dan"]);
    }

    // The first batch of each segment of scores says that it is of zstd, Kafka's number 4.
    for partition in [0, 1] {
        let segment = dir.join(format!("log/{SCORES}-{partition}/00000000000000000000.log"));
        assert_eq!(std::fs::read(segment).unwrap()[22] & 7, 4);
    }
    for (more, reason) in [
        (["--compression", "gzip"], "no compression that is written"),
        (["--durability", "often"], "write always, interval:SPAN"),
    ] {
        let output = consume(&world, &place, &more);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(reason), "{said}");
    }
}
