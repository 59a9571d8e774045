//! A log in memory, for tests and for runs that need no log afterwards. It means the same as the file backend, except
//! that it ends with the process. Clones share the topics.

mod reader;
mod writer;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use types::{EventTime, Offset, PartitionId};

use self::reader::{MemoryWatch, Reader};
use self::writer::{Held, Writer};
use super::check_topic;
use crate::{
    Bounds, Log, LogError, PartitionCheck, PartitionReader, RecordBuf, Recovery, Retention, TopicConfig,
    TopicWriter, Usage, Watch,
};

const PLACE: &str = "memory";
const BATCH_BYTES: usize = 64 << 10;

/// A log in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    topics: Arc<Mutex<BTreeMap<String, Arc<Topic>>>>,
}

#[derive(Debug)]
struct Topic {
    name: String,
    config: TopicConfig,
    partitions: Vec<Mutex<Partition>>,
    writer_out: AtomicBool,
    /// How often something was synced; what watches sleep on.
    syncs: Mutex<u64>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Partition {
    /// Flushed batches in order. The first `visible` of them are synced.
    batches: Vec<Arc<Batch>>,
    visible: usize,
    /// Where the first batch begins, or the end if there is none.
    start: Offset,
    writer_out: bool,
}

#[derive(Debug)]
struct Batch {
    records: RecordBuf,
    base: Offset,
    end: Offset,
    newest: EventTime,
}

/// A poisoned lock means that a thread panicked between two field writes of ours; none of those can panic half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Partition {
    fn bounds(&self) -> Bounds {
        let end = self.visible.checked_sub(1).map_or(self.start, |last| self.batches[last].end);
        Bounds { start: self.start, end }
    }

    fn appended(&self) -> Offset {
        self.batches.last().map_or(self.start, |batch| batch.end)
    }

    /// The index of the batch that holds `offset`, or where it would be.
    fn find(&self, offset: Offset) -> usize {
        self.batches.partition_point(|batch| batch.end <= offset)
    }
}

impl Topic {
    fn partition(&self, partition: PartitionId) -> Result<&Mutex<Partition>, LogError> {
        self.partitions
            .get(partition.0 as usize)
            .ok_or_else(|| LogError::NoSuchPartition { topic: self.name.clone(), partition })
    }

    fn check_range(&self, partition: PartitionId, offset: Offset) -> Result<(), LogError> {
        let Bounds { start, end } = lock(self.partition(partition)?).bounds();
        if (start..=end).contains(&offset) {
            return Ok(());
        }
        Err(LogError::OutOfRange { topic: self.name.clone(), partition, offset, start, end })
    }
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn find(&self, topic: &str) -> Result<Arc<Topic>, LogError> {
        lock(&self.topics)
            .get(topic)
            .cloned()
            .ok_or_else(|| LogError::NoSuchTopic { topic: topic.to_owned(), place: PLACE.to_owned() })
    }
}

impl Log for MemoryLog {
    fn place(&self) -> String {
        PLACE.to_owned()
    }

