//! How long a process that has nothing of a partition takes until it has the partition's state from the snapshot topic.
//!
//! ```text
//! cargo build --release -p consumer -p benches
//! target/release/restore --log kafka:HOST:PORT/PREFIX. [--users N] [--events N]
//! ```
//!
//! Writes the events of `--users` users, `--events` of each, to a topic of one partition; lets a `consumer` score them and publish the
//! state; starts a second one with an empty store, and reads from its log how long the restore took. Then it is killed. Prints one JSON object.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use partition_log::{Log, LogOptions, TopicConfig};
use types::{Event, EventTime, PartitionId, Value};

const SPEC: &str = include_str!("../../side-by-side/spec.toml");
/// The first event's time: 14 November 2023.
const BEGIN: i64 = 1_700_000_000_000;
/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(600);
/// So long nothing more is published: the state is there as a whole.
const QUIET: Duration = Duration::from_secs(15);
const RESTORED: &str = "the state is restored from the snapshot topic";

/// Measures the restore of a partition.
#[derive(Parser)]
struct Arguments {
    /// The log on Kafka. Its topics must not be there yet.
    #[arg(long)]
    log: String,
    /// How many users.
    #[arg(long, default_value_t = 250_000)]
    users: u64,
    /// How many events each has.
    #[arg(long, default_value_t = 20)]
    events: u64,
}

/// A consumer process, killed when it is dropped.
struct Running {
    child: Child,
    words: PathBuf,
}

impl Running {
    fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.words)?)
    }

    fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the consumer ended: {status}\n{}", self.said()?),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let log = partition_log::open(&arguments.log, &LogOptions::default())?;
    ensure!(log.topic("events")?.is_none(), "{} has a topic `events` already", arguments.log);
    let dir = tempfile::tempdir()?;
    benches::write_bundle(SPEC, dir.path())?;
    write_events(log.as_ref(), &arguments)?;

    let mut publishing = start(&arguments, dir.path(), "publishing")?;
    wait_until_published(log.as_ref(), &mut publishing)?;
    drop(publishing);
    let snapshot = log.bounds(consumer::SNAPSHOTS, PartitionId(0))?;

    let begun = Instant::now();
    let mut restoring = start(&arguments, dir.path(), "restoring")?;
    let said = wait_for(&mut restoring, RESTORED)?;
    let line = said.lines().find(|line| line.contains(RESTORED)).context("it was said just now")?;
    println!(
        "{}",
        serde_json::json!({
            "users": arguments.users, "events": arguments.users * arguments.events,
            "snapshot_records": snapshot.end.0 - snapshot.start.0, "seconds_from_start": begun.elapsed().as_secs_f64(),
            "restored": line[line.find(RESTORED).unwrap_or(0) + RESTORED.len()..].trim(),
        })
    );
    Ok(())
}

fn write_events(log: &dyn Log, arguments: &Arguments) -> Result<()> {
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config)?;
    let mut topic = log.writer("events")?;
    let mut writer = topic.partition(PartitionId(0))?;
    let (mut random, mut json) = (benches::Random(7), Vec::new());
    for turn in 0..arguments.events {
        for user in 0..arguments.users {
            let user = format!("u{user:06}");
            let event = Event {
                entity_type: "user".into(),
                entity: user.as_str().into(),
                kind: "play".into(),
                ts: EventTime(BEGIN + turn as i64 * 3_600_000 + random.below(3_000_000) as i64),
                id: None,
                fields: vec![("watch_s".into(), Value::Int(random.below(3_600) as i64))],
            };
            json.clear();
            event.encode(&mut json);
            writer.append(event.ts, user.as_bytes(), &json, &[])?;
        }
    }
    Ok(writer.sync()?)
}

fn start(arguments: &Arguments, dir: &Path, name: &str) -> Result<Running> {
    let words = dir.join(format!("{name}.log"));
    let program = std::env::current_exe()?.with_file_name("consumer");
    let child = Command::new(&program)
        .args(["--from", &arguments.log, "--no-reasons", "--session-timeout", "6s"])
        .arg("--features")
        .arg(dir.join("spec.toml"))
        .arg("--model")
        .arg(dir.join("model"))
        .arg("--store")
        .arg(dir.join(name))
        .stderr(Stdio::from(std::fs::File::create(&words)?))
        .spawn();
    let child = child.with_context(|| format!("start {}", program.display()))?;
    Ok(Running { child, words })
}

fn wait_until_published(log: &dyn Log, running: &mut Running) -> Result<()> {
    let begun = Instant::now();
    let (mut end, mut since) = (None, begun);
    while end.is_none() || since.elapsed() < QUIET {
        ensure!(begun.elapsed() < PATIENCE, "the state was not published in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(500));
        running.check()?;
        let Some(_) = log.topic(consumer::SNAPSHOTS)? else { continue };
        let bounds = log.bounds(consumer::SNAPSHOTS, PartitionId(0))?;
        let now = Some(bounds.end).filter(|end| *end > bounds.start);
        if now != end {
            (end, since) = (now, Instant::now());
        }
    }
    Ok(())
}

fn wait_for(running: &mut Running, word: &str) -> Result<String> {
    let begun = Instant::now();
    loop {
        let said = running.said()?;
        if said.contains(word) {
            return Ok(said);
        }
        running.check()?;
        ensure!(begun.elapsed() < PATIENCE, "waited in vain for `{word}`:\n{said}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
