//! The consumer on a real Kafka: whatever is done to it, a reader who sees only what is committed finds what one uninterrupted run on
//! files leaves, record by record and byte by byte, and the state of every user is the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

/// Not of the others: tests of other crates share those, and have no consumer to start.
#[path = "support/group.rs"]
mod group;
mod support;

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use group::{PARTITIONS, Proof};
use partition_log::conformance::broker::{self, Brokers};
use support::random::Random;
use support::stream::{Appender, Shape};
use support::{compare, foreign, stream};

fn brokers() -> Option<&'static Brokers> {
    broker::shared()
}

/// How many members the group has, by Kafka's own tool.
fn members(brokers: &Brokers, proof: &Proof) -> usize {
    let group = format!("churnstream-{}", proof.name(support::EVENTS));
    let tool = ["tool", "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"];
    let asked = ["--bootstrap-server", &brokers.bootstrap, "--describe", "--members", "--group", &group];
    let output = broker::script().args(tool).args(asked).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| line.starts_with(&group)).count()
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
    let appended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Without a pause in which all transactions would happen to be closed.
        scope.spawn(|| {
            let mut appender = Appender::new(proof.log.as_ref());
            for slice in proof.records.chunks(proof.records.len().div_ceil(300)) {
                appender.append(slice);
                sleep(Duration::from_millis(50));
            }
            appended.store(true, std::sync::atomic::Ordering::Release);
        });
        let mut a = proof.start("a", &[]);
        a.wait_for("partitions", |said| said.contains("partitions came"));
        sleep(Duration::from_millis(500));
        let mut b = proof.start("b", &[]);
        let mut c = proof.start("c", &[]);
        b.wait_for("a partition", group::has_any);
        c.wait_for("a partition", group::has_any);
        sleep(Duration::from_millis(500));
        // One goes without a word, and then one that stays sleeps for longer than the group waits, and wakes.
        c.kill();
        sleep(Duration::from_millis(500));
        b.signal("STOP");
        // A member that comes meanwhile gives everybody's session a new start.
        sleep(support::session() * 2 + Duration::from_secs(2));
        // Where the brokers were busy they may not have missed it yet.
        let deadline = std::time::Instant::now() + group::PATIENCE;
        while members(brokers, &proof) > 1 {
            assert!(std::time::Instant::now() < deadline, "who sleeps stays a member");
        }
        // It may find out as a member, by an aborted transaction, or by a commit that it slept in and that was undone: each ends its session.
        let joins =
            |said: &str| group::JOINS_AGAIN.map(|words| said.matches(words).count()).iter().sum::<usize>();
        let before = joins(&b.said());
        b.signal("CONT");
        b.wait_for("the group to have gone on", |said| joins(said) > before);
        b.signal("TERM");
        b.ends_well();
        a.wait_for("everything to be appended", |_| appended.load(std::sync::atomic::Ordering::Acquire));
        proof.wait_until_done(&mut a);
        a.signal("TERM");
        a.ends_well();
    });
    proof.holds("a");
    // And from nothing but the topics: the state of every partition is restored.
    proof.holds("d");
}

#[test]
fn a_partition_goes_to_another_process_and_comes_back_without_a_wait() {
    let Some(brokers) = brokers() else { return };
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    let proof = Proof::new(&brokers.bootstrap, "there-and-back", support::seed() ^ 9, shape);
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(4));
    let mut appender = Appender::new(proof.log.as_ref());
    // Whoever waited for the end of a session would wait in vain.
    let session = ["--session-timeout", "4m"];
    let mut a = proof.start("a", &session);
    a.wait_for("partitions", |said| said.contains("partitions came"));
    slices.next().inspect(|slice| appender.append(slice));
    let mut b = proof.start("b", &session);
    a.wait_for("a partition to go", |said| said.contains("partitions went"));
    b.wait_for("a partition", |said| {
        said.contains("partitions came partitions=0") || said.contains("partitions came partitions=1")
    });
    slices.next().inspect(|slice| appender.append(slice));
    sleep(Duration::from_millis(500));
    let before = a.times("partitions came");
    b.signal("TERM");
    b.ends_well();
    a.wait_for("the partition to come back", |said| said.matches("partitions came").count() > before);
    slices.for_each(|slice| appender.append(slice));
    a.signal("TERM");
    a.ends_well();
    proof.holds("a");
}

