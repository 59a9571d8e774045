//! `producer tick`, by the built program: ticks for days on which nobody writes events; and how the log is written, by options.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use partition_log::{LogOptions, RecordBuf, TopicConfig, open};
use types::{Event, EventTime, Offset, PartitionId, SystemEvent};

const MAP: &str = "[entity]\ntype = \"user\"\nid = \"user\"\n[time]\ncolumn = \"at\"\nformat = \"rfc3339\"\n[type]\nconstant = \"play\"\n";

fn producer(dir: &Path, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.current_dir(dir).args(words.split_whitespace()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn done(dir: &Path, words: &str) -> serde_json::Value {
    let output = producer(dir, &format!("{words} --json"));
    assert!(output.status.success(), "{words}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn refused(dir: &Path, words: &str) -> String {
    let output = producer(dir, words);
    assert!(!output.status.success(), "{words} was not refused");
    said(&output)
}

/// Writes a file of events of two users on some days of March 2025.
fn file(dir: &Path, name: &str, days: &[u32]) {
    let rows = days.iter().map(|day| format!("u{},2025-03-{day:02}T12:00:00Z\n", day % 2));
    std::fs::write(dir.join(name), "user,at\n".to_owned() + &rows.collect::<String>()).unwrap();
    std::fs::write(dir.join("map.toml"), MAP).unwrap();
}

/// The days of March 2025 of the ticks and of the events of a partition, as they stand there.
fn days(dir: &Path, partition: u32) -> Vec<(&'static str, i64)> {
    let log = open(&format!("file:{}", dir.join("log").display()), &LogOptions::default()).unwrap();
    let mut reader = log.reader("events", PartitionId(partition), Offset::ZERO).unwrap();
    let mut records = RecordBuf::default();
    while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
    let found = records.iter().map(|record| {
        let mut event = Event::default();
        event.decode(record.value).unwrap();
        let is_tick = event.system() == Ok(Some(SystemEvent::Tick));
        let day = (event.ts.0 - 1_740_700_800_000).div_euclid(86_400_000);
        (if is_tick { "tick" } else { "event" }, day)
    });
    found.collect()
}

#[test]
fn days_without_events_pass_and_a_later_import_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    file(dir, "first.csv", &[1, 2, 3]);
    let error = refused(dir, "tick --to file:log");
    assert!(error.contains("holds no tick to go on from"), "{error}");
    done(dir, "import first.csv --map map.toml --to file:log --partitions 2");
    let newest = |partition| days(dir, partition).into_iter().rfind(|(what, _)| *what == "tick");
    assert_eq!(newest(0), Some(("tick", 3)), "an import writes ticks up to its last event");

    let told = done(dir, "tick --to file:log --until 2025-03-06");
    assert_eq!((&told["ticks"], &told["tick_records"]), (&3.into(), &6.into()), "{told}");
    assert_eq!(newest(0), Some(("tick", 6)));
    assert_eq!(newest(1), Some(("tick", 6)));
    let again = done(dir, "tick --to file:log --until 2025-03-06T10:00:00Z");
    assert_eq!(again["ticks"], 0, "{again}");
    let earlier = done(dir, "tick --to file:log --until 2025-03-01");
    assert_eq!((&earlier["ticks"], &earlier["newest_tick"]), (&0.into(), &told["newest_tick"]));

    file(dir, "second.csv", &[6, 8]);
    done(dir, "import second.csv --map map.toml --to file:log");
    for partition in [0, 1] {
        let ticks: Vec<_> = days(dir, partition).into_iter().filter(|(what, _)| *what == "tick").collect();
        let all: Vec<_> = ticks.iter().map(|(_, day)| *day).collect();
        assert!(all.windows(2).all(|two| two[1] == two[0] + 1) && all.last() == Some(&8), "{all:?}");
    }
    // A gap of years is said aloud.
    let month_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(30 * 24)).strftime("%F");
    assert!(done(dir, &format!("tick --to file:log --until {month_ago}"))["ticks"].as_u64().unwrap() > 100);
    // Until now: all that are due by the clock, and no more a moment later.
    assert!(done(dir, "tick --to file:log")["ticks"].as_u64().unwrap() > 27);
    let newest = done(dir, "tick --to file:log")["newest_tick"].as_i64().unwrap();
    let ago = jiff::Timestamp::now().as_millisecond() - newest;
    assert!((3_600_000..25 * 3_600_000 + 60_000).contains(&ago), "an hour's grace, and a day: {ago} ms");
}

#[test]
fn what_would_do_harm_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    file(dir, "first.csv", &[1, 2, 3]);
    done(dir, "import first.csv --map map.toml --to file:log --partitions 2");
    let before = days(dir, 0);
    let error = refused(dir, "tick --to file:log --until 2190-01-01");
    assert!(error.contains("has not come yet") && error.contains("--until now"), "{error}");
    let error = refused(dir, "tick --to file:log --tick-offset 16h");
    assert!(error.contains("2025-03-03") && error.contains("as the import did"), "{error}");
    let error = refused(dir, "tick --to file:log --topic scores");
    assert!(error.contains("the consumer writes `scores`"), "{error}");
    let error = refused(dir, "tick --to file:log --until tomorrow");
    assert!(error.contains("no moment"), "{error}");
    let log = open(&format!("file:{}", dir.join("log").display()), &LogOptions::default()).unwrap();
    let held = log.writer("events").unwrap();
    let error = refused(dir, "tick --to file:log");
    assert!(error.contains("being written"), "{error}");
    drop(held);
    let config = TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".into() };
    log.create_topic("theirs", &config).unwrap();
    let error = refused(dir, "tick --to file:log --topic theirs");
    assert!(error.contains("was made by others"), "{error}");
    assert_eq!(days(dir, 0), before);

    // A log whose time is ahead of the clock's: what it holds is no harm.
    let mut topic = log.writer("events").unwrap();
    for partition in [0, 1] {
        let mut writer = topic.partition(PartitionId(partition)).unwrap();
        let at = "2190-01-05T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let tick = format!(r#"{{"v":1,"type":"$tick","ts":{at}}}"#);
        writer.append(EventTime(at), b"", tick.as_bytes(), &[]).unwrap();
        writer.sync().unwrap();
    }
    drop(topic);
    assert_eq!(done(dir, "tick --to file:log --until 2190-01-03")["ticks"], 0);
    assert_eq!(done(dir, "tick --to file:log")["ticks"], 0);
    assert!(refused(dir, "tick --to file:log --until 2190-01-06").contains("has not come yet"));
}

