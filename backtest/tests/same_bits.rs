//! One feature vector, three ways to it: read from a running consumer, replayed as of a moment and a position, and as a
//! training row. All have the same bits, and what is appended later changes none of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../consumer/tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backtest::{AsOfRequest, LabelledRows, Labels, Triggers, collect, features_as_of};
use consumer::{FeatureReading, ReadStatus, SCORES, Surroundings};
use partition_log::{FileLog, Log, LogOptions, partition_for};
use scorer::Schedule;
use support::random::Random;
use support::stream::{Appender, DAY, HOUR, Outgoing, Shape};
use support::{EVENTS, World, compare, stream};
use types::{Event, EventTime, Millis, Offset, PartitionId, Score, Trigger, Value};

const PARTITIONS: u32 = 3;
const SHAPE: Shape = Shape { users: 150, days: 20, empty: (2, PARTITIONS) };

/// A user at a moment.
type Moment = (String, EventTime);

fn bits(values: impl IntoIterator<Item = f32>) -> Vec<u32> {
    // There is one missing value, whatever the bits of its NaN.
    values.into_iter().map(|value| if value.is_nan() { u32::MAX } else { value.to_bits() }).collect()
}

fn bits_of(reading: &FeatureReading) -> Vec<u32> {
    bits(reading.features.iter().map(|(_, value)| value.unwrap_or(f32::NAN)))
}

fn rows_by_moment(rows: &LabelledRows) -> BTreeMap<Moment, Vec<u32>> {
    let width = rows.names.len();
    let moments = rows.entities.iter().cloned().zip(rows.as_of.iter().copied());
    let all: BTreeMap<_, _> =
        moments.zip(rows.values.chunks(width).map(|row| bits(row.iter().copied()))).collect();
    assert_eq!(all.len(), rows.as_of.len(), "a user has one row at a moment");
    all
}

/// Where each tick stands in each partition.
fn ticks(log: &dyn Log) -> BTreeMap<(PartitionId, EventTime), Offset> {
    let mut all = BTreeMap::new();
    for (partition, records) in compare::records(log, EVENTS).into_iter().enumerate() {
        for record in records.iter().filter(|record| record.value.windows(5).any(|word| word == b"$tick")) {
            let tick: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
            all.insert(
                (PartitionId(partition as u32), EventTime(tick["ts"].as_i64().unwrap())),
                record.offset,
            );
        }
    }
    all
}

fn replayed(
    world: &World,
    log: &dyn Log,
    entity: &str,
    as_of: Option<EventTime>,
    position: Option<Offset>,
) -> FeatureReading {
    let request = AsOfRequest { entity: entity.to_owned(), as_of, position };
    features_as_of(log, EVENTS, &world.spec, &request).unwrap()
}

fn labelled(world: &World, log: &dyn Log) -> BTreeMap<Moment, Vec<u32>> {
    let labels = Labels {
        every: Millis::DAY,
        triggers: Triggers::Sweep,
        min_history: Millis(0),
        ..Labels::by_events(Millis::DAY, &["cancel"])
    };
    rows_by_moment(&collect(log, EVENTS, &world.spec, &labels, |_| ()).unwrap())
}

/// A stream in two halves. The second begins with an event of each user that tells of the time before it.
fn halves(seed: u64) -> (Vec<Outgoing>, Vec<Outgoing>) {
    let mut first = stream::make(seed, SHAPE);
    let rest = first.split_off(first.len() / 2);
    let border = first.last().unwrap().arrival.0;
    let mut random = Random::new(seed);
    let late = stream::users(SHAPE).into_iter().map(|user| {
        let event = Event {
            entity_type: "user".into(),
            entity: user.into(),
            kind: "play".into(),
            ts: EventTime(border - random.between(HOUR, 24 * HOUR)),
            id: None,
            fields: vec![("watch_s".into(), Value::Float(77.7)), ("finished".into(), Value::Bool(true))],
        };
        Outgoing::event(&event, border)
    });
    let second = late.chain(rest).collect();
    (first, second)
}

