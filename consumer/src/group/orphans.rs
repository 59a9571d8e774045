//! Partitions that nobody has: see `owners` of the log's backend for how that comes about.

use std::time::{Duration, Instant};

use partition_log::backends::kafka::KafkaGroup;
use types::PartitionId;

/// When after its start a session looks: only then can its own coming have left something behind. Twice in a row the same must be seen:
/// between the two rebalances nobody has what one member is still giving up.
const LOOKS: [Duration; 4] =
    [Duration::from_secs(6), Duration::from_secs(12), Duration::from_secs(24), Duration::from_secs(48)];

/// Looks for them while a session is young.
pub(super) struct Orphans {
    begun: Instant,
    looks: usize,
    last: Vec<PartitionId>,
}

impl Orphans {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), looks: 0, last: Vec::new() }
    }

    /// Whether it is time to look, once for each time.
    fn is_due(&mut self) -> bool {
        let due = LOOKS.get(self.looks).is_some_and(|at| self.begun.elapsed() >= *at);
        self.looks += usize::from(due);
        due
    }

    /// Partitions that nobody had at the last look either; none where it is not time to look.
    pub(super) fn look(&mut self, group: &KafkaGroup, name: &str, partitions: u32) -> Vec<PartitionId> {
        if !self.is_due() {
            return Vec::new();
        }
        let now = group.unowned(name, partitions).unwrap_or_default();
        let last = std::mem::replace(&mut self.last, now);
        self.last.iter().copied().filter(|partition| last.contains(partition)).collect()
    }
}
