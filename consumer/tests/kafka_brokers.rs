//! The consumer while something happens to its brokers: a cut, a pause, changes of leaders, no answer while it is to stop. Each test has brokers of
//! its own. In the long form (`make soak`) there are more users, and it happens more often and for longer.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use group::{Member, PARTITIONS, Proof};
use partition_log::LogOptions;
use partition_log::checkup::Purpose;
use partition_log::conformance::broker;
use support::stream::{self, Appender, Shape};
use types::PartitionId;

/// One after the other: each has brokers of its own, and what is tested is who waits how long for whom.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In the long form the first, otherwise the second.
fn form<T>(long: T, short: T) -> T {
    if support::soak() { long } else { short }
}

fn shape() -> Shape {
    Shape { users: form(600, 150), days: form(12, 10), empty: (2, PARTITIONS) }
}

/// Appends the stream in parts while a member reads it; `disturb` is called between them.
fn disturbed(bootstrap: &str, name: &str, seed: u64, times: usize, mut disturb: impl FnMut(usize, &Member)) {
    let proof = Proof::new(bootstrap, name, support::seed() ^ seed, shape());
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(times * 2));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut member = proof.start("a", &[]);
    member.wait_for("partitions", |said| said.contains("partitions came"));
    for time in 0..times {
        slices.next().inspect(|slice| appender.append(slice));
        sleep(Duration::from_millis(400));
        disturb(time, &member);
        slices.next().inspect(|slice| appender.append(slice));
    }
    slices.for_each(|slice| appender.append(slice));
    // It is this member that goes on, not the one that is started to the end.
    proof.wait_until_done(&mut member);
    member.signal("TERM");
    member.ends_well();
    proof.holds("a");
}

#[test]
fn a_change_of_leaders_costs_nothing() {
    let _alone = alone();
    let Some(brokers) = broker::start(3) else { return };
    disturbed(&brokers.bootstrap, "leaders", 6, form(3, 1), |time, _| {
        let broker = time as u32 % 3 + 1;
        brokers.signal(broker, "KILL");
        sleep(Duration::from_secs(5));
        brokers.restart(broker);
        sleep(Duration::from_secs(3));
    });
    what_is_acknowledged_stands_twice(&brokers.bootstrap);
    broker::stop(&brokers);
}

