//! The job that other systems were measured on: JSON events from the file log, fifteen exact windowed features, every event
//! scored by a hundred trees, scores written, commits every second, state snapshots on.
//!
//! ```text
//! cargo run --release -p benches --bin side-by-side -- --data DIR --model MODEL.json --out DIR [--workers N]
//! cargo run --release -p benches --bin side-by-side -- --data DIR --model MODEL.json --out DIR --log kafka:HOST:PORT/PREFIX.
//! ```
//!
//! Imports `DIR/part-*.jsonl`, consumes, writes `OUT/scores-*.csv` (user_id,timestamp,probability) and prints one JSON object.
//! Import and consumer each run as a process of their own, so that what the system counts for them is theirs alone.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use consumer::pipeline::Reasons;
use consumer::{ConsumerOptions, SCORES, Scaling, Surroundings, Workers};
use feature_store::Spec;
use partition_log::{Log, LogOptions, RecordBuf};
use producer::cli::{Cli, Command as Produce};
use scorer::{Bands, Bundle, BundleParts, Calibration, Manifest, Training};
use types::{EventTime, Millis, Offset, PartitionId, Score};

const SPEC: &str = include_str!("../../side-by-side/spec.toml");
const MAP: &str = include_str!("../../side-by-side/map.toml");

/// Runs the side-by-side job and prints its cost as one JSON object.
#[derive(Parser)]
struct Arguments {
    /// The folder of part-*.jsonl.
    #[arg(long)]
    data: PathBuf,
    /// The model in XGBoost's JSON.
    #[arg(long)]
    model: PathBuf,
    /// Where log, state and scores go; must be empty or missing.
    #[arg(long)]
    out: PathBuf,
    /// The log, instead of files in OUT; its topics must not be there yet.
    #[arg(long)]
    log: Option<String>,
    /// Worker threads of the consumer.
    #[arg(long, default_value_t = 1)]
    workers: u32,
}

/// A part of the job, run by this program in a process of its own.
#[derive(Subcommand)]
enum Phase {
    Import { data: PathBuf, out: PathBuf, log: String },
    Consume { out: PathBuf, log: String, workers: u32 },
}

fn main() -> anyhow::Result<()> {
    // The phases take other arguments than the job.
    let first = std::env::args().nth(1);
    if matches!(first.as_deref(), Some("import" | "consume")) {
        return match PhaseOnly::parse().phase {
            Phase::Import { data, out, log } => import(&data, &out, &log),
            Phase::Consume { out, log, workers } => consume(&out, &log, workers),
        };
    }
    let arguments = Arguments::parse();
    job(&arguments)
}

#[derive(Parser)]
struct PhaseOnly {
    #[command(subcommand)]
    phase: Phase,
}

fn job(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { data, model, out, log, workers } = arguments;
    let log = log.clone().unwrap_or_else(|| format!("file:{}", out.join("log").display()));
    std::fs::create_dir_all(out)?;
    ensure!(std::fs::read_dir(out)?.next().is_none(), "{} is not empty", out.display());
    std::fs::write(out.join("spec.toml"), SPEC)?;
    std::fs::write(out.join("map.toml"), MAP)?;
    write_bundle(model, out)?;

    let imported = measure(&["import", path(data)?, path(out)?, &log])?;
    let consumed = measure(&["consume", path(out)?, &log, &workers.to_string()])?;
    let events = write_scores(out, &log)?;
    let result = serde_json::json!({
        "events": events,
        "log": log.split(':').next(),
        "workers": workers,
        "cpu_seconds": consumed.cpu,
        "wall_seconds": consumed.wall,
        "events_per_cpu_second": events as f64 / consumed.cpu,
        "import_cpu_seconds": imported.cpu,
        "import_events_per_cpu_second": events as f64 / imported.cpu,
        "peak_rss_bytes": consumed.peak_rss,
    });
    println!("{result}");
    Ok(())
}

fn path(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8", path.display()))
}

struct Cost {
    cpu: f64,
    wall: f64,
    peak_rss: u64,
}