/// The codec of each segment's first batch: Kafka's number in its attributes.
fn codecs(dir: &Path) -> Vec<u8> {
    let segment = |partition| dir.join(format!("log/events-{partition}/00000000000000000000.log"));
    (0..2).map(|partition| std::fs::read(segment(partition)).unwrap()[22] & 7).collect()
}

#[test]
fn users_choose_how_the_log_is_written() {
    for (words, codec) in [
        ("", 0),
        ("--compression none --durability always", 0),
        ("--compression lz4 --durability interval:5s", 3),
        ("--compression zstd --durability system", 4),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        file(dir, "first.csv", &(1..=20).collect::<Vec<_>>());
        done(dir, &format!("import first.csv --map map.toml --to file:log --partitions 2 {words}"));
        assert_eq!(codecs(dir), [codec; 2], "{words}");
        let events: usize =
            (0..2).map(|p| days(dir, p).iter().filter(|(what, _)| *what == "event").count()).sum();
        assert_eq!(events, 20, "{words}");
        let simulated = tempfile::tempdir().unwrap();
        let simulate = "simulate --users 50 --days 3 --seed 1 --to file:log --partitions 2";
        done(simulated.path(), &format!("{simulate} {words}"));
        assert_eq!(codecs(simulated.path()), [codec; 2], "{words}");
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    file(dir, "first.csv", &[1]);
    for (words, code, reason) in [
        ("--to file:log --compression gzip", 2, "no compression that is written"),
        ("--to file:log --durability sometimes", 2, "write always, interval:SPAN"),
        ("--to file:log --durability interval:0s", 2, "write always, interval:SPAN"),
        ("--to kafka:127.0.0.1:1 --durability always", 1, "--durability is of files"),
        ("--to kafka:127.0.0.1:1 --compression none", 1, "always compressed"),
    ] {
        let output = producer(dir, &format!("import first.csv --map map.toml {words}"));
        assert_eq!(output.status.code(), Some(code), "{words}: {}", said(&output));
        assert!(said(&output).contains(reason), "{words}: {}", said(&output));
    }
    assert!(!dir.join("log").exists());
}

#[test]
fn another_plan_than_the_logs_and_a_gap_of_years_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    file(dir, "first.csv", &[1, 7, 14, 21]);
    done(dir, "import first.csv --map map.toml --to file:log --partitions 2 --tick 7d");
    let error = refused(dir, "tick --to file:log --until 2025-03-28");
    assert!(
        error.contains("give --tick and --tick-offset as the import did"),
        "every day is a plan that holds each week's tick: {error}"
    );
    let error = refused(dir, "tick --to file:log --until 2025-03-28 --tick 1h");
    assert!(error.contains("give --tick"), "{error}");
    let told = done(dir, "tick --to file:log --until 2025-03-28 --tick 7d");
    assert_eq!(told["ticks"], 1, "{told}");

    file(dir, "daily.csv", &[1, 2, 3]);
    done(dir, "import daily.csv --map map.toml --to file:daily");
    let error = refused(dir, "tick --to file:daily");
    assert!(error.contains("would each sweep all users") && error.contains("--until 20"), "{error}");
}
