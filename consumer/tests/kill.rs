//! Killed at any moment, again and again, a consumer leaves what one uninterrupted run leaves: every record of its outputs
//! and every user's state.
//!
//! The harness speaks to the log through its trait and gives the consumer the log's place, so it serves any backend that
//! outlives a process.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use consumer::{DEAD_LETTERS, SCORES, SHADOW_SCORES};
use feature_store::{Store, StoreOptions, UserState};
use partition_log::{LogOptions, SharedLog};
use support::random::Random;
use support::stream::{Appender, BEGIN, DAY, Outgoing, Shape};
use support::{World, compare, stream};
use types::PartitionId;

const PARTITIONS: u32 = 3;

/// One log and one store, and the consumers that run on them one after the other.
struct Place<'w> {
    world: &'w World,
    place: String,
    log: SharedLog,
    registry: &'static str,
    store: PathBuf,
    runs: usize,
}

/// A consumer at work.
struct Running {
    child: Child,
    words: PathBuf,
    store: PathBuf,
}

/// What the kills hit, as far as it could be seen from what they left.
#[derive(Debug, Default)]
struct Hits {
    looked_at: u32,
    before_ready: u32,
    in_a_sweep: u32,
    outputs_beyond_the_commit: u32,
    state_behind_the_commit: u32,
    moves: usize,
}

impl<'w> Place<'w> {
    fn new(world: &'w World, name: &'static str, place: String) -> Self {
        let log = partition_log::open(&place, &LogOptions::default()).unwrap();
        stream::create(log.as_ref(), PARTITIONS);
        Self { world, place, log, registry: name, store: world.dir().join(format!("{name}-store")), runs: 0 }
    }

    fn start(&mut self, arguments: &[&str]) -> Running {
        self.runs += 1;
        let words = self.world.dir().join(format!("{}-{}.log", self.registry, self.runs));
        // What a killed process left must not be taken for the next one's.
        let _ = std::fs::remove_file(self.store.join(consumer::ADDRESS_FILE));
        let child = Command::new(env!("CARGO_BIN_EXE_consumer"))
            .args([
                "--from",
                &self.place,
                "--commit-interval",
                "50ms",
                "--snapshot-interval",
                "100ms",
                "--memory",
                "1",
            ])
            .args(["--scale-lag", "100", "--scale-every", "20ms", "--scale-cooldown", "40ms"])
            .arg("--features")
            .arg(self.world.spec_path())
            .arg("--model")
            .arg(self.world.registry_path(self.registry))
            .arg("--store")
            .arg(&self.store)
            .args(arguments)
            .stderr(Stdio::from(File::create(&words).unwrap()))
            .spawn()
            .unwrap();
        Running { child, words, store: self.store.clone() }
    }

    fn finish(&mut self) {
        let mut running = self.start(&["--until-end", "--workers", "2"]);
        let status = running.child.wait().unwrap();
        assert!(status.success(), "{status}\n{}", running.said());
    }

    /// Looks at what a kill left, before the next consumer repairs it.
    fn look(&self, hits: &mut Hits) {
        let Ok(identity) = feature_store::store::identity(&self.store) else { return };
        let store = Store::open(&self.store, &identity, StoreOptions::default()).unwrap();
        hits.looked_at += 1;
        let (mut sweep, mut beyond, mut behind) = (false, false, false);
        for partition in (0..PARTITIONS).map(PartitionId) {
            let users = store.partition::<UserState>(partition).unwrap();
            let Some(commit) = users.committed() else { continue };
            sweep |= commit.sweep.is_some();
            behind |= users.replay_from() < commit.next_input;
            beyond |= commit.outputs.iter().any(|(topic, next)| {
                self.log.bounds(topic, partition).is_ok_and(|bounds| bounds.end > *next)
            });
        }
        hits.in_a_sweep += u32::from(sweep);
        hits.outputs_beyond_the_commit += u32::from(beyond);
        hits.state_behind_the_commit += u32::from(behind);
    }
}

impl Running {
    fn said(&self) -> String {
        std::fs::read_to_string(&self.words).unwrap_or_default()
    }

