//! Topics on Apache Kafka, through librdkafka.
//!
//! What differs from the other backends, because it lies with the brokers:
//!
//! - What is appended is seen by readers as soon as all replicas that are in sync have it, which may be before `sync` returns. It is as
//!   durable then as it will ever be.
//! - `flush` begins to send; what it sent is waited for when the writer is dropped, not when its process is killed.
//! - A reader takes record by record, not batch by batch.
//! - A record that is written more than a minute after its time has that time in a header, which readers turn back (`writer`).
//! - In a transaction, a record's time of 0 is written as 1 (ms): librdkafka takes 0 for "now".
//! - Sizes in bytes are not known to clients, so retention by size and `usage` are refused.

mod ask;
mod checkup;
mod closing;
mod commit;
mod connect;
mod group;
mod group_reader;
mod headers;
mod lag;
mod leave;
mod membership;
mod owners;
mod reader;
mod said;
mod service;
mod settings;
mod settle;
mod topic_settings;
mod topics;
mod transaction;
mod verdict;
mod watch;
mod writer;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::admin::AdminOptions;
use rdkafka::consumer::Consumer as _;
use types::{EventTime, Offset, PartitionId};

pub use self::group::{GroupEvent, GroupOffset, GroupOptions, KafkaGroup, NotCommitted};
pub use self::lag::{GroupLag, GroupView};
pub use self::settings::Settings;
pub use self::transaction::TransactionWriter;

use self::connect::{ASK, Connect, Consumer, Held, number, one, signed, unsigned};
use self::reader::Reader;
use self::topic_settings::Role;
use self::watch::EndWatch;
use self::writer::Writer;
use super::check_topic;
use crate::mapped::{MappedReader, RecordMap};
use crate::{
    Bounds, Compression, Log, LogError, LogOptions, PartitionCheck, PartitionReader, RecordBuf, Retention,
    TopicConfig, TopicWriter, Usage, Watch,
};

/// A log on Kafka. Cheap to clone; all clones share one connection for questions.
#[derive(Clone)]
pub struct KafkaLog {
    connect: Connect,
    /// What the brokers' names of topics begin with.
    prefix: Arc<str>,
    asker: Arc<Held<Consumer>>,
    compression: &'static str,
    batch_bytes: usize,
    known: Arc<Mutex<HashMap<String, TopicConfig>>>,
    /// A topic, as the brokers call it, and what it is read through.
    map: Option<(Arc<str>, Arc<dyn RecordMap>)>,
    writers: Arc<Mutex<BTreeSet<String>>>,
    /// Whether it was said that no broker answers.
    silence_told: Arc<AtomicBool>,
}

impl KafkaLog {
    /// The log on the brokers of a list `HOST:PORT,HOST:PORT`, or `HOST:PORT,HOST:PORT/PREFIX` for the topics there whose names begin
    /// so: with `kafka:broker:9092/shop.`, the topic `events` is the broker's `shop.events`, and `scores` its `shop.scores`. Connects
    /// when it is first asked something, with the user's settings ([`Settings::of_environment`]).
    ///
    /// # Errors
    /// If there is something wrong with the settings.
    pub fn new(place: &str, options: &LogOptions) -> Result<Self, LogError> {
        Self::with_settings(place, options, Settings::of_environment()?)
    }

    /// The same with settings that are at hand.
    ///
    /// # Errors
    /// If librdkafka refuses them.
    pub fn with_settings(place: &str, options: &LogOptions, settings: Settings) -> Result<Self, LogError> {
        let (brokers, prefix) = place.split_once('/').unwrap_or((place, ""));
        if brokers.contains('@') {
            // Not repeated: a password stands before the `@`.
            return Err(LogError::BadPlace(format!(
                "a place of Kafka has no user or password, which others could read in the list of processes: write \
                 kafka:HOST:PORT, and sasl.username and sasl.password into a file that {} names",
                settings::FILE
            )));
        }
        let connect =
            Connect { brokers: brokers.to_owned(), settings, complaint: connect::Complaint::default() };
        let asker = connect
            .consumer_config("churnstream-reader", 1024)
            .create_with_context(connect.context())
            .map_err(|error| connect.error("connect", &error))?;
        Ok(Self {
            asker: Arc::new(Held::new("reader of questions", asker)),
            connect,
            prefix: prefix.into(),
            compression: match options.compression {
                // Unlike files, brokers are a network away.
                Compression::None | Compression::Lz4 => "lz4",
                Compression::Zstd => "zstd",
            },
            batch_bytes: options.batch_bytes,
            known: Arc::default(),
            map: None,
            writers: Arc::default(),
            silence_told: Arc::default(),
        })
    }

