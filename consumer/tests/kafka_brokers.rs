//! The consumer while something happens to its brokers: a cut, a pause, changes of leaders. Only in the long form (`make soak`): each test
//! has brokers of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::thread::sleep;
use std::time::Duration;

use group::{Member, PARTITIONS, Proof};
use partition_log::conformance::broker::{self, Brokers};
use support::stream::{Appender, Shape};

const SHAPE: Shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };

fn is_wanted() -> bool {
    if !support::soak() {
        println!("SKIPPED: only in the long form, CHURNSTREAM_SOAK=full");
    }
    support::soak()
}

fn brokers(count: u32) -> Option<Brokers> {
    if is_wanted() { broker::start(count) } else { None }
}

/// Appends the stream in parts while a member reads it; `disturb` is called between them.
fn disturbed(bootstrap: &str, name: &str, seed: u64, times: usize, mut disturb: impl FnMut(usize, &Member)) {
    let proof = Proof::new(bootstrap, name, support::seed() ^ seed, SHAPE);
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
    let Some(brokers) = brokers(3) else { return };
    disturbed(&brokers.bootstrap, "leaders", 6, 3, |time, _| {
        let broker = time as u32 % 3 + 1;
        brokers.signal(broker, "KILL");
        sleep(Duration::from_secs(5));
        brokers.restart(broker);
        sleep(Duration::from_secs(3));
    });
    broker::stop(&brokers);
}

#[test]
fn a_commit_that_times_out_costs_nothing() {
    let Some(brokers) = brokers(1) else { return };
    // Longer than a transaction may stand still, and than the group waits.
    disturbed(&brokers.bootstrap, "pause", 7, 2, |_, _| {
        brokers.signal(1, "STOP");
        sleep(Duration::from_secs(20));
        brokers.signal(1, "CONT");
    });
    broker::stop(&brokers);
}

/// Longer than a process that is refused tries: the brokers refuse nothing, they are not there.
#[test]
fn brokers_that_are_away_for_minutes_are_waited_for() {
    let Some(brokers) = brokers(1) else { return };
    disturbed(&brokers.bootstrap, "away", 9, 1, |_, member| {
        brokers.signal(1, "KILL");
        for _ in 0..20 {
            sleep(Duration::from_secs(20));
            // Whoever starts again what is dead must not start this again.
            let (status, body) = member.get("/healthz").expect("it answers");
            assert_eq!(status, 200, "{body}");
        }
        // But it does not do its work.
        assert_eq!(member.get("/readyz").expect("it answers").0, 503);
        brokers.restart(1);
    });
    broker::stop(&brokers);
}

#[test]
fn a_cut_between_client_and_broker_costs_nothing() {
    let behind_proxy = if is_wanted() { broker::start_behind_proxy() } else { None };
    let Some((brokers, proxy)) = behind_proxy else { return };
    disturbed(&proxy.address, "cut", 8, 4, |time, _| {
        proxy.cut(true);
        sleep(Duration::from_secs(1 + 2 * time as u64));
        proxy.cut(false);
    });
    broker::stop(&brokers);
}
