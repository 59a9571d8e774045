//! The same records in another number of partitions or under another key, in a new topic.
//!
//! Every key goes to the partition that its hash says. Records of one key keep their order, since they come from one
//! partition. A tick stands in every source partition between the same events, and does so in every target partition: the
//! source partitions are read up to their next tick, then that tick is written to all target partitions once, and so on. So
//! a sweep meets the same state of every user as before, and scores do not change. Between two ticks the partitions are
//! merged by timestamp. Other records of no key go to partition `source % partitions`, where their order is kept too.
//!
//! A source partition that lacks a tick that another has (a crash fell between the writing of the two) is taken to have it
//! where the next one stands, or at its end.
//!
//! Under another key, an event is known by the text of one of its fields, and those of one new key come together from many partitions,
//! between two ticks in the order of their timestamps. What cannot have that key becomes a record without a key that says why in its
//! headers, as a row does that an import cannot read: the consumer moves it to its dead letters.

use serde::Serialize;
use types::{Event, EventTime, Offset, PartitionId, SystemEvent, headers};

use super::rekey::{Rekey, Rekeyed};
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
    /// What the new topic is keyed by.
    pub key: String,
    /// Records copied, ticks aside.
    pub records: u64,
    /// Those of them that cannot have the new key: the consumer will make them dead letters.
    pub rejected: u64,
    /// Records left out, because an erasure of their entity stands behind them, and the erasures. Only where the key changes.
    pub erased: u64,
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
    from: (&dyn Log, &str),
    to: (&dyn Log, &str),
    count: u32,
) -> Result<RepartitionReport, LogError> {
    copy(from, to, count, None)
}

/// As [`repartition`], with another key: each event is about what its text field `key` says, and is of that entity type. The old entity
/// stays as a field that is named by the old entity type, unless there is one. Memory: the entities that were erased.
///
/// # Errors
/// As for [`repartition`], and if the topic has that key already or none.
pub fn repartition_by(
    from: (&dyn Log, &str),
    to: (&dyn Log, &str),
    count: u32,
    key: &str,
) -> Result<RepartitionReport, LogError> {
    copy(from, to, count, Some(key))
}

fn copy(
    (log, from): (&dyn Log, &str),
    (target, to): (&dyn Log, &str),
    count: u32,
    key: Option<&str>,
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
    let mut rekey = key.map(|key| Rekey::new(log, from, &config, key)).transpose()?;
    let key = key.unwrap_or(&config.key).to_owned();
    target.create_topic(to, &TopicConfig { partitions: count, key: key.clone(), ..config.clone() })?;
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
    let (mut copied, mut ticks) = (Copied::default(), 0);
    loop {
        copy_epoch(&mut sources, &mut writers, rekey.as_mut(), &mut copied)?;
        // Every source is at a tick now, or at its end.
        let Some(tick) = sources.iter().filter_map(Source::tick).min() else { break };
        let Some(at) = sources.iter().position(|source| source.tick() == Some(tick)) else { break };
        if let Some(record) = sources[at].head() {
            for writer in &mut writers {
                append(&mut **writer, &record, (record.key, record.value), &[], &[])?;
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
        key,
        records: copied.records,
        rejected: copied.rejected,
        erased: copied.erased,
        ticks,
        by_partition: writers.iter().map(|writer| writer.end().0).collect(),
    })
}

/// What was done with records.
#[derive(Default)]
struct Copied {
    records: u64,
    rejected: u64,
    erased: u64,
}

/// Copies everything up to each source's next tick, merged by timestamp and then partition.
fn copy_epoch(
    sources: &mut [Source],
    writers: &mut [Box<dyn PartitionWriter>],
    mut rekey: Option<&mut Rekey<'_>>,
    copied: &mut Copied,
) -> Result<(), LogError> {
    let count = writers.len() as u32;
    loop {
        let ready = sources.iter_mut().filter(|source| source.tick().is_none());
        let next =
            ready.filter_map(|source| Some((source.head()?.timestamp, source))).min_by_key(|(at, _)| *at);
        let Some((_, source)) = next else { return Ok(()) };
        let without_key = source.partition.0 % count;
        copied.records += 1;
        if let Some(record) = source.head() {
            let key = record.key;
            match &mut rekey {
                _ if key.is_empty() => {
                    append(&mut *writers[without_key as usize], &record, (key, record.value), &[], &[])?;
                }
                None => {
                    let target = partition_for(key, count).0;
                    append(&mut *writers[target as usize], &record, (key, record.value), &[], &[])?;
                }
                Some(rekey) => match rekey.take(source.partition, &record)? {
                    Rekeyed::Event(key) => {
                        let target = partition_for(key.as_bytes(), count).0;
                        let event = (key.as_bytes(), &*rekey.value);
                        append(&mut *writers[target as usize], &record, event, &[], &[])?;
                    }
                    Rekeyed::Rejected(reason, detail) => {
                        let why = [
                            (headers::REASON, reason.name().as_bytes()),
                            (headers::DETAIL, detail.as_bytes()),
                        ];
                        // With a source it would be a row of a file.
                        let not = [headers::SOURCE, headers::CHAIN];
                        let value = (&b""[..], record.value);
                        append(&mut *writers[without_key as usize], &record, value, &not, &why)?;
                        copied.rejected += 1;
                    }
                    Rekeyed::Erased => {
                        copied.records -= 1;
                        copied.erased += 1;
                    }
                },
            }
        }
        source.advance()?;
    }
}

/// Appends what became of a record, with its time and its headers, but for some, and with some more.
fn append(
    writer: &mut dyn PartitionWriter,
    record: &Record<'_>,
    (key, value): (&[u8], &[u8]),
    without: &[&str],
    more: &[(&str, &[u8])],
) -> Result<(), LogError> {
    let names: Vec<_> =
        record.headers().map(|(name, value)| (String::from_utf8_lossy(name), value)).collect();
    let kept = names.iter().map(|(name, value)| (&**name, *value));
    let headers: Vec<_> =
        kept.filter(|(name, _)| !without.contains(name)).chain(more.iter().copied()).collect();
    writer.append(record.timestamp, key, value, &headers)?;
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
