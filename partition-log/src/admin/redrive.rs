//! Dead letters go back to the topic that they came from, once what rejected them is mended.
//!
//! A redriven record has the key, value and timestamp of the original, goes to the partition that it came from, and
//! carries the headers `cs-from` (`TOPIC-PARTITION@OFFSET` of the record that was set aside) and `cs-redriven`, which
//! exempts it from lateness as far as state reaches back. The header `cs-source` stays behind: producers resume from the
//! last one that they find in a partition, which must not be an old one.
//!
//! **Never twice.** The origin names a dead letter for good, because a redriven record that is rejected again has an
//! origin of its own. What was redriven is remembered in the topic `DEAD-LETTERS.redriven`, one record for each origin. A
//! run first writes there where the topics ended when it began, and at its end that it is done; after a crash the next run
//! looks through what was appended since the unfinished run began, and so learns what was redriven but not yet remembered.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use types::{EventTime, Offset, PartitionId, RejectReason, headers};

use super::{READ_BYTES, partitions, require};
use crate::{
    Log, LogError, PartitionReader, PartitionWriter, Record, RecordBuf, TopicConfig, TopicWriter,
    partition_for,
};

/// What to redrive.
#[derive(Debug, Clone, Default)]
pub struct RedriveOptions {
    /// Only letters rejected for one of these reasons; empty: for any but `mapping`.
    pub reasons: Vec<String>,
    /// Count, but append nothing.
    pub dry_run: bool,
}

/// What was redriven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RedriveReport {
    /// Dead letters looked at.
    pub letters: u64,
    /// Appended to their topics (with `dry_run`: would be).
    pub redriven: u64,
    /// Left because an earlier run redrove them.
    pub already_redriven: u64,
    /// Left because their reason was not asked for.
    pub other_reasons: u64,
    /// Left because they are lines that a mapping could not read, which are imported again instead: they are no events.
    pub import_lines: u64,
    /// Left because they name no record of a topic that is here.
    pub without_origin: u64,
    /// `redriven` by the reason of the rejection.
    pub by_reason: BTreeMap<String, u64>,
    /// `redriven` by topic.
    pub by_topic: BTreeMap<String, u64>,
}

/// A mark in the memory of a redrive: the ends of the topics when a run began, or that it is done.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Mark {
    Began(BTreeMap<String, Vec<u64>>),
    Done,
}

const MEMORY: PartitionId = PartitionId(0);

/// Redrives the letters of the topic `dead_letters`. The topics that they came from must not be open for writing elsewhere.
///
/// # Errors
/// If a topic is missing, damaged or locked. What was appended by then is remembered.
pub fn redrive(
    log: &dyn Log,
    dead_letters: &str,
    options: &RedriveOptions,
) -> Result<RedriveReport, LogError> {
    let config = require(log, dead_letters)?;
    let memory_topic = format!("{dead_letters}.redriven");
    let mut done = remembered(log, &memory_topic)?;
    let mut report = RedriveReport::default();
    let mut run = None;
    let mut buf = RecordBuf::default();
    for partition in partitions(&config) {
        let mut reader = log.reader(dead_letters, partition, log.bounds(dead_letters, partition)?.start)?;
        loop {
            buf.clear();
            if reader.read(&mut buf, READ_BYTES)? == 0 {
                break;
            }
            for letter in buf.iter() {
                report.letters += 1;
                let Some(origin) = letter.header(headers::FROM).and_then(Origin::parse) else {
                    report.without_origin += 1;
                    continue;
                };
                let reason =
                    String::from_utf8_lossy(letter.header(headers::REASON).unwrap_or_default()).into_owned();
                let asked = options.reasons.contains(&reason);
                if !options.reasons.is_empty() && !asked {
                    report.other_reasons += 1;
                } else if reason == RejectReason::Mapping.name() && !asked {
                    report.import_lines += 1;
                } else if done.contains(&origin.text) {
                    report.already_redriven += 1;
                } else if log.topic(&origin.topic)?.is_none() {
                    report.without_origin += 1;
                } else {
                    if !options.dry_run {
                        let run = match &mut run {
                            Some(run) => run,
                            None => run.insert(Run::begin(log, dead_letters, &memory_topic)?),
                        };
                        run.append(log, &origin, &letter)?;
                    }
                    report.redriven += 1;
                    *report.by_reason.entry(reason).or_default() += 1;
                    *report.by_topic.entry(origin.topic).or_default() += 1;
                    done.insert(origin.text);
                }
            }
        }
    }
    if let Some(mut run) = run {
        run.finish()?;
    }
    Ok(report)
}

/// Where a dead letter came from.
struct Origin {
    text: String,
    topic: String,
    partition: PartitionId,
}

impl Origin {
    /// Reads `TOPIC-PARTITION@OFFSET`.
    fn parse(from: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(from).ok()?;
        let (place, offset) = text.rsplit_once('@')?;
        let (topic, partition) = place.rsplit_once('-')?;
        offset.parse::<u64>().ok()?;
        Some(Self {
            text: text.to_owned(),
            topic: topic.to_owned(),
            partition: PartitionId(partition.parse().ok()?),
        })
    }
}

