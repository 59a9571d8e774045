//! What a process of a group says of itself: whether it is ready, how long partitions stood still, how many customers there are.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use consumer::{FeatureReading, PartitionStatus, ReadStatus, Status};
use group::{Member, PARTITIONS, Proof};
use partition_log::conformance::broker;
use support::compare::Stored;
use support::stream::{self, Appender, Outgoing, Shape};
use types::{Score, Trigger};

const SHAPE: Shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
const CAME: &str = "partitions came partitions=";

/// By tick and partition, how many users of each band were swept.
type Swept = BTreeMap<(i64, usize), [u64; 3]>;

fn swept(scores: &[Vec<Stored>]) -> Swept {
    let mut all = Swept::new();
    for (partition, records) in scores.iter().enumerate() {
        for record in records {
            let score = Score::decode(&record.value).unwrap();
            if score.trigger == Trigger::Sweep {
                all.entry((score.as_of.0, partition)).or_default()[score.band as usize] += 1;
            }
        }
    }
    all
}

/// The last tick of a part of the stream.
fn last_tick(records: &[Outgoing]) -> i64 {
    records.iter().rev().find(|record| record.everywhere).unwrap().arrival.0 - stream::HOUR
}

fn sum(swept: &Swept, tick: i64, partitions: impl IntoIterator<Item = usize>) -> [u64; 3] {
    let mut all = [0; 3];
    for partition in partitions {
        let of_partition = swept.get(&(tick, partition)).copied().unwrap_or_default();
        all.iter_mut().zip(of_partition).for_each(|(sum, count)| *sum += count);
    }
    all
}

fn customers(member: &Member) -> Option<[u64; 3]> {
    let band = |band| member.metric(&format!("churn_customers{{band=\"{band}\"}}"));
    Some([band("low")? as u64, band("medium")? as u64, band("high")? as u64])
}

/// The partitions that a member got last.
fn got(member: &mut Member) -> Vec<usize> {
    // An assignment of none comes first where another has all.
    let line =
        |said: &str| said.lines().rev().find_map(|line| line.split_once(CAME).map(|(_, l)| l.to_owned()));
    let numbers = |line: &str| line.split(' ').map_while(|n| n.parse().ok()).collect::<Vec<usize>>();
    member.wait_for("a partition", |said| line(said).is_some_and(|line| !numbers(&line).is_empty()));
    numbers(&line(&member.said()).unwrap())
}

fn status(member: &Member) -> Status {
    member.get("/v1/status").and_then(|(_, json)| serde_json::from_str(&json).ok()).unwrap_or_default()
}

fn until(what: &str, member: &Member, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + group::PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", member.said());
        sleep(Duration::from_millis(20));
    }
}

/// Of those that nobody is to think dead, however busy the machine is.
const LONG: [&str; 2] = ["--session-timeout", "30s"];

#[test]
fn the_customers_of_all_processes_are_all_customers() {
    let Some(brokers) = broker::shared() else { return };
    let proof = Proof::new(&brokers.bootstrap, "customers", support::seed() ^ 21, SHAPE);
    let (first, rest) = proof.records.split_at(proof.records.len() / 2);
    let swept = swept(&proof.expected[0].1);
    let (then, now) = (last_tick(first), last_tick(rest));
    let all = 0..PARTITIONS as usize;
    assert!(sum(&swept, then, all.clone()).iter().sum::<u64>() > 50);
    let mut appender = Appender::new(proof.log.as_ref());

    let mut a = proof.start("a", &LONG);
    a.wait_for("partitions", |said| said.contains(CAME));
    appender.append(first);
    let everybody = Some(sum(&swept, then, all.clone()));
    until("all customers", &a, || customers(&a) == everybody);

    let mut b = proof.start("b", &LONG);
    let of_b = got(&mut b);
    let of_a: Vec<usize> = all.clone().filter(|p| !of_b.contains(p)).collect();
    let own = Some(sum(&swept, then, of_a.iter().copied()));
    until("its own customers alone", &a, || customers(&a) == own);
    until("that it does not know its own", &b, || customers(&b).is_none());

    appender.append(rest);
    let (of_a, of_b) = (sum(&swept, now, of_a), sum(&swept, now, of_b));
    until("its own customers", &a, || customers(&a) == Some(of_a));
    until("its own customers", &b, || customers(&b) == Some(of_b));

    let before = a.times(CAME);
    b.signal("TERM");
    b.ends_well();
    a.wait_for("the partition", |said| said.matches(CAME).count() > before);
    until("what is not known to be gone", &a, || customers(&a).is_none());
    // Known again with the next sweep.
    appender.append(&[Outgoing::tick(now + stream::DAY)]);
    until("all customers", &a, || customers(&a).is_some_and(|found| found.iter().sum::<u64>() > 50));
    a.signal("TERM");
    a.ends_well();
}

