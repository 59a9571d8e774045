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
            // Retention has removed its ticks; or a crash came before its first one, which others have.
            let has_newest = partition.is_cut;
            partition.last_tick.get_or_insert(if has_newest { newest } else { self.ticks.before(newest) });
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

#[cfg(test)]
mod tests {
    use partition_log::{Log, MemoryLog, RecordBuf, Retention};
    use types::{Millis, Offset, PartitionId};

    use super::super::partition::tick_of;
    use super::super::tests::config;
    use super::*;
    use crate::Surroundings;
    use crate::tick::tick_event;

    const DAY: i64 = Millis::DAY.0;

    /// A topic whose partition 0 has a tick, and whose partition 1 has none: nothing at all, or nothing any more.
    fn log(is_removed: bool) -> MemoryLog {
        let log = MemoryLog::new();
        drop(EventSink::open(&log, &config("a", 2), &Surroundings::default()).unwrap());
        let mut topic = log.writer("events").unwrap();
        let mut value = Vec::new();
        tick_event(EventTime(1100 * DAY)).encode(&mut value);
        for partition in 0..=u32::from(is_removed) {
            let mut writer = topic.partition(PartitionId(partition)).unwrap();
            writer.append(EventTime(1100 * DAY), b"", &value, &[]).unwrap();
            writer.sync().unwrap();
            if partition == 1 {
                // What is newest stays.
                writer.append(EventTime(1100 * DAY), b"u1", b"{}", &[]).unwrap();
                writer.sync().unwrap();
            }
        }
        if is_removed {
            let keep = Retention { max_bytes: Some(0), ..Retention::default() };
            log.retain("events", PartitionId(1), &keep, Offset(1)).unwrap();
        }
        log
    }

    fn ticks(log: &MemoryLog, partition: u32) -> Vec<i64> {
        let partition = PartitionId(partition);
        let start = log.bounds("events", partition).unwrap().start;
        let mut records = RecordBuf::default();
        log.reader("events", partition, start).unwrap().read(&mut records, 1 << 20).unwrap();
        records.iter().filter_map(|record| tick_of(record.key, record.value)).map(|at| at.0 / DAY).collect()
    }

    #[test]
    fn a_partition_that_a_crash_left_without_its_first_tick_gets_it_and_one_that_lost_it_does_not() {
        for (is_removed, expected) in [(false, vec![1100, 1101, 1102]), (true, vec![1101, 1102])] {
            let log = log(is_removed);
            let mut sink = EventSink::open(&log, &config("a", 2), &Surroundings::default()).unwrap();
            assert_eq!(sink.let_pass(EventTime(1102 * DAY)).unwrap(), 2);
            sink.finish(false).unwrap();
            assert_eq!(ticks(&log, 0), [1100, 1101, 1102]);
            assert_eq!(ticks(&log, 1), expected, "removed: {is_removed}");
        }
    }
}
