//! What a sweep costs: every living user read from the store's blocks, sixty features as of the tick, a hundred trees of depth
//! 6, calibration, and the score written to the file log and synced.
//!
//! `cargo run --release -p benches --bin sweep [-- --users N --events N]`: users are filled in, the store is closed and opened
//! again (which is counted apart), so nobody is in memory, and then a tick is processed by the consumer's own pipeline on one thread. CPU-seconds are
//! those of all threads. Prints one JSON object.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use consumer::pipeline::{Pipeline, Place, Reasons, Rows, Scoring, Stop, Work};
use feature_store::{Commit, Pressure, Spec, Store, StoreIdentity, StoreOptions, UserState};
use partition_log::{FileLog, Log, LogOptions, MemoryLog, RecordBuf, TopicConfig};
use scorer::{Bands, Bundle, BundleParts, Calibration, Manifest, Schedule, Training};
use serde_json::json;
use types::{Event, EventTime, Millis, Offset, PartitionId, SystemEvent, Value};

const SPEC: &str = r#"
version = 1
entity = "user"

[inputs.all]
[inputs.plays]
events = "play"
value = "watch_s"
scale = 3
[inputs.searches]
events = "search"
[inputs.tickets]
events = "ticket"
[inputs.failed]
events = "payment_failed"

[[features]]
input = ["all", "plays", "searches", "tickets", "failed"]
ops = ["count", "active_days"]
windows = ["1d", "7d", "30d", "90d"]

[[features]]
input = "plays"
ops = ["sum", "mean", "max", "last"]
windows = ["1d", "7d", "30d", "90d"]

[[features]]
input = "all"
ops = ["recency"]
windows = ["1d", "7d", "30d", "90d"]
"#;

const DAY: i64 = 86_400_000;
const TICK: i64 = 20_000 * DAY;
const PARTITION: PartitionId = PartitionId(0);

#[derive(Parser)]
struct Arguments {
    /// How many users there are.
    #[arg(long, default_value_t = 200_000)]
    users: u64,
    /// Events of each, spread over the sixty days before the tick.
    #[arg(long, default_value_t = 20)]
    events: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let dir = tempfile::tempdir()?;
    let spec = Arc::new(Spec::from_toml(SPEC, Path::new("spec.toml"))?);
    let store = dir.path().join("store");
    fill(&arguments, &store, &spec)?;
    let bundle = bundle(&dir.path().join("model"), &spec)?;
    let before = cpu_seconds();
    let store = open(&store, &spec)?;
    let opened = cpu_seconds();
    let (scored, bytes) = sweep(&store, &spec, bundle, dir.path())?;
    let cpu = cpu_seconds() - opened;
    ensure!(scored == arguments.users, "{scored} users were scored, {} there are", arguments.users);
    println!(
        "{}",
        json!({
            "users": scored,
            "events_of_each": arguments.events,
            "features": spec.feature_names().len(),
            "open_cpu_seconds": opened - before,
            "cpu_seconds": cpu,
            "users_per_cpu_second": scored as f64 / cpu,
            "bytes_written": bytes,
        })
    );
    Ok(())
}

fn open(store: &Path, spec: &Spec) -> Result<Store> {
    let identity =
        StoreIdentity { spec_hash: spec.hash().to_string(), topic: "events".to_owned(), partitions: 1 };
    Ok(Store::open(store, &identity, StoreOptions::default())?)
}

