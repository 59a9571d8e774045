//! The state for other processes of the group: blocks of it, counted by the commit that follows.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use types::EventTime;

use super::PartitionTask;
use crate::ConsumerError;
use crate::snapshot::write_key;

/// What waits goes out over about this time, so that no commit has to wait for much of it.
const SPREAD: Duration = Duration::from_secs(3);
/// At least so many bytes with a commit.
const LEAST: f64 = (128 << 10) as f64;

impl PartitionTask {
    /// Writes changed blocks to the snapshot topic, as many as befit the time since the last commit. Just after a commit: they are on their way
    /// while the next events are worked on.
    pub(super) fn publish(&mut self, since: Duration) -> Result<(), ConsumerError> {
        let Some(topic) = &mut self.outputs.snapshots else { return Ok(()) };
        if !self.users.can_publish() {
            return Ok(());
        }
        let share = (since.as_secs_f64() / SPREAD.as_secs_f64()).min(1.0);
        let limit = (self.users.unpublished_bytes() as f64 * share).max(LEAST) as usize;
        // Only the brokers' compaction looks at it.
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = EventTime(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        let spec = self.pipeline.spec().hash();
        let mut key = String::new();
        self.published = true;
        self.users.publish(limit, |range, block| {
            write_key(&mut key, spec.as_str(), range.start);
            topic.emit(now, key.as_bytes(), block, &[]).map(|_| ())
        })
    }
}