    fn is_ready(&self) -> bool {
        self.store.join(consumer::ADDRESS_FILE).exists()
    }

    fn wait_for(&mut self, what: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !what(self) {
            self.still_runs();
            assert!(Instant::now() < deadline, "waited in vain\n{}", self.said());
            sleep(Duration::from_millis(5));
        }
    }

    fn still_runs(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("ended by itself: {status}\n{}", self.said());
        }
    }

    fn kill(mut self, hits: &mut Hits) {
        self.still_runs();
        hits.before_ready += u32::from(!self.is_ready());
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let said = self.said();
        assert!(!said.contains("came too late"), "promoted too late: the harness's fault\n{said}");
        hits.moves += said.lines().filter(|line| line.contains("workers") && line.contains("why=")).count();
    }
}

#[test]
fn killed_at_any_moment_it_leaves_what_an_uninterrupted_run_leaves() {
    let seed = support::seed();
    // Many users make long sweeps, with commits in them.
    let (kills, users, days) = if support::soak() { (220, 5000, 20) } else { (12, 1300, 12) };
    let world = World::new(seed);
    let records = stream::make(seed, Shape { users, days, empty: (2, PARTITIONS) });
    let file = |name: &str| format!("file:{}", world.dir().join(name).display());

    let mut reference = Place::new(&world, "reference", file("reference-log"));
    let registry = world.registry("reference");
    world.promote(&registry, days / 2);
    Appender::new(reference.log.as_ref()).append(&records);
    reference.finish();

    let mut killed = Place::new(&world, "killed", file("killed-log"));
    let hits = kill_again_and_again(&world, &mut killed, &records, kills, days / 2, seed);
    killed.finish();
    println!("{} records, {kills} kills: {hits:?}", records.len());

    assert!(records_of(&reference, SCORES).iter().flatten().count() > 1000);
    for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS] {
        compare::same_records(topic, &records_of(&reference, topic), &records_of(&killed, topic));
    }
    compare::same_users("state", &compare::states(&reference.store), &compare::states(&killed.store));
    assert!(hits.outputs_beyond_the_commit + hits.state_behind_the_commit > 0, "nothing was hit: {hits:?}");
    if support::soak() {
        assert!(hits.in_a_sweep > 0 && hits.before_ready > 0 && hits.moves > 0, "{hits:?}");
        assert!(hits.outputs_beyond_the_commit > 0 && hits.state_behind_the_commit > 0, "{hits:?}");
    }
}

fn records_of(place: &Place<'_>, topic: &str) -> Vec<Vec<compare::Stored>> {
    compare::records(place.log.as_ref(), topic)
}

/// Writes the stream in slices while consumers run, and kills each of them; the whole stream is written at the end.
fn kill_again_and_again(
    world: &World,
    place: &mut Place<'_>,
    records: &[Outgoing],
    kills: usize,
    promoted: i64,
    seed: u64,
) -> Hits {
    let mut random = Random::new(seed ^ 0x6b69_6c6c);
    let mut hits = Hits::default();
    let mut slices = records.chunks(records.len().div_ceil(kills * 3)).peekable();
    let mut appender = Appender::new(place.log.as_ref());
    let registry = world.registry(place.registry);
    // Events reach up to a day beyond their arrival.
    let promote_before = BEGIN.0 + (promoted - 2) * DAY;
    let mut is_promoted = false;
    for kill in 0..kills {
        let workers = *random.pick(&["1", "2", "3", "4", "auto"]);
        let batch = *random.pick(&["1", "7", "100", "10000"]);
        let mut running = place.start(&["--workers", workers, "--batch", batch]);
        if random.permille(850) {
            running.wait_for(Running::is_ready);
        }
        for _ in 0..random.between(1, 6) {
            let due = |slice: &&[Outgoing]| slice.iter().any(|record| record.arrival.0 >= promote_before);
            if !is_promoted && slices.peek().is_some_and(due) {
                running.wait_for(Running::is_ready);
                world.promote(&registry, promoted);
                running.wait_for(|running| running.said().contains("the registry was extended"));
                is_promoted = true;
            }
            if let Some(slice) = slices.next() {
                appender.append(slice);
            }
            sleep(Duration::from_micros(random.below(120_000)));
        }
        running.kill(&mut hits);
        // Not each time: what a kill left is to be repaired by a consumer, too.
        if kill % 3 > 0 {
            place.look(&mut hits);
        }
    }
    assert!(is_promoted, "the promotion is part of it");
    slices.for_each(|slice| appender.append(slice));
    hits
}

