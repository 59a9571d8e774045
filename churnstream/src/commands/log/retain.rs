//! `churnstream log retain`: removes old segments, never past what a consumer's store still needs.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use consumer::{ConsumerError, Needed};
use feature_store::StoreError;
use feature_store::store::{Needs, hold_needs};
use partition_log::{Log, Retention};
use serde::Serialize;
use types::{EventTime, Millis, Offset, PartitionId};

use super::{TopicArgs, bytes, json, open};
use crate::commands::running;

/// How long a store is waited for whose owner does not answer: a consumer that starts, or another command, which is done soon.
const PATIENCE: Duration = Duration::from_secs(10);

/// What may go.
#[derive(Debug, Args)]
pub struct RetainArgs {
    #[command(flatten)]
    topic: TopicArgs,
    /// Records older than this may go: 90d, 36h
    #[arg(long, value_name = "SPAN", required_unless_present = "larger_than")]
    older_than: Option<Millis>,
    /// The oldest records of each partition that is larger than this may go: 10GB, 500MB
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    larger_than: Option<u64>,
    /// The consumer's store: what its state is still made from stays. A consumer that has it open is asked. Needed on files
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct RetainReport {
    topic: String,
    removed_records: u64,
    removed_bytes: u64,
    by_partition: Vec<Retained>,
}

#[derive(Debug, Serialize)]
struct Retained {
    partition: PartitionId,
    removed_records: u64,
    start: Offset,
    end: Offset,
    /// The consumer or a producer that goes on needs everything from here on.
    needed_from: Offset,
    bytes: u64,
}

/// Removes what is old or too much, and says what was.
pub(super) fn run(args: &RetainArgs, now: EventTime, out: &mut dyn Write) -> Result<()> {
    let place = &args.topic.topic;
    let log = open(place)?;
    let topic = &place.topic;
    let Some(config) = log.topic(topic)? else { bail!("there is no topic `{topic}` in {}", log.place()) };
    if let Some(kafka) = log.as_kafka() {
        bail!("{}", leave_to_brokers(args, &|setting| kafka.command_to_set(&kafka.name(topic), setting)));
    }
    let Some(store) = &args.store else {
        bail!("--store DIR is needed: the consumer's store says what its state is still made from");
    };
    // A rebuild would need more than what is asked for now.
    let _held = store.is_dir().then(|| hold_needs(store, Needs::Acted)).transpose()?;
    let floors = floors(&*log, store, topic, config.partitions)?;
    let keep = Retention {
        oldest: args.older_than.map(|Millis(span)| EventTime(now.0.saturating_sub(span))),
        max_bytes: args.larger_than,
    };
    let mut report =
        RetainReport { topic: topic.clone(), removed_records: 0, removed_bytes: 0, by_partition: Vec::new() };
    for (partition, floor) in (0..).map(PartitionId).zip(floors) {
        let one = retain(&*log, topic, partition, &keep, floor, &mut report.removed_bytes)?;
        report.removed_records += one.removed_records;
        report.by_partition.push(one);
    }
    if args.topic.json { json(out, &report) } else { print(out, &report) }
}

/// On Kafka the brokers remove what is old. Says how to tell them.
fn leave_to_brokers(args: &RetainArgs, command: &dyn Fn(&str) -> String) -> String {
    let age = args.older_than.map(|Millis(span)| format!("retention.ms={span}"));
    // Both count by partition.
    let size = args.larger_than.map(|bytes| format!("retention.bytes={bytes}"));
    let settings: Vec<_> = age.into_iter().chain(size).collect();
    format!(
        "on Kafka the brokers remove old records, by the topic's settings. Set them by: {}\nNothing holds them back from what a \
         consumer still needs: keep more than state may have to be made from again, which is the whole topic for a partition that \
         moves to a store without its state",
        command(&settings.join(","))
    )
}

fn retain(
    log: &dyn Log,
    topic: &str,
    partition: PartitionId,
    keep: &Retention,
    floor: Offset,
    removed_bytes: &mut u64,
) -> Result<Retained> {
    let (before, size) = (log.bounds(topic, partition)?, log.usage(topic, partition)?.bytes);
    let after = log.retain(topic, partition, keep, floor)?;
    let left = log.usage(topic, partition)?.bytes;
    *removed_bytes += size.saturating_sub(left);
    Ok(Retained {
        partition,
        removed_records: after.start.since(before.start),
        start: after.start,
        end: after.end,
        needed_from: floor,
        bytes: left,
    })
}

/// From which offset on each partition of a topic is still needed: events to make the state again, and for producers to find where they
/// stopped; outputs to compare with what is made again.
fn floors(log: &dyn Log, store: &Path, topic: &str, partitions: u32) -> Result<Vec<Offset>> {
    let (made_from, needed) =
        needed(store, PATIENCE).with_context(|| format!("reading the store {}", store.display()))?;
    if needed.len() != partitions as usize {
        bail!(
            "the store is of {} partitions and `{topic}` has {partitions}: it is another log's",
            needed.len()
        );
    }
    let floors = (0..).map(PartitionId).zip(needed).map(|(partition, needed)| {
        let floor = if topic == made_from {
            needed.events.min(producer::sink::needed_from(log, topic, partition)?)
        } else {
            needed.outputs.get(topic).copied().with_context(|| {
                format!(
                    "what of `{topic}` is still needed cannot be known: the store was made from `{made_from}`, and its commit of \
                     partition {partition} knows no output of that name"
                )
            })?
        };
        let end = log.bounds(topic, partition)?.end;
        if floor > end {
            bail!(
                "partition {partition} of `{topic}` ends at {end}, and the store was made from one that goes on to {floor} at least: it \
                 is another log's"
            );
        }
        Ok(floor)
    });
    floors.collect()
}

/// What each partition of a store needs, and the topic that the store was made from: from the consumer that has the store, otherwise from
/// the store itself. A store whose owner does not answer is waited for.
fn needed(store: &Path, patience: Duration) -> Result<(String, Vec<Needed>)> {
    let begun = Instant::now();
    loop {
        if let Some(status) = running::status(store) {
            return Ok((status.topic, status.partitions.into_iter().map(|p| p.needed).collect()));
        }
        match consumer::needed(store) {
            Ok((identity, needed)) => return Ok((identity.topic, needed)),
            Err(ConsumerError::Store(StoreError::InUse { .. })) if begun.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(ConsumerError::Store(StoreError::InUse { .. })) => bail!(
                "it is open in another process, and no consumer answers from there: one that is starting does so soon, try again"
            ),
            Err(error) => return Err(error.into()),
        }
    }
}

fn print(out: &mut dyn Write, report: &RetainReport) -> Result<()> {
    let (records, size) = (report.removed_records, bytes(report.removed_bytes));
    writeln!(out, "{}: {records} records removed, {size}", report.topic)?;
    for p in &report.by_partition {
        let Retained { partition, removed_records, start, end, needed_from, bytes: left } = p;
        let left = bytes(*left);
        writeln!(
            out,
            "  partition {partition}: {removed_records} removed, {start} to {end} left ({left}), needed from {needed_from} on"
        )?;
    }
    Ok(())
}

/// A size as `10GB`, `500MB`, `64MiB` or a number of bytes.
fn parse_size(text: &str) -> Result<u64, String> {
    let units = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("kB", 1_000),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
        ("B", 1),
        ("", 1),
    ];
    let found =
        units.iter().find_map(|(unit, size)| Some((text.strip_suffix(unit)?.trim().parse::<u64>(), *size)));
    match found {
        Some((Ok(n), unit)) => n.checked_mul(unit).ok_or_else(|| format!("`{text}` is too much")),
        _ => Err(format!("`{text}` is no size: write 10GB, 500MB or a number of bytes")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use feature_store::store::Commit;
    use feature_store::{Store, StoreIdentity, StoreOptions, UserState};
    use partition_log::{FileLog, LogOptions, TopicConfig};

    use super::*;

    const P0: PartitionId = PartitionId(0);
    const DAY: i64 = Millis::DAY.0;

    #[test]
    fn sizes_are_read() {
        for (text, size) in [("10GB", 10_000_000_000), ("64 MiB", 64 << 20), ("7", 7), ("7B", 7)] {
            assert_eq!(parse_size(text), Ok(size));
        }
        for text in ["", "GB", "ten", "-1", "99999999999TB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn on_kafka_the_topics_settings_are_named() {
        let args = RetainArgs {
            topic: TopicArgs { topic: "kafka:b:1/shop./events".parse().unwrap(), json: false },
            older_than: Some("90d".parse().unwrap()),
            larger_than: Some(1000),
            store: None,
        };
        let said = leave_to_brokers(&args, &|settings| format!("<{settings}>"));
        assert!(said.contains("<retention.ms=7776000000,retention.bytes=1000>"), "{said}");
    }

    #[test]
    fn what_is_old_goes_and_what_the_store_needs_stays() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_bytes: 2000, ..LogOptions::default() };
        let log = FileLog::new(dir.path().join("log"), options);
        let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
        for topic in ["events", "scores", "other"] {
            log.create_topic(topic, &config).unwrap();
            let mut writer = log.writer(topic).unwrap().partition(P0).unwrap();
            for day in 0..300 {
                writer.append(EventTime(day * DAY), b"u1", b"some value", &[]).unwrap();
                writer.flush().unwrap();
            }
            writer.sync().unwrap();
        }
        let place = dir.path().join("store");
        let identity = StoreIdentity { spec_hash: "0".repeat(16), topic: "events".into(), partitions: 1 };
        let store = Store::open(&place, &identity, StoreOptions::default()).unwrap();
        let commit = |next: u64| {
            let outputs = BTreeMap::from([("scores".to_owned(), Offset(next / 2))]);
            let mut users = store.partition::<UserState>(P0).unwrap();
            users.commit(Commit { next_input: Offset(next), outputs, sweep: None }).unwrap();
        };
        let args = |topic: &str, older: Option<&str>, larger: Option<u64>| RetainArgs {
            topic: TopicArgs {
                topic: format!("file:{}/log/{topic}", dir.path().display()).parse().unwrap(),
                json: false,
            },
            older_than: older.map(|span| span.parse().unwrap()),
            larger_than: larger,
            store: Some(place.clone()),
        };
        let retain = |args: RetainArgs| -> Result<u64> {
            let mut out = Vec::new();
            run(&args, EventTime(300 * DAY), &mut out)?;
            Ok(log.bounds(&args.topic.topic.topic, P0).unwrap().start.0)
        };
        // While somebody has the store nothing is known of it.
        let error = needed(&place, Duration::ZERO).unwrap_err().to_string();
        assert!(error.contains("no consumer answers"), "{error}");
        commit(100);
        drop(store);

        assert_eq!(retain(args("events", Some("290d"), None)).unwrap(), 0, "a segment goes as a whole");
        let by_age = retain(args("events", Some("250d"), None)).unwrap();
        assert!((20..=50).contains(&by_age), "{by_age}");
        let by_need = retain(args("events", Some("1d"), None)).unwrap();
        assert!((by_age + 1..=100).contains(&by_need), "{by_need}");
        let blind = RetainArgs { store: None, ..args("events", Some("1d"), None) };
        assert!(retain(blind).unwrap_err().to_string().contains("--store DIR is needed"));
        let scores = retain(args("scores", None, Some(100))).unwrap();
        assert!((10..=50).contains(&scores), "{scores}");
        let error = format!("{:#}", retain(args("other", Some("1d"), None)).unwrap_err());
        assert!(error.contains("cannot be known"), "{error}");
        assert_eq!(log.bounds("other", P0).unwrap().start, Offset(0));
    }
}