fn fill(arguments: &Arguments, store: &Path, spec: &Spec) -> Result<()> {
    let store = open(store, spec)?;
    let mut users = store.partition::<UserState>(PARTITION)?;
    let mut at = 0;
    for user in 0..arguments.users {
        let key = format!("u{user:08}");
        for n in 0..arguments.events {
            let kinds = ["play", "play", "search", "play", "ticket", "play", "payment_failed"];
            let ts = EventTime(
                TICK - (arguments.events - n) as i64 * 60 * DAY / arguments.events as i64
                    + (user % 9_973) as i64,
            );
            let event = Event {
                entity_type: "user".into(),
                entity: key.as_str().into(),
                kind: kinds[((user + n) % 7) as usize].into(),
                ts,
                id: None,
                fields: vec![("watch_s".into(), Value::Int(((user * 31 + n * 977) % 3_600) as i64))],
            };
            let slot = users.entry(&key, Offset(at), UserState::new)?.context("nothing is replayed here")?;
            users.state_mut(slot).apply(spec, &event, ts, false);
            at += 1;
        }
        if user % 1_000 == 0 && users.maintain(Offset(at))? == Pressure::Commit {
            users.commit(Commit { next_input: Offset(at), ..Commit::default() })?;
        }
    }
    users.commit(Commit { next_input: Offset(at), ..Commit::default() })?;
    Ok(users.snapshot_all()?)
}

fn bundle(folder: &Path, spec: &Spec) -> Result<Bundle> {
    let manifest = Manifest {
        spec_hash: spec.hash().to_string(),
        feature_names: spec.feature_names().to_vec(),
        horizon: Millis(30 * Millis::DAY.0),
        label: None,
        bands: Bands { medium: 0.2, high: 0.5 },
        training: Training { from: EventTime(0), to: EventTime(0), labels_decided: EventTime(0), rows: 0 },
        calibration: Calibration::Identity,
        metrics: std::collections::BTreeMap::new(),
        baselines: Vec::new(),
        meanings: [].into(),
        fitting: None,
    };
    let model = benches::random_model(100, spec.feature_names().len());
    let parts = BundleParts { model: model.as_bytes(), manifest, card: "Random trees.\n" };
    Ok(Bundle::write(folder, &parts)?)
}

/// The users scored, and the size of the log of scores.
fn sweep(store: &Store, spec: &Arc<Spec>, bundle: Bundle, dir: &Path) -> Result<(u64, u64)> {
    let mut users = store.partition::<UserState>(PARTITION)?;
    let mut place = Place::at(users.committed().context("it was committed")?.next_input);
    let records = tick(place.next_input)?;

    let log = FileLog::new(dir.join("log"), LogOptions::default());
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "explicit".into() };
    log.create_topic("scores", &config)?;
    let mut topic = log.writer("scores")?;
    let mut scores = topic.partition(PARTITION)?;

    let pipeline = Pipeline::new(Arc::clone(spec));
    let mut scoring =
        Scoring::new(PARTITION, "user", Arc::new(Schedule::of(bundle))).with_reasons(Reasons::Off);
    let mut rows = Rows::new(spec.feature_names().len());
    let mut rejects = Vec::new();
    let mut scored = 0;
    loop {
        let mut work = Work { users: &mut users, rows: &mut rows, rejects: &mut rejects };
        let stop = pipeline.advance(&mut place, Offset::ZERO, &records, records.len(), &mut work)?;
        scoring.score(&rows, &mut users, |score| {
            scored += 1;
            scores.append(score.as_of, score.entity.as_bytes(), score.json, &[]).map(drop)
        })?;
        rows.clear();
        if stop == Stop::Swept {
            break;
        }
    }
    scores.sync()?;
    ensure!(rejects.is_empty(), "the tick was not taken");
    Ok((scored, log.usage("scores", PARTITION)?.bytes))
}

/// A tick at this offset of a log.
fn tick(at: Offset) -> Result<RecordBuf> {
    let log = MemoryLog::new();
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config)?;
    let mut topic = log.writer("events")?;
    let mut writer = topic.partition(PARTITION)?;
    let mut json = Vec::new();
    Event { kind: SystemEvent::TICK.into(), ts: EventTime(TICK), ..Event::default() }.encode(&mut json);
    writer.append(EventTime(TICK), b"", &json, &[])?;
    writer.sync()?;
    let mut records = RecordBuf::default();
    log.reader("events", PARTITION, Offset::ZERO)?.read(&mut records, 1 << 20)?;
    let mut moved = RecordBuf::default();
    let mut record = records.get(0).context("the tick")?;
    record.offset = at;
    moved.push(&record);
    Ok(moved)
}

/// User and system time of all threads of this process so far.
fn cpu_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
