//! Reading one partition of a group's topic. Unlike a plain reader it never waits: what is not here yet comes with a later read.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use types::{Offset, PartitionId};

use super::KafkaLog;
use super::membership::{GroupConsumer, Membership};
use super::reader::{Passing, Trouble, judge, position, push};
use crate::{LogError, PartitionReader, RecordBuf};

pub(super) struct GroupReader {
    pub(super) log: KafkaLog,
    pub(super) topic: Arc<str>,
    pub(super) partition: PartitionId,
    pub(super) consumer: Arc<GroupConsumer>,
    pub(super) queue: PartitionQueue<Membership>,
    pub(super) next: Offset,
    pub(super) passing: Passing,
}

impl GroupReader {
    fn judge(&mut self, error: &KafkaError) -> Result<(), LogError> {
        let action = || format!("read {}-{} at {}", self.topic, self.partition, self.next);
        match judge(error) {
            Trouble::Passing => match self.passing.another(Instant::now()) {
                Some(since) => tracing::warn!(%error, topic = %self.topic, partition = %self.partition,
                    next = %self.next, ?since, "nothing can be read of this partition"),
                None => tracing::debug!(%error, "group reader"),
            },
            Trouble::Gone => {
                // A leader that has just removed old records, or just become one, can refuse for a moment what it still has. Then it is not
                // gone, and the next session reads it: here nobody can seek, librdkafka does not ask again by itself.
                self.log.check_range(&self.topic, self.partition, self.next)?;
                return Err(self.log.connect.error(action(), error));
            }
            Trouble::Real => return Err(self.log.connect.error(action(), error)),
        }
        Ok(())
    }
}

impl PartitionReader for GroupReader {
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError> {
        let before = (into.len(), into.bytes());
        while into.bytes() - before.1 < max_bytes || into.len() == before.0 {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    if let Some(next) = push(into, &message, self.next) {
                        self.next = next;
                        self.passing.over();
                    }
                }
                Some(Err(error)) => self.judge(&error)?,
                None => break,
            }
        }
        if into.len() == before.0
            && let Some(position) = position(&self.consumer, &self.topic, self.partition)
        {
            // Control records are passed over silently.
            self.next = self.next.max(position);
        }
        Ok(into.len() - before.0)
    }

    fn position(&self) -> Offset {
        self.next
    }

    fn seek(&mut self, _to: Offset) -> Result<(), LogError> {
        let what = "to seek in a group: join it again".to_owned();
        Err(LogError::Unsupported { place: format!("kafka:{}", self.log.connect.brokers), what })
    }
}
