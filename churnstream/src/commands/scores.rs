//! `churnstream scores`: follow them as they come, or write them to a file.

use std::collections::VecDeque;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use partition_log::{Log, LogOptions, PartitionReader, RecordBuf};
use types::{Offset, PartitionId, Score};

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
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// Only scores of this band.
    #[arg(long)]
    band: Option<BandName>,
    /// How many earlier scores of each partition to begin with; with a band, of that band.
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
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
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
        match self {
            Self::Tail(tail) => tail.run(),
            Self::Export(export) => export.run(),
        }
    }
}

/// How many partitions the scores have.
fn partitions(log: &dyn Log) -> anyhow::Result<impl Iterator<Item = PartitionId> + use<>> {
    let config = log
        .topic(consumer::SCORES)?
        .with_context(|| format!("there are no scores in {} yet: run `consumer` on it first", log.place()))?;
    Ok((0..config.partitions).map(PartitionId))
}

impl Tail {
    fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        let mut out = std::io::stdout().lock();
        let mut readers = Vec::new();
        for partition in partitions(log.as_ref())? {
            readers.push(self.earlier(log.as_ref(), partition, &mut out)?);
        }
        let mut watch = log.watch(consumer::SCORES)?;
        let mut records = RecordBuf::default();
        loop {
            for reader in &mut readers {
                self.read_on(reader.as_mut(), &mut records, |score, json| self.print(&mut out, score, json))?;
            }
            out.flush()?;
            if self.no_follow {
                return Ok(());
            }
            watch.wait(Duration::from_secs(1))?;
        }
    }

    /// Prints the last wanted scores of a partition; the reader goes on behind them. Looks ever further back, so that the rare scores of
    /// a band are found without reading all that there are.
    fn earlier(
        &self,
        log: &dyn Log,
        partition: PartitionId,
        out: &mut impl Write,
    ) -> anyhow::Result<Box<dyn PartitionReader>> {
        let bounds = log.bounds(consumer::SCORES, partition)?;
        let wanted = usize::try_from(self.lines)?;
        let mut back = if self.band.is_some() { self.lines.max(1_000) } else { self.lines };
        let mut records = RecordBuf::default();
        loop {
            let from = Offset(bounds.end.0.saturating_sub(back)).max(bounds.start);
            let mut reader = log.reader(consumer::SCORES, partition, from)?;
            let mut last = VecDeque::new();
            self.read_on(reader.as_mut(), &mut records, |score, json| {
                last.push_back((score, json.to_vec()));
                if last.len() > wanted {
                    last.pop_front();
                }
                Ok(())
            })?;
            if last.len() == wanted || from == bounds.start {
                for (score, json) in last {
                    self.print(out, score, &json)?;
                }
                return Ok(reader);
            }
            back = back.saturating_mul(8);
        }
    }

    /// Reads to the end, and tells of each wanted score and its bytes.
    fn read_on(
        &self,
        reader: &mut dyn PartitionReader,
        records: &mut RecordBuf,
        mut tell: impl FnMut(Score, &[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        records.clear();
        while reader.read(records, READ_BYTES)? > 0 {
            for record in records.iter() {
                let score = Score::decode(record.value)?;
                if self.band.is_none_or(|band| band.band() == score.band) {
                    tell(score, record.value)?;
                }
            }
            records.clear();
        }
        Ok(())
    }

    fn print(&self, out: &mut impl Write, score: Score, json: &[u8]) -> anyhow::Result<()> {
        if self.json {
            out.write_all(json)?;
            out.write_all(b"\n")?;
        } else {
            writeln!(out, "{}", telemetry::plain(&line(&score)))?;
        }
        Ok(())
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
        for partition in partitions(log.as_ref())? {
            let from = log.bounds(consumer::SCORES, partition)?.start;
            let mut reader = log.reader(consumer::SCORES, partition, from)?;
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

#[cfg(test)]
mod tests {
    use partition_log::{MemoryLog, TopicConfig};
    use types::EventTime;

    use super::*;

    /// Scores of which every 1,000th is high, and what `tail` prints of them.
    fn tail(scores: u32, band: Option<BandName>, lines: u64) -> Vec<u32> {
        let log = MemoryLog::new();
        let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
        log.create_topic(consumer::SCORES, &config).unwrap();
        let mut topic = log.writer(consumer::SCORES).unwrap();
        let mut writer = topic.partition(PartitionId(0)).unwrap();
        for n in 0..scores {
            let band = if n % 1_000 == 0 { "high" } else { "low" };
            let json = format!(
                r#"{{"v":1,"id":"i","entity_type":"user","entity":"u","as_of":{n},"horizon":"30d","margin":0.0,"probability":0.5,"band":"{band}","model":"m","spec":"s","source":{{"partition":0,"offset":{n}}},"trigger":"event"}}"#
            );
            writer.append(EventTime(1), b"u", json.as_bytes(), &[]).unwrap();
        }
        writer.sync().unwrap();
        let tail = Tail { from: String::new(), band, lines, json: true, no_follow: true };
        let mut out = Vec::new();
        let mut reader = tail.earlier(&log, PartitionId(0), &mut out).unwrap();
        let mut records = RecordBuf::default();
        assert_eq!(reader.read(&mut records, READ_BYTES).unwrap(), 0, "what was printed would come again");
        let of_line = |line: &str| Score::decode(line.as_bytes()).unwrap().as_of.0 as u32;
        String::from_utf8(out).unwrap().lines().map(of_line).collect()
    }

    #[test]
    fn the_last_scores_of_a_band_are_found_however_far_back_they_lie() {
        assert_eq!(tail(9_999, None, 2), [9_997, 9_998]);
        assert_eq!(tail(9_999, Some(BandName::High), 3), [7_000, 8_000, 9_000]);
        assert_eq!(tail(2_500, Some(BandName::High), 10), [0, 1_000, 2_000]);
        assert!(tail(2_500, Some(BandName::Medium), 10).is_empty());
        assert!(tail(10, None, 0).is_empty());
    }
}
