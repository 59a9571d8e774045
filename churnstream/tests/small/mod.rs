//! A small log on which a model learns something in a moment.

#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests, each of which uses its part")]

use std::path::Path;

use partition_log::{LogOptions, TopicConfig, partition_for};
use types::{EventTime, PartitionId};

pub(crate) const SPEC: &str = r#"
version = 1
entity = "user"
[lifecycle]
end = ["cancel"]
[inputs.plays]
events = "play"
[[features]]
input = "plays"
ops = "count"
windows = ["7d", "14d"]
"#;

const LABELS: &str = r#"
horizon = "7d"
[lost]
events = ["cancel"]
[rows]
every = "3d"
triggers = "sweep"
min_history = "15d"
"#;

/// 2025-01-01.
pub(crate) const DAY_0: i64 = 1_735_689_600_000;
pub(crate) const DAY: i64 = 86_400_000;
pub(crate) const DAYS: i64 = 75;
const PARTITIONS: u32 = 2;

/// Writes `spec.toml`, `labels.toml` and a log of users who play every other day: every day some cancel who mostly did not play in the week before, and as many new ones come.
/// Returns the log's place.
pub(crate) fn write(dir: &Path) -> String {
    std::fs::write(dir.join("spec.toml"), SPEC).unwrap();
    std::fs::write(dir.join("labels.toml"), LABELS).unwrap();
    let place = format!("file:{}", dir.join("log").display());
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config).unwrap();
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> = (0..PARTITIONS).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    for day in 0..DAYS {
        let midnight = DAY_0 + day * DAY;
        for writer in &mut writers {
            let tick = format!(r#"{{"v":1,"type":"$tick","ts":{midnight}}}"#);
            writer.append(EventTime(midnight), b"", tick.as_bytes(), &[]).unwrap();
        }
        // A user's number says when they came and when they leave: ten come and ten leave each day.
        for user in 0..(DAYS + 60) * 10 {
            let (came, leaves) = (user / 10 - 60, user / 10 - 60 + 60 + user % 7);
            let warned = leaves - day <= 10 && user % 10 != 0;
            let kind = match day {
                day if day == leaves => "cancel",
                day if came <= day && day < leaves && (day + user) % 2 == 0 && !warned => "play",
                _ => continue,
            };
            let (name, ts) = (format!("u{user}"), midnight + 1_000 + user);
            let event =
                format!(r#"{{"v":1,"entity_type":"user","entity":"{name}","type":"{kind}","ts":{ts}}}"#);
            let writer = &mut writers[partition_for(name.as_bytes(), PARTITIONS).0 as usize];
            writer.append(EventTime(ts), name.as_bytes(), event.as_bytes(), &[]).unwrap();
        }
    }
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
    place
}
