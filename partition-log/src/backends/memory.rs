//! A log in memory, for tests and for runs that need no log afterwards. It means the same as the file backend, except
//! that it ends with the process. Clones share the topics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use types::{EventTime, Offset, PartitionId};

use super::check_topic;
use crate::format::{BatchBuilder, BatchError, Compression, decode_batch};
use crate::{
    Bounds, Log, LogError, PartitionReader, PartitionWriter, RecordBuf, Recovery, Retention, TopicConfig,
    TopicWriter, Watch,
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

    fn watch(&self, topic: &str) -> Result<Box<dyn Watch>, LogError> {
        let topic = self.find(topic)?;
        let seen = *lock(&topic.syncs);
        Ok(Box::new(MemoryWatch { topic, seen }))
    }
}

/// The topic's one writer: alive while any part of it is.
#[derive(Debug)]
struct Held(Arc<Topic>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.writer_out.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
struct Writer {
    held: Arc<Held>,
    recovery: Vec<Recovery>,
}

impl TopicWriter for Writer {
    fn config(&self) -> &TopicConfig {
        &self.held.0.config
    }

    fn recovery(&self) -> &[Recovery] {
        &self.recovery
    }

    fn partition(&mut self, partition: PartitionId) -> Result<Box<dyn PartitionWriter>, LogError> {
        let topic = &self.held.0;
        let mut state = lock(topic.partition(partition)?);
        if state.writer_out {
            return Err(LogError::Locked { topic: topic.name.clone(), lock: PLACE.into() });
        }
        state.writer_out = true;
        let batch = BatchBuilder::new(state.appended(), Compression::None);
        drop(state);
        Ok(Box::new(Appender { held: Arc::clone(&self.held), partition, batch }))
    }
}

#[derive(Debug)]
struct Appender {
    held: Arc<Held>,
    partition: PartitionId,
    batch: BatchBuilder,
}

impl Appender {
    fn state(&self) -> MutexGuard<'_, Partition> {
        lock(&self.held.0.partitions[self.partition.0 as usize])
    }

    fn error(&self, error: &BatchError) -> LogError {
        LogError::RecordTooLarge {
            topic: self.held.0.name.clone(),
            partition: self.partition,
            detail: error.to_string(),
        }
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.state().writer_out = false;
    }
}

impl PartitionWriter for Appender {
    fn append(
        &mut self,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<Offset, LogError> {
        if self.batch.plain_len() + key.len() + value.len() > BATCH_BYTES {
            self.flush()?;
        }
        let offset = self.batch.end();
        self.batch.push(timestamp, key, value, headers).map_err(|e| self.error(&e))?;
        Ok(offset)
    }

    fn end(&self) -> Offset {
        self.batch.end()
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let Some((newest, _)) = self.batch.newest() else {
            return Ok(());
        };
        let (base, end) = (Offset(self.batch.end().0 - u64::from(self.batch.len())), self.batch.end());
        let mut records = RecordBuf::default();
        let result = self.batch.finish().and_then(|bytes| decode_batch(bytes, Offset::ZERO, &mut records));
        result.map_err(|e| self.error(&e))?;
        self.state().batches.push(Arc::new(Batch { records, base, end, newest }));
        self.batch.reset(end);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.flush()?;
        let mut state = self.state();
        state.visible = state.batches.len();
        drop(state);
        *lock(&self.held.0.syncs) += 1;
        self.held.0.grown.notify_all();
        Ok(())
    }
}

#[derive(Debug)]
struct Reader {
    topic: Arc<Topic>,
    partition: PartitionId,
    next: Offset,
}

impl PartitionReader for Reader {
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError> {
        self.topic.check_range(self.partition, self.next)?;
        let (records_before, bytes_before) = (into.len(), into.bytes.len());
        let state = lock(self.topic.partition(self.partition)?);
        let from = state.find(self.next);
        // The batches are shared, so the writer need not wait for the copying.
        let mut batches = Vec::new();
        let mut bytes = 0;
        for batch in &state.batches[from..state.visible.max(from)] {
            if bytes >= max_bytes && !batches.is_empty() {
                break;
            }
            bytes += batch.records.bytes.len();
            batches.push(Arc::clone(batch));
        }
        drop(state);
        for batch in batches {
            if into.bytes.len() - bytes_before >= max_bytes && into.len() > records_before {
                break;
            }
            into.extend_from(&batch.records, self.next);
            self.next = batch.end;
        }
        Ok(into.len() - records_before)
    }

    fn position(&self) -> Offset {
        self.next
    }

    fn seek(&mut self, to: Offset) -> Result<(), LogError> {
        self.topic.check_range(self.partition, to)?;
        self.next = to;
        Ok(())
    }
}

#[derive(Debug)]
struct MemoryWatch {
    topic: Arc<Topic>,
    seen: u64,
}

impl Watch for MemoryWatch {
    fn wait(&mut self, timeout: Duration) -> Result<bool, LogError> {
        let until = Instant::now() + timeout;
        let mut syncs = lock(&self.topic.syncs);
        while *syncs == self.seen {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Ok(false);
            };
            (syncs, _) = self.topic.grown.wait_timeout(syncs, left).unwrap_or_else(PoisonError::into_inner);
        }
        self.seen = *syncs;
        Ok(true)
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
