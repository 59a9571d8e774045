//! How long it takes after a kill -9 until the first new score: what happened since the oldest state that is not in the store is replayed before.
//!
//! ```text
//! cargo run --release -p benches --bin restart                  1,000,000 users, 20,000 events/s, state of 10 s not in the store
//! cargo run --release -p benches --bin restart -- --rate 5000 --active 0.01
//! ```
//!
//! Writes a history of `--users` users to a log in files; a consumer, a process of its own with default settings, takes it in and then follows a
//! steady stream. When its snapshot is `--age` seconds old it is killed, and started again while events go on. Counted is from the start of the
//! process to the first new record in `scores`, to one in every partition, and to `/readyz`. Prints one JSON object.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use consumer::pipeline::Reasons;
use consumer::{ConsumerOptions, SCORES, Scaling, Status, Surroundings, Workers};
use partition_log::{Log, LogOptions, PartitionWriter, SharedLog, TopicConfig};
use serde_json::json;
use types::{Event, EventTime, Offset, PartitionId, Value};

const SPEC: &str = include_str!("../../side-by-side/spec.toml");
const PARTITIONS: u32 = 4;
/// The first event's time: 14 November 2023.
const BEGIN: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;
/// So often events are handed over, all that are due by then.
const BEAT: Duration = Duration::from_millis(5);
/// No wait is longer.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// Measures the time from a restart to the first score.
#[derive(Parser)]
struct Arguments {
    /// How many users.
    #[arg(long, default_value_t = 1_000_000)]
    users: u64,
    /// How many events each has in the history.
    #[arg(long, default_value_t = 10)]
    events: u64,
    /// Events a second of the steady stream.
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// Of which part of the users these are, at random.
    #[arg(long, default_value_t = 0.1)]
    active: f64,
    /// How many seconds of the stream are followed before the kill, at least.
    #[arg(long, default_value_t = 30)]
    follow: u64,
    /// How old the snapshot is when the consumer is killed, in seconds.
    #[arg(long, default_value_t = 10.0)]
    age: f64,
    /// How many threads the consumer has.
    #[arg(long, default_value_t = 1)]
    workers: u32,
    /// Consumes what is in this folder, as the process that is measured.
    #[arg(long, hide = true)]
    consume: Option<PathBuf>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(dir) = &arguments.consume {
        return consume(dir, arguments.workers);
    }
    let temporary = tempfile::tempdir()?;
    let dir = temporary.path();
    benches::write_bundle(SPEC, dir)?;
    let log = partition_log::open(&place(dir), &LogOptions::default())?;
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config)?;
    let mut stream = Stream::open(log.as_ref())?;
    for turn in 0..arguments.events {
        for user in 0..arguments.users {
            stream.append(user, BEGIN + turn as i64 * HOUR)?;
        }
    }
    stream.sync()?;

    let (sent, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut first = Running::start(dir, "first", arguments.workers)?;
    let began = Instant::now();
    first.wait_for(|status| caught_up(status) && status.processed >= arguments.users * arguments.events)?;
    eprintln!("the history is consumed after {:.0} s", began.elapsed().as_secs_f64());
    let report = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(&mut stream, &arguments, &sent, &stop));
        let report = measure(&arguments, dir, &log, first, &sent);
        stop.store(true, Ordering::Release);
        sending.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        report
    })?;
    println!("{report}");
    Ok(())
}

