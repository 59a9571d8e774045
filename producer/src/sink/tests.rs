use partition_log::conformance::Mortal;
use partition_log::{MemoryLog, RecordBuf, Retention};
use proptest::prelude::*;
use types::{Offset, SystemEvent};

use super::*;

/// An event of the tests: who, when, and how much later it arrived.
type Made = (u8, i64, i64);

pub(super) fn config(source: &str, partitions: u32) -> SinkConfig {
    let ticks = TickPlan::default();
    let (topic, entity_type) = ("events".to_owned(), "user".to_owned());
    let sources = vec![source.to_owned()];
    SinkConfig { topic, partitions: Some(partitions), entity_type, ticks, sources, former: Vec::new() }
}

/// Runs a source over the log; returns at the first failure.
fn run(
    log: &dyn Log,
    config: &SinkConfig,
    events: &[Made],
    until: Option<EventTime>,
) -> Result<SinkTotals, SinkError> {
    run_in(&Surroundings::default(), log, config, events, until)
}

fn run_in(
    around: &Surroundings,
    log: &dyn Log,
    config: &SinkConfig,
    events: &[Made],
    until: Option<EventTime>,
) -> Result<SinkTotals, SinkError> {
    let mut sink = EventSink::open(log, config, around)?;
    for (i, (user, ts, delay)) in events.iter().enumerate() {
        let entity = format!("u{user}");
        let (entity_type, kind, ts) = ("user".into(), "play".into(), EventTime(*ts));
        let event = Event { entity_type, entity: entity.into(), kind, ts, id: None, fields: Vec::new() };
        sink.append(&event, ts.plus(Millis(*delay)), i.to_string().as_bytes())?;
    }
    if let Some(until) = until {
        sink.flush_ticks_until(until)?;
    }
    sink.finish(true)
}

#[derive(Debug, Clone, PartialEq)]
struct Stored {
    timestamp: EventTime,
    key: Vec<u8>,
    value: Vec<u8>,
    source: Option<Vec<u8>>,
}

impl Stored {
    /// The tick that it is, if it is one.
    fn tick(&self) -> Option<EventTime> {
        let mut event = Event::default();
        event.decode(&self.value).unwrap();
        (event.system() == Ok(Some(SystemEvent::Tick))).then_some(event.ts)
    }
}

fn stored(log: &dyn Log, partition: u32) -> Vec<Stored> {
    let start = log.bounds("events", PartitionId(partition)).unwrap().start;
    let mut reader = log.reader("events", PartitionId(partition), start).unwrap();
    let mut records = RecordBuf::default();
    while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
    let source = |r: &partition_log::Record<'_>| r.header(types::headers::SOURCE).map(<[u8]>::to_vec);
    records
        .iter()
        .map(|r| Stored {
            timestamp: r.timestamp,
            key: r.key.to_vec(),
            value: r.value.to_vec(),
            source: source(&r),
        })
        .collect()
}

const DAY: i64 = Millis::DAY.0;

