//! Reading one partition of a group's topic. Unlike a plain reader it never waits: what is not here yet comes with a later read.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::consumer::base_consumer::PartitionQueue;
use types::{Offset, PartitionId};

use super::KafkaLog;
use super::connect::unsigned;
use super::membership::{GroupConsumer, Membership};
use super::reader::{Trouble, judge, position, push};
use crate::{LogError, PartitionReader, RecordBuf};

pub(super) struct GroupReader {
    pub(super) log: KafkaLog,
    pub(super) topic: Arc<str>,
    pub(super) partition: PartitionId,
    pub(super) consumer: Arc<GroupConsumer>,
    pub(super) queue: PartitionQueue<Membership>,
    pub(super) next: Offset,
}

impl PartitionReader for GroupReader {
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError> {
        let before = (into.len(), into.bytes());
        while into.bytes() - before.1 < max_bytes || into.len() == before.0 {
            match self.queue.poll(Duration::ZERO) {
                Some(Ok(message)) => {
                    let offset = unsigned(message.offset());
                    if offset >= self.next {
                        push(into, &message);
                        self.next = offset.next();
                    }
                }
                Some(Err(error)) => match judge(&error) {
                    Trouble::Passing => tracing::debug!(%error, "group reader"),
                    Trouble::Gone => {
                        return Err(self.log.out_of_range(&self.topic, self.partition, self.next)?);
                    }
                    Trouble::Real => {
                        let action = format!("read {}-{} at {}", self.topic, self.partition, self.next);
                        return Err(self.log.connect.error(action, &error));
                    }
                },
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
