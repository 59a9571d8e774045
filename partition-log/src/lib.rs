//! The partition log: one trait, an in-memory and a file backend in Apache Kafka segment format.
//!
//! A *topic* is a set of partitions; a *partition* is an ordered sequence of records that only grows at its end.
//! Everything above speaks to [`Log`] and the four small traits it hands out, never to a backend.

mod error;
mod log;
mod record;

pub use error::LogError;
pub use log::{Bounds, Log, PartitionReader, PartitionWriter, TopicConfig, TopicWriter, Watch};
pub use record::{Record, RecordBuf};
