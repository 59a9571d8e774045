//! What others do around a group: Kafka's own tools look at it, topics are smaller or grow, records are removed too early.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::time::Duration;

use consumer::{DEAD_LETTERS, SCORES, SNAPSHOTS, Status};
use group::{Member, PARTITIONS, Proof};
use partition_log::Retention;
use partition_log::conformance::broker::{self, Brokers};
use support::stream::{Appender, Outgoing, Shape};
use support::{EVENTS, compare};
use types::{Offset, PartitionId, headers};

const SHAPE: Shape = Shape { users: 300, days: 10, empty: (2, PARTITIONS) };

/// What one of Kafka's own tools says.
fn tool(class: &str, brokers: &Brokers, arguments: &[&str]) -> String {
    let class = format!("org.apache.kafka.tools.{class}");
    let fixed = ["tool", &class, "--bootstrap-server", &brokers.bootstrap];
    let output = broker::script().args(fixed).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// By partition, the committed offset and the lag.
fn told(member: &Member) -> Vec<(u64, u64)> {
    let json = member.get("/v1/status").map(|(_, json)| json).unwrap_or_default();
    let status: Status = serde_json::from_str(&json).unwrap_or_default();
    status.partitions.iter().filter_map(|p| Some((p.committed.0, p.lag?))).collect()
}

/// Without a transaction in the input our end and theirs are the same. Ours is the stable one: an open transaction is not waiting to be read.
#[test]
fn kafkas_tools_show_the_lag_that_we_show_and_the_scores() {
    let Some(brokers) = broker::shared() else { return };
    let proof = Proof::new(&brokers.bootstrap, "tools", support::seed() ^ 31, SHAPE);
    let (first, rest) = proof.records.split_at(proof.records.len() / 2);
    let mut appender = Appender::new(proof.log.as_ref());
    appender.append(first);
    proof.start("a", &["--until-end"]).ends_well();
    // It commits so rarely that what came since stays in the lag.
    let mut a = proof.start("a", &["--commit-interval", "170s", "--memory", "64", "--scale-every", "100ms"]);
    a.wait_for("its partitions", group::has_any);
    appender.append(rest);
    let waiting = || told(&a).iter().map(|(_, lag)| lag).sum::<u64>();
    let all: u64 = (0..PARTITIONS).map(|p| proof.log.bounds(EVENTS, PartitionId(p)).unwrap().end.0).sum();
    let deadline = std::time::Instant::now() + group::PATIENCE;
    while told(&a).iter().map(|(committed, lag)| committed + lag).sum::<u64>() < all {
        assert!(std::time::Instant::now() < deadline, "{:?}\n{}", told(&a), a.said());
        std::thread::sleep(Duration::from_millis(50));
    }
    let ours = told(&a);
    assert!(waiting() > 100, "{ours:?}");
    let name = proof.name(EVENTS);
    for (partition, (_, lag)) in ours.iter().enumerate() {
        let series = format!("churn_consumer_lag_events{{topic=\"{EVENTS}\",partition=\"{partition}\"}}");
        assert_eq!(a.metric(&series), Some(*lag as f64), "{series}");
    }

    let group = format!("churnstream-{name}");
    let described = tool("consumer.group.ConsumerGroupCommand", brokers, &["--describe", "--group", &group]);
    let lines = described.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut theirs: Vec<(usize, u64, u64)> = lines
        .filter(|words| words.first() == Some(&&*group) && words[1] == name)
        .map(|words| (words[2].parse().unwrap(), words[3].parse().unwrap(), words[5].parse().unwrap()))
        .collect();
    theirs.sort_unstable();
    let expected: Vec<_> =
        ours.iter().enumerate().map(|(p, (committed, lag))| (p, *committed, *lag)).collect();
    assert_eq!(theirs, expected, "{described}");
    a.signal("TERM");
    a.ends_well();

    let count: usize = compare::records(proof.log.as_ref(), SCORES).iter().map(Vec::len).sum();
    let (topic, number) = (proof.name(SCORES), count.to_string());
    let printed = tool(
        "consumer.ConsoleConsumer",
        brokers,
        &[
            "--topic",
            &topic,
            "--from-beginning",
            "--isolation-level",
            "read_committed",
            "--max-messages",
            &number,
        ],
    );
    let scores: Vec<serde_json::Value> =
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(scores.len(), count);
    for score in scores {
        assert!(score["entity"].is_string() && score["probability"].is_f64(), "{score}");
    }
}

/// A topic of dead letters that somebody made as Kafka does by itself takes no more than a mebibyte.
#[test]
fn a_dead_letter_that_its_topic_does_not_take_is_cut_and_says_so() {
    let Some(brokers) = broker::shared() else { return };
    let proof = Proof::new(&brokers.bootstrap, "letters", support::seed() ^ 32, SHAPE);
    let (topic, partitions) = (proof.name(DEAD_LETTERS), PARTITIONS.to_string());
    let mut made =
        vec!["--create", "--topic", &topic, "--partitions", &partitions, "--replication-factor", "1"];
    let settings = ["retention.ms=-1", "message.timestamp.after.max.ms=9223372036854775807"];
    made.extend(settings.iter().flat_map(|setting| ["--config", setting]));
    tool("TopicCommand", brokers, &made);
    // Random, so that it does not become small on its way.
    let mut random = support::random::Random::new(7);
    let large: Vec<u8> = (0..3 << 20).map(|_| random.next() as u8).collect();
    let last = proof.records.last().unwrap().arrival.0;
    let mut appender = Appender::new(proof.log.as_ref());
    appender.append(&proof.records);
    appender.append(&[Outgoing::new(b"large", &large, last)]);
    drop(appender);
    let mut run = proof.start("a", &["--until-end"]);
    run.ends_well();
    assert!(!run.said().contains("what was not committed is dropped"), "{}", run.said());

    let letters = compare::records(proof.log.as_ref(), DEAD_LETTERS);
    let (cut, whole): (Vec<_>, Vec<_>) =
        letters.iter().flatten().partition(|letter| letter.header(headers::TRUNCATED).is_some());
    let expected = proof.expected[2].1.iter().map(Vec::len).sum::<usize>();
    assert_eq!((cut.len(), whole.len()), (1, expected));
    let letter = cut[0];
    assert_eq!(letter.header(headers::TRUNCATED).unwrap(), large.len().to_string());
    assert!(large.starts_with(&letter.value) && letter.value.len() > 1_000_000, "{}", letter.value.len());
    assert_eq!(letter.key, "large");
    let redriven =
        partition_log::admin::redrive(proof.log.as_ref(), DEAD_LETTERS, &Default::default()).unwrap();
    assert_eq!((redriven.truncated, redriven.redriven > 0), (1, true), "half a record is no event");
}

#[test]
fn a_snapshot_whose_following_events_were_removed_is_refused() {
    let Some(brokers) = broker::shared() else { return };
    let proof = Proof::new(&brokers.bootstrap, "removed", support::seed() ^ 33, SHAPE);
    let (first, rest) = proof.records.split_at(proof.records.len() / 2);
    let mut appender = Appender::new(proof.log.as_ref());
    appender.append(first);
    proof.start("a", &["--until-end"]).ends_well();
    // What comes now is committed, and no state of it is published.
    let mut a = proof.start("a", &["--snapshot-interval", "1h", "--memory", "64"]);
    a.wait_for("its partitions", group::has_any);
    appender.append(rest);
    proof.wait_until_done(&mut a);
    a.kill();
    assert!(proof.log.bounds(SNAPSHOTS, PartitionId(0)).unwrap().end > Offset::ZERO);
    let newest = rest.iter().map(|record| record.arrival).max().unwrap();
    for partition in (0..PARTITIONS).map(PartitionId) {
        let keep = Retention { oldest: Some(newest), max_bytes: None };
        proof.log.retain(EVENTS, partition, &keep, Offset(u64::MAX >> 1)).unwrap();
    }
    // Neither one that has nothing nor one that has a state as old can go on.
    std::thread::sleep(support::session() + Duration::from_secs(1));
    for store in ["b", "a"] {
        let mut member = proof.start(store, &["--until-end"]);
        assert!(!member.wait().success());
        let said = member.said();
        assert!(said.contains("but state must be replayed from"), "{said}");
        assert!(said.contains("Keep events for longer than a consumer may be away"), "{said}");
        assert!(!said.contains("rebuilt from the topic"), "{said}");
        std::thread::sleep(support::session() + Duration::from_secs(1));
    }
}

#[test]
fn a_topic_of_others_that_gets_more_partitions_is_refused_with_what_to_do() {
    let Some(brokers) = broker::shared() else { return };
    let (proof, _) = Proof::foreign(&brokers.bootstrap, "grows", support::seed() ^ 34, SHAPE);
    Appender::new(proof.log.as_ref()).append(&proof.records);
    let mut a = proof.start("a", &[]);
    a.wait_for("its partitions", group::has_any);
    proof.wait_until_done(&mut a);
    let (topic, more) = (proof.name(EVENTS), (PARTITIONS + 1).to_string());
    tool("TopicCommand", brokers, &["--alter", "--topic", &topic, "--partitions", &more]);
    let refused = |member: &mut Member| {
        assert!(!member.wait().success());
        let said = member.said();
        assert!(said.contains("has 4 partitions, and had 3"), "{said}");
        assert!(said.contains("Score all again, in another group"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    };
    refused(&mut a);
    refused(&mut proof.start("a", &[]));
    refused(&mut proof.start("b", &[]));
}
