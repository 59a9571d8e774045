//! What others are told of a sink at work, batch by batch.

use std::sync::Arc;
use std::time::Duration;

use partition_log::LogError;
use telemetry::{Check, Counter};

use super::partition::Partition;
use crate::around::Surroundings;

/// A log that takes longer than this to take a batch is not at work: its brokers do not answer, say.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Told {
    produced: Counter,
    /// What of the records appended it counts already.
    counted: u64,
    ready: Arc<Check>,
    is_ready: bool,
}

impl Told {
    pub(super) fn new(around: &Surroundings, topic: &str) -> Self {
        let ready = Arc::clone(around.ready());
        Self { produced: around.produced(topic), counted: 0, ready, is_ready: false }
    }

    /// So many records were appended so far, and all are durable.
    pub(super) fn durable(&mut self, appended: u64) {
        self.produced.add(appended - self.counted);
        self.counted = appended;
    }

    /// A batch is handed over to the log by `hand_over`.
    pub(super) fn while_waiting(
        &self,
        hand_over: impl FnOnce() -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        if self.is_ready {
            self.ready.waits("waiting for the log to take what is written", PATIENCE);
        }
        hand_over()?;
        if self.is_ready {
            self.ready.ready();
        }
        Ok(())
    }

    /// A batch begins. The sink is ready once all that the log held of its sources has been come to.
    pub(super) fn batch(&mut self, partitions: &[Partition]) {
        if self.is_ready {
            return;
        }
        self.is_ready = partitions.iter().all(|p| p.held_to.iter().all(Option::is_none));
        if self.is_ready {
            self.ready.ready();
        } else {
            self.ready.not_ready("passing over what the log holds already");
        }
    }
}