/// The importer's arguments, one a line, for the process that is the importer.
const IMPORT: &str = "KILL_TEST_IMPORT";

/// Not a test of its own: the importer, when this program is started again as one.
#[test]
fn the_importer() {
    let Ok(arguments) = std::env::var(IMPORT) else { return };
    let cli = producer::cli::Cli::try_parse_from(arguments.lines()).unwrap();
    let producer::cli::Command::Import(import) = cli.command else { panic!("no import: {arguments}") };
    producer::import::run(&import, &producer::Surroundings::default()).unwrap();
}

fn start_import(world: &World, place: &str, rate: &str) -> Child {
    let path = |name: &str| world.dir().join(name).display().to_string();
    let (file, map, partitions) = (path("events.jsonl"), path("map.toml"), PARTITIONS.to_string());
    let arguments = ["producer", "import", &file, "--map", &map, "--to", place, "--partitions", &partitions];
    // As it comes, not sorted: disorder is part of it.
    let how = ["--rate", rate, "--sort", "never", "--not-after", "2024-06-01"];
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_importer", "--nocapture", "--test-threads=1"])
        .env(IMPORT, [&arguments[..], &how[..]].concat().join("\n"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn importer_and_consumer_killed_side_by_side_leave_what_uninterrupted_ones_leave() {
    let seed = support::seed() ^ 1;
    let kills = if support::soak() { 60 } else { 8 };
    let world = World::new(seed);
    let mut lines = Vec::new();
    for record in stream::make(seed, Shape { users: 700, days: 12, empty: (2, PARTITIONS) }) {
        if !record.everywhere {
            lines.extend_from_slice(&record.value);
            lines.push(b'\n');
        }
    }
    std::fs::write(world.dir().join("events.jsonl"), lines).unwrap();
    std::fs::write(world.dir().join("map.toml"), include_str!("../../examples/simulator/map.toml")).unwrap();
    let file = |name: &str| format!("file:{}", world.dir().join(name).display());
    drop((world.registry("reference"), world.registry("killed")));

    let mut reference = Place::new(&world, "reference", file("reference-log"));
    assert!(start_import(&world, &reference.place, "max").wait().unwrap().success());
    reference.finish();

    let mut killed = Place::new(&world, "killed", file("killed-log"));
    let mut random = Random::new(seed);
    let (mut hits, mut imports_killed) = (Hits::default(), 0);
    for _ in 0..kills {
        let mut import = start_import(&world, &killed.place, if support::soak() { "500" } else { "3000" });
        for _ in 0..random.between(1, 3) {
            let running = killed.start(&["--workers", *random.pick(&["1", "2", "4"]), "--batch", "50"]);
            sleep(Duration::from_millis(random.below(400)));
            running.kill(&mut hits);
        }
        imports_killed += u32::from(import.try_wait().unwrap().is_none());
        import.kill().unwrap();
        import.wait().unwrap();
    }
    assert!(start_import(&world, &killed.place, "max").wait().unwrap().success());
    killed.finish();
    println!("{imports_killed} imports killed: {hits:?}");
    assert!(imports_killed >= 3, "the import was killed at work");

    for topic in [support::EVENTS, SCORES, SHADOW_SCORES, DEAD_LETTERS] {
        let expected = records_of(&reference, topic);
        assert!(expected.iter().flatten().count() > 20, "{topic}");
        compare::same_records(topic, &expected, &records_of(&killed, topic));
    }
    compare::same_users("state", &compare::states(&reference.store), &compare::states(&killed.store));
}
