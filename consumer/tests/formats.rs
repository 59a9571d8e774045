//! Values in Confluent's wire format, by a real schema registry and a real broker: Avro, Protobuf and JSON, each of schemas that changed, score
//! as the same events in plain JSON do. What cannot be read is a dead letter with its bytes; a registry that is down is waited for.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/registry.rs"]
mod registry;
mod support;
#[path = "support/writers.rs"]
mod writers;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use consumer::{DEAD_LETTERS, SCORES};
use partition_log::checkup::Verdict;
use partition_log::conformance::broker;
use partition_log::{Log, LogOptions, SharedLog};
use support::compare::{self, Stored};
use support::stream::{self, Appender, Outgoing};
use support::{EVENTS, World};
use types::{Offset, headers};
use writers::{Writers, both, events};

const PARTITIONS: u32 = 2;
const PATIENCE: Duration = Duration::from_secs(90);
const MAP: &str = r#"
[entity]
type = "user"
id = "who.id"

[time]
column = "at"
format = "ms"

[type]
column = "did"
names = { watch = "play" }

[event_id]
column = "nr"

[fields]
watch_s = "more.watch_s"
genre = "more.genre"
finished = "more.finished"
plan = "more.plan"
amount = { column = "more.price", kind = "money", currency = "EUR" }
"#;

struct Proof {
    world: World,
    maps: [PathBuf; 2],
}

/// A consumer's process.
struct Process {
    child: Child,
    words: PathBuf,
}

impl Proof {
    fn new() -> Self {
        let world = World::new(support::seed());
        drop(world.registry("registry"));
        let write = |name: &str, format: &str| {
            let path = world.dir().join(name);
            std::fs::write(&path, format!("{format}{MAP}")).unwrap();
            path
        };
        let maps = [write("plain.toml", ""), write("confluent.toml", "format = \"confluent\"\n")];
        Self { world, maps }
    }

    fn start(&self, place: &str, store: &str, map: &Path, url: Option<&str>, more: &[&str]) -> Process {
        let words = self.world.dir().join(format!("{store}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_consumer"));
        let session = format!("{}s", support::session().as_secs());
        command.args(["--from", place, "--commit-interval", "100ms", "--session-timeout", &session, "--map"]);
        command.arg(map).arg("--features").arg(self.world.spec_path()).arg("--model");
        command.arg(self.world.registry_path("registry")).arg("--store").arg(self.world.dir().join(store));
        command.args(url.map(|url| ["--schema-registry", url]).into_iter().flatten()).args(more);
        let log = File::options().create(true).append(true).open(&words).unwrap();
        Process { child: command.stderr(Stdio::from(log)).spawn().unwrap(), words }
    }

    /// What plain JSON gives.
    fn expected(&self, records: &[Outgoing], name: &str) -> Vec<Vec<Stored>> {
        let place = format!("file:{}", self.world.dir().join(name).display());
        let log = partition_log::open(&place, &LogOptions::default()).unwrap();
        stream::create(log.as_ref(), PARTITIONS);
        Appender::new(log.as_ref()).append(records);
        self.start(&place, &format!("{name}-store"), &self.maps[0], None, &["--until-end"]).ends_well();
        assert!(without_offsets(&log, DEAD_LETTERS).iter().flatten().next().is_none());
        let scores = without_offsets(&log, SCORES);
        assert!(scores.iter().flatten().count() > 1000);
        scores
    }
}

