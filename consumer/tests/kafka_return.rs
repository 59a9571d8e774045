//! A process that dies while it owes partitions to another, and is back before the group knows that it was gone.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/group.rs"]
mod group;
mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use group::{PARTITIONS, PATIENCE, Proof};
use partition_log::backends::kafka::{GroupEvent, GroupOptions};
use partition_log::conformance::broker;
use partition_log::{LogOptions, open};
use support::stream::{self, Appender, Shape};
use types::PartitionId;

#[test]
fn what_it_owed_does_not_stay_without_an_owner() {
    let Some(brokers) = broker::start(1) else { return };
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    for round in 0..2 {
        let proof = Proof::new(&brokers.bootstrap, &format!("return-{round}"), support::seed() ^ 31, shape);
        let half = proof.records.len() / 2;
        Appender::new(proof.log.as_ref()).append(&proof.records[..half]);
        let mut a = proof.start("a", &[]);
        a.wait_for("partitions", group::has_any);
        let mut b = proof.start("b", &[]);
        // The first of two rebalances takes from the one what the second gives to the other.
        // Not a moment later: the one has them to give up now, and is quick.
        let deadline = Instant::now() + PATIENCE;
        while !b.said().contains("partitions came") {
            assert!(Instant::now() < deadline, "no place in the group: {}", b.said());
            std::thread::sleep(Duration::from_millis(1));
        }
        a.kill();
        let mut a = proof.start("a", &[]);
        Appender::new(proof.log.as_ref()).append(&proof.records[half..]);
        proof.wait_until_done(&mut b);
        a.signal("TERM");
        a.ends_well();
        b.signal("TERM");
        b.ends_well();
        proof.holds("a");
    }
    broker::stop(&brokers);
}

#[test]
fn a_member_sees_which_partitions_nobody_has() {
    let Some(brokers) = broker::start(1) else { return };
    let log = open(&format!("kafka:{}/owners.", brokers.bootstrap), &LogOptions::default()).unwrap();
    stream::create(log.as_ref(), PARTITIONS);
    let options = GroupOptions {
        group: "owners".to_owned(),
        member: "only".to_owned(),
        topic: support::EVENTS.to_owned(),
        outputs: Vec::new(),
        session_timeout: Duration::from_secs(6),
        transaction_timeout: Duration::from_secs(10),
        give_up: Arc::new(|| false),
    };
    let group = log.as_kafka().unwrap().join(&options).unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !matches!(group.poll(Duration::from_millis(50)).unwrap(), Some(GroupEvent::Assigned(_))) {
        assert!(Instant::now() < deadline, "no partition came");
    }
    while group.unowned("owners", PARTITIONS) != Some(Vec::new()) {
        assert!(Instant::now() < deadline, "{:?}", group.unowned("owners", PARTITIONS));
        // Partitions that were not known at first may come behind the others.
        let event = group.poll(Duration::from_millis(50)).unwrap();
        assert!(matches!(event, None | Some(GroupEvent::Assigned(_))), "{event:?}");
    }
    // Of one more there is no owner.
    assert_eq!(group.unowned("owners", PARTITIONS + 1), Some(vec![PartitionId(PARTITIONS)]));
    assert_eq!(group.unowned("no such group", PARTITIONS), None);
    drop(group);
    broker::stop(&brokers);
}
