//! `churnstream log`: look at logs, check them, redrive dead letters, change the number of partitions or the key, remove what is old.

mod repartition;
mod retain;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use partition_log::admin::{DumpedRecord, RedriveOptions, RedriveReport, Selection, TopicStat, VerifyReport};
use partition_log::{LogOptions, SharedLog, TopicPlace, admin};
use producer::map::moment;
use serde::Serialize;
use types::{EventTime, Offset, PartitionId, RejectReason};

/// What to do with a log.
#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Show what a topic holds: offsets, times and bytes of each partition.
    ///
    /// Example: churnstream log stat file:data/log/events
    Stat(TopicArgs),
    /// Print records.
    ///
    /// Examples:
    ///   churnstream log dump file:data/log/events --partition 2 --from 1000 \
    ///       --limit 5
    ///   churnstream log dump file:data/log/scores --key u000042 \
    ///       --since 2024-03-01T00:00:00Z --json
    #[command(verbatim_doc_comment)]
    Dump(DumpArgs),
    /// Read every byte of a topic and check it: checksums, offsets, records, indexes, keys.
    ///
    /// Goes on behind damage and says which offsets are lost. Ends with exit code 1 if anything is wrong.
    ///
    /// Example: churnstream log verify file:data/log/events
    #[command(verbatim_doc_comment)]
    Verify(TopicArgs),
    /// Send dead letters back to the topic that they came from, each once however often this is run.
    ///
    /// Rows of files that an import could not read stay: mend the map, and `producer import --rejected` brings them in.
    /// Redriven records are exempt from lateness as far as state reaches back. The topic they go to must not be open for
    /// writing: stop its producer first. Consumers may run.
    ///
    /// Examples:
    ///   churnstream log redrive file:data/log/dead-letters --reason late --dry-run
    ///   churnstream log redrive file:data/log/dead-letters
    #[command(verbatim_doc_comment)]
    Redrive(RedriveArgs),
    /// Copy a topic into a new one with another number of partitions, or another key.
    ///
    /// The order of each user's events and their place between ticks stay, so scores stay too. A consumer of the new topic
    /// begins with a new store, because offsets change, and with new outputs. These stand in the log of their input: copy
    /// into another log, where there are none. Finish imports into the old topic first.
    ///
    /// With --key, each event is about what one of its text fields says, as the account of a user, and the user becomes a
    /// field. Ticks stay between the same events. Events without that field become dead letters, made by the consumer of
    /// the new topic; what stands before a user's erasure is left out.
    ///
    /// Examples:
    ///   churnstream log repartition file:data/log/events \
    ///       --to file:data/log-16/events --partitions 16
    ///   churnstream log repartition file:data/log/events \
    ///       --to file:data/by-account/events --key account
    #[command(verbatim_doc_comment)]
    Repartition(repartition::RepartitionArgs),
    /// Remove old records, in whole segment files, but nothing that the consumer's store still needs.
    ///
    /// Producers and the consumer may run meanwhile: a running consumer is asked what it needs. Of the topic that the store was made from,
    /// that is what its state would be replayed from after a crash, and the newest record of a producer; of an output, what the last
    /// commit does not cover. Training, backtests and `churnstream rebuild` want the log from its first record,
    /// and refuse one that lacks it: keep a copy to train from. And do not import a file again whose records are gone. On Kafka the brokers
    /// remove what is old: this says how to tell them.
    ///
    /// Examples:
    ///   churnstream log retain file:data/log/events --older-than 365d --store state
    ///   churnstream log retain file:data/log/scores --larger-than 10GB --store state
    #[command(verbatim_doc_comment)]
    Retain(retain::RetainArgs),
}