#[test]
fn live_and_replayed_features_are_the_same_bits() {
    let seed = support::seed();
    let world = World::new(seed);
    drop(world.registry("registry"));
    let log = FileLog::new(world.dir().join("log"), LogOptions::default());
    stream::create(&log, PARTITIONS);
    let mut appender = Appender::new(&log);
    let mut options = world.options("store", "registry");
    options.until_end = false;
    options.http = Some("127.0.0.1:0".parse().unwrap());
    options.scaling.every = Duration::from_millis(20);
    options.state.memory = 50 << 10;
    options.state.snapshot_interval = Duration::from_millis(50);
    let (log, around): (Arc<dyn Log>, _) = (Arc::new(log), Surroundings::new());
    let running = {
        let (options, log, around) = (options.clone(), Arc::clone(&log), around.clone());
        std::thread::spawn(move || consumer::run(&options, &log, &around))
    };

    let (first, second) = halves(seed);
    let mut random = Random::new(seed);
    let mut read = Vec::new();
    for part in [&first, &second] {
        appender.append(part);
        wait_for_end(log.as_ref(), &around);
        let address = consumer::address_of(&options.store).unwrap();
        let users = stream::users(SHAPE);
        for _ in 0..60 {
            let entity = random.pick(&users);
            let newest = part.last().unwrap().arrival.0;
            let as_of = [None, Some(newest), Some(newest - 30 * HOUR), Some(newest + 9 * DAY)]
                [random.below(4) as usize];
            read.extend(ask(&address, entity, as_of));
        }
    }
    around.shutdown.request("the test is done");
    running.join().unwrap().unwrap();

    let present = read.iter().filter(|reading| reading.status == ReadStatus::Present).count();
    assert!(present > 60, "{present} of {}", read.len());
    assert!(read.iter().any(|reading| reading.approximate), "a user with compacted events");
    for live in &read {
        // The readings of the first half too: what was appended since changes nothing.
        let replayed = replayed(&world, log.as_ref(), &live.entity, live.as_of, Some(live.position));
        assert_eq!(bits_of(live), bits_of(&replayed), "{live:?}\n{replayed:?}");
        let rest =
            |r: &FeatureReading| (r.status, r.as_of, r.newest_event, r.living, r.approximate, r.partition);
        assert_eq!(rest(live), rest(&replayed), "{}", live.entity);
    }
}