#[test]
fn a_topic_that_others_write_is_swept_as_if_its_ticks_stood_in_it() {
    let Some(brokers) = brokers() else { return };
    let seed = support::seed() ^ 4;
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    let (proof, decided) = Proof::foreign(&brokers.bootstrap, "foreign", seed, shape);
    assert!(decided.iter().flatten().count() > 15, "{decided:?}");
    let mut random = Random::new(seed);
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(6));
    let mut appender = Appender::new(proof.log.as_ref());
    for _ in 0..4 {
        let mut member = proof.start("a", &[]);
        let before = member.times("partitions came");
        member.wait_for("partitions", |said| said.matches("partitions came").count() > before);
        slices.next().inspect(|slice| appender.append(slice));
        sleep(Duration::from_millis(random.below(900)));
        member.kill();
    }
    slices.for_each(|slice| appender.append(slice));
    proof.holds_but_for_offsets("a");
    for (partition, decided) in (0..).zip(&decided) {
        assert_eq!(*decided, foreign::decided(proof.log.as_ref(), partition), "partition {partition}");
    }
}

#[test]
fn users_of_a_topic_that_others_write_are_swept_by_the_clock_when_nothing_comes() {
    let Some(brokers) = brokers() else { return };
    let (now, day) = (stream::now(), stream::DAY);
    let shape = Shape { users: 600, days: 12, empty: (2, PARTITIONS) };
    let (proof, _) = Proof::foreign(&brokers.bootstrap, "idle", support::seed() ^ 5, shape);
    // One day of a few users, the day before yesterday.
    let noon = now.div_euclid(day) * day - 2 * day + day / 2;
    let records: Vec<_> = stream::users(Shape { users: 40, ..shape })
        .iter()
        .flat_map(|user| ["signup", "play"].map(|kind| stream::plain(user, kind, noon)))
        .collect();
    Appender::new(proof.log.as_ref()).append(&records);
    let ticks = |partition| foreign::decided(proof.log.as_ref(), partition);
    let passed = |now: i64| (now - stream::HOUR).div_euclid(day) * day;
    let arguments = ["--tick-idle", "300ms"];
    for _ in 0..2 {
        let mut member = proof.start("a", &arguments);
        let before = member.times("partitions came");
        member.wait_for("partitions", |said| said.matches("partitions came").count() > before);
        let deadline = std::time::Instant::now() + group::PATIENCE;
        while (0..2).any(|p| ticks(p).last().is_none_or(|(tick, _)| *tick < passed(now))) {
            assert!(std::time::Instant::now() < deadline, "no tick by the clock\n{}", member.said());
            sleep(Duration::from_millis(100));
        }
        member.kill();
    }
    proof.start("a", &["--until-end"]).ends_well();
    for partition in 0..2 {
        let ticks = ticks(partition);
        let each_once = ticks.windows(2).all(|pair| pair[1].0 == pair[0].0 + day);
        assert!(each_once && (1..=3).contains(&ticks.len()), "{ticks:?}");
    }
    assert_eq!(ticks(2), [], "nobody is there");
    let mut swept = std::collections::BTreeMap::<(String, i64), u32>::new();
    for record in compare::records(proof.log.as_ref(), consumer::SCORES).into_iter().flatten() {
        let score: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        if score["trigger"] == "sweep" {
            *swept.entry((record.key, record.timestamp.0)).or_default() += 1;
        }
    }
    assert!(swept.len() > 20 && swept.values().all(|times| *times == 1), "{swept:?}");
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
    member.wait_for("partitions", |said| said.contains("partitions came"));
    for _ in 0..2 {
        slices.next().inspect(|slice| appender.append(slice));
        sleep(Duration::from_millis(300));
        let pid = std::fs::read_to_string(dir.join("broker-1.pid")).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        let back = broker::script().args(["broker", "1", "--dir"]).arg(dir).status().unwrap();
        assert!(back.success());
        slices.next().inspect(|slice| appender.append(slice));
    }
    slices.for_each(|slice| appender.append(slice));
    proof.wait_until_done(&mut member);
    member.signal("TERM");
    member.ends_well();
    // Shown if the test fails.
    println!("{}", member.said());
    proof.holds("a");
}
