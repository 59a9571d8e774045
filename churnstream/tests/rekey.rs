//! Scores of accounts from events of users: `churnstream log repartition --key`, by the built program, and a consumer of what it wrote.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

use clap::Parser as _;
use partition_log::{LogOptions, RecordBuf, TopicConfig, partition_for};
use small::{DAY, DAY_0};
use types::{EventTime, Offset, PartitionId, Score, Trigger, headers};

const PARTITIONS: u32 = 3;

fn churnstream(dir: &Path, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(words.split_whitespace())
        .output()
        .unwrap()
}

/// Twelve users of four accounts play each day for ten days; one of a thirteenth user has no account.
fn write(dir: &Path) -> String {
    let place = format!("file:{}", dir.join("log").display());
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config).unwrap();
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> = (0..PARTITIONS).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    for day in 0..10 {
        let midnight = DAY_0 + day * DAY;
        for writer in &mut writers {
            let tick = format!(r#"{{"v":1,"type":"$tick","ts":{midnight}}}"#);
            writer.append(EventTime(midnight), b"", tick.as_bytes(), &[]).unwrap();
        }
        for user in 0..13_i64 {
            let (name, ts) = (format!("u{user}"), midnight + 1_000 + user);
            let fields = match user {
                12 => String::new(),
                user => format!(r#","fields":{{"account":"a{}"}}"#, user % 4),
            };
            let event = format!(
                r#"{{"v":1,"entity_type":"user","entity":"{name}","type":"play","ts":{ts}{fields}}}"#
            );
            let writer = &mut writers[partition_for(name.as_bytes(), PARTITIONS).0 as usize];
            writer.append(EventTime(ts), name.as_bytes(), event.as_bytes(), &[]).unwrap();
        }
    }
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
    place
}

/// Runs a consumer with the spec of accounts; what is wrong, if it cannot.
fn consume(dir: &Path, place: &str, store: &str, model: &str) -> Result<(), String> {
    let path = |name: &str| dir.join(name).display().to_string();
    let (store, spec, model) = (path(store), path("accounts.toml"), path(model));
    let arguments = [
        "consumer",
        "--from",
        place,
        "--store",
        &store,
        "--features",
        &spec,
        "--model",
        &model,
        "--until-end",
    ];
    let arguments = consumer::cli::Arguments::try_parse_from(arguments).unwrap();
    let log = partition_log::open(place, &LogOptions::default()).unwrap();
    let done = consumer::run(&arguments.options(), &log, &consumer::Surroundings::new());
    done.map(drop).map_err(|error| telemetry::in_words(&error))
}

/// Of each account how many scores of events it has and how many of sweeps.
fn scored(place: &str) -> BTreeMap<String, [u64; 2]> {
    let mut found = BTreeMap::<String, [u64; 2]>::new();
    each(place, consumer::SCORES, |record| {
        let score = Score::decode(record.value).unwrap();
        assert_eq!(score.entity_type, "account");
        let [events, sweeps] = found.entry(score.entity.to_string()).or_default();
        *(if score.trigger == Trigger::Event { events } else { sweeps }) += 1;
    });
    found
}

fn each(place: &str, topic: &str, mut tell: impl FnMut(&partition_log::Record<'_>)) {
    let log = partition_log::open(place, &LogOptions::default()).unwrap();
    for partition in 0..log.topic(topic).unwrap().unwrap().partitions {
        let mut reader = log.reader(topic, PartitionId(partition), Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        records.iter().for_each(|record| tell(&record));
    }
}

#[test]
fn accounts_are_scored_by_the_events_of_their_users() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let place = write(dir);
    let spec = small::SPEC.replace("entity = \"user\"", "entity = \"account\"");
    std::fs::write(dir.join("accounts.toml"), &spec).unwrap();
    small::bundle_of(&spec, dir, "model", [1.0, -1.0], 5);

    // The topic of users is refused with the command that works, and before a model that is not of this spec is.
    small::bundle(dir, "users-model", [1.0, -1.0], 5);
    for model in ["model", "users-model"] {
        let error = consume(dir, &place, "store", model).unwrap_err();
        assert!(error.contains("keyed by `user` and the spec is about `account`"), "{error}");
        let command = format!("log repartition {place}/events --to file:DIR/events --key account");
        assert!(error.contains(&format!("`churnstream {command}`")), "{error}");
    }
    assert!(!dir.join("store").exists());

    // What it says, with a folder.
    let by_account = format!("file:{}", dir.join("by-account").display());
    let words = format!("log repartition {place}/events --to {by_account}/events --key account");
    let output = churnstream(dir, &words);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(
        said.starts_with("130 records and 10 ticks copied from events (3 partitions) to events (3)"),
        "{said}"
    );
    assert!(said.contains("10 of them have no `account` to be keyed by"), "{said}");
    assert!(churnstream(dir, &format!("log verify {by_account}/events")).status.success());

    consume(dir, &by_account, "store", "model").unwrap();
    // Three users an account, ten days; nine ticks after the first events.
    let expected = (0..4).map(|account| (format!("a{account}"), [30, 9])).collect();
    assert_eq!(scored(&by_account), expected);
    let mut letters = 0;
    each(&by_account, consumer::DEAD_LETTERS, |letter| {
        assert_eq!(letter.header(headers::REASON), Some(b"missing_field".as_slice()));
        assert!(letter.value.windows(5).any(|bytes| bytes == b"\"u12\""), "the original bytes");
        letters += 1;
    });
    assert_eq!(letters, 10);
    let output = churnstream(dir, "features get a1 --store store");
    let said = String::from_utf8(output.stdout).unwrap();
    let plays = said.lines().find(|line| line.contains("plays_count_7d")).unwrap();
    assert!(plays.ends_with(" 21"), "three users, seven days: {plays}");

    let again = churnstream(dir, &words);
    assert!(String::from_utf8_lossy(&again.stderr).contains("holds records already"));
}