/// Asks at once and again whether a member is ready, until it is and has said what is true of all users; returns all that it said.
fn ready(member: &Member, users: &[String]) -> Vec<String> {
    let (mut said, mut present) = (Vec::<String>::new(), 0);
    let mut users = users.iter().cycle();
    until("it to be ready", member, || {
        let Some((code, why)) = member.get("/readyz") else { return false };
        if code != 200 {
            assert_eq!(present, 0, "it was ready, and nothing has happened: {why}");
            if said.last() != Some(&why) {
                said.push(why);
            }
            return false;
        }
        let user: String = users.next().unwrap().bytes().map(|byte| format!("%{byte:02X}")).collect();
        let (_, reading) = member.get(&format!("/v1/users/{user}/features")).unwrap();
        let reading: FeatureReading = serde_json::from_str(&reading).unwrap();
        assert!(reading.status != ReadStatus::Stale, "{reading:?}\n{said:?}");
        present += 1;
        present > 20
    });
    said
}

#[test]
fn who_restores_or_rebuilds_state_is_not_ready_and_says_how_far_it_is() {
    let Some(brokers) = broker::shared() else { return };
    let proof = Proof::new(&brokers.bootstrap, "ready", support::seed() ^ 22, SHAPE);
    let users = stream::users(SHAPE);
    Appender::new(proof.log.as_ref()).append(&proof.records);
    proof.start("a", &["--until-end"]).ends_well();

    // Slowly, record by record.
    let mut b = proof.start("b", &[&LONG[..], &["--batch", "1"]].concat());
    let said = ready(&b, &users);
    assert!(said.iter().any(|why| why.contains("restoring partition ") && why.contains(" %")), "{said:?}");
    b.signal("TERM");
    b.ends_well();

    let class = "org.apache.kafka.tools.TopicCommand";
    let topic = proof.name("snapshots");
    let delete = ["tool", class, "--bootstrap-server", &brokers.bootstrap, "--delete", "--topic", &topic];
    assert!(broker::script().args(delete).status().unwrap().success());
    let mut c = proof.start("c", &[&LONG[..], &["--batch", "1"]].concat());
    let said = ready(&c, &users);
    let is_told = |why: &String| why.contains("rebuilding partition ") && why.contains(" s left");
    assert!(said.iter().any(is_told), "{said:?}");
    assert!(c.said().contains("its state is rebuilt from the topic"), "{}", c.said());
    c.signal("TERM");
    c.ends_well();
}

