//! A promotion holds from its moment for every score, or came too late and never holds: running, restarted or killed.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consumer::{ConsumerError, ConsumerOptions, SCORES, Surroundings};
use partition_log::{FileLog, Log, LogOptions, MemoryLog};
use support::stream::{Appender, BEGIN, DAY, Outgoing, Shape};
use support::{World, compare, stream};
use types::EventTime;

const PARTITIONS: u32 = 3;

fn make(world_seed: u64) -> Vec<Outgoing> {
    stream::make(world_seed, Shape { users: 150, days: 16, empty: (2, PARTITIONS) })
}

fn log_with(records: &[Outgoing]) -> Arc<dyn Log> {
    let log = MemoryLog::new();
    stream::create(&log, PARTITIONS);
    Appender::new(&log).append(records);
    Arc::new(log)
}

/// The models' hashes that made scores before a day and from it on.
fn models(log: &dyn Log, day: i64) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut before, mut after) = (BTreeSet::new(), BTreeSet::new());
    for score in compare::records(log, SCORES).into_iter().flatten() {
        let text = String::from_utf8_lossy(&score.value).into_owned();
        let model = text.split("\"model\":").nth(1).unwrap()[..18].to_owned();
        let side = if score.timestamp < EventTime(BEGIN.0 + day * DAY) { &mut before } else { &mut after };
        side.insert(model);
    }
    (before, after)
}

fn split(records: &[Outgoing], day: i64) -> (&[Outgoing], &[Outgoing]) {
    let at = records.iter().position(|record| record.arrival.0 >= BEGIN.0 + day * DAY).unwrap();
    records.split_at(at)
}

#[test]
fn what_was_scored_before_a_restart_is_not_promoted_over() {
    let world = World::new(support::seed());
    let records = make(support::seed());
    let (first, rest) = split(&records, 9);
    let log = log_with(first);
    let registry = world.registry("registry");
    let options = world.options("store", "registry");
    consumer::run(&options, &log, &Surroundings::new()).unwrap();

    // The day lies behind the newest score, and nothing runs that could refuse it.
    world.promote(&registry, 4);
    Appender::new(log.as_ref()).append(rest);
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    let (before, after) = models(log.as_ref(), 4);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_eq!(before, after, "the champion of the first run goes on");

    // A later start, with nothing new to see, keeps to it as well.
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    assert_eq!(models(log.as_ref(), 4).1, before);
}

#[test]
fn a_promotion_ahead_of_the_scores_is_taken_up_by_the_next_start() {
    let world = World::new(support::seed());
    let records = make(support::seed());
    let (first, rest) = split(&records, 6);
    let log = log_with(first);
    let registry = world.registry("registry");
    let options = world.options("store", "registry");
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    world.promote(&registry, 12);
    Appender::new(log.as_ref()).append(rest);
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    let (before, after) = models(log.as_ref(), 12);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
}

/// The promotion comes while the workers rush through the log: whenever it is decided, no score stands on the wrong side.
#[test]
fn a_promotion_amid_the_rush_holds_for_all_or_for_none() {
    let world = World::new(support::seed());
    let records = make(support::seed());
    let day = 10;
    let (mut taken, mut refused) = (0, 0);
    for round in 0..8_u32 {
        let log = log_with(&records);
        let (name, store) = (format!("registry-{round}"), format!("store-{round}"));
        let registry = world.registry(&name);
        let mut options =
            ConsumerOptions { batch_events: 500, until_end: false, ..world.options(&store, &name) };
        options.workers = consumer::Workers::Fixed(2);
        options.scaling.every = Duration::from_millis(1);
        let around = Surroundings::new();
        let run = {
            let (options, log, around) = (options.clone(), Arc::clone(&log), around.clone());
            std::thread::spawn(move || consumer::run(&options, &log, &around))
        };
        std::thread::sleep(Duration::from_millis(u64::from(round) * 40));
        world.promote(&registry, day);
        let deadline = Instant::now() + Duration::from_secs(60);
        let done = |log: &dyn Log, around: &Surroundings| {
            let status = around.status.read();
            !status.partitions.is_empty()
                && status
                    .partitions
                    .iter()
                    .all(|p| p.committed == log.bounds(support::EVENTS, p.partition).unwrap().end)
        };
        while !done(log.as_ref(), &around) && !run.is_finished() {
            assert!(Instant::now() < deadline, "it does not come to the end");
            std::thread::sleep(Duration::from_millis(5));
        }
        around.shutdown.request("the test is over");
        run.join().unwrap().unwrap();
        let (before, after) = models(log.as_ref(), day);
        assert_eq!((before.len(), after.len()), (1, 1), "round {round}: one model on each side of the day");
        if before == after { refused += 1 } else { taken += 1 }
    }
    println!("{taken} taken up, {refused} refused");
    assert!(taken > 0, "at least the one that came before everything");
}

