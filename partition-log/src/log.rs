//! The trait and what its calls mean, whatever the backend.
//!
//! ```text
//!   start            end of what is synced            end of what is appended
//!     |  readable by everyone  |   written, not promised   |
//! ```
//!
//! *Appended* records have their offset. *Synced* records survive what the chosen durability promises, and only those
//! are seen by readers. An offset, once seen by a reader, never changes its record.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use types::{EventTime, Offset, PartitionId};

use crate::{LogError, Record, RecordBuf};

/// What is fixed when a topic is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopicConfig {
    /// How many partitions it has. Never changes.
    pub partitions: u32,
    /// What its records are keyed by: the entity type (`user`), or empty for topics of no key.
    pub key: String,
    /// How a key chooses the partition: `murmur2` (Kafka's default), or `explicit` where the writer chooses.
    pub partitioner: String,
}

impl TopicConfig {
    /// Whether a topic that exists is what `self` asks for.
    pub(crate) fn check_same(&self, topic: &str, existing: &Self) -> Result<(), LogError> {
        let differs = |what, have: &dyn std::fmt::Display, asked: &dyn std::fmt::Display| {
            let difference = format!("its {what} is `{have}`, asked for was `{asked}`");
            Err(LogError::TopicDiffers { topic: topic.to_owned(), difference })
        };
        if self.partitions != existing.partitions {
            return differs("number of partitions", &existing.partitions, &self.partitions);
        }
        if self.key != existing.key {
            return differs("key", &existing.key, &self.key);
        }
        if self.partitioner != existing.partitioner {
            return differs("partitioner", &existing.partitioner, &self.partitioner);
        }
        Ok(())
    }
}

/// The part of a partition that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// The offset of the first record there is.
    pub start: Offset,
    /// The offset after the last synced record.
    pub end: Offset,
}

/// What retention keeps. What neither rule asks to remove stays, and so does everything from the caller's floor on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Records older than this may go; `None`: age removes nothing.
    pub oldest: Option<EventTime>,
    /// A partition larger than this may lose its oldest records until it is not; `None`: size removes nothing.
    pub max_bytes: Option<u64>,
}

/// What opening a partition for writing had to put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// The partition.
    pub partition: PartitionId,
    /// Bytes after the last whole batch that were removed: the torn tail of a crash.
    pub truncated_bytes: u64,
    /// What was wrong with them; empty if none were removed.
    pub reason: String,
    /// The offset that the next record gets.
    pub end: Offset,
    /// How many records lay behind the last synced one and were kept, because their batches are whole.
    pub recovered_records: u64,
    /// How many index files were missing or stale and were made again.
    pub rebuilt_indexes: u32,
}

/// How much a partition takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// In bytes, indexes included.
    pub bytes: u64,
    /// In how many portions (segment files) it can be removed by retention.
    pub portions: u64,
}

/// What checking every byte of a partition found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionCheck {
    /// The partition.
    pub partition: PartitionId,
    /// Records that can be read.
    pub records: u64,
    /// Whole batches.
    pub batches: u64,
    /// Bytes behind the last synced record: being written, or to be recovered by the next writer. Not wrong.
    pub unsynced_bytes: u64,
    /// What is wrong, in the order of the log; empty if nothing is.
    pub findings: Vec<Finding>,
    /// What is not as it should be but costs nothing, as an index that is not there.
    pub notes: Vec<String>,
}

/// Something wrong in a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The first offset that is concerned.
    pub offset: Offset,
    /// The file.
    pub path: String,
    /// The byte in it.
    pub position: u64,
    /// What is wrong, and what that means.
    pub detail: String,
}

/// What a record takes at most beside its key, value and headers.
pub(crate) const RECORD_OVERHEAD: usize = 128;

/// A place where topics live.
pub trait Log: Send + Sync {
    /// The place as the user wrote it: `file:DIR` or `kafka:BROKERS`.
    fn place(&self) -> String;

    /// The same log with what only Kafka has: groups and transactions; `None` on other backends.
    fn as_kafka(&self) -> Option<&crate::KafkaLog> {
        None
    }