/// Kills the consumer when its snapshot is old enough, and measures the next one's start.
fn measure(
    arguments: &Arguments,
    dir: &Path,
    log: &SharedLog,
    mut first: Running,
    sent: &AtomicU64,
) -> Result<serde_json::Value> {
    let streaming = Instant::now();
    let killed = first.wait_for(|status| {
        streaming.elapsed() >= Duration::from_secs(arguments.follow)
            && status.snapshot_age_seconds.is_some_and(|age| age >= arguments.age)
            && caught_up(status)
    })?;
    let sent_in = (sent.load(Ordering::Acquire), streaming.elapsed());
    first.kill()?;
    let replayed: u64 =
        killed.partitions.iter().map(|p| p.committed.0.saturating_sub(p.needed.events.0)).sum();

    let ends = || -> Result<Vec<Offset>> {
        (0..PARTITIONS).map(|p| Ok(log.bounds(SCORES, PartitionId(p))?.end)).collect()
    };
    let begun = Instant::now();
    let mut second = Running::start(dir, "second", arguments.workers)?;
    // What the killed one had written and not synced can be seen as soon as the outputs are opened; that is no new score. They are when it
    // listens.
    while !second.address.exists() {
        second.check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    let (listening, before) = (begun.elapsed().as_secs_f64(), ends()?);
    let (mut first_score, mut every_partition, mut ready) = (None, None, None);
    while first_score.is_none() || every_partition.is_none() || ready.is_none() {
        second.check()?;
        ensure!(begun.elapsed() < PATIENCE, "no score came");
        let now = ends()?;
        let new = now.iter().zip(&before).filter(|(now, before)| now > before).count();
        let at = begun.elapsed().as_secs_f64();
        if new > 0 {
            first_score.get_or_insert(at);
        }
        if new == before.len() {
            every_partition.get_or_insert(at);
        }
        if ready.is_none() && second.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
            ready = Some(begun.elapsed().as_secs_f64());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    second.wait_for(caught_up)?;
    let caught_up = begun.elapsed().as_secs_f64();
    second.kill()?;
    Ok(json!({
        "users": arguments.users, "history_events": arguments.users * arguments.events, "active": arguments.active,
        "rate": sent_in.0 as f64 / sent_in.1.as_secs_f64(), "workers": arguments.workers,
        "snapshot_age_seconds": killed.snapshot_age_seconds, "replayed_events": replayed,
        "store_bytes": killed.store_bytes, "listening_seconds": listening, "first_score_seconds": first_score, "ready_seconds": ready,
        "every_partition_seconds": every_partition, "caught_up_seconds": caught_up,
    }))
}

/// Whether less than a few commits' events wait.
fn caught_up(status: &Status) -> bool {
    let few = |p: &consumer::PartitionStatus| p.lag_seconds.is_some_and(|seconds| seconds < 3.0);
    !status.partitions.is_empty() && status.partitions.iter().all(few)
}

/// The log's place in a folder.
fn place(dir: &Path) -> String {
    format!("file:{}", dir.join("log").display())
}

/// Runs the consumer in this process.
fn consume(dir: &Path, workers: u32) -> Result<()> {
    telemetry::init_tracing(telemetry::LogFormat::Plain, telemetry::LogTo::Stderr)?;
    let log = partition_log::open(&place(dir), &LogOptions::default())?;
    let options = ConsumerOptions {
        topic: "events".to_owned(),
        group: None,
        session_timeout: Duration::from_secs(10),
        store: dir.join("state"),
        model: dir.join("model"),
        features: dir.join("spec.toml"),
        workers: Workers::Fixed(workers),
        until_end: false,
        commit_interval: Duration::from_secs(1),
        tick_idle: Duration::from_secs(60),
        batch_events: 10_000,
        reasons: Reasons::Risen,
        prices: None,
        without_beginning: false,
        state: feature_store::StoreOptions::default(),
        http: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        // Looked at more often, so that the kill meets the age that is wanted.
        scaling: Scaling { every: Duration::from_millis(100), ..Scaling::default() },
    };
    consumer::run(&options, &log, &Surroundings::new())?;
    Ok(())
}

/// A consumer process, killed when it is dropped.
struct Running {
    child: Child,
    words: PathBuf,
    address: PathBuf,
}

impl Running {
    fn start(dir: &Path, name: &str, workers: u32) -> Result<Self> {
        let (words, address) =
            (dir.join(format!("{name}.log")), dir.join("state").join(consumer::ADDRESS_FILE));
        // What a killed process left must not be taken for the next one's.
        let _ = std::fs::remove_file(&address);
        let child = Command::new(std::env::current_exe()?)
            .arg("--consume")
            .arg(dir)
            .args(["--workers", &workers.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::from(std::fs::File::create(&words)?))
            .spawn()
            .context("start the consumer")?;
        Ok(Self { child, words, address })
    }

    fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the consumer ended: {status}\n{}", std::fs::read_to_string(&self.words)?),
        }
    }

    /// Waits for a status, and returns it.
    fn wait_for(&mut self, what: impl Fn(&Status) -> bool) -> Result<Status> {
        let begun = Instant::now();
        loop {
            self.check()?;
            if let Some(status) = self.status().filter(&what) {
                return Ok(status);
            }
            ensure!(begun.elapsed() < PATIENCE, "waited in vain: {}", std::fs::read_to_string(&self.words)?);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it says of itself; nothing before it listens.
    fn status(&self) -> Option<Status> {
        let answer = self.get("/v1/status").ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    }

    fn get(&self, path: &str) -> Result<String> {
        let address = std::fs::read_to_string(&self.address)?;
        let address = address.trim().trim_start_matches("http://").parse()?;
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Ends it as kill -9 does.
    fn kill(mut self) -> Result<()> {
        self.check()?;
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes events of users to the log.
struct Stream {
    writers: Vec<Box<dyn PartitionWriter>>,
    /// Kept for its lock.
    _topic: Box<dyn partition_log::TopicWriter>,
    random: benches::Random,
    json: Vec<u8>,
}

impl Stream {
    fn open(log: &dyn Log) -> Result<Self> {
        let mut topic = log.writer("events")?;
        let writers =
            (0..PARTITIONS).map(|p| topic.partition(PartitionId(p))).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { writers, _topic: topic, random: benches::Random(7), json: Vec::new() })
    }

    fn append(&mut self, user: u64, ts: i64) -> Result<()> {
        let user = format!("u{user:08}");
        let event = Event {
            entity_type: "user".into(),
            entity: user.as_str().into(),
            kind: "play".into(),
            ts: EventTime(ts),
            id: None,
            fields: vec![("watch_s".into(), Value::Int(self.random.below(3_600) as i64))],
        };
        self.json.clear();
        event.encode(&mut self.json);
        let partition = partition_log::partition_for(user.as_bytes(), PARTITIONS);
        self.writers[partition.0 as usize].append(event.ts, user.as_bytes(), &self.json, &[])?;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        Ok(self.writers.iter_mut().try_for_each(|writer| writer.sync())?)
    }
}

/// Hands events over at the rate until it is told to stop.
fn send(stream: &mut Stream, arguments: &Arguments, sent: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let active = ((arguments.users as f64 * arguments.active) as u64).max(1);
    let (begun, start) = (Instant::now(), BEGIN + arguments.events as i64 * HOUR);
    let mut done = 0;
    while !stop.load(Ordering::Acquire) {
        let since = begun.elapsed();
        while done < (since.as_secs_f64() * arguments.rate as f64) as u64 {
            // Users of everywhere in the history, not neighbours.
            let user = stream.random.below(active) * (arguments.users / active);
            stream.append(user, start + since.as_millis() as i64)?;
            done += 1;
        }
        stream.sync()?;
        sent.store(done, Ordering::Release);
        std::thread::sleep(BEAT);
    }
    Ok(())
}
