//! Ticks of a topic that others write: decided by its events, or by the clock where none come, and written down beside the scores.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use types::EventTime;

use super::PartitionTask;
use crate::ConsumerError;

impl PartitionTask {
    /// Whether the sweep under way is of a tick that was decided here.
    pub(super) fn is_sweeping_by_itself(&self) -> bool {
        self.pipeline.decides_ticks() && !self.replaying && self.place.sweep.is_some()
    }

    /// Decides a tick by the clock where nothing has come for a while: users fall silent, and so may all of a partition's.
    pub(super) fn tick_by_the_clock(&mut self) -> Result<(), ConsumerError> {
        if !self.pipeline.decides_ticks() || self.replaying {
            return Ok(());
        }
        if self.idle.is_none_or(|(at, _)| at != self.place.next_input) {
            self.idle = Some((self.place.next_input, Instant::now()));
        }
        let idle = self.idle.is_some_and(|(_, since)| since.elapsed() >= self.tick_idle);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = EventTime(i64::try_from(now.as_millis()).unwrap_or(i64::MAX));
        if idle && self.pipeline.decide_tick(&mut self.place, now) {
            self.note_tick()?;
        }
        Ok(())
    }

    /// Writes down that the newest tick stands before the record that comes next.
    pub(super) fn note_tick(&mut self) -> Result<(), ConsumerError> {
        if let (Some(tick), Some(control)) = (self.place.tick, &mut self.outputs.control) {
            let value = format!(r#"{{"v":1,"tick":{},"before":{}}}"#, tick.0, self.place.next_input.0);
            control.emit(tick, b"", value.as_bytes(), &[])?;
        }
        Ok(())
    }
}