    fn create_topic(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError> {
        check_topic(topic, config)?;
        let mut topics = lock(&self.topics);
        if let Some(existing) = topics.get(topic) {
            return config.check_same(topic, &existing.config);
        }
        let made = Topic {
            name: topic.to_owned(),
            config: config.clone(),
            partitions: (0..config.partitions).map(|_| Mutex::default()).collect(),
            writer_out: AtomicBool::new(false),
            syncs: Mutex::new(0),
            grown: Condvar::new(),
        };
        topics.insert(topic.to_owned(), Arc::new(made));
        Ok(())
    }

    fn topic(&self, topic: &str) -> Result<Option<TopicConfig>, LogError> {
        Ok(lock(&self.topics).get(topic).map(|t| t.config.clone()))
    }

    fn topics(&self) -> Result<Vec<String>, LogError> {
        Ok(lock(&self.topics).keys().cloned().collect())
    }

    fn bounds(&self, topic: &str, partition: PartitionId) -> Result<Bounds, LogError> {
        Ok(lock(self.find(topic)?.partition(partition)?).bounds())
    }

    fn offset_at(&self, topic: &str, partition: PartitionId, time: EventTime) -> Result<Offset, LogError> {
        let topic = self.find(topic)?;
        let partition = lock(topic.partition(partition)?);
        let found =
            partition.batches[..partition.visible].iter().find(|batch| batch.newest >= time).and_then(
                |batch| batch.records.iter().find(|r| r.timestamp >= time && r.offset >= partition.start),
            );
        Ok(found.map_or(partition.bounds().end, |record| record.offset))
    }

    fn writer(&self, topic: &str) -> Result<Box<dyn TopicWriter>, LogError> {
        let topic = self.find(topic)?;
        if topic.writer_out.swap(true, Ordering::AcqRel) {
            return Err(LogError::Locked { topic: topic.name.clone(), lock: PLACE.into() });
        }
        // What an earlier writer flushed and did not sync is as whole as the rest.
        let mut recovery = Vec::new();
        for (index, partition) in (0..).zip(&topic.partitions) {
            let mut partition = lock(partition);
            let behind = partition.appended().since(partition.bounds().end);
            partition.visible = partition.batches.len();
            if behind > 0 {
                recovery.push(Recovery {
                    partition: PartitionId(index),
                    truncated_bytes: 0,
                    reason: String::new(),
                    end: partition.appended(),
                    recovered_records: behind,
                    rebuilt_indexes: 0,
                });
            }
        }
        Ok(Box::new(Writer { held: Arc::new(Held(topic)), recovery }))
    }

    fn reader(
        &self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
    ) -> Result<Box<dyn PartitionReader>, LogError> {
        let topic = self.find(topic)?;
        topic.check_range(partition, from)?;
        Ok(Box::new(Reader { topic, partition, next: from }))
    }

    fn retain(
        &self,
        topic: &str,
        partition: PartitionId,
        keep: &Retention,
        floor: Offset,
    ) -> Result<Bounds, LogError> {
        let topic = self.find(topic)?;
        let mut partition = lock(topic.partition(partition)?);
        let mut bytes: u64 = partition.batches.iter().map(|batch| batch.records.bytes.len() as u64).sum();
        let mut gone = 0;
        for batch in &partition.batches[..partition.visible.saturating_sub(1)] {
            let old = keep.oldest.is_some_and(|oldest| batch.newest < oldest);
            let much = keep.max_bytes.is_some_and(|max| bytes > max);
            if batch.end > floor || !(old || much) {
                break;
            }
            bytes -= batch.records.bytes.len() as u64;
            gone += 1;
        }
        if gone > 0 {
            partition.start = partition.batches[gone].base;
            partition.batches.drain(..gone);
            partition.visible -= gone;
        }
        Ok(partition.bounds())
    }

    fn usage(&self, topic: &str, partition: PartitionId) -> Result<Usage, LogError> {
        let topic = self.find(topic)?;
        let partition = lock(topic.partition(partition)?);
        let bytes = partition.batches.iter().map(|batch| batch.records.bytes.len() as u64).sum();
        Ok(Usage { bytes, portions: partition.batches.len() as u64 })
    }

    fn verify(&self, topic: &str, partition: PartitionId) -> Result<PartitionCheck, LogError> {
        // Nothing can happen to memory.
        let topic = self.find(topic)?;
        let state = lock(topic.partition(partition)?);
        let behind = &state.batches[state.visible..];
        Ok(PartitionCheck {
            partition,
            records: state.bounds().end.since(state.start),
            batches: state.visible as u64,
            unsynced_bytes: behind.iter().map(|batch| batch.records.bytes.len() as u64).sum(),
            findings: Vec::new(),
            notes: Vec::new(),
        })
    }

    fn watch(&self, topic: &str) -> Result<Box<dyn Watch>, LogError> {
        let topic = self.find(topic)?;
        let seen = *lock(&topic.syncs);
        Ok(Box::new(MemoryWatch { topic, seen }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_does_what_every_backend_must() {
        let log: crate::SharedLog = Arc::new(MemoryLog::new());
        crate::conformance::run(&log, "memory");
    }
}
