//! Whether a topic holds what was written.

use serde::Serialize;

use super::{partitions, require};
use crate::{Log, LogError, PartitionCheck};

/// What checking a topic found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// The topic.
    pub topic: String,
    /// Whether nothing was found wrong.
    pub ok: bool,
    /// Records that can be read, in all partitions.
    pub records: u64,
    /// Each partition, in order.
    pub by_partition: Vec<PartitionCheck>,
}

/// Reads every byte of a topic and checks it: checksums, offsets, records, indexes, and that each record is in the partition
/// of its key. Goes on behind damage.
///
/// # Errors
/// If there is no such topic or the system cannot read it. What is wrong with the bytes is in the report.
pub fn verify(log: &dyn Log, topic: &str) -> Result<VerifyReport, LogError> {
    let config = require(log, topic)?;
    let by_partition =
        partitions(&config).map(|p| log.verify(topic, p)).collect::<Result<Vec<PartitionCheck>, _>>()?;
    Ok(VerifyReport {
        topic: topic.to_owned(),
        ok: by_partition.iter().all(|check| check.findings.is_empty()),
        records: by_partition.iter().map(|check| check.records).sum(),
        by_partition,
    })
}
