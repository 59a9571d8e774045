//! Processes of a group on a real Kafka, and what one uninterrupted run on files makes of the same records.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its part, and all are tests"
)]

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES};
use partition_log::{LogOptions, SharedLog};

use crate::support::compare::{self, Stored};
use crate::support::foreign;
use crate::support::stream::{self, Appender, Outgoing, Shape};
use crate::support::{self, World};

pub(crate) const PARTITIONS: u32 = 3;
/// No wait is longer: a test that hangs fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// What a member says whose session is over.
pub(crate) const JOINS_AGAIN: [&str; 2] = [
    "what was not committed is dropped; joining the group again",
    "no broker answers: trying until one does",
];

/// A topic on the brokers and what one uninterrupted run on files made of the same records.
pub(crate) struct Proof {
    pub(crate) world: World,
    pub(crate) records: Vec<Outgoing>,
    pub(crate) place: String,
    pub(crate) log: SharedLog,
    pub(crate) expected: Vec<(&'static str, Vec<Vec<Stored>>)>,
    pub(crate) reference_store: PathBuf,
}

/// One process of the group.
pub(crate) struct Member {
    pub(crate) child: Child,
    pub(crate) words: PathBuf,
    store: PathBuf,
}

impl Proof {
    pub(crate) fn new(brokers: &str, name: &str, seed: u64, shape: Shape) -> Self {
        Self::over(PARTITIONS, brokers, name, seed, shape)
    }

    /// The same over another number of partitions.
    pub(crate) fn over(partitions: u32, brokers: &str, name: &str, seed: u64, shape: Shape) -> Self {
        let world = World::new(seed);
        let records = stream::make(seed, shape);
        drop(world.registry("registry"));
        let reference = format!("file:{}", world.dir().join("reference-log").display());
        let file = partition_log::open(&reference, &LogOptions::default()).unwrap();
        stream::create(file.as_ref(), partitions);
        Appender::new(file.as_ref()).append(&records);
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let place = format!("kafka:{brokers}/{name}-{nanos}.");
        let log = partition_log::open(&place, &LogOptions::default()).unwrap();
        stream::create(log.as_ref(), partitions);
        Self::of(world, records, place, log, &reference, &file)
    }

    /// The same of a topic that others write.
    pub(crate) fn foreign(
        brokers: &str,
        name: &str,
        seed: u64,
        shape: Shape,
    ) -> (Self, Vec<Vec<(i64, u64)>>) {
        let world = World::new(seed);
        let mut records = stream::make(seed, shape);
        records.retain(|record| !record.everywhere);
        drop(world.registry("registry"));
        let reference = format!("file:{}", world.dir().join("reference-log").display());
        let file = partition_log::open(&reference, &LogOptions::default()).unwrap();
        stream::create(file.as_ref(), PARTITIONS);
        let (ticked, decided): (Vec<_>, Vec<_>) =
            foreign::with_ticks(&records, PARTITIONS).into_iter().unzip();
        let mut appender = Appender::new(file.as_ref());
        ticked.iter().enumerate().for_each(|(partition, records)| appender.append_to(partition, records));
        drop(appender);
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let (place, log) = foreign::make(brokers, &format!("{name}-{nanos}"), PARTITIONS);
        (Self::of(world, records, place, log, &reference, &file), decided)
    }

    fn of(
        world: World,
        records: Vec<Outgoing>,
        place: String,
        log: SharedLog,
        reference: &str,
        file: &SharedLog,
    ) -> Self {
        let reference_store = world.dir().join("reference-store");
        let mut proof = Self { world, records, place, log, expected: Vec::new(), reference_store };
        let mut run = proof.start_on(reference, "reference-store", &["--until-end"]);
        run.ends_well();
        proof.expected = [SCORES, SHADOW_SCORES, DEAD_LETTERS].map(|t| (t, without_offsets(file, t))).into();
        assert!(proof.expected[0].1.iter().flatten().count() > 1000);
        proof
    }

    pub(crate) fn start(&self, member: &str, arguments: &[&str]) -> Member {
        self.start_on(&self.place, member, arguments)
    }

    pub(crate) fn start_on(&self, place: &str, store: &str, arguments: &[&str]) -> Member {
        let words = self.world.dir().join(format!("{store}.log"));
        let session = format!("{}s", support::session().as_secs());
        let usual = [
            ("--commit-interval", "100ms"),
            ("--snapshot-interval", "200ms"),
            ("--memory", "1"),
            ("--batch", "500"),
            ("--session-timeout", &session),
        ];
        let usual = usual.into_iter().filter(|(name, _)| !arguments.contains(name));
        let store = self.world.dir().join(store);
        let child = Command::new(env!("CARGO_BIN_EXE_consumer"))
            .args(["--from", place])
            .args(usual.flat_map(|(name, value)| [name, value]))
            .arg("--features")
            .arg(self.world.spec_path())
            .arg("--model")
            .arg(self.world.registry_path("registry"))
            .arg("--store")
            .arg(&store)
            .args(arguments)
            .stderr(Stdio::from(File::options().create(true).append(true).open(&words).unwrap()))
            .spawn()
            .unwrap();
        Member { child, words, store }
    }

