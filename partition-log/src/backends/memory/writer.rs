//! The one writer of a topic in memory, and its partitions' writers.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};

use types::{EventTime, Offset, PartitionId};

use super::{BATCH_BYTES, Batch, PLACE, Partition, Topic, lock};
use crate::format::{BatchBuilder, BatchError, Compression, decode_batch};
use crate::{LogError, PartitionWriter, RecordBuf, Recovery, TopicConfig, TopicWriter};

/// The topic's one writer: alive while any part of it is.
#[derive(Debug)]
pub(super) struct Held(pub(super) Arc<Topic>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.writer_out.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) held: Arc<Held>,
    pub(super) recovery: Vec<Recovery>,
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