/// Our topics are made so, whatever the brokers' defaults are; and one that was changed since is warned of.
fn what_is_acknowledged_stands_twice(bootstrap: &str) {
    let log = partition_log::open(&format!("kafka:{bootstrap}/twice."), &LogOptions::default()).unwrap();
    let kafka = log.as_kafka().unwrap();
    stream::create(log.as_ref(), 1);
    let topic = kafka.name(support::EVENTS);
    let configure = |arguments: &[&str]| {
        let tool = ["tool", "org.apache.kafka.tools.ConfigCommand", "--bootstrap-server", bootstrap];
        let of = ["--entity-type", "topics", "--entity-name", &topic];
        let done = broker::script().args(tool).args(of).args(arguments).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap()
    };
    let said = configure(&["--describe"]);
    assert!(said.contains("DYNAMIC_TOPIC_CONFIG:min.insync.replicas=2"), "{said}");
    let warned = || {
        let purpose = Purpose {
            events: support::EVENTS.into(),
            outputs: vec![],
            compacted: vec![],
            group: "twice".into(),
            try_writing: false,
        };
        let checks = kafka.checkup(&purpose);
        checks.into_iter().any(|check| check.found.contains("min.insync.replicas is 1"))
    };
    assert!(!warned());
    configure(&["--alter", "--add-config", "min.insync.replicas=1"]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while !warned() {
        assert!(Instant::now() < deadline, "three replicas, and one is enough");
    }
}

#[test]
fn a_commit_that_times_out_costs_nothing() {
    let _alone = alone();
    let Some(brokers) = broker::start(1) else { return };
    // Longer than a transaction may stand still, and than the group waits.
    disturbed(&brokers.bootstrap, "pause", 7, form(2, 1), |_, _| {
        brokers.signal(1, "STOP");
        sleep(Duration::from_secs(form(20, 17)));
        brokers.signal(1, "CONT");
    });
    broker::stop(&brokers);
}

/// In the long form longer than a process that is refused tries: the brokers refuse nothing, they are not there.
#[test]
fn brokers_that_are_away_are_waited_for() {
    let _alone = alone();
    let Some(brokers) = broker::start(1) else { return };
    // Who has committed all it was given just before the brokers go does not notice it: then once more, with more to do.
    let mut noticed = false;
    disturbed(&brokers.bootstrap, "away", 9, 3, |_, member| {
        if noticed {
            return;
        }
        brokers.signal(1, "KILL");
        for _ in 0..form(20, 1) {
            sleep(Duration::from_secs(form(20, 13)));
            // Whoever starts again what is dead must not start this again.
            let (status, body) = member.get("/healthz").expect("it answers");
            assert_eq!(status, 200, "{body}");
        }
        // But it does not do its work.
        noticed = member.get("/readyz").expect("it answers").0 == 503;
        brokers.restart(1);
    });
    assert!(noticed, "it said that it was ready while it could not commit");
    broker::stop(&brokers);
}

#[test]
fn a_cut_between_client_and_broker_costs_nothing() {
    let _alone = alone();
    let Some((brokers, proxy)) = broker::start_behind_proxy() else { return };
    disturbed(&proxy.address, "cut", 8, form(4, 2), |time, _| {
        proxy.cut(true);
        sleep(Duration::from_secs(1 + 2 * time as u64));
        proxy.cut(false);
    });
    broker::stop(&brokers);
}

/// Waits until a broker that stood still leads all it has again: it may be thought dead for a moment, by itself.
fn serves(place: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    // Heartbeats come every two seconds: only then it knows.
    sleep(Duration::from_secs(3));
    let is_led = || {
        let log = partition_log::open(place, &LogOptions::default()).unwrap();
        let led = |p| log.bounds(support::EVENTS, PartitionId(p)).is_ok();
        log.topic(support::EVENTS).is_ok() && (0..PARTITIONS).all(led)
    };
    while !is_led() {
        assert!(Instant::now() < deadline, "the broker does not serve again");
        sleep(Duration::from_millis(200));
    }
}

/// Whoever stops a process kills it when it takes too long. What it waits for then is the brokers' answer, in every phase.
#[test]
fn a_consumer_that_is_to_stop_ends_although_no_broker_answers() {
    let _alone = alone();
    let Some(brokers) = broker::start(1) else { return };
    let proof = Proof::new(&brokers.bootstrap, "stop", support::seed() ^ 10, shape());
    let mut appender = Appender::new(proof.log.as_ref());
    let (first, rest) = proof.records.split_at(proof.records.len() / 2);
    appender.append(first);
    let stop = |mut member: Member, phase: &str| {
        let begun = Instant::now();
        member.signal("TERM");
        let status = member.wait();
        let took = begun.elapsed();
        brokers.signal(1, "CONT");
        serves(&proof.place);
        assert!(took < Duration::from_secs(25), "{phase}: {took:?}\n{}", member.said());
        let said = member.said().contains("no broker answers: ending at once, without the last commit");
        // One that had nothing to commit may have been done before that.
        assert_eq!(status.code(), Some(i32::from(said)), "{phase}\n{}", member.said());
        said
    };
    // It works, with a transaction open.
    let mut member = proof.start("a", &[]);
    member.wait_for("partitions", |said| said.contains("partitions came"));
    brokers.signal(1, "STOP");
    sleep(Duration::from_secs(1));
    stop(member, "working");
    // It finds nobody when it starts.
    let member = proof.start("b", &[]);
    brokers.signal(1, "STOP");
    sleep(Duration::from_secs(2));
    assert!(stop(member, "starting"), "it had asked nobody anything");
    // It is joining: the API is there before that.
    let mut member = proof.start("c", &["--http", "127.0.0.1:0"]);
    member.wait_for("the API", |said| said.contains("metrics, health and reads"));
    brokers.signal(1, "STOP");
    sleep(Duration::from_millis(500));
    // It may have joined already, and have nothing to commit.
    stop(member, "joining");
    appender.append(rest);
    drop(appender);
    proof.holds("d");
    broker::stop(&brokers);
}
