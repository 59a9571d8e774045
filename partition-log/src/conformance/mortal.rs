//! A log that can be killed, for tests of what goes on after a kill.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use types::{EventTime, Offset, PartitionId};

use crate::{
    Bounds, Log, LogError, PartitionCheck, PartitionReader, PartitionWriter, Recovery, Retention, SharedLog,
    TopicConfig, TopicWriter, Usage, Watch,
};

/// A log whose writers die after so many operations, as a process does: in the middle of anything.
pub struct Mortal {
    log: SharedLog,
    left: Arc<AtomicU64>,
}

impl Mortal {
    /// A log that lives for ever, until told otherwise.
    #[must_use]
    pub fn new(log: SharedLog) -> Self {
        Self { log, left: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Lives for so many more operations of its writers. All that come after fail.
    pub fn live_for(&self, operations: u64) {
        self.left.store(operations, Ordering::Relaxed);
    }
}

fn spend(left: &AtomicU64) -> Result<(), LogError> {
    let had = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
    had.map(|_| ()).map_err(|_| LogError::BadPlace("killed".to_owned()))
}

impl Log for Mortal {
    fn place(&self) -> String {
        self.log.place()
    }
    fn create_topic(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError> {
        self.log.create_topic(topic, config)
    }
    fn topic(&self, topic: &str) -> Result<Option<TopicConfig>, LogError> {
        self.log.topic(topic)
    }
    fn topics(&self) -> Result<Vec<String>, LogError> {
        self.log.topics()
    }
    fn bounds(&self, topic: &str, partition: PartitionId) -> Result<Bounds, LogError> {
        self.log.bounds(topic, partition)
    }
    fn offset_at(&self, topic: &str, partition: PartitionId, time: EventTime) -> Result<Offset, LogError> {
        self.log.offset_at(topic, partition, time)
    }
    fn writer(&self, topic: &str) -> Result<Box<dyn TopicWriter>, LogError> {
        Ok(Box::new(MortalTopic { writer: self.log.writer(topic)?, left: Arc::clone(&self.left) }))
    }
    fn reader(
        &self,
        topic: &str,
        p: PartitionId,
        from: Offset,
    ) -> Result<Box<dyn PartitionReader>, LogError> {
        self.log.reader(topic, p, from)
    }
    fn retain(
        &self,
        topic: &str,
        p: PartitionId,
        what: &Retention,
        keep: Offset,
    ) -> Result<Bounds, LogError> {
        self.log.retain(topic, p, what, keep)
    }
    fn usage(&self, topic: &str, p: PartitionId) -> Result<Usage, LogError> {
        self.log.usage(topic, p)
    }
    fn verify(&self, topic: &str, p: PartitionId) -> Result<PartitionCheck, LogError> {
        self.log.verify(topic, p)
    }
    fn watch(&self, topic: &str) -> Result<Box<dyn Watch>, LogError> {
        self.log.watch(topic)
    }
}

struct MortalTopic {
    writer: Box<dyn TopicWriter>,
    left: Arc<AtomicU64>,
}

impl TopicWriter for MortalTopic {
    fn config(&self) -> &TopicConfig {
        self.writer.config()
    }
    fn recovery(&self) -> &[Recovery] {
        self.writer.recovery()
    }
    fn partition(&mut self, partition: PartitionId) -> Result<Box<dyn PartitionWriter>, LogError> {
        Ok(Box::new(MortalPartition {
            writer: self.writer.partition(partition)?,
            left: Arc::clone(&self.left),
        }))
    }
}

struct MortalPartition {
    writer: Box<dyn PartitionWriter>,
    left: Arc<AtomicU64>,
}

impl PartitionWriter for MortalPartition {
    fn append(
        &mut self,
        ts: EventTime,
        key: &[u8],
        value: &[u8],
        h: &[(&str, &[u8])],
    ) -> Result<Offset, LogError> {
        spend(&self.left)?;
        self.writer.append(ts, key, value, h)
    }
    fn end(&self) -> Offset {
        self.writer.end()
    }
    fn flush(&mut self) -> Result<(), LogError> {
        spend(&self.left)?;
        self.writer.flush()
    }
    fn sync(&mut self) -> Result<(), LogError> {
        spend(&self.left)?;
        self.writer.sync()
    }
}
