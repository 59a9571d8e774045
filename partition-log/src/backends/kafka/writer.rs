//! Appending to a topic by an idempotent producer: what a broker that goes away and comes back leaves is each record once, in order.
//!
//! librdkafka sends a batch again whose acknowledgement got lost, and the broker passes over it if it knows the producer and its last batches.
//! Two rules see to it that it does. It forgets producers by the times of their records, after a day (`producer.id.expiration.ms`): when it
//! comes back, and six times an hour. So what is written later than its time is given the time of writing, and its own in a header
//! ([`headers::TIME`]). And of each producer a broker that comes back knows the last batch only: so one is under way at a time.
//!
//! Kafka has no lock for a topic. Within a process there is one writer at a time; a second process is not kept out, and is noticed when
//! records get other offsets than those they were promised.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message as _, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use types::{EventTime, Offset, PartitionId, headers};

use super::KafkaLog;
use super::connect::{let_go, number};
use super::said::say;
use super::topic_settings::MAX_MESSAGE_BYTES;
use crate::{LogError, PartitionWriter, RecordBuf, Recovery, TopicConfig, TopicWriter};

/// How long a sync waits for the brokers: as long as librdkafka itself tries.
const SYNC: Duration = Duration::from_secs(310);
/// Beside key, value and headers, what a record and its batch may take.
pub(super) const OVERHEAD: usize = 1 << 10;
/// A record that is older when it is written gets the time of writing. Together with [`SYNC`], far less than any broker remembers.
const LATE_MS: i64 = 60_000;

/// What the brokers have said of one partition's records.
#[derive(Debug, Default)]
struct Delivered {
    records: AtomicU64,
    newest: AtomicI64,
    failed: Mutex<Option<String>>,
}

/// Counts deliveries by partition.
pub(super) struct Deliveries(Vec<Delivered>);

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        say(level, facility, message);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, partition: usize) {
        let Some(delivered) = self.0.get(partition) else { return };
        match result {
            Ok(message) => {
                delivered.newest.fetch_max(message.offset(), Ordering::Relaxed);
            }
            Err((error, _)) => {
                let mut failed = delivered.failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.get_or_insert_with(|| error.to_string());
            }
        }
        delivered.records.fetch_add(1, Ordering::Release);
    }
}

/// The topic's one writer in this process.
pub(super) struct Held {
    log: KafkaLog,
    topic: Arc<str>,
    config: TopicConfig,
    /// The largest record that the topic takes.
    max_bytes: usize,
    /// Taken only when this is dropped.
    producer: Option<BaseProducer<Deliveries>>,
    out: Mutex<BTreeSet<PartitionId>>,
}

impl Held {
    fn producer(&self) -> Result<&BaseProducer<Deliveries>, LogError> {
        self.producer.as_ref().ok_or_else(|| self.log.connect.failed("write", "the writer is closed"))
    }

    fn delivered(&self, partition: PartitionId) -> Result<&Delivered, LogError> {
        let deliveries = self.producer()?.client().context();
        deliveries
            .0
            .get(partition.0 as usize)
            .ok_or_else(|| LogError::NoSuchPartition { topic: self.topic.to_string(), partition })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(producer) = self.producer.take() {
            // What was flushed is to arrive, as after a flush to a file.
            if let Err(error) = producer.flush(Duration::from_secs(10)) {
                tracing::warn!(%error, topic = %self.topic, "records that were flushed may not have arrived");
            }
            let_go("producer", producer);
        }
        self.log.writers().remove(&*self.topic);
    }
}

pub(super) struct Writer(Arc<Held>);

impl Writer {
    pub(super) fn open(log: &KafkaLog, topic: &str) -> Result<Self, LogError> {
        let config = log.existing(topic)?;
        let found = log.settings_of(topic)?;
        let max_bytes = found.as_ref().and_then(|found| found.number("max.message.bytes"));
        let max_bytes = max_bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(MAX_MESSAGE_BYTES);
        let max_bytes = max_bytes.min(MAX_MESSAGE_BYTES);
        let locked =
            || LogError::Locked { topic: topic.to_owned(), lock: log.connect.brokers.clone().into() };
        if !log.writers().insert(topic.to_owned()) {
            return Err(locked());
        }
        let deliveries = Deliveries((0..config.partitions).map(|_| Delivered::default()).collect());
        // A record that could not be delivered must not be followed by later ones: whoever resumes takes the last for the end
        // of a whole. So none expires, and where the broker refuses one, the producer stops.
        let mut settings = log.connect.producer_config(log.compression);
        settings.set("message.timeout.ms", "0").set("enable.gapless.guarantee", "true");
        settings.set("max.in.flight.requests.per.connection", "1");
        let made = settings.create_with_context(deliveries);
        let producer = made.map_err(|error| {
            log.writers().remove(topic);
            log.connect.error(format!("write to `{topic}`"), &error)
        })?;
        let out = Mutex::default();
        let producer = Some(producer);
        let (log, topic) = (log.clone(), topic.into());
        Ok(Self(Arc::new(Held { log, topic, config, max_bytes, producer, out })))
    }
}

impl TopicWriter for Writer {
    fn config(&self) -> &TopicConfig {
        &self.0.config
    }

    fn recovery(&self) -> &[Recovery] {
        &[]
    }

