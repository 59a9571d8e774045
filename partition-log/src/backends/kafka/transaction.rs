//! Writing within the transaction of a group's member.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord};
use types::{EventTime, PartitionId};

use super::KafkaLog;
use super::connect::{ASK, Context, number};
use crate::LogError;

/// How long a full buffer is waited for when the process is to stop. Brokers that are there make room in less, and the last commit
/// counts what is written.
const STOPPING: Duration = Duration::from_secs(3);

pub(super) type GroupProducer = BaseProducer<Context>;

/// Writes to one partition within the transaction of its [`KafkaGroup`](super::KafkaGroup).
pub struct TransactionWriter {
    pub(super) log: KafkaLog,
    pub(super) topic: Arc<str>,
    pub(super) partition: PartitionId,
    pub(super) producer: Arc<GroupProducer>,
    /// Whether something was written since the last commit.
    pub(super) written: Arc<AtomicBool>,
    /// Whether the process is to stop.
    pub(super) give_up: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl TransactionWriter {
    /// Adds a record; waits while librdkafka's buffer is full. Whether it arrived is known when the transaction is committed.
    ///
    /// # Errors
    /// If the transaction cannot take it any more: it will be aborted.
    pub fn append(
        &self,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<(), LogError> {
        let mut record = BaseRecord::to(&self.topic)
            .partition(number(self.partition))
            .payload(value)
            .timestamp(if timestamp.0 == 0 { 1 } else { timestamp.0 });
        if !key.is_empty() {
            record = record.key(key);
        }
        if !headers.is_empty() {
            let mut all = OwnedHeaders::new_with_capacity(headers.len());
            for (key, value) in headers {
                all = all.insert(Header { key, value: Some(*value) });
            }
            record = record.headers(all);
        }
        let mut deadline = Instant::now() + ASK;
        let mut stopping = false;
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    // The commit that reads it hears of this write by the workers' word that they have stopped.
                    self.written.store(true, Ordering::Release);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    if !stopping && (self.give_up)() {
                        (stopping, deadline) = (true, deadline.min(Instant::now() + STOPPING));
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err((error, _)) => {
                    let action = format!("write to {}-{}", self.topic, self.partition);
                    return Err(self.log.connect.error(action, &error));
                }
            }
        }
    }
}
