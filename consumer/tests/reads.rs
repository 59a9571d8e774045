//! What is read while state is being rebuilt says that it is stale; and a rebuild with another spec goes on at the commit.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use consumer::{ConsumerError, FeatureReading, ReadStatus, SCORES, Surroundings};
use feature_store::{StoreError, StoreIdentity};
use partition_log::{FileLog, Log, LogOptions, MemoryLog, partition_for};
use support::stream::{Appender, Shape};
use support::{EVENTS, World, compare, stream};
use types::{Offset, PartitionId};

const PARTITIONS: u32 = 2;

fn commits(store: &std::path::Path) -> Vec<Offset> {
    let identity = feature_store::store::identity(store).unwrap();
    let opened = feature_store::Store::open(store, &identity, Default::default()).unwrap();
    let commit = |p| {
        let users = opened.partition::<feature_store::UserState>(PartitionId(p)).unwrap();
        users.committed().unwrap().next_input
    };
    (0..PARTITIONS).map(commit).collect()
}

#[test]
fn reads_are_stale_until_state_is_rebuilt_and_so_long_it_is_not_ready() {
    let world = World::new(support::seed());
    let log = MemoryLog::new();
    stream::create(&log, PARTITIONS);
    let shape = Shape { users: 300, days: 14, empty: (9, 10) };
    Appender::new(&log).append(&stream::make(support::seed(), shape));
    let log: Arc<dyn Log> = Arc::new(log);
    drop(world.registry("registry"));
    let mut options = world.options("store", "registry");
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    let committed = commits(&options.store);

    let identity = feature_store::store::identity(&options.store).unwrap();
    feature_store::store::rebuild(&options.store, &identity, &[Offset::ZERO; PARTITIONS as usize]).unwrap();
    options.until_end = false;
    options.batch_events = 1;
    options.http = Some("127.0.0.1:0".parse().unwrap());
    let around = Surroundings::new();
    let run = {
        let (options, log, around) = (options.clone(), Arc::clone(&log), around.clone());
        std::thread::spawn(move || consumer::run(&options, &log, &around))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    let address = loop {
        if let Some(address) = consumer::address_of(&options.store) {
            break address;
        }
        assert!(Instant::now() < deadline && !run.is_finished(), "it does not start");
        std::thread::sleep(Duration::from_millis(1));
    };
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let users = stream::users(shape);
    let (mut stale, mut present) = (0, 0);
    for round in 0.. {
        assert!(Instant::now() < deadline, "it is never ready");
        let was_ready = around.health.ready().ok;
        let user = &users[round % users.len()];
        let escaped: String = user.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let url = format!("{address}/v1/users/{escaped}/features");
        let reading: FeatureReading = agent.get(&url).call().unwrap().body_mut().read_json().unwrap();
        let partition = partition_for(user.as_bytes(), PARTITIONS).0 as usize;
        match reading.status {
            ReadStatus::Stale => {
                assert!(reading.position < committed[partition] && !was_ready, "{reading:?}");
                stale += 1;
            }
            ReadStatus::Present | ReadStatus::NotFound => {
                assert!(reading.position >= committed[partition], "{reading:?}");
                present += 1;
            }
        }
        if was_ready && present > 20 {
            break;
        }
    }
    let get = |path: &str| {
        let mut answer = agent.get(format!("{address}{path}")).call().unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    let (code, said) = get("/");
    assert!(code == 200 && said.contains("/v1/users/ID/features") && said.contains("as_of"), "{said}");
    let (code, said) = get("/v1/users/x/features?as_of=soon");
    assert!(code == 400 && said.contains("2024-03-01T00:00:00Z"), "{code} {said}");
    // A date is read as the command line does.
    let user = users[0].bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let ahead = |as_of: &str| get(&format!("/v1/users/{user}/features?as_of={as_of}"));
    assert_eq!(ahead("2099-01-01"), ahead("4070908800000"));
    around.shutdown.request("the test is over");
    run.join().unwrap().unwrap();
    println!("{stale} stale, {present} present");
    assert!(stale > 0, "it was asked before it was ready");
}

/// On brokers, what ends a transaction is no record and takes an offset: state is whole before the last one that was committed.
#[test]
fn state_is_whole_where_the_last_offsets_that_were_committed_hold_nothing() {
    let world = World::new(support::seed());
    let place = world.dir().join("log");
    let log: Arc<dyn Log> = Arc::new(FileLog::new(place, LogOptions::default()));
    stream::create(log.as_ref(), PARTITIONS);
    let shape = Shape { users: 50, days: 5, empty: (9, 10) };
    Appender::new(log.as_ref()).append(&stream::make(support::seed(), shape));
    drop(world.registry("registry"));
    let options = world.options("store", "registry");
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    let (scores, committed) = (compare::records(log.as_ref(), SCORES), commits(&options.store));

    for (partition, next) in (0..).map(PartitionId).zip(&committed) {
        let gone = log.purge(EVENTS, partition, &mut |record| record.offset.next() == *next).unwrap();
        assert_eq!(gone, 1);
    }
    let identity = feature_store::store::identity(&options.store).unwrap();
    feature_store::store::rebuild(&options.store, &identity, &[Offset::ZERO; PARTITIONS as usize]).unwrap();
    let around = Surroundings::new();
    let run = {
        let (options, log, around) = (options.clone(), Arc::clone(&log), around.clone());
        std::thread::spawn(move || consumer::run(&options, &log, &around))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    while !run.is_finished() {
        assert!(Instant::now() < deadline, "it waits for records that are not there");
        std::thread::sleep(Duration::from_millis(10));
    }
    run.join().unwrap().unwrap();
    assert_eq!(commits(&options.store), committed);
    assert_eq!(compare::records(log.as_ref(), SCORES), scores);
}

#[test]
fn a_rebuild_by_another_spec_goes_on_where_the_first_was_committed() {
    let (old, new) = (World::new(support::seed()), World::with_short_windows(support::seed()));
    let records = stream::make(support::seed(), Shape { users: 120, days: 12, empty: (9, 10) });
    let (first, rest) = records.split_at(records.len() / 2);
    drop((old.registry("registry"), new.registry("registry")));
    let make = || {
        let log = MemoryLog::new();
        stream::create(&log, PARTITIONS);
        log
    };

    let log = make();
    Appender::new(&log).append(first);
    let log: Arc<dyn Log> = Arc::new(log);
    let options = old.options("store", "registry");
    consumer::run(&options, &log, &Surroundings::new()).unwrap();
    let before = compare::records(log.as_ref(), SCORES);
    let committed = commits(&options.store);

    consumer::check_ended(&options.store, log.as_ref()).unwrap();
    let identity = StoreIdentity {
        spec_hash: new.spec.hash().to_string(),
        topic: EVENTS.to_owned(),
        partitions: PARTITIONS,
    };
    let starts = [Offset::ZERO; PARTITIONS as usize];
    let rebuilt = feature_store::store::rebuild(&options.store, &identity, &starts).unwrap();
    assert_eq!(rebuilt.without_commit, []);
    // The copy of the spec is still the old one: no read takes one for the other.
    let error = consumer::read_store(&options.store, "anybody", None).unwrap_err();
    assert!(matches!(error, ConsumerError::Store(StoreError::Mismatch { .. })), "{error}");

    Appender::new(log.as_ref()).append(rest);
    let mut next = new.options("unused", "registry");
    next.store.clone_from(&options.store);
    consumer::run(&next, &log, &Surroundings::new()).unwrap();

    // What one run by the new spec says from the commit on.
    let whole = make();
    Appender::new(&whole).append(&records);
    let whole: Arc<dyn Log> = Arc::new(whole);
    consumer::run(&new.options("whole", "registry"), &whole, &Surroundings::new()).unwrap();
    let (mut switched, reference) =
        (compare::records(log.as_ref(), SCORES), compare::records(whole.as_ref(), SCORES));
    for (partition, (switched, before)) in switched.iter_mut().zip(&before).enumerate() {
        let rest = switched.split_off(before.len());
        assert_eq!(switched, before, "what was said stays");
        let source = |score: &compare::Stored| types::Score::decode(&score.value).unwrap().source.offset;
        let expected: Vec<_> =
            reference[partition].iter().filter(|score| source(score) >= committed[partition]).collect();
        assert_eq!(rest.len(), expected.len());
        assert!(rest.len() > 100);
        for (found, expected) in rest.iter().zip(expected) {
            assert_eq!(found.value, expected.value);
        }
    }
    compare::same_users(
        "state",
        &compare::states(&new.options("whole", "registry").store),
        &compare::states(&options.store),
    );
}
