//! How many records the log takes and gives per second of processor time, system calls included.
//!
//! ```text
//! cargo run --release -p benches --bin log-bench -- --records 5000000
//! ```
//!
//! Prints one JSON object. Each figure is the median of `--rounds` rounds; all kinds take turns in each round, so that
//! other load on the machine meets them alike.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use partition_log::{Compression, Durability, LogOptions, RecordBuf, SharedLog, TopicConfig};
use rustix::time::{ClockId, clock_gettime};
use types::{EventTime, Offset, PartitionId};

/// Records per second of processor time, appended to and read from the file log.
#[derive(Parser)]
struct Args {
    /// How many records to append and read in each round.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Bytes of a record's value; its key has 8 more.
    #[arg(long, default_value_t = 92)]
    value_bytes: usize,
    /// How often to measure.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where to put the log. Default: a temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
}

const PARTITION: PartitionId = PartitionId(0);
/// How often the writer makes records visible: as a busy producer does.
const SYNC_EVERY: u64 = 100_000;

fn main() -> Result<()> {
    let args = Args::parse();
    let temporary = tempfile::tempdir()?;
    let dir = args.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    let kinds = [("none", Compression::None), ("lz4", Compression::Lz4), ("zstd", Compression::Zstd)];
    let mut appended = vec![Vec::new(); kinds.len()];
    let mut read = vec![Vec::new(); kinds.len()];
    for round in 0..args.rounds {
        for (index, (name, compression)) in kinds.into_iter().enumerate() {
            let topic = format!("bench-{name}-{round}");
            let log = open(&dir, compression)?;
            log.create_topic(
                &topic,
                &TopicConfig { partitions: 1, key: "user".into(), partitioner: "explicit".into() },
            )?;
            appended[index].push(args.records as f64 / append(&log, &topic, &args)?);
            read[index].push(args.records as f64 / read_all(&log, &topic, &args)?);
            std::fs::remove_dir_all(dir.join(format!("{topic}-0")))?;
        }
    }
    let figures = |rounds: &[Vec<f64>]| -> serde_json::Map<String, serde_json::Value> {
        kinds
            .iter()
            .zip(rounds)
            .map(|((name, _), r)| ((*name).to_owned(), median(r).round().into()))
            .collect()
    };
    let report = serde_json::json!({
        "records": args.records,
        "record_bytes": args.value_bytes + 8,
        "rounds": args.rounds,
        "appended_per_cpu_second": figures(&appended),
        "read_per_cpu_second": figures(&read),
    });
    println!("{report}");
    Ok(())
}

fn open(dir: &std::path::Path, compression: Compression) -> Result<SharedLog> {
    let options = LogOptions { compression, durability: Durability::System, ..LogOptions::default() };
    Ok(partition_log::open(&format!("file:{}", dir.display()), &options)?)
}

/// Processor seconds for appending.
fn append(log: &SharedLog, topic: &str, args: &Args) -> Result<f64> {
    let value = value(args.value_bytes);
    let mut writer = log.writer(topic)?.partition(PARTITION)?;
    let before = cpu_seconds();
    for n in 0..args.records {
        let key = (n % 1_000_003).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        let from = n as usize % 64;
        writer.append(
            EventTime(1_700_000_000_000 + n as i64),
            &key,
            &value[from..from + args.value_bytes],
            &[],
        )?;
        if n % SYNC_EVERY == SYNC_EVERY - 1 {
            writer.sync()?;
        }
    }
    writer.sync()?;
    Ok(cpu_seconds() - before)
}

/// Processor seconds for reading every record's key and value.
fn read_all(log: &SharedLog, topic: &str, args: &Args) -> Result<f64> {
    let mut buf = RecordBuf::default();
    let mut reader = log.reader(topic, PARTITION, Offset::ZERO)?;
    let before = cpu_seconds();
    let (mut records, mut bytes) = (0, 0);
    loop {
        buf.clear();
        if reader.read(&mut buf, 256 << 10)? == 0 {
            break;
        }
        records += buf.len() as u64;
        bytes += buf.iter().map(|r| r.key.len() + r.value.len()).sum::<usize>();
    }
    let used = cpu_seconds() - before;
    ensure!(records == args.records, "{records} records came back of {}", args.records);
    ensure!(bytes as u64 == args.records * (args.value_bytes as u64 + 8), "{bytes} bytes came back");
    Ok(used)
}

/// Text like an event's JSON, with room to begin at any of 64 places.
fn value(len: usize) -> Vec<u8> {
    br#"{"v":1,"entity_type":"user","entity":"u000042","type":"play","ts":1700000000000,"fields":{"watch_s":1312.5,"device":"tv"}}"#
        .iter()
        .copied()
        .cycle()
        .take(len + 64)
        .collect()
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