fn wait_for_end(log: &dyn Log, around: &Surroundings) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let ends: Vec<_> = (0..PARTITIONS).map(|p| log.bounds(EVENTS, PartitionId(p)).unwrap().end).collect();
    loop {
        let partitions = around.status.read().partitions;
        if partitions.len() == ends.len() && partitions.iter().zip(&ends).all(|(p, end)| p.committed == *end)
        {
            return;
        }
        assert!(Instant::now() < deadline, "waited in vain: {partitions:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a consumer says; nothing for a moment that lies too far behind the user's newest event for state to know.
fn ask(address: &str, entity: &str, as_of: Option<i64>) -> Option<FeatureReading> {
    let escaped: String = entity.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let query = as_of.map_or_else(String::new, |as_of| format!("?as_of={as_of}"));
    let url = format!("{address}/v1/users/{escaped}/features{query}");
    let mut answer = ureq::get(&url).config().http_status_as_error(false).build().call().unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    if answer.status().as_u16() == 422 {
        assert!(text.contains("state does not reach back"), "{text}");
        return None;
    }
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{url}: {error}: {text}")))
}

#[test]
fn training_rows_are_what_live_sweeps_saw_and_never_change() {
    let seed = support::seed();
    let world = World::new(seed);
    let registry = world.registry("registry");
    world.promote(&registry, SHAPE.days / 2);
    let log = FileLog::new(world.dir().join("log"), LogOptions::default());
    stream::create(&log, PARTITIONS);
    let mut appender = Appender::new(&log);
    let (first, second) = halves(seed);
    appender.append(&first);
    let log: Arc<dyn Log> = Arc::new(log);
    let before = labelled(&world, log.as_ref());
    assert!(before.len() > 300, "{}", before.len());

    // As replayed, user by user.
    let ticks = ticks(log.as_ref());
    for ((entity, as_of), row) in before.iter().step_by(7) {
        let partition = partition_for(entity.as_bytes(), PARTITIONS);
        let position = ticks[&(partition, *as_of)];
        let replayed = replayed(&world, log.as_ref(), entity, Some(*as_of), Some(position));
        assert_eq!(row, &bits_of(&replayed), "{entity} as of {as_of}");
    }

    // As scored: the model gives the row the very margin that the sweep wrote.
    consumer::run(&world.options("store", "registry"), &log, &Surroundings::new()).unwrap();
    let schedule = Schedule::load(&world.registry_path("registry")).unwrap();
    let mut scored = 0;
    for record in compare::records(log.as_ref(), SCORES).into_iter().flatten() {
        let score = Score::decode(&record.value).unwrap();
        let Some(row) =
            before.get(&(score.entity.clone(), score.as_of)).filter(|_| score.trigger == Trigger::Sweep)
        else {
            continue;
        };
        let row: Vec<f32> = row.iter().map(|bits| f32::from_bits(*bits)).collect();
        let bundle = schedule.champion(score.as_of);
        let mut margin = [0.0];
        bundle.predictor().margins(&row, &mut margin, &mut bundle.predictor().scratch());
        assert_eq!(margin[0].to_bits(), score.margin.to_bits(), "{score:?}");
        scored += 1;
    }
    assert_eq!(scored, before.len(), "every row was swept live");

    // What comes later, late events among it, changes no row that was there.
    appender.append(&second);
    let after = labelled(&world, log.as_ref());
    assert!(after.len() > before.len());
    let mut left_out = 0;
    for (moment, row) in &before {
        match after.get(moment) {
            Some(still) => assert_eq!(row, still, "{moment:?}"),
            // Only who is erased since, or turns out to have left before the row, has no row any more.
            None => {
                assert!(second.iter().any(|record| unmakes(record, moment)), "{moment:?}");
                left_out += 1;
            }
        }
    }
    assert!(left_out < before.len() / 4, "{left_out} of {} rows are gone", before.len());
    // Who looks with today's knowledge does see something else.
    let told = before.iter().step_by(7).filter(|((entity, as_of), row)| {
        **row != bits_of(&replayed(&world, log.as_ref(), entity, Some(*as_of), None))
    });
    assert!(told.count() > 0, "the late events would have changed rows");
}

/// Whether a record erases the user of a row, or says late that the user had left by then.
fn unmakes(record: &Outgoing, (entity, as_of): &Moment) -> bool {
    if record.key != entity.as_bytes() {
        return false;
    }
    let Ok(event) = serde_json::from_slice::<serde_json::Value>(&record.value) else { return false };
    match event["type"].as_str() {
        Some("$erase") => true,
        Some("cancel") => event["ts"].as_i64().is_some_and(|ts| ts <= as_of.0),
        _ => false,
    }
}

/// State keeps the longest window and the lateness; a moment before that is read from the log alone.
#[test]
fn a_moment_long_ago_is_read_as_it_was() {
    use feature_store::Spec;
    use partition_log::MemoryLog;
    let text = r#"
        version = 1
        entity = "user"
        [inputs.plays]
        events = "play"
        value = "n"
        scale = 0
        [[features]]
        input = "plays"
        ops = ["count", "last", "recency"]
        windows = ["7d", "all"]
    "#;
    let spec = Arc::new(Spec::from_toml(text, std::path::Path::new("s.toml")).unwrap());
    let log = MemoryLog::new();
    stream::create(&log, 1);
    let begin = stream::BEGIN.0;
    let day = |n: i64| {
        let event = Event {
            entity_type: "user".into(),
            entity: "u".into(),
            kind: "play".into(),
            ts: EventTime(begin + n * DAY),
            id: None,
            fields: vec![("n".into(), Value::Int(n))],
        };
        // The 50th is accepted though it comes 12 hours late; the second one comes too late for the user as known then.
        Outgoing::event(&event, begin + n * DAY)
    };
    let mut records: Vec<_> = (0..100).map(day).collect();
    records.swap(50, 51);
    records.insert(60, day(1));
    Appender::new(&log).append(&records);
    let at = |n: i64| {
        let request = AsOfRequest {
            entity: "u".into(),
            as_of: Some(EventTime(begin + n * DAY + HOUR)),
            position: None,
        };
        let reading = features_as_of(&log, EVENTS, &spec, &request).unwrap();
        assert_eq!(reading.status, ReadStatus::Present);
        let value = |name: &str| reading.features.iter().find(|(n, _)| n == name).unwrap().1.unwrap();
        [value("plays_count_7d"), value("plays_last_7d"), value("plays_count_all"), value("plays_last_all")]
    };
    for n in [3, 20, 50, 51, 70, 98, 99] {
        let (days, count) = (n as f32, (n + 1).min(7) as f32);
        assert_eq!(at(n), [count, days, days + 1.0, days], "as of day {n}");
    }
}
