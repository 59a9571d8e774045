//! How long it takes from an event to its score: events come at a steady rate, a consumer scores them, and a reader of what is committed
//! notes when each score can be seen.
//!
//! ```text
//! cargo run --release -p benches --bin latency                                     a log in files
//! cargo run --release -p benches --bin latency -- --log kafka:HOST:PORT/PREFIX. --rate 20000 --commit-interval-ms 100
//! ```
//!
//! An event's time is when it is due by the rate, whenever the log takes it, and its score carries that time; the delay is from there to the
//! moment when the reader has the score, so it holds waiting for the commit. All three are threads of this process. Prints one JSON object.
//! With `RUST_LOG=partition_log=debug` each commit says what it waited for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use consumer::pipeline::Reasons;
use consumer::{ConsumerOptions, SCORES, Scaling, Surroundings, Workers};
use partition_log::{Log, LogOptions, RecordBuf, TopicConfig};
use types::{Event, EventTime, Offset, PartitionId, Score, Value};

const SPEC: &str = include_str!("../../side-by-side/spec.toml");
const PARTITIONS: u32 = 4;
/// So often events are handed over, all that are due by then.
const BEAT: Duration = Duration::from_millis(5);

/// Measures the delay from events to scores.
#[derive(Parser)]
struct Arguments {
    /// The log; files in a temporary folder without it. Its topics must not be there yet.
    #[arg(long)]
    log: Option<String>,
    /// Events a second.
    #[arg(long, default_value_t = 20_000)]
    rate: u64,
    /// For how many seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// How many of these seconds are not counted, at the start.
    #[arg(long, default_value_t = 5)]
    warm_up: u64,
    /// How often the consumer commits.
    #[arg(long, default_value_t = 100)]
    commit_interval_ms: u64,
    /// Of how many users.
    #[arg(long, default_value_t = 100_000)]
    users: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    telemetry::init_tracing(telemetry::LogFormat::Plain, telemetry::LogTo::Stderr)?;
    ensure!(arguments.warm_up < arguments.seconds, "nothing is left to be counted after the warm-up");
    let dir = tempfile::tempdir()?;
    let place = arguments.log.clone().unwrap_or_else(|| format!("file:{}", dir.path().join("log").display()));
    let log = partition_log::open(&place, &LogOptions::default())?;
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    ensure!(log.topic("events")?.is_none(), "{place} has a topic `events` already");
    log.create_topic("events", &config)?;
    let options = options(&arguments, dir.path())?;

    let around = Surroundings::new();
    let (sent, all_sent) = (AtomicU64::new(0), AtomicBool::new(false));
    let delays = std::thread::scope(|scope| {
        let consumer = scope.spawn(|| consumer::run(&options, &log, &around));
        let reader = scope.spawn(|| {
            // Connections of its own, as another process has them.
            let delays = partition_log::open(&place, &LogOptions::default())
                .map_err(anyhow::Error::from)
                .and_then(|log| read(log.as_ref(), &arguments, &sent, &all_sent));
            around.shutdown.request("all scores are seen");
            delays
        });
        // So that joining a group is over.
        std::thread::sleep(Duration::from_secs(5));
        let sending = send(log.as_ref(), &arguments, &sent);
        all_sent.store(true, Ordering::Release);
        let delays = reader.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
        consumer.join().map_err(|_| anyhow::anyhow!("the consumer panicked"))??;
        let rate = sending?;
        ensure!(
            rate > 0.99 * arguments.rate as f64,
            "{rate:.0} events a second were sent, not {}",
            arguments.rate
        );
        delays
    })?;
    let at = |share: f64| delays[((delays.len() - 1) as f64 * share) as usize];
    println!(
        "{}",
        serde_json::json!({
            "log": place.split(':').next(), "rate": arguments.rate, "commit_interval_ms": arguments.commit_interval_ms,
            "scores": delays.len(), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0),
        })
    );
    Ok(())
}