    /// The same, with a topic that is read through a map, in groups too.
    #[must_use]
    pub fn with_map(mut self, topic: &str, map: Arc<dyn RecordMap>) -> Self {
        self.map = Some((self.name(topic).into(), map));
        self
    }

    /// A reader of a topic, through its map if it has one. The topic is named as the brokers do.
    fn through_map(&self, topic: &str, reader: Box<dyn PartitionReader>) -> Box<dyn PartitionReader> {
        match &self.map {
            Some((mapped, map)) if **mapped == *topic => {
                Box::new(MappedReader { reader, map: Arc::clone(map), block: RecordBuf::default() })
            }
            _ => reader,
        }
    }

    /// What the brokers call a topic.
    #[must_use]
    pub fn name(&self, topic: &str) -> String {
        format!("{}{topic}", self.prefix)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, TopicConfig>> {
        // Whole whenever the lock is free: every change is one insertion.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writers(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.writers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn existing(&self, topic: &str) -> Result<TopicConfig, LogError> {
        self.find_topic(topic)?
            .ok_or_else(|| LogError::NoSuchTopic { topic: topic.to_owned(), place: self.place() })
    }

    fn check_partition(&self, topic: &str, partition: PartitionId) -> Result<(), LogError> {
        let known = self.known().get(topic).map(|config| config.partitions);
        let partitions = match known {
            Some(partitions) => partitions,
            None => self.existing(topic)?.partitions,
        };
        if partition.0 < partitions {
            return Ok(());
        }
        Err(LogError::NoSuchPartition { topic: topic.to_owned(), partition })
    }

    /// The bounds of a partition that is there. Transactions that are open end it.
    fn ends(&self, topic: &str, partition: PartitionId) -> Result<Bounds, LogError> {
        self.ends_within(topic, partition, ASK)
    }

    fn ends_within(&self, topic: &str, partition: PartitionId, within: Duration) -> Result<Bounds, LogError> {
        let (low, high) = ask::watermarks(&**self.asker, topic, partition, within)
            .map_err(|error| self.asked(format!("ask for the ends of {topic}-{partition}"), &error))?;
        Ok(Bounds { start: unsigned(low), end: unsigned(high) })
    }

    /// The first offset that has Kafka's time `time` or a later one; one past all others if there is none.
    fn written_at(&self, topic: &str, partition: PartitionId, time: EventTime) -> Result<Offset, LogError> {
        // Negative times mean something else to a broker.
        if time.0 <= 0 {
            return Ok(Offset::ZERO);
        }
        let failed = |error| self.connect.error(format!("find a time in {topic}-{partition}"), &error);
        let asked = one(topic, partition, Offset(time.0.unsigned_abs())).map_err(failed)?;
        let found = self.asker.offsets_for_times(asked, ASK).map_err(failed)?;
        match found.find_partition(topic, number(partition)).map(|found| found.offset()) {
            Some(rdkafka::Offset::Offset(offset)) => Ok(unsigned(offset)),
            _ => Ok(Offset(u64::MAX)),
        }
    }

    fn out_of_range(
        &self,
        topic: &str,
        partition: PartitionId,
        offset: Offset,
    ) -> Result<LogError, LogError> {
        let Bounds { start, end } = self.ends(topic, partition)?;
        Ok(LogError::OutOfRange { topic: topic.to_owned(), partition, offset, start, end })
    }

    fn check_range(&self, topic: &str, partition: PartitionId, offset: Offset) -> Result<(), LogError> {
        self.check_partition(topic, partition)?;
        let Bounds { start, end } = self.ends(topic, partition)?;
        if start <= offset && offset <= end {
            return Ok(());
        }
        Err(LogError::OutOfRange { topic: topic.to_owned(), partition, offset, start, end })
    }

    fn open_reader(&self, topic: &str, partition: PartitionId, from: Offset) -> Reader {
        let log = self.clone();
        Reader { log, topic: topic.into(), partition, next: from, consumer: None, patience: None }
    }
}

impl Log for KafkaLog {
    fn place(&self) -> String {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        format!("kafka:{}{slash}{}", self.connect.brokers, self.prefix)
    }

    fn as_kafka(&self) -> Option<&KafkaLog> {
        Some(self)
    }