#[test]
fn what_is_written_again_after_an_abort_is_counted_once() {
    let Some(brokers) = broker::shared() else { return };
    let proof = Proof::new(&brokers.bootstrap, "counted", support::seed() ^ 24, SHAPE);
    // Its transactions last, so that one is open when it falls asleep for longer than the group waits.
    let mut a = proof.start("a", &["--commit-interval", "6s", "--memory", "64", "--scale-every", "50ms"]);
    a.wait_for("partitions", |said| said.contains(CAME));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(30));
    // By and by: a commit may come in between, and something must be left for the next transaction.
    let is_open = |p: &PartitionStatus| p.position.0 > p.committed.0 + 300;
    until("a transaction with scores", &a, || {
        let status = status(&a);
        let (is_open, age) = (status.partitions.iter().any(is_open), status.commit_age_seconds);
        // Not just before the next commit.
        let is_fresh = age.is_some_and(|age| age < 3.0);
        if is_fresh && !is_open {
            slices.next().inspect(|slice| appender.append(slice));
        }
        is_fresh && is_open
    });
    a.signal("STOP");
    slices.for_each(|slice| appender.append(slice));
    sleep(support::session() + Duration::from_secs(2));
    a.signal("CONT");
    a.wait_for("what it did to be dropped", |said| said.contains("what was not committed is dropped"));
    proof.wait_until_done(&mut a);
    let expected = |topic: usize| proof.expected[topic].1.iter().flatten().count() as f64;
    let of = |name: &str| {
        let (_, text) = a.get("/metrics").unwrap_or_default();
        let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|l| l.rsplit(' ').next());
        values.map(|value| value.parse::<f64>().unwrap()).sum::<f64>()
    };
    let counted = || (of("churn_scores_total{"), of("churn_events_rejected_total{"));
    let all = (expected(0), expected(2));
    until("all to be counted", &a, || counted().0 >= all.0);
    sleep(Duration::from_millis(500));
    assert_eq!(counted(), all);
    a.signal("TERM");
    a.ends_well();
}

/// Also where the last owner died with its transaction open: then the one that moves waits for long.
#[test]
fn only_partitions_that_move_stand_still_and_for_how_long_is_told() {
    let Some(brokers) = broker::shared() else { return };
    let proof =
        Proof::new(&brokers.bootstrap, "pause", support::seed() ^ 23, Shape { empty: (1, 1), ..SHAPE });
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(3));
    let mut appender = Appender::new(proof.log.as_ref());
    let pauses = |member: &Member| {
        let metric = |what| member.metric(&format!("churn_rebalance_pause_seconds_{what}")).unwrap_or(0.0);
        (metric("count"), metric("sum"))
    };
    let mut a = proof.start("a", &LONG);
    until("three partitions to have come", &a, || pauses(&a).0 == 3.0);
    slices.next().inspect(|slice| appender.append(slice));
    // Its transactions last, so that one is open when it is killed.
    let mut b = proof.start("b", &["--commit-interval", "6s", "--memory", "64", "--scale-every", "50ms"]);
    let of_b = got(&mut b);
    assert_eq!(of_b.len(), 1);
    until("one to have come", &b, || pauses(&b).0 == 1.0);
    assert_eq!(pauses(&a).0, 4.0, "one went, and nothing was done to the two others");
    let before = pauses(&a).1;
    // Just after a commit, so that the next one is seconds away when it is killed; by and by, so that something is left if it is not.
    let mut pieces = slices.next().unwrap().chunks(proof.records.len().div_ceil(30));
    let is_open = |p: &PartitionStatus| p.position.0 > p.committed.0 + 100;
    until("a transaction with scores", &b, || {
        let status = status(&b);
        let since = |seconds| status.commit_age_seconds.is_some_and(|age| age < seconds);
        let is_open = status.partitions.iter().any(is_open);
        if since(1.0) && !is_open {
            pieces.next().inspect(|piece| appender.append(piece));
        }
        since(3.0) && is_open
    });
    b.kill();
    pieces.for_each(|piece| appender.append(piece));

    let waits = |member: &Member| {
        let (_, why) = member.get("/readyz").unwrap_or_default();
        why.contains("partitions wait for their last owner's transaction to end")
    };
    until("the partition that waits", &a, || waits(&a));
    let begun = Instant::now();
    slices.next().inspect(|slice| appender.append(slice));
    until("the others to go on", &a, || {
        let status = status(&a);
        let at_end =
            |p: &PartitionStatus| p.committed == proof.log.bounds(support::EVENTS, p.partition).unwrap().end;
        status.partitions.len() == 2 && status.partitions.iter().all(at_end)
    });
    assert!(waits(&a), "nothing moved meanwhile: {:?}", begun.elapsed());
    until("the partition to come", &a, || pauses(&a).0 == 5.0);
    let (waited, pause) = (begun.elapsed().as_secs_f64(), pauses(&a).1 - before);
    assert!(pause >= waited - 1.0, "{pause} s in the metric, {waited} s seen");
    a.signal("TERM");
    a.ends_well();
    proof.holds("a");
}
