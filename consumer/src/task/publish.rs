//! The state for other processes of the group: blocks of it, with the commit that follows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use feature_store::Published;
use types::EventTime;

use super::PartitionTask;
use crate::ConsumerError;
use crate::snapshot::write_key;

/// How much of a partition is published per second, and at least and at most with a commit: more would make commits slow.
const BYTES_PER_SECOND: f64 = (16 << 20) as f64;
const LEAST: usize = 256 << 10;
const MOST: usize = 16 << 20;

impl PartitionTask {
    /// Writes changed blocks to the snapshot topic, as many as befit the time since the last commit.
    pub(super) fn publish(&mut self, since: Duration) -> Result<Option<Published>, ConsumerError> {
        let Some(topic) = &mut self.outputs.snapshots else { return Ok(None) };
        let limit = ((since.as_secs_f64() * BYTES_PER_SECOND) as usize).clamp(LEAST, MOST);
        // Only the brokers' compaction looks at it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = EventTime(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        let spec = self.pipeline.spec().hash();
        let mut key = String::new();
        self.users.publish(limit, |range, block| {
            write_key(&mut key, spec.as_str(), range.start);
            topic.emit(now, key.as_bytes(), block, &[]).map(|_| ())
        })
    }
}
