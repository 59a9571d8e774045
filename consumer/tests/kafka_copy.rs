//! Segments that are copied from a broker, with all that stands in them: transactions that count, one that does not, and the marks of both.
//! A consumer makes of the copy what it makes of the topic.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES};
use group::{PARTITIONS, PATIENCE, Proof};
use partition_log::backends::kafka::{GroupEvent, GroupOffset, GroupOptions, KafkaGroup};
use partition_log::conformance::broker;
use partition_log::{KafkaLog, LogOptions, partition_for};
use support::stream::{self, Appender, Outgoing, Shape};
use support::{EVENTS, compare};
use types::{Offset, PartitionId};

/// Somebody who writes events in transactions.
fn join(log: &KafkaLog) -> KafkaGroup {
    let options = GroupOptions {
        group: "writers".to_owned(),
        member: "writer".to_owned(),
        topic: EVENTS.to_owned(),
        outputs: vec![EVENTS.to_owned()],
        session_timeout: Duration::from_secs(6),
        transaction_timeout: Duration::from_secs(60),
        give_up: Arc::new(|| false),
    };
    let group = log.join(&options).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "no partition came");
        if let Some(GroupEvent::Assigned(_)) = group.poll(Duration::from_millis(50)).unwrap() {
            group.take(&[]).unwrap();
            return group;
        }
    }
}

fn append(group: &KafkaGroup, records: &[Outgoing]) {
    let writers: Vec<_> = (0..PARTITIONS).map(|p| group.output(EVENTS, PartitionId(p)).unwrap()).collect();
    for record in records {
        let headers: Vec<_> = record.headers.iter().map(|(name, value)| (*name, value.as_slice())).collect();
        let chosen = partition_for(&record.key, PARTITIONS).0;
        for (partition, writer) in (0..).zip(&writers) {
            if record.everywhere || partition == chosen {
                writer.append(record.arrival, &record.key, &record.value, &headers).unwrap();
            }
        }
    }
}

fn copy_segments(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|end| ["log", "index", "timeindex", "txnindex"].iter().any(|kept| end == *kept))
        {
            std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
}

#[test]
fn a_copy_of_a_brokers_segments_gives_the_scores_of_the_topic() {
    // Of its own: its folder must be at hand.
    let Some(brokers) = broker::start(1) else { return };
    let dir = brokers.dir.as_deref().unwrap();
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    let proof = Proof::new(&brokers.bootstrap, "copy", support::seed() ^ 21, shape);
    let kafka = proof.log.as_kafka().unwrap();
    let slices: Vec<_> = proof.records.chunks(proof.records.len().div_ceil(6)).collect();
    Appender::new(proof.log.as_ref()).append(slices[0]);
    let place = GroupOffset { partition: PartitionId(0), next: Offset::ZERO, note: String::new() };
    let group = join(kafka);
    for slice in &slices[1..3] {
        append(&group, slice);
        group.commit(std::slice::from_ref(&place), &|| false).unwrap();
    }
    // What is written and never committed comes again.
    append(&group, slices[3]);
    drop(group);
    let group = join(kafka);
    append(&group, slices[3]);
    group.commit(std::slice::from_ref(&place), &|| false).unwrap();
    drop(group);
    slices[4..].iter().for_each(|slice| Appender::new(proof.log.as_ref()).append(slice));

    proof.holds_but_for_offsets("a");
    let copy = proof.world.dir().join("copy");
    let files = partition_log::open(&format!("file:{}", copy.display()), &LogOptions::default()).unwrap();
    stream::create(files.as_ref(), PARTITIONS);
    for partition in 0..PARTITIONS {
        let of = |topic: &str| format!("{topic}-{partition}");
        copy_segments(&dir.join("data-1").join(of(&proof.name(EVENTS))), &copy.join(of(EVENTS)));
    }
    proof.start_on(&format!("file:{}", copy.display()), "copied", &["--until-end"]).ends_well();
    for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS] {
        let on_topic = group::without_offsets(&proof.log, topic);
        assert!(topic != SCORES || on_topic.iter().flatten().count() > 1000);
        compare::same_records(topic, &on_topic, &group::without_offsets(&files, topic));
    }
    let states = |store: &str| compare::states(&proof.world.dir().join(store));
    compare::same_users("state", &states("a"), &states("copied"));
    broker::stop(&brokers);
}
