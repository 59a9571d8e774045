//! The consumer on a real Kafka: whatever is done to it, a reader who sees only what is committed finds what one uninterrupted run on
//! files leaves, record by record and byte by byte, and the state of every user is the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use partition_log::conformance::broker::{self, Brokers};
use support::group::{PARTITIONS, Proof};
use support::random::Random;
use support::stream::{Appender, Shape};

fn brokers() -> Option<&'static Brokers> {
    broker::shared()
}

#[test]
fn killed_at_any_moment_it_leaves_what_an_uninterrupted_run_leaves() {
    let Some(brokers) = brokers() else { return };
    let seed = support::seed();
    let (kills, users) = if support::soak() { (60, 3000) } else { (8, 900) };
    let proof =
        Proof::new(&brokers.bootstrap, "kill", seed, Shape { users, days: 12, empty: (2, PARTITIONS) });
    let mut random = Random::new(seed ^ 0x6b61_666b);
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(kills * 2));
    let mut appender = Appender::new(proof.log.as_ref());
    for _ in 0..kills {
        let mut member = proof.start("a", &["--workers", *random.pick(&["1", "2"])]);
        if random.permille(800) {
            let before = member.times("partitions came");
            member.wait_for("partitions", |said| said.matches("partitions came").count() > before);
        }
        slices.next().inspect(|slice| appender.append(slice));
        sleep(Duration::from_millis(random.below(700)));
        member.kill();
    }
    slices.for_each(|slice| appender.append(slice));
    proof.holds("a");
}

#[test]
fn one_then_three_then_two_processes_leave_what_one_leaves() {
    let Some(brokers) = brokers() else { return };
    let seed = support::seed() ^ 2;
    let users = if support::soak() { 3000 } else { 900 };
    let proof =
        Proof::new(&brokers.bootstrap, "group", seed, Shape { users, days: 12, empty: (2, PARTITIONS) });
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(12));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut load = |times: usize| {
        for _ in 0..times {
            slices.next().inspect(|slice| appender.append(slice));
            sleep(Duration::from_millis(200));
        }
    };
    let mut a = proof.start("a", &[]);
    a.wait_for("partitions", |said| said.contains("partitions came"));
    load(2);
    let mut b = proof.start("b", &[]);
    let mut c = proof.start("c", &[]);
    load(3);
    b.wait_for("partitions", |said| said.contains("partitions came"));
    c.wait_for("partitions", |said| said.contains("partitions came"));
    load(2);
    // One goes without a word, and then one that stays sleeps for longer than the group waits, and wakes.
    c.kill();
    load(2);
    b.signal("STOP");
    sleep(Duration::from_secs(5));
    load(1);
    b.signal("CONT");
    load(2);
    b.signal("TERM");
    b.ends_well();
    a.signal("TERM");
    a.ends_well();
    proof.holds("a");
    // And from nothing but the topics: the state of every partition is rebuilt.
    proof.holds("d");
}

/// A broker that comes back from a crash may end a transaction without telling its partitions: the records are neither seen twice nor lost.
#[test]
fn a_broker_that_goes_away_and_comes_back_costs_nothing() {
    // Of its own: it is killed.
    let Some(brokers) = broker::start(1) else { return };
    let Some(dir) = &brokers.dir else { return };
    let seed = support::seed() ^ 3;
    let proof = Proof::new(
        &brokers.bootstrap,
        "restart",
        seed,
        Shape { users: 600, days: 12, empty: (2, PARTITIONS) },
    );
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(6));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut member = proof.start("a", &[]);
    for _ in 0..2 {
        slices.next().inspect(|slice| appender.append(slice));
        member.wait_for("partitions", |said| said.contains("partitions came"));
        sleep(Duration::from_millis(300));
        let pid = std::fs::read_to_string(dir.join("broker-1.pid")).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        let back = broker::script().args(["broker", "1", "--dir"]).arg(dir).status().unwrap();
        assert!(back.success());
        slices.next().inspect(|slice| appender.append(slice));
    }
    slices.for_each(|slice| appender.append(slice));
    member.signal("TERM");
    member.ends_well();
    proof.holds("a");
}
