//! `producer import --rejected`: rows that an earlier import could not read, read by a map that can.
//!
//! What was rejected stands on the log with its place in the file. Those rows are read again, and what they give is
//! appended as redriven events, which lateness does not concern: with the place of the row, and where its rejection stands. A
//! row that is not what was rejected is left alone, since the file has changed then; a Parquet row, which has no bytes of its own,
//! is taken as it is.
//!
//! **Once.** An event whose place the log holds is not appended again, whoever appended it. The writer is opened first: it
//! brings back what a killed run had flushed.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use partition_log::{Log, LogError, PartitionWriter, Record, RecordBuf, partition_for};
use serde::Serialize;
use telemetry::Shutdown;
use types::{Offset, PartitionId, headers};

use super::feed::{Body, Feed, Input, Item, Reading};
use super::names::Names;
use super::run::{ImportError, ImportOptions, entity_type};
use super::source::{KEPT, Row};
use super::summary::Counts;
use crate::around::Surroundings;

/// What was mended. `--json` prints it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MendSummary {
    /// Rows of the files that the log holds as rejected.
    pub rejected: u64,
    /// Events that they gave now.
    pub events: u64,
    /// Events of theirs that the log held already.
    pub already: u64,
    /// Rows that this map cannot read either, by reason.
    pub still_rejected: BTreeMap<&'static str, u64>,
    /// Rows that the map passes over.
    pub passed_over: u64,
    /// Rows that are no longer what was rejected, or not there: the file has changed. They are left alone.
    pub changed: u64,
    /// Whether it was stopped before its end.
    pub stopped: bool,
}

impl std::fmt::Display for MendSummary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rejected rows gave {} events", self.rejected, self.events)?;
        for (n, what) in [
            (self.already, "events were on the log already"),
            (self.passed_over, "rows passed over by the map"),
            (self.changed, "rows left alone: the file has changed there"),
        ] {
            if n > 0 {
                write!(f, "\n  {n} {what}")?;
            }
        }
        for (reason, n) in &self.still_rejected {
            write!(f, "\n  {n} rows still rejected: {reason}")?;
        }
        if self.stopped { write!(f, "\n  stopped before the end") } else { Ok(()) }
    }
}

/// A row that was rejected.
#[derive(Debug, Clone, Copy)]
struct Rejected {
    line: u64,
    /// Of its bytes as far as they were kept.
    checksum: u64,
    at: (PartitionId, Offset),
}

/// What the log holds of one file's rejected rows.
#[derive(Debug, Default)]
struct Known {
    /// In order of their lines.
    rejected: Vec<Rejected>,
    /// Line and part of the events that are there of them.
    events: HashSet<(u64, u32)>,
}

impl Known {
    fn of_line(&self, line: u64) -> Option<&Rejected> {
        self.rejected.binary_search_by_key(&line, |row| row.line).ok().map(|at| &self.rejected[at])
    }
}

/// Reads the rejected rows of files again and appends what they give, each event once however often this is run. Memory: some
/// 50 bytes for each rejected row. The topic is read twice.
///
/// # Errors
/// See [`ImportError`]; rows that still cannot be read are none.
pub fn mend(
    log: &dyn Log,
    files: &[Input<'_>],
    options: &ImportOptions,
    around: &Surroundings,
) -> Result<MendSummary, ImportError> {
    let (names, entity_type, topic) = (Names::of(files)?, entity_type(files)?, &options.topic);
    let mut opened = log.writer(topic)?;
    let config = opened.config().clone();
    if config.key != entity_type {
        return Err(ImportError::EntityTypes(config.key, entity_type));
    }
    let partitions = (0..config.partitions).map(PartitionId);
    let open = |partition| {
        let mut writer = opened.partition(partition)?;
        // What a killed run flushed is on the log; show it to the readers that look for it.
        writer.sync()?;
        Ok::<_, LogError>(writer)
    };
    let writers = partitions.clone().map(open).collect::<Result<Vec<_>, _>>()?;
    around.ready().not_ready("looking for rejected rows on the log");
    let known = look(log, topic, partitions, &names)?;
    around.ready().ready();
    let produced = around.produced(topic);

    let mut mending = Mending { topic, writers, sources: &names.own, known, summary: MendSummary::default() };
    let reading =
        Reading { not_after: options.not_after, longest: options.max_row, read: Arc::new(AtomicU64::new(0)) };
    let mut counts = Counts::default();
    for (number, file) in files.iter().enumerate() {
        if !mending.known[number].rejected.is_empty() {
            mending.file(number, file, &reading, &mut counts, &around.shutdown)?;
        }
    }
    for writer in &mut mending.writers {
        writer.sync()?;
    }
    let mut summary = mending.summary;
    produced.add(summary.events);
    summary.still_rejected = counts.rejected_by_name();
    summary.passed_over = counts.passed_over();
    Ok(summary)
}

struct Mending<'a> {
    topic: &'a str,
    writers: Vec<Box<dyn PartitionWriter>>,
    sources: &'a [String],
    known: Vec<Known>,
    summary: MendSummary,
}