    fn partition(&mut self, partition: PartitionId) -> Result<Box<dyn PartitionWriter>, LogError> {
        self.0.delivered(partition)?;
        let end = self.0.log.ends(&self.0.topic, partition)?.end;
        if !self.0.out.lock().unwrap_or_else(PoisonError::into_inner).insert(partition) {
            let lock = self.0.log.connect.brokers.clone().into();
            return Err(LogError::Locked { topic: self.0.topic.to_string(), lock });
        }
        let delivered = self.0.delivered(partition)?;
        delivered.newest.store(-1, Ordering::Relaxed);
        let given = delivered.records.load(Ordering::Acquire);
        Ok(Box::new(Appender {
            held: Arc::clone(&self.0),
            partition,
            batch: RecordBuf::default(),
            end,
            given,
        }))
    }
}

/// This machine's clock, in ms since 1970.
pub(super) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

struct Appender {
    held: Arc<Held>,
    partition: PartitionId,
    /// Appended and not handed to librdkafka.
    batch: RecordBuf,
    /// The offset that the next record has if nobody else writes.
    end: Offset,
    /// How many deliveries there are when all that was handed over is delivered.
    given: u64,
}

impl Appender {
    fn failed(&self, detail: impl Into<String>) -> LogError {
        self.held.log.connect.failed(format!("write to {}-{}", self.held.topic, self.partition), detail)
    }

    fn check(&self) -> Result<(), LogError> {
        let failed = self
            .held
            .delivered(self.partition)?
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match failed {
            None => Ok(()),
            Some(cause) => {
                let (topic, partition) = (self.held.topic.to_string(), self.partition);
                Err(LogError::Poisoned { topic, partition, cause })
            }
        }
    }

    /// Hands the batch to librdkafka, which sends it in the background. Waits while its buffer is full.
    fn hand_over(&mut self) -> Result<(), LogError> {
        self.check()?;
        let batch = std::mem::take(&mut self.batch);
        let producer = self.held.producer()?;
        let deadline = Instant::now() + SYNC;
        let now = now();
        for record in batch.iter() {
            let mut all = OwnedHeaders::new_with_capacity(record.headers().len() + 1);
            let mut time = record.timestamp.0;
            if time < now - LATE_MS {
                all = all.insert(Header { key: headers::TIME, value: Some(time.to_string().as_bytes()) });
                time = now;
            }
            for (key, value) in record.headers() {
                all = all.insert(Header { key: &String::from_utf8_lossy(key), value: Some(value) });
            }
            let mut outgoing = BaseRecord::with_opaque_to(&self.held.topic, self.partition.0 as usize)
                .partition(number(self.partition))
                .payload(record.value)
                .timestamp(time)
                .headers(all);
            if !record.key.is_empty() {
                outgoing = outgoing.key(record.key);
            }
            loop {
                match producer.send(outgoing) {
                    Ok(()) => break,
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                        if Instant::now() < deadline =>
                    {
                        outgoing = back;
                        producer.poll(Duration::from_millis(20));
                    }
                    Err((error, _)) => {
                        // The rest of the batch is gone: nothing more may follow.
                        let delivered = self.held.delivered(self.partition)?;
                        let mut failed = delivered.failed.lock().unwrap_or_else(PoisonError::into_inner);
                        failed.get_or_insert_with(|| error.to_string());
                        drop(failed);
                        return self.check();
                    }
                }
            }
            self.given += 1;
        }
        producer.poll(Duration::ZERO);
        self.batch = batch;
        self.batch.clear();
        Ok(())
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
        let more = headers.iter().map(|(name, value)| name.len() + value.len() + 16).sum::<usize>();
        let size = key.len() + value.len() + more;
        if size + OVERHEAD > self.held.max_bytes {
            return Err(LogError::RecordTooLarge {
                topic: self.held.topic.to_string(),
                partition: self.partition,
                detail: format!(
                    "a record of {size} bytes is larger than {}",
                    self.held.max_bytes.saturating_sub(OVERHEAD)
                ),
            });
        }
        if self.batch.bytes() + size > self.held.log.batch_bytes {
            self.hand_over()?;
        }
        let parts = headers.iter().map(|(name, value)| (name.as_bytes(), *value));
        let offset = self.end;
        self.batch.push_parts(offset, timestamp, key, value, parts);
        self.end = offset.next();
        Ok(offset)
    }

    fn end(&self) -> Offset {
        self.end
    }

    fn flush(&mut self) -> Result<(), LogError> {
        self.hand_over()
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.hand_over()?;
        let held = Arc::clone(&self.held);
        let (producer, delivered) = (held.producer()?, held.delivered(self.partition)?);
        let deadline = Instant::now() + SYNC;
        while delivered.records.load(Ordering::Acquire) < self.given {
            if Instant::now() > deadline {
                return Err(self.failed(format!("no answer in {SYNC:?}")));
            }
            // Does not wait for the linger time to pass.
            let _ = producer.flush(Duration::from_millis(20));
        }
        self.check()?;
        let newest = delivered.newest.load(Ordering::Relaxed);
        if newest >= 0 && super::connect::unsigned(newest).next() != self.end {
            tracing::warn!(topic = %held.topic, partition = %self.partition, expected = %self.end, newest,
                "another process writes to this partition too");
            self.end = held.log.ends(&held.topic, self.partition)?.end;
        }
        Ok(())
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.held.out.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.partition);
    }
}
