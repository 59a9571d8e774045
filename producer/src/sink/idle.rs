//! Ticks without events: time passes on a topic to which nobody writes.

use types::EventTime;

use super::{EventSink, SinkError};

impl EventSink {
    /// Writes the ticks that are missing up to and with the tick `last`, to every partition. Returns how many moments those are. Nothing
    /// happens on a topic without a tick: its first event decides which is the first.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn let_pass(&mut self, last: EventTime) -> Result<u64, SinkError> {
        let Some(newest) = self.newest_tick() else { return Ok(0) };
        for partition in &mut self.partitions {
            // Retention has removed its ticks.
            partition.last_tick.get_or_insert(newest);
            partition.ticks_removed = false;
        }
        let due = self.ticks.due(last);
        self.pass_ticks(due, EventTime::MIN)?;
        let mut moments = 0;
        let mut tick = self.ticks.after(newest);
        while tick <= last {
            moments += 1;
            tick = self.ticks.after(tick);
        }
        Ok(moments)
    }
}
