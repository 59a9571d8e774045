//! Ends of transactions that a real broker has forgotten (KAFKA-20734): a member that comes back commits what counts and aborts the rest.
//!
//! Forgetting is done on purpose: the broker is killed, and the end of a committed transaction is cut off the files of some of its partitions,
//! while the transaction's own log says that it is whole. That is what the broker's fault leaves.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use partition_log::backends::kafka::{GroupEvent, GroupOffset, GroupOptions, KafkaGroup};
use partition_log::conformance::{broker, drain};
use partition_log::{KafkaLog, Log, LogOptions, TopicConfig};
use types::{EventTime, Offset, PartitionId};

const P0: PartitionId = PartitionId(0);
/// No wait is longer: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many partitions `scripts/kafka` gives the topic of offsets.
const OFFSETS_PARTITIONS: i32 = 4;

/// What the broker forgets of the end of the second transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forgets {
    Offsets,
    Output,
    Both,
}

/// A group of one member, with a topic and an output of its own.
struct Case {
    forgets: Forgets,
    options: GroupOptions,
    output: String,
}

impl Case {
    /// Groups whose offsets lie in different partitions: each is cut by itself.
    fn new(forgets: Forgets, offsets_partition: i32) -> Self {
        let group = (0..).map(|n| format!("group-{n}")).find(|g| offsets_of(g) == offsets_partition).unwrap();
        let (topic, output) = (format!("{group}-events"), format!("{group}-scores"));
        let options = GroupOptions {
            group,
            member: "member".to_owned(),
            topic,
            outputs: vec![output.clone()],
            session_timeout: Duration::from_secs(2),
            transaction_timeout: Duration::from_secs(15),
            give_up: Arc::new(|| false),
        };
        Self { forgets, options, output }
    }

    /// Joins, and has the partition.
    fn join(&self, log: &KafkaLog) -> KafkaGroup {
        let group = log.join(&self.options).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "no partition came");
            if let Some(GroupEvent::Assigned(partitions)) = group.poll(Duration::from_millis(50)).unwrap() {
                assert_eq!(partitions, [P0]);
                return group;
            }
        }
    }

    fn commit(&self, group: &KafkaGroup, value: &str, next: u64) {
        let output = group.output(&self.output, P0).unwrap();
        // Of now: a broker begins a new file behind a record that is older than a week.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        output.append(EventTime(i64::try_from(now).unwrap()), b"u1", value.as_bytes(), &[]).unwrap();
        let note = format!("v1 of {value}");
        group.commit(&[GroupOffset { partition: P0, next: Offset(next), note }], &|| false).unwrap();
    }

    /// What readers of the output see.
    fn seen(&self, log: &KafkaLog) -> Vec<String> {
        let rows = drain(&mut *log.reader(&self.output, P0, Offset::ZERO).unwrap());
        rows.into_iter().map(|row| String::from_utf8(row.3).unwrap()).collect()
    }

    /// The files from which the end of the last transaction is cut.
    fn cut(&self, data: &Path) -> Vec<PathBuf> {
        let first = "00000000000000000000.log";
        let offsets =
            data.join(format!("__consumer_offsets-{}", offsets_of(&self.options.group))).join(first);
        let output = data.join(format!("{}-0", self.output)).join(first);
        match self.forgets {
            Forgets::Offsets => vec![offsets],
            Forgets::Output => vec![output],
            Forgets::Both => vec![offsets, output],
        }
    }
}

/// In which partition of the topic of offsets a group's are: by the hash that Java gives its name.
fn offsets_of(group: &str) -> i32 {
    let hash = group.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
    (hash & i32::MAX) % OFFSETS_PARTITIONS
}

/// Cuts a segment before the last batch that ends a transaction.
fn cut_before_last_end(segment: &Path) {
    let bytes = std::fs::read(segment).unwrap();
    let (mut at, mut last) = (0, None);
    while at + 23 <= bytes.len() {
        let length = u32::from_be_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let attributes = u16::from_be_bytes(bytes[at + 21..at + 23].try_into().unwrap());
        // Of a control batch, within a transaction.
        if length > 0 && attributes & 0x30 == 0x30 {
            last = Some(at);
        }
        at += 12 + length;
    }
    let Some(last) = last else { panic!("no end of a transaction in {}", segment.display()) };
    std::fs::File::options().write(true).open(segment).unwrap().set_len(last as u64).unwrap();
}

#[test]
fn what_a_broker_forgot_to_end_is_committed_where_it_counts_and_else_aborted() {
    // Of its own: its files are written to.
    let Some(brokers) = broker::start(1) else { return };
    let cases: Vec<_> = [Forgets::Offsets, Forgets::Output, Forgets::Both]
        .into_iter()
        .zip(0..)
        .map(|(forgets, partition)| Case::new(forgets, partition))
        .collect();
    let log = KafkaLog::new(&brokers.bootstrap, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".into() };
    let mut groups = Vec::new();
    for case in &cases {
        for topic in [&case.options.topic, &case.output] {
            log.create_topic(topic, &config).unwrap();
        }
        let group = case.join(&log);
        case.commit(&group, "first", 10);
        case.commit(&group, "second", 20);
        assert_eq!(case.seen(&log), ["first", "second"]);
        groups.push(group);
    }
    // Until the transactions' own log says that they are whole.
    std::thread::sleep(Duration::from_secs(1));
    brokers.signal(1, "KILL");
    drop((groups, log));
    let data = brokers.dir.as_deref().unwrap().join("data-1");
    cases.iter().flat_map(|case| case.cut(&data)).for_each(|segment| cut_before_last_end(&segment));
    brokers.restart(1);

    let log = KafkaLog::new(&brokers.bootstrap, &LogOptions::default()).unwrap();
    for case in &cases {
        let before = case.seen(&log);
        let expected: &[&str] =
            if case.forgets == Forgets::Offsets { &["first", "second"] } else { &["first"] };
        assert_eq!(before, expected, "{:?}: what the broker has forgotten", case.forgets);
        let group = case.join(&log);
        // Nothing of both was seen by anybody: the work is done again.
        let (next, seen): (_, &[&str]) = match case.forgets {
            Forgets::Both => (10, &["first"]),
            Forgets::Offsets | Forgets::Output => (20, &["first", "second"]),
        };
        let committed = group.committed(&[P0]).unwrap().expect("no offset lies in an open transaction");
        let committed: Vec<_> = committed.into_iter().map(|at| (at.next, at.note)).collect();
        let note = format!("v1 of {}", seen.last().unwrap());
        assert_eq!(committed, [(Offset(next), note)], "{:?}", case.forgets);
        assert!(!group.is_open(P0).unwrap(), "{:?}", case.forgets);
        assert_eq!(case.seen(&log), seen, "{:?}", case.forgets);
        // And it goes on.
        case.commit(&group, "third", 30);
        assert_eq!(case.seen(&log), [seen, &["third"]].concat(), "{:?}", case.forgets);
        group.leave();
    }
    broker::stop(&brokers);
}
