//! The snapshot topic on a real Kafka: a process that has nothing of a partition goes on from what another published, and the outcome is that
//! of one uninterrupted run. Where the topic is lost, state is rebuilt from the events, and that is said aloud.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::thread::sleep;
use std::time::Duration;

use group::{Member, PARTITIONS, Proof};
use partition_log::Retention;
use partition_log::conformance::broker::{self, Brokers};
use support::random::Random;
use support::stream::{Appender, Shape};
use types::{Offset, PartitionId};

fn restored(said: &str) -> usize {
    said.matches("the state is restored from the snapshot topic").count()
}

/// Waits until a new session has its partitions, and a little longer.
fn settle(member: &mut Member, before: usize) {
    member.wait_for("partitions", |said| said.matches("partitions came").count() > before);
    sleep(Duration::from_millis(1500));
}

/// Deletes a topic with Kafka's own command, as somebody may.
fn delete(brokers: &Brokers, topic: &str) {
    let class = "org.apache.kafka.tools.TopicCommand";
    let arguments = ["tool", class, "--bootstrap-server", &brokers.bootstrap, "--delete", "--topic", topic];
    assert!(broker::script().args(arguments).status().unwrap().success());
}

fn remove_oldest(proof: &Proof, share: usize) {
    let times: Vec<_> = proof.records.iter().map(|record| record.arrival).collect();
    let oldest = times[times.len() / share];
    for partition in (0..PARTITIONS).map(PartitionId) {
        let keep = Retention { oldest: Some(oldest), max_bytes: None };
        proof.log.retain(support::EVENTS, partition, &keep, Offset(u64::MAX >> 1)).unwrap();
    }
    let start = proof.log.bounds(support::EVENTS, PartitionId(0)).unwrap().start;
    assert!(start > Offset::ZERO);
}

#[test]
fn processes_without_a_store_go_on_from_the_snapshot_topic() {
    let Some(brokers) = broker::shared() else { return };
    let seed = support::seed() ^ 11;
    let users = if support::soak() { 3000 } else { 900 };
    let shape = Shape { users, days: 12, empty: (2, PARTITIONS) };
    let proof = Proof::new(&brokers.bootstrap, "snapshots", seed, shape);
    let mut random = Random::new(seed);
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(8));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut restores = 0;
    // Each begins with what the one before it published, the last one with a store that others have left behind since.
    for name in ["a", "b", "c", "a"] {
        let mut member = proof.start(name, &["--workers", *random.pick(&["1", "2"])]);
        let before = member.times("partitions came");
        let was_restored = restored(&member.said());
        slices.next().inspect(|slice| appender.append(slice));
        settle(&mut member, before);
        slices.next().inspect(|slice| appender.append(slice));
        sleep(Duration::from_millis(random.below(1200)));
        if random.permille(500) {
            member.kill();
        } else {
            member.signal("TERM");
            member.ends_well();
        }
        restores += restored(&member.said()) - was_restored;
        let said = member.said();
        assert!(!said.contains("rebuilt from the topic"), "{said}");
    }
    assert!(restores >= 4, "of two partitions each time: {restores}");
    // What is in the snapshots is not needed any more.
    remove_oldest(&proof, 4);
    proof.holds("d");
    assert!(restored(&proof.said("d")) >= 2, "{}", proof.said("d"));

    // Without them it would be: that is refused, and said.
    delete(brokers, &proof.name("snapshots"));
    let mut member = proof.start("e", &["--until-end"]);
    assert!(!member.wait().success());
    assert!(member.said().contains("has lost what was published of this partition"), "{}", member.said());
    assert!(member.said().contains("retention removed what the store still needed"), "{}", member.said());
}

#[test]
fn a_snapshot_topic_that_is_lost_is_filled_again_and_the_state_rebuilt_aloud() {
    let Some(brokers) = broker::shared() else { return };
    let seed = support::seed() ^ 12;
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    let proof = Proof::new(&brokers.bootstrap, "lost", seed, shape);
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(4));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut a = proof.start("a", &[]);
    slices.next().inspect(|slice| appender.append(slice));
    settle(&mut a, 0);
    // While it runs.
    delete(brokers, &proof.name("snapshots"));
    slices.next().inspect(|slice| appender.append(slice));
    sleep(Duration::from_secs(3));
    a.kill();
    // One that has its own store fills the topic again: another is restored from it.
    let before = a.times("partitions came");
    let mut a = proof.start("a", &[]);
    settle(&mut a, before);
    a.signal("TERM");
    a.ends_well();
    let mut b = proof.start("b", &[]);
    slices.next().inspect(|slice| appender.append(slice));
    settle(&mut b, 0);
    b.kill();
    assert!(restored(&b.said()) >= 2, "{}", b.said());
    // One that has none rebuilds the state.
    delete(brokers, &proof.name("snapshots"));
    slices.for_each(|slice| appender.append(slice));
    proof.holds("c");
    let said = proof.said("c");
    assert!(said.contains("has lost what was published of this partition"), "{said}");
    assert!(said.contains("its state is rebuilt from the topic"), "{said}");
    // But where nobody is: there is nothing to lose.
    assert_eq!(restored(&said), said.matches("users=0 bytes=0").count(), "{said}");
}
