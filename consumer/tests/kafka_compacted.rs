//! A snapshot topic that a real broker has compacted: a process that has nothing of a partition goes on from what is left, and the outcome is
//! that of one uninterrupted run.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::thread::sleep;
use std::time::{Duration, Instant};

use consumer::SNAPSHOTS;
use group::{PARTITIONS, PATIENCE, Proof};
use partition_log::conformance::broker::{self, Brokers};
use partition_log::{RecordBuf, Retention, TopicConfig};
use support::stream::{Appender, Shape};
use types::{Offset, PartitionId};

/// Changes settings with Kafka's own tool.
fn configure(brokers: &Brokers, of: &[&str], settings: &str) {
    let class = "org.apache.kafka.tools.ConfigCommand";
    let mut tool = broker::script();
    tool.args(["tool", class, "--bootstrap-server", &brokers.bootstrap, "--alter", "--add-config", settings]);
    let done = tool.args(of).output().unwrap();
    assert!(done.status.success(), "{done:?}");
}

/// Up to which offset the broker says that it has compacted a partition.
fn compacted(brokers: &Brokers, topic: &str, partition: PartitionId) -> u64 {
    let path = brokers.dir.as_ref().unwrap().join("data-1/cleaner-offset-checkpoint");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let of = format!("{topic} {partition} ");
    text.lines().find_map(|line| line.strip_prefix(&of)?.trim().parse().ok()).unwrap_or(0)
}

/// The offset of the first record that is there.
fn first(proof: &Proof, partition: PartitionId) -> Option<Offset> {
    let start = proof.log.bounds(SNAPSHOTS, partition).unwrap().start;
    let mut block = RecordBuf::default();
    proof.log.reader(SNAPSHOTS, partition, start).unwrap().read(&mut block, 1).unwrap();
    block.get(0).map(|record| record.offset)
}

#[test]
fn a_process_without_a_store_goes_on_from_a_snapshot_topic_that_the_broker_has_compacted() {
    // Of its own: its settings are changed.
    let Some(brokers) = broker::start(1) else { return };
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    let proof = Proof::new(&brokers.bootstrap, "compacted", support::seed() ^ 13, shape);
    let topic = proof.name(SNAPSHOTS);
    let config = TopicConfig { partitions: PARTITIONS, key: "block".into(), partitioner: "explicit".into() };
    proof.log.as_kafka().unwrap().create_compacted(SNAPSHOTS, &config).unwrap();
    configure(&brokers, &["--entity-type", "brokers", "--entity-default"], "log.cleaner.backoff.ms=200");
    // What is written is closed every half second, and compacted at once.
    let often =
        "segment.ms=500,min.cleanable.dirty.ratio=0.001,min.compaction.lag.ms=0,delete.retention.ms=0";
    configure(&brokers, &["--entity-type", "topics", "--entity-name", &topic], often);

    let mut slices = proof.records.chunks(proof.records.len().div_ceil(8));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut a = proof.start("a", &[]);
    a.wait_for("partitions", group::has_any);
    for slice in slices.by_ref().take(6) {
        appender.append(slice);
        sleep(Duration::from_millis(700));
    }
    // The first record of each partition that has users is gone; that of a block which nobody wrote again would not be.
    let partitions = || (0..PARTITIONS).map(PartitionId).filter(|partition| partition.0 != 2);
    let deadline = Instant::now() + PATIENCE;
    let is_gone = |partition| {
        compacted(&brokers, &topic, partition) > 0
            && first(&proof, partition).is_some_and(|first| first > Offset::ZERO)
    };
    while !partitions().all(is_gone) {
        assert!(Instant::now() < deadline, "the broker does not compact\n{}", a.said());
        sleep(Duration::from_millis(100));
    }
    a.signal("TERM");
    a.ends_well();
    for partition in partitions() {
        let first = first(&proof, partition);
        println!(
            "{topic}-{partition}: compacted to {}, begins at {first:?}",
            compacted(&brokers, &topic, partition)
        );
    }
    // And its events are gone too: what it goes on from is the topic alone.
    let oldest = proof.records[proof.records.len() / 4].arrival;
    for partition in partitions() {
        let keep = Retention { oldest: Some(oldest), max_bytes: None };
        let bounds = proof.log.retain(support::EVENTS, partition, &keep, Offset(u64::MAX >> 1)).unwrap();
        assert!(bounds.start > Offset::ZERO);
    }
    slices.for_each(|slice| appender.append(slice));
    proof.holds("b");
    let said = proof.said("b");
    assert!(said.matches("the state is restored from the snapshot topic").count() >= 2, "{said}");
    assert!(!said.contains("rebuilt from the topic"), "{said}");
    broker::stop(&brokers);
}
