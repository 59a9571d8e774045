//! What a consumer refuses to begin with, and in which words: a topic with another key, a log that was cut, records that it still needs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;

use consumer::{ConsumerError, ConsumerOptions, SCORES, Surroundings};
use partition_log::{Log, MemoryLog, Retention, TopicConfig};
use support::stream::{Appender, BEGIN, HOUR};
use support::{EVENTS, World, stream};
use types::{Offset, PartitionId};

const P0: PartitionId = PartitionId(0);

/// A world with models, and options of a consumer in it.
fn world() -> (World, ConsumerOptions) {
    let world = World::new(support::seed());
    drop(world.registry("registry"));
    let options = world.options("store", "registry");
    (world, options)
}

/// A log with one partition, to which so many events came one by one.
fn log(events: i64) -> Arc<dyn Log> {
    let log = MemoryLog::new();
    stream::create(&log, 1);
    let mut appender = Appender::new(&log);
    for n in 0..events {
        appender.append(&[stream::plain("u1", "play", BEGIN.0 + n * HOUR)]);
    }
    Arc::new(log)
}

fn run(options: &ConsumerOptions, log: &Arc<dyn Log>) -> Result<(), ConsumerError> {
    consumer::run(options, log, &Surroundings::new()).map(|_| ())
}

#[test]
fn a_topic_with_another_key_is_refused() {
    let (_world, options) = world();
    let log: Arc<dyn Log> = Arc::new(MemoryLog::new());
    let config = TopicConfig { partitions: 2, key: "account".into(), partitioner: "murmur2".into() };
    log.create_topic(EVENTS, &config).unwrap();
    let error = run(&options, &log).unwrap_err();
    assert!(matches!(error, ConsumerError::WrongKey { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.starts_with("topic `events` is keyed by `account` and the spec is about `user`"), "{said}");
    assert!(said.contains("churnstream log repartition ") && said.contains("--key user"), "{said}");
    assert!(log.topic(SCORES).unwrap().is_none() && !options.store.exists(), "something was made");
}

#[test]
fn a_log_that_ends_before_what_was_committed_is_refused() {
    let (_world, options) = world();
    run(&options, &log(5)).unwrap();
    let cut = log(3);
    for _ in 0..2 {
        let error = run(&options, &cut).unwrap_err();
        assert!(matches!(error, ConsumerError::InputBehindCommit { .. }), "{error:?}");
        let said = error.to_string();
        assert!(said.starts_with("events-0 ends at offset 3, but offset 5 was committed"), "{said}");
        assert!(said.contains("Bring it back, or start with an empty store"), "{said}");
        assert_eq!(cut.bounds(SCORES, P0).unwrap().end, Offset::ZERO);
    }
    // What it advises helps.
    run(&ConsumerOptions { store: options.store.with_extension("empty"), ..options }, &cut).unwrap();
    assert_eq!(cut.bounds(SCORES, P0).unwrap().end, Offset(3));
}

#[test]
fn a_log_without_records_that_state_is_to_be_made_of_is_refused() {
    let (_world, options) = world();
    let log = log(5);
    run(&options, &log).unwrap();
    // All state is lost but for what was committed.
    let identity = feature_store::store::identity(&options.store).unwrap();
    feature_store::store::rebuild(&options.store, &identity, &[Offset::ZERO]).unwrap();
    let left = log.retain(EVENTS, P0, &Retention { oldest: None, max_bytes: Some(0) }, Offset(4)).unwrap();
    assert!(left.start > Offset::ZERO, "{left:?}");
    let error = run(&options, &log).unwrap_err();
    assert!(matches!(error, ConsumerError::InputGone { .. }), "{error:?}");
    let (said, start) = (error.to_string(), left.start);
    let begins =
        format!("events-0 begins at offset {start}, but state must be replayed from 0: retention removed");
    assert!(said.starts_with(&begins), "{said}");
    assert!(said.contains("Bring the older records back"), "{said}");
    assert_eq!(log.bounds(SCORES, P0).unwrap().end, Offset(5), "nothing was written");
}