fn options(arguments: &Arguments, dir: &std::path::Path) -> Result<ConsumerOptions> {
    benches::write_bundle(SPEC, dir)?;
    Ok(ConsumerOptions {
        topic: "events".to_owned(),
        group: None,
        session_timeout: Duration::from_secs(10),
        store: dir.join("state"),
        model: dir.join("model"),
        features: dir.join("spec.toml"),
        workers: Workers::Fixed(1),
        until_end: false,
        commit_interval: Duration::from_millis(arguments.commit_interval_ms),
        tick_idle: Duration::from_secs(3_600),
        batch_events: 10_000,
        reasons: Reasons::Off,
        prices: None,
        without_beginning: false,
        state: feature_store::StoreOptions::default(),
        http: None,
        scaling: Scaling::default(),
    })
}

/// Hands events over at the rate; returns the rate that it came to.
fn send(log: &dyn Log, arguments: &Arguments, sent: &AtomicU64) -> Result<f64> {
    let mut topic = log.writer("events")?;
    let mut writers =
        (0..PARTITIONS).map(|p| topic.partition(PartitionId(p))).collect::<Result<Vec<_>, _>>()?;
    let mut random = benches::Random(7);
    let (begun, start, mut json) = (Instant::now(), now()?, Vec::new());
    let total = arguments.rate * arguments.seconds;
    while sent.load(Ordering::Relaxed) < total {
        let due = ((begun.elapsed().as_secs_f64() * arguments.rate as f64) as u64).min(total);
        while sent.load(Ordering::Relaxed) < due {
            let user = format!("u{:06}", random.below(arguments.users));
            let due_at = EventTime(start.0 + (sent.load(Ordering::Relaxed) * 1_000 / arguments.rate) as i64);
            let event = Event {
                entity_type: "user".into(),
                entity: user.as_str().into(),
                kind: "play".into(),
                ts: due_at,
                id: None,
                fields: vec![("watch_s".into(), Value::Int(random.below(3_600) as i64))],
            };
            json.clear();
            event.encode(&mut json);
            let partition = partition_log::partition_for(user.as_bytes(), PARTITIONS);
            writers[partition.0 as usize].append(due_at, user.as_bytes(), &json, &[])?;
            sent.fetch_add(1, Ordering::Release);
        }
        // A file's readers see what is synced; to brokers it is enough to be sent.
        let in_files = log.as_kafka().is_none();
        writers.iter_mut().try_for_each(|writer| if in_files { writer.sync() } else { writer.flush() })?;
        std::thread::sleep(BEAT);
    }
    writers.iter_mut().try_for_each(|writer| writer.sync())?;
    Ok(total as f64 / begun.elapsed().as_secs_f64())
}

/// The delays of all scores after the warm-up, ascending, in ms.
fn read(log: &dyn Log, arguments: &Arguments, sent: &AtomicU64, all_sent: &AtomicBool) -> Result<Vec<i64>> {
    let deadline = Instant::now() + Duration::from_secs(arguments.seconds * 3 + 60);
    let config = loop {
        match log.topic(SCORES)? {
            Some(config) => break config,
            None => std::thread::sleep(Duration::from_millis(50)),
        }
        ensure!(Instant::now() < deadline, "there are no scores");
    };
    let mut readers = (0..config.partitions)
        .map(|p| log.reader(SCORES, PartitionId(p), Offset::ZERO))
        .collect::<Result<Vec<_>, _>>()?;
    let (mut records, mut delays, mut seen) = (RecordBuf::default(), Vec::new(), 0_u64);
    loop {
        let before = seen;
        for reader in &mut readers {
            records.clear();
            reader.read(&mut records, 1 << 20)?;
            let now = now()?;
            for record in records.iter() {
                seen += 1;
                if seen > arguments.warm_up * arguments.rate {
                    delays.push(now.since(Score::decode(record.value)?.as_of).0);
                }
            }
        }
        if all_sent.load(Ordering::Acquire) && seen >= sent.load(Ordering::Acquire) {
            break;
        }
        ensure!(Instant::now() < deadline, "{seen} scores came of {} events", sent.load(Ordering::Acquire));
        if seen == before {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
    ensure!(!delays.is_empty(), "no score was counted");
    delays.sort_unstable();
    Ok(delays)
}

fn now() -> Result<EventTime> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
    Ok(EventTime(i64::try_from(since.as_millis())?))
}
