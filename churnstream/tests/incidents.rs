//! `churnstream incidents` on a small log, by the built program.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::path::Path;
use std::process::Command;

use partition_log::{LogOptions, TopicConfig, partition_for};
use types::{EventTime, PartitionId};

/// 2025-01-01.
const DAY_0: i64 = 1_735_689_600_000;
const DAY: i64 = 86_400_000;
const PARTITIONS: u32 = 3;

/// A hundred users who play every day; every tenth of them opens a ticket, from day 60 on every third.
fn write_log(dir: &Path, is_over: bool) -> String {
    let place = format!("file:{}", dir.display());
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config).unwrap();
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> = (0..PARTITIONS).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    let mut append = |user: i64, kind: &str, ts: i64, arrival: i64| {
        let name = format!("u{user}");
        let event = format!(r#"{{"v":1,"entity_type":"user","entity":"{name}","type":"{kind}","ts":{ts}}}"#);
        let writer = &mut writers[partition_for(name.as_bytes(), PARTITIONS).0 as usize];
        writer.append(EventTime(arrival), name.as_bytes(), event.as_bytes(), &[]).unwrap();
    };
    for day in 0..90 {
        let every = if day >= 60 { 3 } else { 10 };
        for user in 0..100 {
            let ts = DAY_0 + day * DAY + user * 1_000;
            append(user, "play", ts, ts);
            if (user + 7 * day) % every == 0 {
                append(user, "ticket", ts + 1, ts + 1);
            }
        }
    }
    if is_over {
        append(0, "$tick", DAY_0 + 90 * DAY, DAY_0 + 90 * DAY);
    }
    // A clock that is wrong must not move the days of everybody else.
    append(1, "play", DAY_0 + 4_000 * DAY, DAY_0 + 89 * DAY);
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
    place
}

fn run(place: &str, more: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .args(["incidents", "--from", place, "--json"])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_change_is_seen_on_its_days_and_types_can_be_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let place = write_log(dir.path(), true);
    let found = run(&place, &["--threshold", "5"]);
    assert_eq!(
        (&found["judged"], &found["kinds"], &found["out_of_time"]),
        (&56.into(), &2.into(), &1.into())
    );
    let alarms = found["alarms"].as_array().unwrap();
    assert_eq!(alarms.len(), 1, "{found}");
    assert_eq!(alarms[0]["signal"], "ticket");
    let since = (alarms[0]["from"].as_i64().unwrap() - DAY_0) / DAY;
    assert!((60..66).contains(&since), "{found}");
    assert!(alarms[0]["ratio"].as_f64().unwrap() > 1.2, "{found}");

    let without = run(&place, &["--ignore", "ticket"]);
    assert_eq!((&without["kinds"], without["alarms"].as_array().unwrap().len()), (&1.into(), 0), "{without}");
}

#[test]
fn a_day_that_may_not_be_over_is_not_judged() {
    let dir = tempfile::tempdir().unwrap();
    let found = run(&write_log(dir.path(), false), &[]);
    assert_eq!((&found["judged"], &found["judged_volume"]), (&55.into(), &55.into()), "{found}");
}