/// A topic, and how to print.
#[derive(Debug, Args)]
pub struct TopicArgs {
    /// The topic: file:DIR/TOPIC or kafka:BROKERS/TOPIC
    #[arg(value_name = "PLACE")]
    topic: TopicPlace,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Which records to print.
#[derive(Debug, Args)]
pub struct DumpArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// Only this partition; otherwise all, one after the other
    #[arg(long, value_name = "N")]
    partition: Option<u32>,
    /// Begin at this offset of each partition
    #[arg(long, value_name = "OFFSET")]
    from: Option<u64>,
    /// Begin at the first record with this timestamp or a later one: 2024-03-01 (midnight in UTC), RFC 3339, or milliseconds since 1970
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<EventTime>,
    /// Only records of this key
    #[arg(long)]
    key: Option<String>,
    /// Stop after so many records
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

/// Which letters to redrive.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// Only letters of this reason; may be given several times. Otherwise all but `mapping`
    #[arg(long = "reason", value_name = "REASON", value_parser = parse_reason)]
    reasons: Vec<String>,
    /// Count only
    #[arg(long)]
    dry_run: bool,
}

fn parse_reason(text: &str) -> Result<String, String> {
    let names: Vec<_> = RejectReason::ALL.iter().map(|reason| reason.name()).collect();
    if names.contains(&text) { Ok(text.to_owned()) } else { Err(format!("one of {}", names.join(", "))) }
}