/// The origins that earlier runs redrove.
fn remembered(log: &dyn Log, memory_topic: &str) -> Result<HashSet<String>, LogError> {
    let mut done = HashSet::new();
    if log.topic(memory_topic)?.is_none() {
        return Ok(done);
    }
    let mut unfinished = None;
    each(&mut *log.reader(memory_topic, MEMORY, Offset::ZERO)?, |record| {
        if record.key.is_empty() {
            unfinished = match serde_json::from_slice(record.value) {
                Ok(Mark::Began(ends)) => Some(ends),
                Ok(Mark::Done) | Err(_) => None,
            };
        } else {
            done.insert(String::from_utf8_lossy(record.key).into_owned());
        }
    })?;
    for (topic, ends) in unfinished.into_iter().flatten() {
        for (partition, end) in (0..).map(PartitionId).zip(ends) {
            let bounds = log.bounds(&topic, partition)?;
            let from = Offset(end).clamp(bounds.start, bounds.end);
            each(&mut *log.reader(&topic, partition, from)?, |record| {
                if let (Some(from), Some(_)) =
                    (record.header(headers::FROM), record.header(headers::REDRIVEN))
                {
                    done.insert(String::from_utf8_lossy(from).into_owned());
                }
            })?;
        }
    }
    Ok(done)
}

fn each(reader: &mut dyn PartitionReader, mut visit: impl FnMut(&Record<'_>)) -> Result<(), LogError> {
    let mut buf = RecordBuf::default();
    loop {
        buf.clear();
        if reader.read(&mut buf, READ_BYTES)? == 0 {
            return Ok(());
        }
        buf.iter().for_each(|record| visit(&record));
    }
}

/// The writers of one run.
struct Run {
    memory: Box<dyn PartitionWriter>,
    topics: BTreeMap<String, Target>,
}

struct Target {
    config: TopicConfig,
    topic: Box<dyn TopicWriter>,
    writers: BTreeMap<PartitionId, Box<dyn PartitionWriter>>,
}

impl Run {
    /// Notes where every topic ends, before anything is appended to one.
    fn begin(log: &dyn Log, dead_letters: &str, memory_topic: &str) -> Result<Self, LogError> {
        let config = TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".to_owned() };
        log.create_topic(memory_topic, &config)?;
        let mut ends = BTreeMap::new();
        for topic in log.topics()?.into_iter().filter(|topic| topic != dead_letters && topic != memory_topic)
        {
            let config = require(log, &topic)?;
            let of_topic: Result<Vec<u64>, LogError> =
                partitions(&config).map(|p| Ok(log.bounds(&topic, p)?.end.0)).collect();
            ends.insert(topic, of_topic?);
        }
        let mut memory = log.writer(memory_topic)?.partition(MEMORY)?;
        mark(&mut *memory, &Mark::Began(ends))?;
        Ok(Self { memory, topics: BTreeMap::new() })
    }

    fn append(&mut self, log: &dyn Log, origin: &Origin, letter: &Record<'_>) -> Result<(), LogError> {
        if !self.topics.contains_key(&origin.topic) {
            let topic = log.writer(&origin.topic)?;
            let target = Target { config: topic.config().clone(), topic, writers: BTreeMap::new() };
            self.topics.insert(origin.topic.clone(), target);
        }
        let Some(target) = self.topics.get_mut(&origin.topic) else { return Ok(()) };
        // A topic that was made again with fewer partitions has lost the old one.
        let partition = if origin.partition.0 < target.config.partitions {
            origin.partition
        } else {
            partition_for(letter.key, target.config.partitions)
        };
        let writer = match target.writers.entry(partition) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(target.topic.partition(partition)?)
            }
        };
        let ours = [headers::REASON, headers::DETAIL, headers::FROM, headers::REDRIVEN, headers::SOURCE];
        let kept =
            letter.headers().filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, value)));
        let mut all: Vec<(&str, &[u8])> = kept.filter(|(name, _)| !ours.contains(name)).collect();
        all.push((headers::FROM, origin.text.as_bytes()));
        all.push((headers::REDRIVEN, b""));
        writer.append(letter.timestamp, letter.key, letter.value, &all)?;
        self.memory.append(letter.timestamp, origin.text.as_bytes(), b"", &[])?;
        Ok(())
    }

    /// First what was redriven, then the memory of it: a crash in between is what `Mark::Began` is for.
    fn finish(&mut self) -> Result<(), LogError> {
        for writer in self.topics.values_mut().flat_map(|target| target.writers.values_mut()) {
            writer.sync()?;
        }
        self.memory.sync()?;
        mark(&mut *self.memory, &Mark::Done)
    }
}

fn mark(memory: &mut dyn PartitionWriter, mark: &Mark) -> Result<(), LogError> {
    // Maps of text and numbers always have a JSON form.
    let json = serde_json::to_vec(mark).unwrap_or_default();
    memory.append(EventTime(0), b"", &json, &[])?;
    memory.sync()
}
