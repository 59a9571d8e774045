//! Waiting for a topic to grow: the brokers are asked for its ends, a few times a second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use types::{Offset, PartitionId};

use super::KafkaLog;
use crate::{LogError, Watch};

/// How often is asked. A question costs the broker about as much as an empty fetch.
const EVERY: Duration = Duration::from_millis(50);

pub(super) struct EndWatch {
    pub(super) log: KafkaLog,
    pub(super) topic: Arc<str>,
    pub(super) seen: Vec<Offset>,
}

impl Watch for EndWatch {
    fn wait(&mut self, timeout: Duration) -> Result<bool, LogError> {
        let until = Instant::now() + timeout;
        loop {
            let mut grown = false;
            for (partition, seen) in (0..).map(PartitionId).zip(&mut self.seen) {
                let end = self.log.ends(&self.topic, partition)?.end;
                grown |= std::mem::replace(seen, end) < end;
            }
            let left = until.saturating_duration_since(Instant::now());
            if grown || left.is_zero() {
                return Ok(grown);
            }
            std::thread::sleep(left.min(EVERY));
        }
    }
}