/// Runs a phase and reads what the system counted for it. One child at a time: the counters of children add up.
fn measure(arguments: &[&str]) -> anyhow::Result<Cost> {
    let report = tempfile::NamedTempFile::new()?;
    let begun = Instant::now();
    let status = Command::new(std::env::current_exe()?)
        .args(arguments)
        .env("SIDE_BY_SIDE_COST", report.path())
        .status()?;
    let wall = begun.elapsed().as_secs_f64();
    ensure!(status.success(), "{arguments:?} failed: {status}");
    let text = std::fs::read_to_string(report.path())?;
    let (cpu, peak) = text.trim().split_once(' ').context("the phase told no cost")?;
    Ok(Cost { cpu: cpu.parse()?, wall, peak_rss: peak.parse()? })
}

/// Tells the parent what this process has cost, user and system time of all its threads.
fn tell_cost() -> anyhow::Result<()> {
    let cpu = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak_kib: u64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .context("no VmHWM in /proc/self/status")?
        .trim()
        .parse()?;
    let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    std::fs::write(std::env::var("SIDE_BY_SIDE_COST")?, format!("{seconds} {}", peak_kib * 1024))?;
    Ok(())
}

fn write_bundle(model: &Path, out: &Path) -> anyhow::Result<()> {
    let spec = Spec::from_toml(SPEC, Path::new("spec.toml"))?;
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
    let bytes = std::fs::read(model).with_context(|| format!("read {}", model.display()))?;
    Bundle::write(
        &out.join("model"),
        &BundleParts { model: &bytes, manifest, card: "The side-by-side job's model.\n" },
    )?;
    Ok(())
}

fn import(data: &Path, out: &Path, log: &str) -> anyhow::Result<()> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(data)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("part-")))
        .collect();
    files.sort();
    let map = out.join("map.toml");
    // The job scores events only, so there is no tick within its time.
    let mut arguments = vec![
        "producer",
        "import",
        "--map",
        path(&map)?,
        "--to",
        log,
        "--partitions",
        "4",
        "--tick",
        "36500d",
    ];
    for file in &files {
        arguments.push(path(file)?);
    }
    let Produce::Import(arguments) = Cli::try_parse_from(arguments)?.command else {
        unreachable!("`import` was given")
    };
    producer::import::run(&arguments, &producer::Surroundings::default())?;
    tell_cost()
}

fn consume(out: &Path, log: &str, workers: u32) -> anyhow::Result<()> {
    let log = partition_log::open(log, &LogOptions::default())?;
    let options = ConsumerOptions {
        topic: "events".to_owned(),
        group: None,
        session_timeout: Duration::from_secs(10),
        store: out.join("state"),
        model: out.join("model"),
        features: out.join("spec.toml"),
        workers: Workers::Fixed(workers),
        until_end: true,
        commit_interval: Duration::from_secs(1),
        tick_idle: Duration::from_secs(60),
        batch_events: 10_000,
        // Neither the job nor the systems beside it ask why.
        reasons: Reasons::Off,
        prices: None,
        without_beginning: false,
        state: feature_store::StoreOptions::default(),
        http: Some(([127, 0, 0, 1], 0).into()),
        scaling: Scaling::default(),
    };
    consumer::run(&options, &log, &Surroundings::new())?;
    tell_cost()
}

fn write_scores(out: &Path, log: &str) -> anyhow::Result<u64> {
    let log: Arc<dyn Log> = partition_log::open(log, &LogOptions::default())?;
    let config = log.topic(SCORES)?.context("no scores were written")?;
    let mut records = RecordBuf::default();
    let mut events = 0;
    for partition in 0..config.partitions {
        let mut csv = BufWriter::new(std::fs::File::create(out.join(format!("scores-{partition}.csv")))?);
        let mut reader = log.reader(SCORES, PartitionId(partition), Offset::ZERO)?;
        records.clear();
        while reader.read(&mut records, 1 << 20)? > 0 {
            for record in records.iter() {
                let score = Score::decode(record.value)?;
                writeln!(csv, "{},{},{}", score.entity, score.as_of, score.probability)?;
                events += 1;
            }
            records.clear();
        }
        csv.flush()?;
    }
    Ok(events)
}
