//! The partition log: one trait, an in-memory and a file backend in Apache Kafka segment format.
//!
//! A *topic* is a set of partitions; a *partition* is an ordered sequence of records that only grows at its end.
//! Everything above speaks to [`Log`] and the four small traits it hands out, never to a backend.
//!
//! ```
//! use partition_log::{LogOptions, RecordBuf, TopicConfig, partition_for};
//! use types::{EventTime, Offset};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! let log = partition_log::open(&format!("file:{}", dir.path().display()), &LogOptions::default())?;
//! log.create_topic("events", &TopicConfig { partitions: 4, key: "user".into(), partitioner: "murmur2".into() })?;
//!
//! let partition = partition_for(b"u1", 4);
//! let mut writer = log.writer("events")?.partition(partition)?;
//! writer.append(EventTime(1_700_000_000_000), b"u1", b"hello", &[("cs-source", b"doc:1")])?;
//! writer.sync()?;
//!
//! let mut records = RecordBuf::default();
//! log.reader("events", partition, Offset::ZERO)?.read(&mut records, 1 << 20)?;
//! assert_eq!(records.get(0).unwrap().value, b"hello");
//! # Ok::<(), partition_log::LogError>(())
//! ```

pub mod admin;
pub mod backends;
pub mod checkup;
mod error;
pub mod format;
mod log;
pub mod mapped;
mod place;
mod record;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use backends::file::FileLog;
pub use backends::kafka::KafkaLog;
pub use backends::memory::MemoryLog;
pub use error::LogError;
pub use format::{Compression, murmur2, partition_for};
pub use log::{
    Bounds, Finding, Log, PartitionCheck, PartitionReader, PartitionWriter, Recovery, Retention, TopicConfig,
    TopicWriter, Usage, Watch,
};
pub use place::{Durability, LogOptions, SharedLog, TopicPlace, open, parse_place};
pub use record::{Headers, Record, RecordBuf};
