//! The same records in another number of partitions, in a new topic.
//!
//! Every key goes to the partition that its hash says. Records of one key keep their order, since they come from one
//! partition. A tick stands in every source partition between the same events, and does so in every target partition: the
//! source partitions are read up to their next tick, then that tick is written to all target partitions once, and so on. So
//! a sweep meets the same state of every user as before, and scores do not change. Between two ticks the partitions are
//! merged by timestamp. Other records of no key go to partition `source % partitions`, where their order is kept too.
//!
//! A source partition that lacks a tick that another has (a crash fell between the writing of the two) is taken to have it
//! where the next one stands, or at its end.

use serde::Serialize;
use types::{Event, EventTime, Offset, PartitionId, SystemEvent, headers};

use super::{READ_BYTES, partitions, require};
use crate::{Log, LogError, PartitionReader, PartitionWriter, Record, RecordBuf, TopicConfig, partition_for};

/// What a repartitioning did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RepartitionReport {
    /// The topic that was read.
    pub from: String,
    /// The new topic.
    pub to: String,
    /// Partitions of the topic that was read.
    pub partitions_before: u32,
    /// Partitions of the new topic.
    pub partitions: u32,
    /// Records copied, ticks aside.
    pub records: u64,
    /// Ticks, each counted once.
    pub ticks: u64,
    /// Records in each new partition, ticks included.
    pub by_partition: Vec<u64>,
}

/// Copies the topic `from` into the new topic `to` of `count` partitions, in the same log or another. Outputs of a consumer stand in the log
/// of its input, so a copy that is to be consumed beside the old one needs another log. Give both a consumer's outputs and its store anew:
/// offsets do not carry over. Imports into the topic must be finished, because they resume by a partition's last source.
///
/// # Errors
/// If `to` exists and is not empty, if partitions of `from` were not chosen by the key's hash, or if either log fails.
pub fn repartition(
    (log, from): (&dyn Log, &str),
    (target, to): (&dyn Log, &str),
    count: u32,
) -> Result<RepartitionReport, LogError> {
    let config = require(log, from)?;
    let refuse = |topic: &str, detail: String| Err(LogError::BadTopic { topic: topic.to_owned(), detail });
    if config.partitioner != "murmur2" {
        let detail =
            format!("its partitions are chosen by `{}`, which no key's hash can tell", config.partitioner);
        return refuse(from, detail);
    }
    if from == to && log.place() == target.place() {
        return refuse(to, "it cannot be copied into itself: give the new topic another name".to_owned());
    }
    target.create_topic(to, &TopicConfig { partitions: count, ..config.clone() })?;
    let mut topic = target.writer(to)?;
    let mut writers = (0..count).map(|p| topic.partition(PartitionId(p))).collect::<Result<Vec<_>, _>>()?;
    if writers.iter().any(|writer| writer.end() > Offset::ZERO) {
        return refuse(
            to,
            "it holds records already; remove it or give the new topic another name".to_owned(),
        );
    }
    let mut sources =
        partitions(&config).map(|p| Source::open(log, from, p)).collect::<Result<Vec<_>, _>>()?;
    let (mut records, mut ticks) = (0, 0);
    loop {
        records += copy_epoch(&mut sources, &mut writers)?;
        // Every source is at a tick now, or at its end.
        let Some(tick) = sources.iter().filter_map(Source::tick).min() else { break };
        let Some(at) = sources.iter().position(|source| source.tick() == Some(tick)) else { break };
        if let Some(record) = sources[at].head() {
            for writer in &mut writers {
                append(&mut **writer, &record)?;
            }
        }
        for source in sources.iter_mut().filter(|source| source.tick() == Some(tick)) {
            source.advance()?;
        }
        ticks += 1;
    }
    for writer in &mut writers {
        writer.sync()?;
    }
    Ok(RepartitionReport {
        from: from.to_owned(),
        to: to.to_owned(),
        partitions_before: config.partitions,
        partitions: count,
        records,
        ticks,
        by_partition: writers.iter().map(|writer| writer.end().0).collect(),
    })
}

/// Copies everything up to each source's next tick, merged by timestamp and then partition. Returns how many records.
fn copy_epoch(sources: &mut [Source], writers: &mut [Box<dyn PartitionWriter>]) -> Result<u64, LogError> {
    let mut copied = 0;
    loop {
        let ready = sources.iter_mut().filter(|source| source.tick().is_none());
        let next =
            ready.filter_map(|source| Some((source.head()?.timestamp, source))).min_by_key(|(at, _)| *at);
        let Some((_, source)) = next else { return Ok(copied) };
        let partition = source.partition;
        if let Some(record) = source.head() {
            let target = if record.key.is_empty() {
                partition.0 % writers.len() as u32
            } else {
                partition_for(record.key, writers.len() as u32).0
            };
            append(&mut *writers[target as usize], &record)?;
        }
        source.advance()?;
        copied += 1;
    }
}

fn append(writer: &mut dyn PartitionWriter, record: &Record<'_>) -> Result<(), LogError> {
    let names: Vec<_> =
        record.headers().map(|(name, value)| (String::from_utf8_lossy(name), value)).collect();
    let headers: Vec<_> = names.iter().map(|(name, value)| (&**name, *value)).collect();
    writer.append(record.timestamp, record.key, record.value, &headers)?;
    Ok(())
}

/// A source partition and the record that comes next.
struct Source {
    partition: PartitionId,
    reader: Box<dyn PartitionReader>,
    buf: RecordBuf,
    at: usize,
    /// The moment of the tick that comes next, if a tick does.
    tick: Option<EventTime>,
}

impl Source {
    fn open(log: &dyn Log, topic: &str, partition: PartitionId) -> Result<Self, LogError> {
        let reader = log.reader(topic, partition, log.bounds(topic, partition)?.start)?;
        let mut source = Self { partition, reader, buf: RecordBuf::default(), at: 0, tick: None };
        source.look()?;
        Ok(source)
    }

    fn head(&self) -> Option<Record<'_>> {
        self.buf.get(self.at)
    }

    fn tick(&self) -> Option<EventTime> {
        self.tick
    }

    fn advance(&mut self) -> Result<(), LogError> {
        self.at += 1;
        self.look()
    }

    /// Reads on if need be, and sees whether a tick comes next.
    fn look(&mut self) -> Result<(), LogError> {
        if self.at == self.buf.len() {
            self.buf.clear();
            self.at = 0;
            self.reader.read(&mut self.buf, READ_BYTES)?;
        }
        self.tick = self.head().and_then(|record| tick_of(&record));
        Ok(())
    }
}

/// The moment of the tick that a record is, if it is one. Only records of no key can be, and none that a source gave or
/// that was rejected, whatever its bytes say.
fn tick_of(record: &Record<'_>) -> Option<EventTime> {
    let is_row = record.header(headers::SOURCE).is_some() || record.header(headers::REASON).is_some();
    if !record.key.is_empty() || is_row {
        return None;
    }
    let mut event = Event::default();
    event.decode(record.value).ok()?;
    (event.system() == Ok(Some(SystemEvent::Tick))).then_some(event.ts)
}