fn events() -> impl Strategy<Value = Vec<Made>> {
    // Mostly in order, an hour or so apart, some late, some with a jump of days.
    let step =
        (0..12_u8, prop_oneof![8 => 0..2 * Millis::HOUR.0, 1 => 0..3 * DAY], 0..10 * Millis::HOUR.0, 0..5_u8);
    prop::collection::vec(step, 1..300).prop_map(|steps| {
        let mut now = 1040 * DAY;
        steps
            .into_iter()
            .map(|(user, step, late, is_late)| {
                now += step;
                let late = if is_late == 0 { late } else { 0 };
                (user, now - late, late)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What the module says of ticks, said again as plainly as can be.
    #[test]
    fn every_tick_stands_once_in_every_partition_just_before_the_first_event_that_passes_it(
        events in events(), partitions in 1..5_u32,
    ) {
        let log = MemoryLog::new();
        run(&log, &config("s", partitions), &events, None).unwrap();
        let newest = events.iter().map(|e| e.1).max().unwrap();
        let first_tick = (events[0].1 - Millis::HOUR.0).div_euclid(DAY) * DAY;
        let ticks: Vec<i64> =
            (0..).map(|n| first_tick + n * DAY).take_while(|t| t + Millis::HOUR.0 <= newest).collect();
        for partition in 0..partitions {
            let mut expected = Vec::new();
            let mut next = ticks.iter().peekable();
            for (i, (user, ts, _)) in events.iter().enumerate() {
                while let Some(tick) = next.next_if(|tick| ts - Millis::HOUR.0 >= **tick) {
                    expected.push(format!("tick {tick}"));
                }
                if partition_for(format!("u{user}").as_bytes(), partitions).0 == partition {
                    expected.push(format!("s:{i}"));
                }
            }
            let found: Vec<_> = stored(&log, partition).iter().map(|r| match r.tick() {
                Some(tick) => format!("tick {tick}"),
                None => String::from_utf8(r.source.clone().unwrap()).unwrap(),
            }).collect();
            prop_assert_eq!(found, expected);
        }
    }

    /// Killed again and again, anywhere: in the end the log is that of one run.
    #[test]
    fn what_is_killed_and_run_again_leaves_the_log_of_one_run(
        events in events(), partitions in 1..5_u32, kills in prop::collection::vec(0..400_u64, 1..6),
    ) {
        let until = Some(EventTime(events.iter().map(|e| e.1).max().unwrap() + 3 * DAY));
        let whole = MemoryLog::new();
        run(&whole, &config("s", partitions), &events, until).unwrap();

        let mortal = Mortal::new(std::sync::Arc::new(MemoryLog::new()));
        for kill in kills {
            mortal.live_for(u64::MAX);
            let before = on_log(&mortal, partitions);
            mortal.live_for(kill);
            let around = Surroundings::default();
            let _ = run_in(&around, &mortal, &config("s", partitions), &events, until);
            mortal.live_for(u64::MAX);
            prop_assert!(counted(&around) <= on_log(&mortal, partitions) - before, "a number shown is a number measured");
        }
        let around = Surroundings::default();
        let totals = run_in(&around, &mortal, &config("s", partitions), &events, until).unwrap();
        prop_assert_eq!(totals.appended + totals.held, events.len() as u64);
        prop_assert_eq!(counted(&around), totals.appended);
        for partition in 0..partitions {
            prop_assert_eq!(stored(&mortal, partition), stored(&whole, partition));
        }
        let again = run(&mortal, &config("s", partitions), &events, until).unwrap();
        prop_assert_eq!(again, SinkTotals { appended: 0, held: events.len() as u64, tick_records: 0 });
    }

    /// With as few records left as a producer can find its place by; often there is no tick among them.
    #[test]
    fn what_retention_removed_is_not_written_again(
        events in events(), partitions in 1..5_u32, share in 0.0..1.0_f64,
    ) {
        let whole = MemoryLog::new();
        run(&whole, &config("s", partitions), &events, None).unwrap();
        let log = MemoryLog::new();
        let first = 1 + ((events.len() - 1) as f64 * share) as usize;
        run(&log, &config("s", partitions), &events[..first], None).unwrap();
        for id in 0..partitions {
            let newest = stored(&log, id).iter().rposition(|record| record.source.is_some());
            let floor = newest.map_or(Offset::ZERO, |at| Offset(at as u64));
            let keep = partition_log::Retention { oldest: None, max_bytes: Some(0) };
            log.retain("events", PartitionId(id), &keep, floor).unwrap();
        }
        run(&log, &config("s", partitions), &events, None).unwrap();
        for id in 0..partitions {
            let start = log.bounds("events", PartitionId(id)).unwrap().start.0 as usize;
            prop_assert_eq!(&stored(&log, id)[..], &stored(&whole, id)[start..]);
        }
    }
}

/// How many events the log shows.
fn on_log(log: &dyn Log, partitions: u32) -> u64 {
    if log.topic("events").unwrap().is_none() {
        return 0;
    }
    (0..partitions).map(|id| stored(log, id).iter().filter(|r| r.tick().is_none()).count() as u64).sum()
}

/// How many the run says that it produced.
fn counted(around: &Surroundings) -> u64 {
    let numbers = around.numbers();
    let line = numbers.lines().find_map(|l| l.strip_prefix("churn_events_produced_total{topic=\"events\"} "));
    line.map_or(0, |n| n.parse().unwrap())
}

fn ticks(log: &dyn Log, partition: u32) -> Vec<i64> {
    stored(log, partition).iter().filter_map(Stored::tick).map(|t| t.0 / DAY).collect()
}

#[test]
fn a_second_source_goes_on_with_the_ticks_of_the_first() {
    let log = MemoryLog::new();
    let at = |day: i64, hour: i64| (1, day * DAY + hour * Millis::HOUR.0, 0);
    run(&log, &config("a", 2), &[at(1100, 12), at(1101, 12)], None).unwrap();
    run(&log, &config("b", 2), &[at(1101, 13), at(1104, 2)], None).unwrap();
    for partition in 0..2 {
        assert_eq!(ticks(&log, partition), [1100, 1101, 1102, 1103, 1104]);
    }
    let sink = EventSink::open(&log, &config("c", 2), &Surroundings::default()).unwrap();
    assert!(sink.has_other_sources() && !sink.is_resuming());
    drop(sink);
    let sink = EventSink::open(&log, &config("a", 2), &Surroundings::default()).unwrap();
    assert!(sink.is_resuming());
}

#[test]
fn what_a_producer_looks_for_when_it_goes_on_is_needed() {
    let log = MemoryLog::new();
    let of_partition =
        |id| (0..).find(|n: &u8| partition_for(format!("u{n}").as_bytes(), 2).0 == id).unwrap();
    let (silent, busy) = (of_partition(0), of_partition(1));
    let at = |user, day: i64| (user, day * DAY + Millis::HOUR.0, 0);
    let mut events = vec![at(silent, 1100), at(silent, 1100)];
    events.extend((1100..1110).map(|day| at(busy, day)));
    run(&log, &config("a", 2), &events, None).unwrap();
    let needed = |id| needed_from(&log, "events", PartitionId(id)).unwrap();
    assert_eq!(stored(&log, 0)[2].source.as_deref(), Some(&b"a:1"[..]));
    assert_eq!(needed(0), Offset(2), "its newest event, whatever ticks came since");
    let end = stored(&log, 1).len() as u64;
    assert_eq!(needed(1), Offset(end - 2), "the newest tick stands before the newest event");
    let other =
        partition_log::TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("none", &other).unwrap();
    assert_eq!(needed_from(&log, "none", PartitionId(0)).unwrap(), Offset::ZERO);
}

#[test]
fn a_time_that_cannot_be_right_passes_no_tick() {
    let log = MemoryLog::new();
    let sane = 1100 * DAY + Millis::HOUR.0;
    let far = (2, 6_000 * DAY, -4_900 * DAY + Millis::HOUR.0);
    let events = [
        (1, 20 * DAY, 0),
        (1, sane, 0),
        far,
        (1, i64::MAX, 0),
        (1, i64::MIN, 0),
        (1, 1_700_000_000, 0),
        (1, sane + 10, 0),
    ];
    run(&log, &config("a", 1), &events, None).unwrap();
    assert_eq!(ticks(&log, 0), [1100]);
    assert_eq!(stored(&log, 0).len(), 8);
}

#[test]
fn a_source_that_changed_is_noticed() {
    let log = MemoryLog::new();
    run(&log, &config("a", 1), &[(1, DAY, 0), (2, DAY, 0), (3, DAY, 0)], None).unwrap();
    let error = run(&log, &config("a", 1), &[(1, DAY, 0), (2, DAY, 0)], None).unwrap_err();
    assert!(error.to_string().contains("`a:2`"), "{error}");
}

#[test]
fn a_topic_of_another_shape_is_refused() {
    let log = MemoryLog::new();
    run(&log, &config("a", 2), &[(1, DAY, 0)], None).unwrap();
    assert!(EventSink::open(&log, &config("a", 3), &Surroundings::default()).is_err());
    let as_it_is = SinkConfig { partitions: None, ..config("a", 0) };
    assert_eq!(EventSink::open(&log, &as_it_is, &Surroundings::default()).unwrap().topic().partitions, 2);
}

#[test]
fn a_source_whose_records_were_removed_from_a_partition_is_not_written_again() {
    let log = MemoryLog::new();
    let events = |from: i64, count: i64| -> Vec<Made> {
        (from..from + count).map(|i| ((i % 8) as u8, i * 1_000, 0)).collect()
    };
    let (short, long) = (config("short", 2), config("long", 2));
    run(&log, &short, &events(0, 16), None).unwrap();
    run(&log, &long, &events(100, 200), None).unwrap();
    let everything = Retention { oldest: None, max_bytes: Some(0) };
    let floor = needed_from(&log, "events", PartitionId(0)).unwrap();
    log.retain("events", PartitionId(0), &everything, floor).unwrap();
    assert_eq!(run(&log, &long, &events(100, 300), None).unwrap().held, 200, "the newest one goes on");
    let error = run(&log, &short, &events(0, 16), None).unwrap_err();
    assert!(matches!(&error, SinkError::Removed { partition: PartitionId(0), .. }), "{error}");
    assert!(run(&log, &config("other", 2), &events(0, 16), None).is_ok(), "one that the log has nothing of");
    // What is younger than all that was removed was not among it.
    let users = |of: u32| move |made: &Made| partition_for(format!("u{}", made.0).as_bytes(), 2).0 == of;
    let elsewhere: Vec<Made> = events(400, 16).into_iter().filter(users(1)).collect();
    let small = config("small", 2);
    run(&log, &small, &elsewhere, None).unwrap();
    let more: Vec<Made> = events(500, 8).into_iter().filter(users(0)).collect();
    let whole = [&elsewhere[..], &more].concat();
    assert_eq!(run(&log, &small, &whole, None).unwrap().appended, more.len() as u64);
}

/// An import that was begun under the name by which earlier versions knew its file goes on under it.
#[test]
fn a_source_goes_on_under_the_name_by_which_the_log_knows_it() {
    let log = MemoryLog::new();
    let events: Vec<Made> = (0..100).map(|i| (i as u8 % 9, i * 1_000, 0)).collect();
    let old = config("x.csv", 2);
    run(&log, &old, &events[..60], None).unwrap();
    let new = SinkConfig {
        sources: vec!["/data/x.csv".to_owned()],
        former: vec![("x.csv".to_owned(), 0), ("./x.csv".to_owned(), 0)],
        ..old
    };
    let totals = run(&log, &new, &events, None).unwrap();
    assert_eq!((totals.held, totals.appended), (60, 40));
    let sourced = (0..2).flat_map(|partition| stored(&log, partition)).filter_map(|record| record.source);
    let sourced: Vec<Vec<u8>> = sourced.collect();
    assert_eq!(sourced.len(), 100);
    assert!(sourced.iter().all(|source| source.starts_with(b"x.csv:")));
    // One that it does not know has its own name.
    let other =
        SinkConfig { sources: vec!["/data/y.csv".to_owned()], former: vec![("y.csv".to_owned(), 0)], ..new };
    assert_eq!(run(&log, &other, &events, None).unwrap().appended, 100);
    assert!(
        stored(&log, 0).iter().any(|r| r.source.as_ref().is_some_and(|s| s.starts_with(b"/data/y.csv:")))
    );
}