    fn create_topic(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError> {
        check_topic(topic, config)?;
        self.make_topic(&self.name(topic), config, Role::Written)
    }

    fn topic(&self, topic: &str) -> Result<Option<TopicConfig>, LogError> {
        self.find_topic(&self.name(topic))
    }

    fn largest(&self, topic: &str) -> Result<usize, LogError> {
        let most = self.largest_batch(&self.name(topic))?;
        Ok(most.saturating_sub(writer::OVERHEAD))
    }

    fn topics(&self) -> Result<Vec<String>, LogError> {
        let metadata = self.metadata(None, ASK).map_err(|error| self.asked("list the topics", &error))?;
        let names = metadata.topics().iter().filter_map(|topic| topic.name().strip_prefix(&*self.prefix));
        let mut names: Vec<_> = names
            .filter(|name| !name.starts_with("__") && *name != topics::NOTES)
            .map(str::to_owned)
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn bounds(&self, topic: &str, partition: PartitionId) -> Result<Bounds, LogError> {
        let topic = &self.name(topic);
        self.check_partition(topic, partition)?;
        self.ends(topic, partition)
    }

    fn offset_at(&self, topic: &str, partition: PartitionId, time: EventTime) -> Result<Offset, LogError> {
        let bounds = self.bounds(topic, partition)?;
        let topic = &self.name(topic);
        let from = self.written_at(topic, partition, time)?.max(bounds.start);
        // Those before it were written before that time; some behind it may have been written long after theirs.
        let (mut reader, mut records) = (self.open_reader(topic, partition, from), RecordBuf::default());
        while reader.position() < bounds.end && reader.read(&mut records, 1 << 20)? > 0 {
            if let Some(found) = records.iter().find(|record| record.timestamp >= time) {
                return Ok(found.offset);
            }
            records.clear();
        }
        Ok(bounds.end)
    }

    fn writer(&self, topic: &str) -> Result<Box<dyn TopicWriter>, LogError> {
        Ok(Box::new(Writer::open(self, &self.name(topic))?))
    }

    fn reader(
        &self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
    ) -> Result<Box<dyn PartitionReader>, LogError> {
        let topic = &self.name(topic);
        self.check_range(topic, partition, from)?;
        Ok(self.through_map(topic, Box::new(self.open_reader(topic, partition, from))))
    }

    fn retain(
        &self,
        topic: &str,
        partition: PartitionId,
        keep: &Retention,
        floor: Offset,
    ) -> Result<Bounds, LogError> {
        let bounds = self.bounds(topic, partition)?;
        if keep.max_bytes.is_some() {
            let what = "retention by size: a broker does not say how large a partition is. Set `retention.bytes` on the topic";
            return Err(LogError::Unsupported { place: self.place(), what: what.to_owned() });
        }
        let Some(oldest) = keep.oldest else { return Ok(bounds) };
        // The last record stays, as a segment would.
        let last = Offset(bounds.end.0.saturating_sub(1));
        let before = self.offset_at(topic, partition, oldest)?.min(floor).min(last);
        if before <= bounds.start {
            return Ok(bounds);
        }
        let topic = &self.name(topic);
        let failed = |detail: String| {
            self.connect.failed(format!("remove old records of {topic}-{partition}"), detail)
        };
        let admin = self.connect.admin()?;
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(topic, number(partition), rdkafka::Offset::Offset(signed(before)))
            .map_err(|error| failed(error.to_string()))?;
        let options = AdminOptions::new().request_timeout(Some(ASK)).operation_timeout(Some(ASK));
        let deleted = futures_executor::block_on(admin.delete_records(&list, &options));
        connect::let_go("admin client", admin);
        let deleted = deleted.map_err(|error| failed(error.to_string()))?;
        for element in deleted.elements() {
            element.error().map_err(|error| failed(error.to_string()))?;
        }
        self.ends(topic, partition)
    }

    fn usage(&self, topic: &str, partition: PartitionId) -> Result<Usage, LogError> {
        self.check_partition(&self.name(topic), partition)?;
        let what = "a partition's size: a broker does not say it".to_owned();
        Err(LogError::Unsupported { place: self.place(), what })
    }

    fn verify(&self, topic: &str, partition: PartitionId) -> Result<PartitionCheck, LogError> {
        let bounds = self.bounds(topic, partition)?;
        let mut reader = self.open_reader(&self.name(topic), partition, bounds.start);
        let (mut records, mut block) = (0, RecordBuf::default());
        while reader.position() < bounds.end {
            block.clear();
            match reader.read(&mut block, 1 << 20)? {
                0 => break,
                count => records += count as u64,
            }
        }
        Ok(PartitionCheck {
            partition,
            records,
            batches: 0,
            unsynced_bytes: 0,
            findings: Vec::new(),
            notes: vec![
                "read through a broker: every batch's checksum was right; batches are not seen".to_owned(),
            ],
        })
    }

    fn watch(&self, topic: &str) -> Result<Box<dyn Watch>, LogError> {
        let topic = &*self.name(topic);
        let partitions = self.existing(topic)?.partitions;
        let ends = (0..partitions).map(|partition| Ok(self.ends(topic, PartitionId(partition))?.end));
        let seen = ends.collect::<Result<_, LogError>>()?;
        Ok(Box::new(EndWatch { log: self.clone(), topic: topic.into(), seen }))
    }
}