impl Process {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap_or_default()
    }

    fn wait_for(&mut self, what: &str, happened: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !happened(&self.said()) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended by itself, waiting for {what}: {ended:?}\n{}", self.said());
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}\n{}", self.said());
            sleep(Duration::from_millis(20));
        }
    }

    fn ends_well(mut self) {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end\n{}", self.said());
            sleep(Duration::from_millis(20));
        };
        assert!(status.success(), "{status}\n{}", self.said());
    }

    fn stop(self) {
        assert!(
            Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().unwrap().success()
        );
        self.ends_well();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Markers of transactions take offsets too.
fn without_offsets(log: &SharedLog, topic: &str) -> Vec<Vec<Stored>> {
    let mut all = compare::records(log.as_ref(), topic);
    for (index, record) in all.iter_mut().flat_map(|partition| partition.iter_mut().enumerate()) {
        record.offset = Offset(index as u64);
    }
    all
}

fn kafka(name: &str) -> Option<(String, SharedLog)> {
    let brokers = broker::shared()?;
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let place = format!("kafka:{}/{name}-{nanos}.", brokers.bootstrap);
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    stream::create(log.as_ref(), PARTITIONS);
    Some((place, log))
}

#[test]
fn avro_protobuf_and_json_score_as_plain_json_does() {
    let Some((place, log)) = kafka("formats") else { return };
    let Some(registry) = registry::start("formats") else { return };
    let (writers, proof) = (Writers::new(&registry), Proof::new());
    let (ours, theirs) = both(&writers, &events(), &[0, 1, 2, 3, 4]);
    let expected = proof.expected(&ours, "ours");
    Appender::new(log.as_ref()).append(&theirs);
    let last = theirs.last().unwrap();
    let bad = [
        ([&[0][..], &999_999_u32.to_be_bytes(), b"x"].concat(), "unknown_schema"),
        (writers.write(0, &events()[0])[..12].to_vec(), "invalid_encoding"),
        (writers.write(2, &events()[0])[..20].to_vec(), "invalid_encoding"),
        (b"{}".to_vec(), "invalid_encoding"),
    ];
    let bad_records: Vec<_> =
        bad.iter().map(|(value, _)| Outgoing::new(&last.key, value, last.arrival.0)).collect();
    Appender::new(log.as_ref()).append(&bad_records);

    let url = Some(&*registry.url);
    what_the_doctor_finds(log.as_ref(), &proof.maps[1], &registry.url);
    proof.start(&place, "theirs", &proof.maps[1], url, &["--until-end"]).ends_well();
    compare::same_records("scores", &expected, &without_offsets(&log, SCORES));
    let letters = without_offsets(&log, DEAD_LETTERS);
    let found: Vec<_> = letters.iter().flatten().collect();
    assert_eq!(found.len(), bad.len(), "{found:?}");
    for (letter, (value, reason)) in found.iter().zip(&bad) {
        let why = letter.header(headers::REASON);
        assert_eq!((&letter.value, why.as_deref()), (value, Some(*reason)));
    }
}

/// The topic ends with what cannot be read; one schema has no `more.finished`, and the map reads it.
fn what_the_doctor_finds(log: &dyn Log, map: &Path, url: &str) {
    let checks = producer::checkup::of_map(log, EVENTS, map, Some(url));
    let of = |about: &str| checks.iter().filter(|check| check.about.starts_with(about)).collect::<Vec<_>>();
    assert!(of("schema registry")[0].found.contains("AVRO"), "{checks:?}");
    let unknown = of("schema 999999")[0];
    assert!(unknown.verdict == Verdict::Problem && unknown.advice.contains("redrive"), "{checks:?}");
    let said = |words: &str| of("schema ").iter().any(|check| check.found == words);
    // The first versions have no plan, the second no genre; JSON's schema does not tell.
    assert!(
        said("it has no more.plan") && said("it has no more.genre") && said("it can be read"),
        "{checks:?}"
    );
    let records = of("newest records")[0];
    assert!(records.verdict == Verdict::Warning && records.found.contains("4 cannot be read"), "{checks:?}");
    let nobody = producer::checkup::of_map(log, EVENTS, map, Some("http://127.0.0.1:1"));
    assert_eq!((nobody[0].verdict, nobody[0].about.as_str()), (Verdict::Problem, "schema registry"));
}

#[test]
fn a_registry_that_is_down_is_waited_for() {
    let Some((place, log)) = kafka("down") else { return };
    let Some(registry) = registry::start("down") else { return };
    let (writers, proof) = (Writers::new(&registry), Proof::new());
    let events = events();
    let (first, second) = events.split_at(700);
    // The second half is written by schemas that nobody has asked for by then.
    let (mut ours, theirs) = both(&writers, first, &[0, 2]);
    let (more, later) = both(&writers, second, &[1, 3, 4]);
    ours.extend(more);
    let expected = proof.expected(&ours, "ours");
    Appender::new(log.as_ref()).append(&theirs);
    let count = |topic: &str| without_offsets(&log, topic).iter().flatten().count();
    let start = |more: &[&str]| proof.start(&place, "theirs", &proof.maps[1], Some(&registry.url), more);
    let waits = |said: &str| said.matches("records wait for it").count();

    registry.kill();
    let mut process = start(&[]);
    process.wait_for("three tries", |said| waits(said) >= 3);
    // It waits, and can be told to end.
    process.stop();
    assert_eq!((count(SCORES), count(DEAD_LETTERS)), (0, 0));

    registry.again();
    let mut process = start(&[]);
    let begun = Instant::now();
    while count(SCORES) < 300 {
        assert!(begun.elapsed() < PATIENCE, "{}", process.said());
        sleep(Duration::from_millis(100));
    }
    registry.kill();
    let tries = waits(&process.said());
    Appender::new(log.as_ref()).append(&later);
    process.wait_for("two tries", |said| waits(said) >= tries + 2);
    assert_eq!(count(DEAD_LETTERS), 0);
    registry.again();
    process.wait_for("an answer", |said| said.contains("answers again"));
    process.stop();
    start(&["--until-end"]).ends_well();
    compare::same_records("scores", &expected, &without_offsets(&log, SCORES));
    assert_eq!((count(DEAD_LETTERS), log.topic(EVENTS).unwrap().unwrap().partitions), (0, PARTITIONS));
}
