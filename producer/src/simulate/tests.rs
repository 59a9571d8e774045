//! The events as a reader of the log sees them.

use std::collections::BTreeMap;

use partition_log::{Log, MemoryLog, RecordBuf};
use telemetry::Shutdown;
use types::{Event, EventTime, Millis, Offset, PartitionId, Value};

use super::*;
use crate::around::Surroundings;
use crate::cli::{OutputArgs, PlanArgs, WritingArgs};
use crate::rate::Rate;

const HOUR: i64 = Millis::HOUR.0;
const DAY: i64 = Millis::DAY.0;

fn setting(users: u32, days: u32) -> Setting {
    Setting { users, days, seed: 7, start: jiff::civil::date(2025, 1, 1) }
}

fn output(partitions: u32) -> OutputArgs {
    OutputArgs {
        to: "memory".into(),
        topic: "events".into(),
        partitions: Some(partitions),
        rate: Rate::Max,
        speed: None,
        ticks: PlanArgs::default(),
        writing: WritingArgs::default(),
        http: None,
        json: false,
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    kind: String,
    ts: EventTime,
    arrival: EventTime,
    json: String,
}

impl Seen {
    fn number(&self, field: &str) -> f64 {
        let mut event = Event::default();
        event.decode(self.json.as_bytes()).unwrap();
        match event.field(field) {
            Some(Value::Float(n)) => *n,
            Some(Value::Int(n)) => *n as f64,
            Some(Value::Money { minor, .. }) => *minor as f64,
            other => panic!("{field} is {other:?} in {}", self.json),
        }
    }
}

/// Events by user, in the order of the log; and every partition's records in order.
fn read(log: &dyn Log, partitions: u32) -> (BTreeMap<String, Vec<Seen>>, Vec<Vec<Seen>>) {
    let mut by_user: BTreeMap<String, Vec<Seen>> = BTreeMap::new();
    let mut by_partition = Vec::new();
    for partition in 0..partitions {
        let mut reader = log.reader("events", PartitionId(partition), Offset::ZERO).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
        let mut all = Vec::new();
        for record in records.iter() {
            let mut event = Event::default();
            event.decode(record.value).unwrap();
            let json = String::from_utf8(record.value.to_vec()).unwrap();
            let seen = Seen { kind: event.kind.to_string(), ts: event.ts, arrival: record.timestamp, json };
            if !record.key.is_empty() {
                assert_eq!(record.key, event.entity.as_bytes());
                by_user.entry(event.entity.to_string()).or_default().push(seen.clone());
            }
            all.push(seen);
        }
        by_partition.push(all);
    }
    (by_user, by_partition)
}

fn simulate(setting: Setting, partitions: u32) -> MemoryLog {
    let log = MemoryLog::new();
    let (totals, _, complete) =
        write(&log, setting, &output(partitions), None, &Surroundings::default()).unwrap();
    assert!(complete && totals.appended > 0);
    log
}

#[test]
fn the_service_is_believable() {
    let setting = setting(800, 120);
    let (users, partitions) = read(&simulate(setting, 3), 3);
    assert!((700..=800).contains(&users.len()), "{} users", users.len());
    let events: Vec<&Seen> = users.values().flatten().collect();

    let mut kinds: BTreeMap<&str, u32> = BTreeMap::new();
    for event in &events {
        *kinds.entry(&event.kind).or_default() += 1;
    }
    let expected = [
        "ad",
        "cancel",
        "payment_failed",
        "plan_change",
        "play",
        "renewal",
        "resubscribe",
        "search",
        "session",
        "signup",
        "ticket",
    ];
    assert_eq!(kinds.keys().copied().collect::<Vec<_>>(), expected);
    assert_eq!(kinds["signup"] as usize, users.len());
    let user_days = users.len() as f64 * 100.0;
    assert!((2.0..8.0).contains(&(events.len() as f64 / user_days)), "{kinds:?}");

    // Nights and weekdays are quieter than evenings and weekends, in a country of one time zone too.
    let sessions: Vec<i64> = events.iter().filter(|e| e.kind == "session").map(|e| e.ts.0).collect();
    let hours = |from: i64, to: i64| {
        sessions.iter().filter(|t| (from..to).contains(&(t.rem_euclid(DAY) / HOUR))).count()
    };
    assert!(hours(18, 22) > 2 * hours(4, 8), "{} {}", hours(18, 22), hours(4, 8));
    // 1 January 1970 was a Thursday.
    let weekday =
        |d: i64| sessions.iter().filter(|t| (t.div_euclid(DAY) + 3).rem_euclid(7) == d).count() as f64;
    assert!(weekday(5) > 1.2 * weekday(1), "Saturday {}, Tuesday {}", weekday(5), weekday(1));

    let plays: Vec<&&Seen> = events.iter().filter(|e| e.kind == "play").collect();
    let watched: f64 = plays.iter().map(|e| e.number("watch_s")).sum::<f64>() / plays.len() as f64;
    assert!((900.0..3_600.0).contains(&watched), "{watched} s a play");
    assert!(events.iter().filter(|e| e.kind == "renewal").all(|e| e.number("amount") > 100.0));

    let delays: Vec<i64> = events.iter().map(|e| e.arrival.since(e.ts).0).collect();
    assert!(delays.iter().all(|d| (0..DAY).contains(d)), "an event arrives after it happened, within a day");
    let late = delays.iter().filter(|d| **d >= HOUR).count() as f64 / delays.len() as f64;
    assert!((0.002..0.008).contains(&late), "{late} are late");

    for partition in &partitions {
        assert!(
            partition.windows(2).all(|pair| pair[0].arrival <= pair[1].arrival),
            "the log is in order of arrival"
        );
        assert!(partition.windows(2).any(|pair| pair[0].ts > pair[1].ts), "but not quite of time");
        assert!(partition.iter().all(|event| event.arrival < setting.end()));
    }
}

#[test]
fn a_life_begins_and_ends_as_it_should() {
    let (users, _) = read(&simulate(setting(800, 120), 1), 1);
    let mut returned = 0;
    let mut ids = std::collections::BTreeSet::new();
    for (name, events) in &users {
        let mut life: Vec<&Seen> = events.iter().collect();
        life.sort_by_key(|e| e.ts);
        assert_eq!(life[0].kind, "signup", "{name}");
        let mut gone = false;
        for event in life {
            match event.kind.as_str() {
                "resubscribe" => {
                    assert!(gone, "{name}: {event:?}");
                    gone = false;
                    returned += 1;
                }
                "cancel" => {
                    assert!(!gone);
                    gone = true;
                }
                _ => assert!(!gone, "{name} has left: {event:?}"),
            }
            let mut decoded = Event::default();
            decoded.decode(event.json.as_bytes()).unwrap();
            assert!(ids.insert(decoded.id.unwrap().into_owned()), "{event:?}");
        }
    }
    assert!(returned > 5, "{returned} returned");
}

#[test]
fn the_truth_is_of_the_users_on_the_log() {
    let setting = setting(200, 90);
    let (users, _) = read(&simulate(setting, 2), 2);
    let truth = truth::Truth::new(setting);
    let mut rows = Vec::new();
    for id in 0..setting.users {
        truth.user(id, &mut rows);
        let none = Vec::new();
        let events = users.get(&format!("u{id:07}")).unwrap_or(&none);
        let day_of = |e: &Seen| ((e.ts.0 - setting.first_midnight().0) / DAY) as u32;
        for row in &rows {
            let last = events
                .iter()
                .filter(|e| {
                    ["signup", "cancel", "resubscribe"].contains(&e.kind.as_str()) && day_of(e) <= row.day
                })
                .max_by_key(|e| e.ts);
            // An event of the last moments may not have arrived when the log ends.
            if row.day + 1 < setting.days {
                assert_eq!(row.alive.is_some(), last.is_some_and(|e| e.kind != "cancel"), "u{id}: {row:?}");
            }
        }
    }
}

#[test]
fn a_user_does_not_change_when_others_come_or_days_are_added() {
    let (few, _) = read(&simulate(setting(20, 30), 1), 1);
    let (many, _) = read(&simulate(setting(60, 45), 1), 1);
    for (name, events) in &few {
        assert_eq!(events[..], many[name][..events.len()], "{name}");
    }
}

#[test]
fn more_days_go_on_where_fewer_ended() {
    let log = simulate(setting(40, 30), 3);
    let (totals, ..) = write(&log, setting(40, 50), &output(3), None, &Surroundings::default()).unwrap();
    assert!(totals.held > 0 && totals.appended > 0);
    assert_eq!(read(&log, 3), read(&simulate(setting(40, 50), 3), 3));
}

#[test]
fn another_simulation_on_the_same_topic_is_refused() {
    let log = simulate(setting(30, 20), 2);
    let other = Setting { seed: 8, ..setting(30, 20) };
    let error = write(&log, other, &output(2), None, &Surroundings::default()).unwrap_err();
    assert!(matches!(error, SimulateError::OtherEvents { .. }), "{error}");
}

#[test]
fn a_stop_comes_at_the_end_of_a_batch_and_leaves_nothing_behind_when_run_again() {
    let log = MemoryLog::new();
    let stopped = Shutdown::new();
    stopped.request("test");
    let (totals, _, complete) =
        write(&log, setting(200, 20), &output(2), None, &Surroundings::new(stopped)).unwrap();
    assert!(!complete && (64..=1_024).contains(&totals.appended), "{totals:?}");
    write(&log, setting(200, 20), &output(2), None, &Surroundings::default()).unwrap();
    assert_eq!(read(&log, 2), read(&simulate(setting(200, 20), 2), 2));
}
