//! Ticks that a consumer decided on a topic that others write: it wrote them to the control topic beside its scores, and a replay obeys.
//!
//! Most of them follow from the events and would be decided again. Those that the clock decided, because nothing came, do not: events that
//! happened before such a tick and came after it stand behind it in the log, and only the control topic knows.

use std::collections::VecDeque;

use consumer::pipeline::Place;
use feature_store::{Spec, SweepCursor};
use partition_log::{Log, RecordBuf};
use serde::Deserialize;
use types::{EventTime, Millis, Offset, PartitionId};

use crate::BacktestError;
use crate::replay::READ_BYTES;

/// What stands in a record of the control topic, version 1.
#[derive(Deserialize)]
struct Written {
    v: u32,
    tick: EventTime,
    before: Offset,
}

/// The ticks of one partition that were decided and not reached yet, in their order.
#[derive(Debug, Default)]
pub(crate) struct Decided(VecDeque<(Offset, EventTime)>);

impl Decided {
    /// What the control topic holds for a partition: nothing if there is no such topic. Ticks of another plan than the spec's, as a consumer with
    /// another spec decided them, say nothing about it and are left out.
    ///
    /// # Errors
    /// If the log cannot be read.
    pub(crate) fn read(log: &dyn Log, partition: PartitionId, spec: &Spec) -> Result<Self, BacktestError> {
        let mut decided = Self::default();
        if log.topic(consumer::CONTROL)?.is_none_or(|config| partition.0 >= config.partitions) {
            return Ok(decided);
        }
        let start = log.bounds(consumer::CONTROL, partition)?.start;
        let mut reader = log.reader(consumer::CONTROL, partition, start)?;
        let mut records = RecordBuf::default();
        while reader.read(&mut records, READ_BYTES)? > 0 {
            for record in records.iter() {
                decided.note(record.value, spec);
            }
            records.clear();
        }
        Ok(decided)
    }

    /// Takes a record of the control topic. One that means nothing to us, such as the end of a transaction that was mended, is passed over.
    fn note(&mut self, value: &[u8], spec: &Spec) {
        let Ok(Written { v: 1, tick, before }) = serde_json::from_slice(value) else { return };
        let is_of_plan = spec.tick().next_after(tick.minus(Millis(1))) == tick;
        let is_later = self.0.back().is_none_or(|&(offset, last)| offset <= before && last < tick);
        if is_of_plan && is_later {
            self.0.push_back((before, tick));
        }
    }

    /// Before which record the next tick stands.
    pub(crate) fn next(&self) -> Option<Offset> {
        self.0.front().map(|&(before, _)| before)
    }

    /// Moves `place` on to where the next tick stands, across offsets that hold nothing, and says whether it has come to one. `all_before` says
    /// that every record before that tick was taken; a tick beyond `end`, where the topic ends, belongs to no record of it.
    pub(crate) fn reach(&self, place: &mut Place, all_before: bool, end: Offset) -> bool {
        let Some(before) = self.next().filter(|&before| all_before && before <= end) else { return false };
        place.next_input = place.next_input.max(before);
        true
    }

    /// Begins the sweep of the next tick, if `place` has come to it; says as of when it is.
    pub(crate) fn begin(&mut self, place: &mut Place) -> Option<EventTime> {
        while let Some(&(before, tick)) = self.0.front() {
            if before > place.next_input || place.sweep.is_some() {
                return None;
            }
            self.0.pop_front();
            // The events have decided it already: the consumer saw others, or began elsewhere.
            if place.tick.is_none_or(|last| last < tick) {
                place.tick = Some(tick);
                place.sweep = Some(SweepCursor::START);
                return Some(tick);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const DAY: i64 = Millis::DAY.0;

    fn spec() -> Spec {
        let text = "version = 1\nentity = \"user\"\n[inputs.p]\nevents = \"p\"\n[[features]]\ninput = \"p\"\nops = \"count\"\nwindows = [\"1d\"]\n";
        Spec::from_toml(text, Path::new("spec.toml")).unwrap()
    }

    fn decided(values: &[&str]) -> Decided {
        let (spec, mut decided) = (spec(), Decided::default());
        values.iter().for_each(|value| decided.note(value.as_bytes(), &spec));
        decided
    }

    #[test]
    fn ticks_come_where_they_were_decided_and_several_at_one_place_one_after_the_other() {
        let written = [(2, 5), (3, 9), (4, 9)]
            .map(|(day, before)| format!(r#"{{"v":1,"tick":{},"before":{before}}}"#, day * DAY));
        let mut decided = decided(&written.each_ref().map(String::as_str));
        let mut place = Place::at(Offset(4));
        assert_eq!(decided.begin(&mut place), None, "it stands before another record");
        assert!(!decided.reach(&mut place, false, Offset(20)), "there is a record before it");
        assert!(!decided.reach(&mut place, true, Offset(4)), "the topic ends before it");
        assert!(decided.reach(&mut place, true, Offset(20)));
        let mut sweep = |place: &mut Place| {
            let begun = decided.begin(place).map(|tick| tick.0 / DAY);
            assert_eq!(begun.is_some(), place.sweep.take().is_some());
            begun
        };
        assert_eq!((sweep(&mut place), sweep(&mut place)), (Some(2), None));
        place.next_input = Offset(12);
        assert_eq!([(); 3].map(|()| sweep(&mut place)), [Some(3), Some(4), None]);
        assert_eq!(place.tick, Some(EventTime(4 * DAY)));
    }

    #[test]
    fn what_says_nothing_about_this_replay_is_left_out() {
        let other_plan = format!(r#"{{"v":1,"tick":{},"before":3}}"#, DAY + 5);
        let later_version = format!(r#"{{"v":2,"tick":{},"before":3}}"#, 2 * DAY);
        let again = format!(r#"{{"v":1,"tick":{},"before":7}}"#, 3 * DAY);
        let mut decided = decided(&["", "{}", &other_plan, &later_version, &again, &again]);
        assert_eq!(decided.next(), Some(Offset(7)));
        // The events decided a later one before that.
        let mut place = Place { tick: Some(EventTime(3 * DAY)), ..Place::at(Offset(7)) };
        assert_eq!((decided.begin(&mut place), decided.next(), place.sweep), (None, None, None));
    }
}
