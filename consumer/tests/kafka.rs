//! The consumer on a real Kafka: whatever is done to it, a reader who sees only what is committed finds what one uninterrupted run on
//! files leaves, record by record and byte by byte, and the state of every user is the same.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES};
use partition_log::conformance::broker::{self, Brokers};
use partition_log::{LogOptions, SharedLog};
use support::compare::{self, Stored};
use support::random::Random;
use support::stream::{Appender, Outgoing, Shape};
use support::{World, stream};

const PARTITIONS: u32 = 3;
/// No wait is longer: a test that hangs fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A topic on the brokers and what one uninterrupted run on files made of the same records.
struct Proof {
    world: World,
    records: Vec<Outgoing>,
    place: String,
    log: SharedLog,
    expected: Vec<(&'static str, Vec<Vec<Stored>>)>,
    reference_store: PathBuf,
}

/// One process of the group.
struct Member {
    child: Child,
    words: PathBuf,
}

impl Proof {
    fn new(brokers: &str, name: &str, seed: u64, shape: Shape) -> Self {
        let world = World::new(seed);
        let records = stream::make(seed, shape);
        drop(world.registry("registry"));
        let reference = format!("file:{}", world.dir().join("reference-log").display());
        let file = partition_log::open(&reference, &LogOptions::default()).unwrap();
        stream::create(file.as_ref(), PARTITIONS);
        Appender::new(file.as_ref()).append(&records);
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let place = format!("kafka:{brokers}/{name}-{nanos}.");
        let log = partition_log::open(&place, &LogOptions::default()).unwrap();
        stream::create(log.as_ref(), PARTITIONS);
        let reference_store = world.dir().join("reference-store");
        let mut proof = Self { world, records, place, log, expected: Vec::new(), reference_store };
        let mut run = proof.start_on(&reference, "reference-store", &["--until-end"]);
        run.ends_well();
        proof.expected = [SCORES, SHADOW_SCORES, DEAD_LETTERS].map(|t| (t, without_offsets(&file, t))).into();
        assert!(proof.expected[0].1.iter().flatten().count() > 1000);
        proof
    }

    fn start(&self, member: &str, arguments: &[&str]) -> Member {
        self.start_on(&self.place, member, arguments)
    }

    fn start_on(&self, place: &str, store: &str, arguments: &[&str]) -> Member {
        let words = self.world.dir().join(format!("{store}.log"));
        let child = Command::new(env!("CARGO_BIN_EXE_consumer"))
            .args([
                "--from",
                place,
                "--commit-interval",
                "100ms",
                "--snapshot-interval",
                "200ms",
                "--memory",
                "1",
            ])
            .args(["--session-timeout", "3s", "--batch", "500"])
            .arg("--features")
            .arg(self.world.spec_path())
            .arg("--model")
            .arg(self.world.registry_path("registry"))
            .arg("--store")
            .arg(self.world.dir().join(store))
            .args(arguments)
            .stderr(Stdio::from(File::options().create(true).append(true).open(&words).unwrap()))
            .spawn()
            .unwrap();
        Member { child, words }
    }

    /// Runs a member to the end, and compares what is there then.
    fn holds(&self, store: &str) {
        // Whoever ended is a member until the group has waited in vain; then all partitions are this one's.
        sleep(Duration::from_secs(4));
        self.start(store, &["--until-end"]).ends_well();
        for (topic, expected) in &self.expected {
            compare::same_records(topic, expected, &without_offsets(&self.log, topic));
        }
        let states = compare::states(&self.world.dir().join(store));
        compare::same_users("state", &compare::states(&self.reference_store), &states);
    }
}

/// Markers of transactions take offsets too, so only order and content can be compared.
fn without_offsets(log: &SharedLog, topic: &str) -> Vec<Vec<Stored>> {
    let mut all = compare::records(log.as_ref(), topic);
    for (index, record) in all.iter_mut().flat_map(|partition| partition.iter_mut().enumerate()) {
        record.offset = types::Offset(index as u64);
    }
    all
}

impl Member {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap_or_default()
    }

    fn wait_for(&mut self, what: &str, happened: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happened(&self.said()) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended by itself, waiting for {what}: {status}\n{}", self.said());
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.said());
            sleep(Duration::from_millis(20));
        }
    }

    fn times(&self, word: &str) -> usize {
        self.said().matches(word).count()
    }

    fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("did not end\n{}", self.said());
            }
            sleep(Duration::from_millis(20));
        }
    }

    fn ends_well(&mut self) {
        let status = self.wait();
        assert!(status.success(), "{status}\n{}", self.said());
    }

    fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn kill(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("ended by itself: {status}\n{}", self.said());
        }
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn brokers() -> Option<&'static Brokers> {
    broker::shared()
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
    let mut slices = proof.records.chunks(proof.records.len().div_ceil(12));
    let mut appender = Appender::new(proof.log.as_ref());
    let mut load = |times: usize| {
        for _ in 0..times {
            slices.next().inspect(|slice| appender.append(slice));
            sleep(Duration::from_millis(200));
        }
    };
    let mut a = proof.start("a", &[]);
    a.wait_for("partitions", |said| said.contains("partitions came"));
    load(2);
    let mut b = proof.start("b", &[]);
    let mut c = proof.start("c", &[]);
    load(3);
    b.wait_for("partitions", |said| said.contains("partitions came"));
    c.wait_for("partitions", |said| said.contains("partitions came"));
    load(2);
    // One goes without a word, and then one that stays sleeps for longer than the group waits, and wakes.
    c.kill();
    load(2);
    b.signal("STOP");
    sleep(Duration::from_secs(5));
    load(1);
    b.signal("CONT");
    load(2);
    b.signal("TERM");
    b.ends_well();
    a.signal("TERM");
    a.ends_well();
    proof.holds("a");
    // And from nothing but the topics: the state of every partition is rebuilt.
    proof.holds("d");
}

/// Not solved: now and then the records of the transaction in which the broker was killed are seen beside those that replace them.
#[test]
#[ignore = "fails now and then; README, With Kafka, says so"]
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
    for _ in 0..2 {
        slices.next().inspect(|slice| appender.append(slice));
        member.wait_for("partitions", |said| said.contains("partitions came"));
        sleep(Duration::from_millis(300));
        let pid = std::fs::read_to_string(dir.join("broker-1.pid")).unwrap();
        assert!(Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap().success());
        let back = broker::script().args(["broker", "1", "--dir"]).arg(dir).status().unwrap();
        assert!(back.success());
        slices.next().inspect(|slice| appender.append(slice));
    }
    slices.for_each(|slice| appender.append(slice));
    member.signal("TERM");
    member.ends_well();
    proof.holds("a");
}
