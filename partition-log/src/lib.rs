//! The partition log: one trait, an in-memory and a file backend in Apache Kafka segment format.
//!
//! A *topic* is a set of partitions; a *partition* is an ordered sequence of records that only grows at its end.
//! Everything above speaks to [`Log`] and the four small traits it hands out, never to a backend.

pub mod backends;
mod error;
pub mod format;
mod log;
mod place;
mod record;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use backends::memory::MemoryLog;
pub use error::LogError;
pub use format::{Compression, murmur2, partition_for};
pub use log::{
    Bounds, Log, PartitionReader, PartitionWriter, Recovery, Retention, TopicConfig, TopicWriter, Watch,
};
pub use place::{Durability, LogOptions, SharedLog, TopicPlace, open};
pub use record::{Headers, Record, RecordBuf};