impl Mending<'_> {
    fn file(
        &mut self,
        number: usize,
        file: &Input<'_>,
        reading: &Reading,
        counts: &mut Counts,
        shutdown: &Shutdown,
    ) -> Result<(), ImportError> {
        let known = std::mem::take(&mut self.known[number]);
        let rejected = known.rejected.len() as u64;
        self.summary.rejected += rejected;
        let mut same = 0;
        let mut wanted = |row: &Row<'_>| {
            let is_wanted = known.of_line(row.line).is_some_and(|known| is_the_same(known, row));
            same += u64::from(is_wanted);
            is_wanted
        };
        let mut feed = Feed::open(file, number, reading)?;
        while feed.advance_to(counts, &mut wanted)? {
            if shutdown.is_requested() {
                self.summary.stopped = true;
                return Ok(());
            }
            if let Some(item) = feed.item() {
                self.append(&known, &item)?;
            }
        }
        self.summary.changed += rejected - same;
        Ok(())
    }

    fn append(&mut self, known: &Known, item: &Item<'_>) -> Result<(), LogError> {
        let (Body::Event { key, value, .. }, Some(rejected)) = (item.body, known.of_line(item.line)) else {
            return Ok(());
        };
        if known.events.contains(&(item.line, item.part)) {
            self.summary.already += 1;
            return Ok(());
        }
        let mut source = Vec::from(&*self.sources[item.file]);
        source.push(b':');
        item.write_position(&mut source);
        let mut from = Vec::new();
        // Writing to a Vec cannot fail.
        let _ = write!(from, "{}-{}@{}", self.topic, rejected.at.0, rejected.at.1);
        let all: [(&str, &[u8]); 3] =
            [(headers::SOURCE, &source), (headers::FROM, &from), (headers::REDRIVEN, b"")];
        let partition = partition_for(key, self.writers.len() as u32);
        self.writers[partition.0 as usize].append(item.arrival, key, value, &all)?;
        self.summary.events += 1;
        Ok(())
    }
}

fn is_the_same(known: &Rejected, row: &Row<'_>) -> bool {
    !row.has_bytes() || checksum(&row.original()) == known.checksum
}

fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(&bytes[..bytes.len().min(KEPT)])
}

/// Finds what the log holds of the files' rejected rows: first which rows, then which events there are of them.
fn look(
    log: &dyn Log,
    topic: &str,
    partitions: impl Iterator<Item = PartitionId> + Clone,
    names: &Names,
) -> Result<Vec<Known>, ImportError> {
    let Names { own: sources, former } = names;
    let own = sources.iter().enumerate().map(|(place, name)| (name.as_bytes(), place));
    let places: HashMap<&[u8], usize> =
        former.iter().map(|(name, place)| (name.as_bytes(), *place)).chain(own).collect();
    let mut known: Vec<Known> = sources.iter().map(|_| Known::default()).collect();
    let mut others = BTreeSet::new();
    for partition in partitions.clone() {
        each(log, topic, partition, |record| {
            let Some((name, line, _)) = position(record) else { return };
            if record.header(headers::REASON).is_none() || !record.key.is_empty() {
                return;
            }
            match places.get(name) {
                Some(place) => known[*place].rejected.push(Rejected {
                    line,
                    checksum: checksum(record.value),
                    at: (partition, record.offset),
                }),
                None if others.len() < 5 => {
                    others.insert(String::from_utf8_lossy(name).into_owned());
                }
                None => {}
            }
        })?;
    }
    for (known, name) in known.iter_mut().zip(sources) {
        if known.rejected.is_empty() && !others.is_empty() {
            let others = others.into_iter().collect::<Vec<_>>().join("`, `");
            return Err(ImportError::NothingRejected { file: name.clone(), others });
        }
        known.rejected.sort_by_key(|row| row.line);
    }
    for partition in partitions {
        each(log, topic, partition, |record| {
            if let Some((name, line, part)) = position(record)
                && record.header(headers::REASON).is_none()
                && let Some(place) = places.get(name)
                && known[*place].of_line(line).is_some()
            {
                known[*place].events.insert((line, part));
            }
        })?;
    }
    Ok(known)
}

/// The name, line and part that a record's source says.
fn position<'r>(record: &Record<'r>) -> Option<(&'r [u8], u64, u32)> {
    let source = record.header(headers::SOURCE)?;
    let colon = memchr::memrchr(b':', source)?;
    let place = std::str::from_utf8(&source[colon + 1..]).ok()?;
    let (line, part) = place.split_once('#').unwrap_or((place, "1"));
    Some((&source[..colon], line.parse().ok()?, part.parse::<u32>().ok()?.checked_sub(1)?))
}

fn each(
    log: &dyn Log,
    topic: &str,
    partition: PartitionId,
    mut visit: impl FnMut(&Record<'_>),
) -> Result<(), LogError> {
    let mut reader = log.reader(topic, partition, log.bounds(topic, partition)?.start)?;
    let mut records = RecordBuf::default();
    loop {
        records.clear();
        if reader.read(&mut records, 1 << 20)? == 0 {
            return Ok(());
        }
        records.iter().for_each(|record| visit(&record));
    }
}
