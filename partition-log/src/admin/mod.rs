//! What operators do with logs: look, check, redrive dead letters, change the number of partitions. On any backend.

mod dump;
mod once;
mod redrive;
mod rekey;
mod repartition;
mod stat;
mod verify;

pub use dump::{DumpedRecord, Selection, dump};
pub use once::Once;
pub use redrive::{RedriveOptions, RedriveReport, redrive};
pub use repartition::{RepartitionReport, repartition, repartition_by};
pub use stat::{PartitionStat, TopicStat, stat};
pub use verify::{VerifyReport, verify};

use types::PartitionId;

use crate::{Log, LogError, TopicConfig};

/// A topic's settings, or the error that there is none.
fn require(log: &dyn Log, topic: &str) -> Result<TopicConfig, LogError> {
    log.topic(topic)?.ok_or_else(|| LogError::NoSuchTopic { topic: topic.to_owned(), place: log.place() })
}

fn partitions(config: &TopicConfig) -> impl Iterator<Item = PartitionId> + use<> {
    (0..config.partitions).map(PartitionId)
}

/// How much is read at once.
const READ_BYTES: usize = 1 << 20;
