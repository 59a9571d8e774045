//! `churnstream scores`: follow them as they come, or write them to a file.

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use partition_log::{Log, LogOptions, PartitionReader, RecordBuf};
use types::{PartitionId, Score};

/// Reads of the scores topic.
#[derive(Subcommand)]
pub(crate) enum Scores {
    /// Follow scores as they are written.
    Tail(Tail),
    /// Write all scores that there are.
    Export(Export),
}

/// Follows scores as they are written, the newest of each partition first.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream scores tail --from file:log --band high")]
pub(crate) struct Tail {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// Only scores of this band.
    #[arg(long)]
    band: Option<BandName>,
    /// How many earlier scores of each partition to begin with.
    #[arg(long, default_value_t = 10, value_name = "N")]
    lines: u64,
    /// Print each score as it is, one JSON object a line.
    #[arg(long)]
    json: bool,
    /// End instead of waiting for more.
    #[arg(long)]
    no_follow: bool,
}

/// Writes all scores that there are: JSON lines, or CSV for spreadsheets.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream scores export --from file:log > scores.jsonl
  churnstream scores export --from file:log --format csv --to scores.csv")]
pub(crate) struct Export {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// How.
    #[arg(long, default_value = "jsonl")]
    format: Format,
    /// Where to; standard output unless given.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BandName {
    Low,
    Medium,
    High,
}

impl BandName {
    fn band(self) -> types::Band {
        match self {
            Self::Low => types::Band::Low,
            Self::Medium => types::Band::Medium,
            Self::High => types::Band::High,
        }
    }
}

const READ_BYTES: usize = 1 << 20;

impl Scores {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let written = match self {
            Self::Tail(tail) => tail.run(),
            Self::Export(export) => export.run(),
        };
        match written {
            // Whoever read us has seen enough: `| head` is no failure.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            other => other,
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

fn readers(log: &dyn Log, back: Option<u64>) -> anyhow::Result<Vec<Box<dyn PartitionReader>>> {
    let config = log
        .topic(consumer::SCORES)?
        .with_context(|| format!("there are no scores in {} yet: run `consumer` on it first", log.place()))?;
    (0..config.partitions)
        .map(|partition| {
            let bounds = log.bounds(consumer::SCORES, PartitionId(partition))?;
            let from = back
                .map_or(bounds.start, |n| types::Offset(bounds.end.0.saturating_sub(n)).max(bounds.start));
            Ok(log.reader(consumer::SCORES, PartitionId(partition), from)?)
        })
        .collect()
}

impl Tail {
    fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        let mut readers = readers(log.as_ref(), Some(self.lines))?;
        let mut watch = log.watch(consumer::SCORES)?;
        let mut records = RecordBuf::default();
        let mut out = std::io::stdout().lock();
        loop {
            for reader in &mut readers {
                records.clear();
                while reader.read(&mut records, READ_BYTES)? > 0 {
                    for record in records.iter() {
                        let score = Score::decode(record.value)?;
                        if self.band.is_some_and(|band| band.band() != score.band) {
                            continue;
                        }
                        if self.json {
                            out.write_all(record.value)?;
                            out.write_all(b"\n")?;
                        } else {
                            writeln!(out, "{}", line(&score))?;
                        }
                    }
                    records.clear();
                }
            }
            out.flush()?;
            if self.no_follow {
                return Ok(());
            }
            watch.wait(Duration::from_secs(1))?;
        }
    }
}

/// A score in a line for people.
fn line(score: &Score) -> String {
    let moment = jiff::Timestamp::from_millisecond(score.as_of.0)
        .map_or_else(|_| score.as_of.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string());
    let reasons: Vec<String> = score.reasons.iter().map(scorer::words).collect();
    let why = if reasons.is_empty() { String::new() } else { format!("   {}", reasons.join("; ")) };
    format!(
        "{moment}  {:<16} {:>5.1} %  {:<6} {}{why}",
        score.entity,
        score.probability * 100.0,
        score.band.name(),
        score.trigger.name()
    )
}

impl Export {
    fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        let mut out: Box<dyn Write> = match &self.to {
            None => Box::new(BufWriter::new(std::io::stdout().lock())),
            Some(path) => Box::new(BufWriter::new(
                std::fs::File::create(path).with_context(|| format!("create {}", path.display()))?,
            )),
        };
        if matches!(self.format, Format::Csv) {
            writeln!(
                out,
                "entity,as_of_ms,horizon,probability,margin,band,trigger,model,spec,partition,offset"
            )?;
        }
        let mut records = RecordBuf::default();
        for mut reader in readers(log.as_ref(), None)? {
            records.clear();
            while reader.read(&mut records, READ_BYTES)? > 0 {
                for record in records.iter() {
                    match self.format {
                        Format::Jsonl => {
                            out.write_all(record.value)?;
                            out.write_all(b"\n")?;
                        }
                        Format::Csv => write_csv(&mut out, &Score::decode(record.value)?)?,
                    }
                }
                records.clear();
            }
        }
        out.flush()?;
        Ok(())
    }
}

fn write_csv(out: &mut dyn Write, score: &Score) -> std::io::Result<()> {
    // Ids are the only free text; one that needs quotes gets CSV's own, doubled inside.
    let entity = if score.entity.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", score.entity.replace('"', "\"\""))
    } else {
        score.entity.clone()
    };
    writeln!(
        out,
        "{entity},{},{},{},{},{},{},{},{},{},{}",
        score.as_of,
        score.horizon,
        score.probability,
        score.margin,
        score.band.name(),
        score.trigger.name(),
        score.model,
        score.spec,
        score.source.partition,
        score.source.offset
    )
}
