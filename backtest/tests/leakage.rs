//! Rows know nothing of the future, and what would is caught.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use backtest::{LabelledRows, Labels, Lost, Outcome, Triggers, audit, collect, current, suspects};
use feature_store::Spec;
use partition_log::{Log, MemoryLog, TopicConfig, partition_for};
use types::{Event, EventTime, Millis, PartitionId, Trigger};

const DAY: i64 = Millis::DAY.0;
const HOUR: i64 = Millis::HOUR.0;
const START: i64 = 19_000 * DAY;
const DAYS: i64 = 80;
const USERS: u64 = 240;

const SPEC: &str = r#"
version = 1
entity = "user"
[lifecycle]
end = ["cancel"]
[inputs.visits]
events = "visit"
[inputs.goodbyes]
events = "cancel_page"
[inputs.all]
[[features]]
input = ["visits", "goodbyes"]
ops = ["count", "recency"]
windows = ["7d", "30d"]
[[features]]
input = "all"
ops = "tenure"
windows = "all"
"#;

/// A number that looks random, of two numbers.
fn hash(a: u64, b: u64) -> u64 {
    let mut z = (a << 32 | b).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB) >> 11
}

/// Who did what when, in order of time: everybody visits, half leave, and who leaves has seen the page for it three days before.
fn events() -> Vec<(i64, String, &'static str)> {
    let mut all = Vec::new();
    for user in 0..USERS {
        let name = format!("u{user}");
        let end = if user % 2 == 0 { 25 + (hash(user, 1) % 50) as i64 } else { DAYS };
        for day in 0..end.min(DAYS) {
            for visit in 0..hash(user, 100 + day as u64) % 4 {
                let at = START + day * DAY + (hash(user, 1_000 + 4 * day as u64 + visit) % 86_000_000) as i64;
                all.push((at, name.clone(), "visit"));
            }
        }
        if end < DAYS {
            all.push((START + end * DAY - 3 * DAY, name.clone(), "cancel_page"));
            all.push((START + end * DAY, name, "cancel"));
        }
    }
    all.sort();
    all
}