#[test]
fn another_registry_is_not_taken_for_the_one_that_was_used() {
    let world = World::new(support::seed());
    let log = log_with(split(&make(support::seed()), 2).0);
    let registry = world.registry("registry");
    world.promote(&registry, 12);
    consumer::run(&world.options("store", "registry"), &log, &Surroundings::new()).unwrap();
    world.registry("shorter");
    let error = consumer::run(&world.options("store", "shorter"), &log, &Surroundings::new()).unwrap_err();
    assert!(matches!(error, ConsumerError::OtherRegistry { entries: 2, seen: 3, .. }), "{error}");
}

/// A new store and another model where outputs stand already; and outputs that belong to a topic of other partitions.
#[test]
fn outputs_that_are_not_this_consumers_are_left_alone_and_it_is_said_what_to_do() {
    let world = World::new(support::seed());
    let log = log_with(split(&make(support::seed()), 2).0);
    let registry = world.registry("registry");
    consumer::run(&world.options("store", "registry"), &log, &Surroundings::new()).unwrap();
    let written = compare::records(log.as_ref(), SCORES);

    let other = registry.entries().unwrap()[1].bundle.clone();
    let model = world.registry_path("registry").join("bundles").join(other);
    let options = ConsumerOptions { model, ..world.options("fresh", "registry") };
    let error = consumer::run(&options, &log, &Surroundings::new()).unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, ConsumerError::OutputDiffers { topic: SCORES, .. }), "{words}");
    assert!(
        words.contains("the store does not belong to these outputs") && words.contains("--to"),
        "{words}"
    );
    assert!(words.lines().skip(1).all(|line| line.chars().count() < 200), "{words}");

    partition_log::admin::repartition((&*log, support::EVENTS), (&*log, "events-5"), 5).unwrap();
    let options = ConsumerOptions { topic: "events-5".to_owned(), ..world.options("five", "registry") };
    let error = consumer::run(&options, &log, &Surroundings::new()).unwrap_err();
    let words = error.to_string();
    assert!(matches!(error, ConsumerError::OutputsOfAnother { partitions: 5, .. }), "{words}");
    assert!(
        words.contains("log repartition") && words.contains("--to file:NEW/events --partitions 5"),
        "{words}"
    );

    // The way that both name.
    let elsewhere: Arc<dyn Log> = Arc::new(FileLog::new(world.dir().join("log"), LogOptions::default()));
    partition_log::admin::repartition((&*log, support::EVENTS), (&*elsewhere, support::EVENTS), 5).unwrap();
    consumer::run(&world.options("elsewhere", "registry"), &elsewhere, &Surroundings::new()).unwrap();
    let count = |log: &dyn Log| compare::records(log, SCORES).iter().map(Vec::len).sum::<usize>();
    assert_eq!(count(elsewhere.as_ref()), count(log.as_ref()), "who is scored depends on no layout");
    assert_eq!(compare::records(log.as_ref(), SCORES), written);
}