/// Does it, printing to `out`. The exit code is 1 if `verify` found something wrong.
///
/// # Errors
/// If the log cannot be opened or read, or `out` cannot be written to.
pub fn run(command: &LogCommand, out: &mut dyn Write) -> Result<ExitCode> {
    match command {
        LogCommand::Stat(args) => {
            let report = admin::stat(&*open(&args.topic)?, &args.topic.topic)?;
            if args.json { json(out, &report)? } else { print_stat(out, &report)? }
        }
        LogCommand::Dump(args) => dump(args, out)?,
        LogCommand::Verify(args) => {
            let report = admin::verify(&*open(&args.topic)?, &args.topic.topic)?;
            if args.json {
                json(out, &report)?
            } else {
                print_verify(out, &report)?
            }
            if !report.ok {
                return Ok(ExitCode::FAILURE);
            }
        }
        LogCommand::Redrive(args) => {
            let place = &args.topic.topic;
            let options = RedriveOptions { reasons: args.reasons.clone(), dry_run: args.dry_run };
            let report = admin::redrive(&*open(place)?, &place.topic, &options)?;
            if args.topic.json { json(out, &report)? } else { print_redrive(out, &report, args.dry_run)? }
        }
        LogCommand::Repartition(args) => repartition::run(args, out)?,
        LogCommand::Retain(args) => {
            retain::run(args, EventTime(jiff::Timestamp::now().as_millisecond()), out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn open(place: &TopicPlace) -> Result<SharedLog> {
    partition_log::open(&place.place, &LogOptions::default()).with_context(|| format!("opening {place}"))
}

fn json(out: &mut dyn Write, report: &impl Serialize) -> Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    writeln!(out)?;
    Ok(())
}

/// Prints records as they are read; with `--json` as one object, a record a line.
fn dump(args: &DumpArgs, out: &mut dyn Write) -> Result<()> {
    let place = &args.topic.topic;
    let selection = Selection {
        partition: args.partition.map(PartitionId),
        from: args.from.map(Offset),
        since: args.since,
        key: args.key.clone(),
        limit: args.limit,
    };
    let log = open(place)?;
    if args.topic.json {
        write!(out, "{{\"topic\":{},\"records\":[", serde_json::to_string(&place.topic)?)?;
    }
    let (mut failed, mut first) = (None, true);
    let mut show = |record: &DumpedRecord| -> io::Result<()> {
        if args.topic.json {
            writeln!(out, "{}", if std::mem::take(&mut first) { "" } else { "," })?;
            return Ok(serde_json::to_writer(&mut *out, record)?);
        }
        let headers: String = record.headers.iter().map(|(name, value)| format!(" {name}={value}")).collect();
        let DumpedRecord { partition, offset, timestamp, key, value, .. } = record;
        let line = format!("{partition}@{offset}  {}  {key}  {value}{headers}", time(*timestamp));
        writeln!(out, "{}", telemetry::plain(&line))
    };
    let dumped = admin::dump(&*log, &place.topic, &selection, |record| {
        failed = show(record).err();
        failed.is_none()
    });
    match failed {
        // The reader of a pipe (`head`) has seen enough.
        Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
        Some(error) => return Err(error.into()),
        None => {}
    }
    if args.topic.json {
        writeln!(out, "\n]}}")?;
    }
    dumped?;
    Ok(())
}

fn print_stat(out: &mut dyn Write, stat: &TopicStat) -> Result<()> {
    let key = if stat.config.key.is_empty() { "none" } else { &stat.config.key };
    let size = |n: Option<u64>| n.map_or_else(|| "-".to_owned(), bytes);
    let together = stat.bytes.map_or_else(|| "size unknown".to_owned(), bytes);
    writeln!(out, "{}: {} records, {together}", stat.topic, stat.records)?;
    writeln!(out, "key {key}, partitioner {}", stat.config.partitioner)?;
    writeln!(out)?;
    writeln!(
        out,
        "{:>9} {:>12} {:>12} {:>10} {:>8}  {:24}  last",
        "partition", "start", "end", "size", "segments", "first"
    )?;
    for p in &stat.by_partition {
        let time = |at: Option<EventTime>| at.map_or_else(|| "-".to_owned(), time);
        writeln!(
            out,
            "{:>9} {:>12} {:>12} {:>10} {:>8}  {:24}  {}",
            p.partition.0,
            p.start.0,
            p.end.0,
            size(p.bytes),
            p.segments.map_or_else(|| "-".to_owned(), |n| n.to_string()),
            time(p.first),
            time(p.last)
        )?;
    }
    Ok(())
}

fn print_verify(out: &mut dyn Write, report: &VerifyReport) -> Result<()> {
    for partition in &report.by_partition {
        let id = partition.partition;
        for note in &partition.notes {
            writeln!(out, "partition {id}: {note}")?;
        }
        if partition.unsynced_bytes > 0 {
            writeln!(out, "partition {id}: {} are not synced yet", bytes(partition.unsynced_bytes))?;
        }
        for finding in &partition.findings {
            let (offset, path, at) = (finding.offset, &finding.path, finding.position);
            writeln!(out, "partition {id}: offset {offset}, {path} byte {at}: {}", finding.detail)?;
        }
    }
    let findings: usize = report.by_partition.iter().map(|p| p.findings.len()).sum();
    let verdict = if report.ok {
        "everything is in order".to_owned()
    } else {
        format!("{findings} finding{}", if findings == 1 { "" } else { "s" })
    };
    writeln!(
        out,
        "{}: {} records in {} partitions, {verdict}",
        report.topic,
        report.records,
        report.by_partition.len()
    )?;
    Ok(())
}

fn print_redrive(out: &mut dyn Write, report: &RedriveReport, dry_run: bool) -> Result<()> {
    let verb = if dry_run { "would be redriven" } else { "redriven" };
    writeln!(out, "{} of {} dead letters {verb}", report.redriven, report.letters)?;
    for (reason, count) in &report.by_reason {
        writeln!(out, "  {reason}: {count}")?;
    }
    for (count, why) in [
        (report.already_redriven, "were redriven before"),
        (report.other_reasons, "have other reasons"),
        (
            report.import_lines,
            "are rows that an import could not read: mend the map and say `producer import FILE --map MAP.toml --rejected`",
        ),
        (
            report.truncated,
            "were cut to what their topic takes: the whole records stand where they came from",
        ),
        (report.without_origin, "name no record of a topic here"),
    ] {
        if count > 0 {
            writeln!(out, "{count} left: they {why}")?;
        }
    }
    Ok(())
}

/// A timestamp to the millisecond, in UTC; as a number where it is outside the calendar.
fn time(at: EventTime) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.to_string(), |time| format!("{time:.3}"))
}

/// A size in the largest unit that leaves a number of at least 1.
fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = n as f64;
    let mut unit = "B";
    for next in UNITS {
        if size < 1024.0 {
            break;
        }
        (size, unit) = (size / 1024.0, next);
    }
    if unit == "B" { format!("{n} B") } else { format!("{size:.1} {unit}") }
}

#[cfg(test)]
mod tests;