/// Appends events, with a tick an hour after each midnight.
fn append(log: &MemoryLog, partitions: u32, events: &[(i64, String, &'static str)], until: i64) {
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> =
        (0..partitions).map(|partition| topic.partition(PartitionId(partition)).unwrap()).collect();
    let first = events.first().unwrap().0;
    let mut tick = (first + DAY - HOUR).div_euclid(DAY) * DAY;
    let mut write = |to: Option<&str>, kind: &str, ts: i64, arrival: i64| {
        let mut event = Event { kind: kind.into(), ts: EventTime(ts), ..Event::default() };
        if let Some(user) = to {
            event.entity_type = "user".into();
            event.entity = user.into();
        }
        let mut json = Vec::new();
        event.encode(&mut json);
        match to {
            Some(user) => {
                let partition = partition_for(user.as_bytes(), partitions).0 as usize;
                writers[partition].append(EventTime(arrival), user.as_bytes(), &json, &[]).unwrap();
            }
            None => writers.iter_mut().for_each(|writer| {
                writer.append(EventTime(arrival), b"", &json, &[]).unwrap();
            }),
        }
    };
    for (at, user, kind) in events {
        while tick + HOUR <= *at {
            write(None, "$tick", tick, tick + HOUR);
            tick += DAY;
        }
        write(Some(user), kind, *at, *at);
    }
    while tick + HOUR <= until {
        write(None, "$tick", tick, tick + HOUR);
        tick += DAY;
    }
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
}

fn log(partitions: u32) -> MemoryLog {
    let log = MemoryLog::new();
    let config = TopicConfig { partitions, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config).unwrap();
    log
}

fn spec() -> Arc<Spec> {
    Arc::new(Spec::from_toml(SPEC, Path::new("spec.toml")).unwrap())
}

fn labels() -> Labels {
    Labels {
        every: Millis(3 * DAY),
        implying: Vec::new(),
        ..Labels::by_events(Millis(10 * DAY), &["cancel"])
    }
}

fn rows(log: &MemoryLog, labels: &Labels) -> LabelledRows {
    collect(log, "events", &spec(), labels, |_| ()).unwrap()
}

type Seen = BTreeMap<(String, i64), (Vec<u32>, bool, i64, u32, &'static str)>;

/// Everything of rows that does not depend on the partitions.
fn seen(rows: &LabelledRows) -> Seen {
    let bits = |row: usize| rows.row(row).iter().map(|value| value.to_bits()).collect();
    let all: Seen = (0..rows.len())
        .map(|row| {
            let key = (rows.entities[row].clone(), rows.as_of[row].0);
            let decided = rows.decided_at[row].0;
            (key, (bits(row), rows.lost[row], decided, rows.weight[row].to_bits(), rows.trigger[row].name()))
        })
        .collect();
    assert_eq!(all.len(), rows.len());
    all
}

/// What the pipeline rejects did not happen: it neither decides labels nor moves the end of what is known.
#[test]
fn a_rejected_record_decides_nothing() {
    let all = events();
    let log = log(1);
    append(&log, 1, &all, START + DAYS * DAY);
    let before = rows(&log, &labels());
    let mut topic = log.writer("events").unwrap();
    let mut writer = topic.partition(PartitionId(0)).unwrap();
    // Far in the future; at the beginning of time; a departure that comes months too late.
    for (ts, kind) in [(START + 9_000 * DAY, "visit"), (0, "visit"), (START + 30 * DAY, "cancel")] {
        let mut json = Vec::new();
        let (entity_type, entity, kind) = ("user".into(), "u1".into(), kind.into());
        Event { entity_type, entity, kind, ts: EventTime(ts), ..Event::default() }.encode(&mut json);
        writer.append(EventTime(START + DAYS * DAY), b"u1", &json, &[]).unwrap();
    }
    writer.sync().unwrap();
    let after = rows(&log, &labels());
    assert_eq!(after.summary.rejected, before.summary.rejected + 3);
    assert_eq!(after.summary.undecided, before.summary.undecided);
    assert_eq!(seen(&after), seen(&before));
    assert!(before.summary.undecided > 100 && before.entities.iter().any(|user| user == "u1"));
}

#[test]
fn what_is_appended_later_changes_no_earlier_row() {
    let all = events();
    let cut = all.partition_point(|event| event.0 < START + 47 * DAY + 5 * HOUR);
    for per_day in [1, 100] {
        let labels = Labels { per_day, ..labels() };
        let log = log(2);
        append(&log, 2, &all[..cut], all[cut - 1].0);
        let before = rows(&log, &labels);
        append(&log, 2, &all[cut..], START + DAYS * DAY);
        let after = rows(&log, &labels);
        assert!(before.len() > 500 && after.len() > before.len() + 500, "{} {}", before.len(), after.len());
        let (before, after) = (seen(&before), seen(&after));
        for (key, row) in &before {
            assert_eq!(after.get(key), Some(row), "{key:?}");
        }
        let border = before.values().map(|row| row.2).max().unwrap();
        let of_before = after.values().filter(|row| row.2 <= border).count();
        assert_eq!(of_before, before.len(), "nor does it add one");
    }
}

#[test]
fn rows_do_not_depend_on_the_partitions_and_mix_the_triggers_as_live() {
    let all = events();
    let of = |partitions| {
        let log = log(partitions);
        append(&log, partitions, &all, START + DAYS * DAY);
        rows(&log, &labels())
    };
    let (one, three) = (of(1), of(3));
    assert_eq!(seen(&one), seen(&three));
    assert_eq!((&one.entities, &one.as_of), (&three.entities, &three.as_of), "the order too");
    let events = one.trigger.iter().filter(|trigger| **trigger == Trigger::Event).count() as f64;
    // Three visits in two days on average: of a day's 1 + n scores one is the sweep's.
    let expected = (0..4).map(|visits| f64::from(visits) / f64::from(visits + 1)).sum::<f64>() / 4.0;
    let share = events / one.len() as f64;
    assert!((share - expected).abs() < 0.03, "{share} of rows are of events, expected {expected}");
    assert!(one.weight.iter().all(|weight| *weight == 1.0), "one row of a user and day");

    // Each row knows its tick, of which each is due: the sweep's moment, and less than a day before an event's.
    assert_eq!(one.tick, three.tick);
    let ticks: BTreeSet<i64> = one.tick.iter().map(|tick| tick.0).collect();
    assert!(
        ticks.len() > 5 && ticks.iter().zip(ticks.iter().skip(1)).all(|(a, b)| b - a == 3 * DAY),
        "{ticks:?}"
    );
    for row in 0..one.len() {
        let since = one.as_of[row].since(one.tick[row]).0;
        match one.trigger[row] {
            Trigger::Sweep => assert_eq!(since, 0),
            Trigger::Event => assert!((0..DAY + DAY / 24).contains(&since), "{since}"),
        }
    }
}

#[test]
fn a_planted_peeking_feature_is_caught() {
    let log = log(2);
    append(&log, 2, &events(), START + DAYS * DAY);
    for triggers in [Triggers::Live, Triggers::Sweep, Triggers::Event] {
        let mut rows = rows(&log, &Labels { triggers, ..labels() });
        let honest = audit(&log, "events", &spec(), &rows, 80).unwrap();
        assert_eq!((honest.checked, honest.peeks.len()), (80, 0), "{:?}", honest.peeks.first());
        // The visits of the coming week instead of the past one.
        let mut visits: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for (at, user, _) in events().into_iter().filter(|event| event.2 == "visit") {
            visits.entry(user).or_default().push(at);
        }
        let column = rows.names.iter().position(|name| name == "visits_count_7d").unwrap();
        for row in 0..rows.len() {
            let (at, user) = (rows.as_of[row].0, &rows.entities[row]);
            let coming = visits[user].iter().filter(|visit| at < **visit && **visit <= at + 7 * DAY).count();
            let width = rows.names.len();
            rows.values[row * width + column] = coming as f32;
        }
        let caught = audit(&log, "events", &spec(), &rows, 80).unwrap();
        assert!(caught.peeks.len() > 40, "{} values differ", caught.peeks.len());
        assert!(caught.peeks.iter().all(|peek| peek.column == "visits_count_7d"));
    }
}

#[test]
fn a_planted_label_implying_event_is_caught_and_left_out_once_named() {
    let log = log(2);
    append(&log, 2, &events(), START + DAYS * DAY);
    let unnamed = rows(&log, &labels());
    let found: Vec<String> = suspects(&unnamed).into_iter().map(|suspect| suspect.column).collect();
    assert!(found.contains(&"goodbyes_count_7d".to_owned()), "{found:?}");
    assert!(!found.iter().any(|name| name.starts_with("visits")), "{found:?}");
    assert!(unnamed.excluded.is_empty());

    let mut named = labels();
    named.outcomes.insert(Outcome::CancelIntent, vec!["cancel_page".to_owned()]);
    named.implying = vec!["cancel".to_owned(), "cancel_page".to_owned()];
    let mut rows = rows(&log, &named);
    let names: Vec<&str> = rows.excluded_names().collect();
    assert_eq!(
        names,
        ["goodbyes_count_7d", "goodbyes_recency_7d", "goodbyes_count_30d", "goodbyes_recency_30d"]
    );
    rows.exclude();
    let excluded = rows.excluded.clone();
    for row in 0..rows.len() {
        assert!(excluded.iter().all(|column| rows.row(row)[*column].is_nan()));
    }
    assert!(suspects(&rows).is_empty(), "{:?}", suspects(&rows));
}

#[test]
fn who_leaves_within_the_lead_has_no_row_and_is_counted() {
    let log = log(2);
    append(&log, 2, &events(), START + DAYS * DAY);
    let plain = rows(&log, &labels());
    let lead = rows(&log, &Labels { lead: Millis(4 * DAY), ..labels() });
    assert!(lead.summary.left_within_lead > 50, "{:?}", lead.summary);
    assert_eq!(plain.summary.left_within_lead, 0);
    // Four days before they leave they have not seen the page yet.
    let column = lead.names.iter().position(|name| name == "goodbyes_count_7d").unwrap();
    let told = |rows: &LabelledRows| (0..rows.len()).filter(|row| rows.row(*row)[column] > 0.0).count();
    assert!(told(&plain) > 50 && told(&lead) == 0, "{} {}", told(&plain), told(&lead));
    let of = |row: usize| lead.decided_at[row].since(lead.as_of[row]);
    assert!((0..lead.len()).all(|row| of(row) == Millis(14 * DAY)));
}

/// A departure that the log tells of after the tick: the user had left by then, so there was nothing to foresee.
#[test]
fn who_had_left_already_has_not_stayed() {
    let sweeps = Labels { triggers: Triggers::Sweep, ..labels() };
    let mut all = events();
    let plain = log(2);
    append(&plain, 2, &all, START + DAYS * DAY);
    let before = rows(&plain, &sweeps);
    let of_u1 = |rows: &LabelledRows| {
        (0..rows.len())
            .filter(|row| rows.entities[*row] == "u1")
            .map(|row| (rows.as_of[row].0, rows.lost[row]))
            .collect::<BTreeMap<_, _>>()
    };
    let tick = *of_u1(&before).keys().find(|at| **at > START + 40 * DAY).unwrap();
    assert!(!of_u1(&before)[&tick], "the user stays");
    let behind = all.partition_point(|event| event.0 < tick + 2 * HOUR);
    all.insert(behind, (tick - HOUR, "u1".to_owned(), "cancel"));
    let late = log(2);
    append(&late, 2, &all, START + DAYS * DAY);
    let after = rows(&late, &sweeps);
    assert_eq!((after.summary.gone_unseen, before.summary.gone_unseen), (1, 0));
    let after = of_u1(&after);
    assert!(!after.contains_key(&tick), "{after:?}");
    let earlier = tick - 3 * DAY;
    assert!(after[&earlier], "three days before that it was to be foreseen: {after:?}");
}

/// Who asked to be forgotten is neither learnt from nor taken for somebody who fell silent.
#[test]
fn nothing_is_learnt_from_who_was_erased() {
    let silence = Labels { lost: Lost::Silence(Vec::new()), triggers: Triggers::Sweep, ..labels() };
    let mut all = events();
    let plain = log(2);
    append(&plain, 2, &all, START + DAYS * DAY);
    let before = rows(&plain, &silence);
    let until = START + 45 * DAY + 2 * HOUR;
    all.retain(|event| event.1 != "u1" || event.0 < until);
    let at = all.partition_point(|event| event.0 < until);
    all.insert(at, (until, "u1".to_owned(), "$erase"));
    let erased = log(2);
    append(&erased, 2, &all, START + DAYS * DAY);
    let after = rows(&erased, &silence);
    assert!(after.summary.erased > 5, "{:?}", after.summary);
    let mut others = seen(&before);
    others.retain(|key, _| key.0 != "u1");
    assert_eq!(seen(&after), others);
    let hash = xxhash_rust::xxh3::xxh3_64(b"u1");
    assert!(before.swept.users.contains(&hash) && !after.swept.users.contains(&hash));
}

/// What the sweeps saw is there whatever the labels take, and each user as often as it was swept.
#[test]
fn what_sweeps_saw_is_kept_apart() {
    let log = log(2);
    append(&log, 2, &events(), START + DAYS * DAY);
    let sweeps = rows(&log, &Labels { triggers: Triggers::Sweep, min_history: Millis(0), ..labels() });
    for triggers in [Triggers::Live, Triggers::Event] {
        let rows = rows(&log, &Labels { triggers, ..labels() });
        let (ours, theirs) = (&rows.swept, &sweeps.swept);
        assert_eq!((&ours.users, &ours.as_of), (&theirs.users, &theirs.as_of));
        // More than those with a label: also users who are new, and the last days.
        assert!(ours.users.len() > sweeps.len(), "{} {}", ours.users.len(), sweeps.len());
        assert_eq!(ours.values.len(), ours.users.len() * rows.names.len());
    }
}

/// Whoever is gone is not among the users as they stand, though nobody else of the partition is left.
#[test]
fn who_left_is_not_a_user_as_they_stand() {
    // One lives; one left before the newest tick, one after it; one was erased after it.
    let tick = START + 10 * DAY;
    let mut all = Vec::new();
    for user in 0..40 {
        all.push((tick - 2 * DAY + 2 * HOUR, format!("u{user}"), "visit"));
    }
    let end = |at: i64, user: usize, kind: &'static str| (at, format!("u{user}"), kind);
    all.extend((10..20).map(|user| end(tick - DAY + 2 * HOUR, user, "cancel")));
    all.extend((20..30).map(|user| end(tick + 2 * HOUR, user, "cancel")));
    all.extend((30..40).map(|user| end(tick + 2 * HOUR, user, "$erase")));
    // So many partitions that some hold only users who left.
    let log = log(32);
    append(&log, 32, &all, tick + 2 * HOUR);
    let current = current(&log, "events", &spec(), |_| ()).unwrap();
    let mut expected: Vec<String> = (0..10).map(|user| format!("u{user}")).collect();
    expected.sort();
    assert_eq!(current.entities, expected);
    assert!(current.as_of.iter().all(|at| at.0 == tick));
}