    /// Waits until readers of what is committed see as many scores and dead letters as there are to be.
    pub(crate) fn wait_until_done(&self, member: &mut Member) {
        member.wait_for("all to be committed", |_| {
            self.expected.iter().all(|(topic, expected)| {
                let expected: usize = expected.iter().map(Vec::len).sum();
                let found = compare::records(self.log.as_ref(), topic);
                found.iter().map(Vec::len).sum::<usize>() >= expected
            })
        });
    }

    /// What the brokers call a topic.
    pub(crate) fn name(&self, topic: &str) -> String {
        self.log.as_kafka().unwrap().name(topic)
    }

    /// What a member has said so far.
    pub(crate) fn said(&self, store: &str) -> String {
        std::fs::read_to_string(self.world.dir().join(format!("{store}.log"))).unwrap_or_default()
    }

    /// Runs a member to the end, and compares what is there then.
    pub(crate) fn holds(&self, store: &str) {
        self.run_to_the_end(store);
        self.equals(store);
    }

    /// Compares what is there now with what is to be.
    pub(crate) fn equals(&self, store: &str) {
        for (topic, expected) in &self.expected {
            compare::same_records(topic, expected, &without_offsets(&self.log, topic));
        }
        let states = compare::states(&self.world.dir().join(store));
        compare::same_users("state", &compare::states(&self.reference_store), &states);
    }

    /// The same where offsets differ: ticks stand in the one log and not in the other.
    pub(crate) fn holds_but_for_offsets(&self, store: &str) {
        self.run_to_the_end(store);
        for (topic, expected) in &self.expected {
            let found = without_offsets(&self.log, topic);
            compare::same_records(topic, &without_sources(expected), &without_sources(&found));
        }
        let states = compare::states(&self.world.dir().join(store));
        compare::same_users("state", &compare::states(&self.reference_store), &states);
    }

    fn run_to_the_end(&self, store: &str) {
        // Whoever ended is a member until the group has waited in vain; then all partitions are this one's.
        sleep(support::session() + Duration::from_secs(1));
        self.start(store, &["--until-end"]).ends_well();
    }
}

/// Whether a member has said that a partition came: who joins others gets none at first.
pub(crate) fn has_any(said: &str) -> bool {
    let came = said.split("partitions came partitions=").skip(1);
    came.into_iter().any(|partitions| partitions.starts_with(|first: char| first.is_ascii_digit()))
}

/// Without what names an offset of the input.
fn without_sources(all: &[Vec<Stored>]) -> Vec<Vec<Stored>> {
    let mut all = all.to_vec();
    for record in all.iter_mut().flatten() {
        record.headers.retain(|(name, _)| name != types::headers::FROM);
        if record.headers.is_empty() {
            let mut score: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
            let fields = score.as_object_mut().unwrap();
            fields.remove("id").unwrap();
            fields.remove("source").unwrap();
            record.value = score.to_string().into_bytes();
        }
    }
    all
}

/// Markers of transactions take offsets too, so only order and content can be compared.
pub(crate) fn without_offsets(log: &SharedLog, topic: &str) -> Vec<Vec<Stored>> {
    let mut all = compare::records(log.as_ref(), topic);
    for (index, record) in all.iter_mut().flat_map(|partition| partition.iter_mut().enumerate()) {
        record.offset = types::Offset(index as u64);
    }
    all
}

impl Member {
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap_or_default()
    }

    pub(crate) fn wait_for(&mut self, what: &str, happened: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !happened(&self.said()) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("ended by itself, waiting for {what}: {status}\n{}", self.said());
            }
            assert!(Instant::now() < deadline, "waited in vain for {what}\n{}", self.said());
            sleep(Duration::from_millis(20));
        }
    }

    /// What it answers over HTTP, with the status; nothing where nobody does.
    pub(crate) fn get(&self, path: &str) -> Option<(u16, String)> {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(10)))
            .build()
            .into();
        let address = consumer::address_of(&self.store)?;
        let mut answer = agent.get(format!("{address}{path}")).call().ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_to_string().ok()?))
    }

    /// Its metric of that name and labels, if it shows one.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let (_, text) = self.get("/metrics")?;
        text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub(crate) fn times(&self, word: &str) -> usize {
        self.said().matches(word).count()
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
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

    pub(crate) fn ends_well(&mut self) {
        let status = self.wait();
        assert!(status.success(), "{status}\n{}", self.said());
    }

    pub(crate) fn signal(&self, name: &str) {
        let sent =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) fn kill(&mut self) {
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