    /// Makes a topic, or checks that the one that exists is the same.
    ///
    /// # Errors
    /// [`LogError::TopicDiffers`] if it exists with other settings.
    fn create_topic(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError>;

    /// A topic's settings; `None` if there is no such topic.
    ///
    /// # Errors
    /// If its metadata cannot be read.
    fn topic(&self, topic: &str) -> Result<Option<TopicConfig>, LogError>;

    /// How many bytes key, value and headers of a record in a topic may have together, 16 added for each header.
    ///
    /// # Errors
    /// If it cannot be found out.
    fn largest(&self, topic: &str) -> Result<usize, LogError> {
        let _ = topic;
        Ok(crate::format::MAX_RECORD_BYTES - RECORD_OVERHEAD)
    }

    /// The names of all topics, sorted.
    ///
    /// # Errors
    /// If the place cannot be listed.
    fn topics(&self) -> Result<Vec<String>, LogError>;

    /// What of a partition can be read now.
    ///
    /// # Errors
    /// If there is no such partition.
    fn bounds(&self, topic: &str, partition: PartitionId) -> Result<Bounds, LogError>;

    /// The offset of the first record whose timestamp is at or after `time`; the end if there is none.
    ///
    /// # Errors
    /// If there is no such partition or it is damaged on the way.
    fn offset_at(&self, topic: &str, partition: PartitionId, time: EventTime) -> Result<Offset, LogError>;

    /// Opens a topic for appending, recovering it first if the last writer did not close it.
    ///
    /// # Errors
    /// [`LogError::Locked`] while another writer has it.
    fn writer(&self, topic: &str) -> Result<Box<dyn TopicWriter>, LogError>;

    /// Opens a partition for reading, its first record at `from` or after.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] if `from` is before the start or after the end.
    fn reader(
        &self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
    ) -> Result<Box<dyn PartitionReader>, LogError>;

    /// Removes old records as far as `keep` and `floor` allow, in the backend's own portions (segment files), never the
    /// newest portion. Nothing at or after `floor` goes: pass the oldest offset that a state snapshot still needs. Needs no
    /// writer and disturbs none. Returns what is left.
    ///
    /// # Errors
    /// If there is no such partition or a portion cannot be removed.
    fn retain(
        &self,
        topic: &str,
        partition: PartitionId,
        keep: &Retention,
        floor: Offset,
    ) -> Result<Bounds, LogError>;

    /// Removes the records that `drop` names from what is stored, closed or not, in what is written now and in all earlier
    /// portions. All other records keep their offsets, and bounds stay. `drop` may be asked twice about a record and must say
    /// the same. Killed in between, it has purged some of them. Returns how many. O(bytes).
    ///
    /// # Errors
    /// [`LogError::Locked`] while the topic is open for writing; if it is damaged; if the backend cannot.
    fn purge(
        &self,
        topic: &str,
        partition: PartitionId,
        drop: &mut dyn FnMut(&Record<'_>) -> bool,
    ) -> Result<u64, LogError> {
        let _ = (topic, partition, drop);
        Err(LogError::BadPlace(format!("{}: single records cannot be removed here", self.place())))
    }

    /// How much a partition takes. O(portions).
    ///
    /// # Errors
    /// If there is no such partition.
    fn usage(&self, topic: &str, partition: PartitionId) -> Result<Usage, LogError>;

    /// Reads everything in a partition that is synced and checks it, and goes on behind what is wrong. O(bytes).
    ///
    /// # Errors
    /// If there is no such partition or the system cannot read it; what is wrong with the bytes is no error but a finding.
    fn verify(&self, topic: &str, partition: PartitionId) -> Result<PartitionCheck, LogError>;

    /// Something to sleep on until any partition of the topic grows.
    ///
    /// # Errors
    /// If there is no such topic.
    fn watch(&self, topic: &str) -> Result<Box<dyn Watch>, LogError>;
}

/// The one writer of a topic. The lock is held until this and all its partitions' writers are dropped.
pub trait TopicWriter: Send {
    /// The topic's settings.
    fn config(&self) -> &TopicConfig;

    /// What was put right when this was opened; partitions that were in order are not in it.
    fn recovery(&self) -> &[Recovery];

    /// The writer of one partition, to be moved to the thread that appends to it. Each can be taken once at a time.
    ///
    /// # Errors
    /// If there is no such partition, or its writer is out already.
    fn partition(&mut self, partition: PartitionId) -> Result<Box<dyn PartitionWriter>, LogError>;
}

/// Appends to one partition. What was not flushed when it is dropped is gone, as after a crash.
pub trait PartitionWriter: Send {
    /// Adds a record to the batch being built. O(size); writes nothing to disk unless the batch is full.
    ///
    /// Returns the offset that the record has.
    ///
    /// # Errors
    /// If a full batch could not be written; the record was not added then, and the call may be repeated.
    /// [`LogError::RecordTooLarge`] for a record larger than a batch can be.
    fn append(
        &mut self,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<Offset, LogError>;

    /// The offset that the next record will have.
    fn end(&self) -> Offset;

    /// Writes the batch being built, so that a crash of this process alone does not lose it. Readers do not see it yet.
    ///
    /// # Errors
    /// If it could not be written; nothing of it is on the log then, and the call may be repeated.
    fn flush(&mut self) -> Result<(), LogError>;

    /// Flushes, makes everything as durable as the log was told to, and shows it to readers.
    ///
    /// # Errors
    /// As for `flush`. After a failed sync to the disk the writer refuses further work: what the disk holds is unknown
    /// until the topic is opened again.
    fn sync(&mut self) -> Result<(), LogError>;
}

/// Reads one partition from front to back.
pub trait PartitionReader: Send {
    /// Adds the next records to `into`, whole batches up to about `max_bytes` and at least one if there is one. Adds
    /// nothing at the end of what can be read. Control records are passed over. Returns how many were added.
    ///
    /// # Errors
    /// [`LogError::Damaged`] if stored bytes are wrong: the reader stays before them, and reading again fails again.
    /// [`LogError::OutOfRange`] if retention removed what was to be read next.
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError>;

    /// The offset at which the next read begins.
    fn position(&self) -> Offset;

    /// Goes to an offset, forward or back.
    ///
    /// # Errors
    /// [`LogError::OutOfRange`] if it is before the start or after the end.
    fn seek(&mut self, to: Offset) -> Result<(), LogError>;

    /// How long a read may wait for brokers, and for records that are there and on their way from them. When that is over it ends with
    /// [`LogError::NotNow`]. Without it, and where nothing is waited for, reads take as long as they take.
    fn set_patience(&mut self, patience: Duration) {
        let _ = patience;
    }
}

/// Waits for a topic to grow, without spinning.
pub trait Watch: Send {
    /// Sleeps until something was synced to any partition since the last call (or since this was made), or the timeout has
    /// passed. Returns whether something was.
    ///
    /// # Errors
    /// If the system's notification fails.
    fn wait(&mut self, timeout: Duration) -> Result<bool, LogError>;
}
