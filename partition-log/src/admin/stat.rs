//! What a topic holds.

use serde::Serialize;
use types::{EventTime, Offset, PartitionId};

use super::{partitions, require};
use crate::{Log, LogError, RecordBuf, TopicConfig};

/// A topic at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TopicStat {
    /// The topic.
    pub topic: String,
    /// Its settings.
    #[serde(flatten)]
    pub config: TopicConfig,
    /// Offsets in all partitions together, those that compaction removed included.
    pub records: u64,
    /// Bytes of all partitions together; unknown on Kafka.
    pub bytes: Option<u64>,
    /// Each partition, in order.
    pub by_partition: Vec<PartitionStat>,
}

/// A partition at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionStat {
    /// Which.
    pub partition: PartitionId,
    /// The first offset.
    pub start: Offset,
    /// The offset of the next record to come.
    pub end: Offset,
    /// The first record's timestamp; `None` if there is no record or it cannot be read.
    pub first: Option<EventTime>,
    /// The last record's.
    pub last: Option<EventTime>,
    /// How much it takes, in bytes; unknown on Kafka.
    pub bytes: Option<u64>,
    /// In how many portions (segment files); unknown on Kafka.
    pub segments: Option<u64>,
}

/// Looks at a topic. O(partitions), whatever their size.
///
/// # Errors
/// If there is no such topic or it cannot be looked at. Damage is for [`verify`](super::verify()) to find.
pub fn stat(log: &dyn Log, topic: &str) -> Result<TopicStat, LogError> {
    let config = require(log, topic)?;
    let mut by_partition = Vec::new();
    for partition in partitions(&config) {
        let bounds = log.bounds(topic, partition)?;
        let usage = match log.usage(topic, partition) {
            Ok(usage) => Some(usage),
            Err(LogError::Unsupported { .. }) => None,
            Err(error) => return Err(error),
        };
        let at = |offset: u64| {
            let mut buf = RecordBuf::default();
            let read = log.reader(topic, partition, Offset(offset)).and_then(|mut r| r.read(&mut buf, 0));
            read.ok().and_then(|_| buf.get(0)).map(|record| record.timestamp)
        };
        by_partition.push(PartitionStat {
            partition,
            start: bounds.start,
            end: bounds.end,
            first: at(bounds.start.0),
            last: bounds.end.0.checked_sub(1).filter(|last| *last >= bounds.start.0).and_then(at),
            bytes: usage.map(|usage| usage.bytes),
            segments: usage.map(|usage| usage.portions),
        });
    }
    Ok(TopicStat {
        topic: topic.to_owned(),
        config,
        records: by_partition.iter().map(|p| p.end.since(p.start)).sum(),
        bytes: by_partition.iter().map(|p| p.bytes).sum(),
        by_partition,
    })
}
