//! A consumer that replays old events, whose outputs are written and never acknowledged by a broker that is killed then. The times of the
//! outputs are as old: by them a broker that comes back forgets a producer, unless it has a transaction open.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/group.rs"]
mod group;
mod support;

use std::time::{Duration, Instant};

use group::{PARTITIONS, PATIENCE, Proof};
use partition_log::conformance::broker;
use support::stream::{Appender, Shape};

#[test]
fn scores_of_old_events_that_were_never_acknowledged_are_there_once() {
    let Some((brokers, proxy)) = broker::start_behind_proxy() else { return };
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    let proof = Proof::new(&proxy.address, "answers", support::seed() ^ 41, shape);
    // Longer than the broker is away.
    let mut member = proof.start("a", &["--session-timeout", "40s"]);
    member.wait_for("partitions", |said| said.contains("partitions came"));
    proxy.keep_answers(&proof.name(consumer::SCORES));
    Appender::new(proof.log.as_ref()).append(&proof.records);
    let deadline = Instant::now() + PATIENCE;
    while proxy.kept_back() == 0 {
        assert!(Instant::now() < deadline, "nothing is written: {}", member.said());
        std::thread::sleep(Duration::from_millis(5));
    }
    brokers.signal(1, "KILL");
    proxy.forget_answers();
    brokers.restart(1);
    proof.wait_until_done(&mut member);
    member.signal("TERM");
    member.ends_well();
    proof.equals("a");
    broker::stop(&brokers);
}
