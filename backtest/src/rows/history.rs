//! What a user's labels and eligibility need of the past.

use types::{EventTime, Millis, Offset};

#[derive(Debug, Default)]
pub(super) struct History {
    /// Where the earliest event so far changed, and its time.
    first: Vec<(Offset, EventTime)>,
    /// The events that decide labels, in the order of the log. Once closed, each with the least time of those from it on.
    counted: Vec<(Offset, EventTime)>,
    /// Their times in order, once closed.
    times: Vec<EventTime>,
    /// Whether the user was erased.
    pub(super) is_erased: bool,
}

impl History {
    /// An event of the user; `counts` if it decides labels.
    pub(super) fn note(&mut self, offset: Offset, ts: EventTime, counts: bool) {
        if self.first.last().is_none_or(|(_, first)| ts < *first) {
            self.first.push((offset, ts));
        }
        if counts {
            self.counted.push((offset, ts));
        }
    }

    /// How long before a moment the earliest event lies that was known at a position; nothing if none was.
    pub(super) fn known_for(&self, position: Offset, as_of: EventTime) -> Millis {
        let known = self.first.partition_point(|(at, _)| *at <= position);
        known.checked_sub(1).map_or(Millis(0), |last| as_of.since(self.first[last].1))
    }

    /// All events are known.
    pub(super) fn close(&mut self) {
        self.times = self.counted.iter().map(|(_, ts)| *ts).collect();
        self.times.sort_unstable();
        let mut least = EventTime(i64::MAX);
        for (_, ts) in self.counted.iter_mut().rev() {
            least = least.min(*ts);
            *ts = least;
        }
    }

    /// The times of the events that decide labels, in order.
    pub(super) fn counted(&self) -> &[EventTime] {
        &self.times
    }

    /// Whether one of these events had happened by a moment, and lies on the log behind a position: it was not known there.
    pub(super) fn counted_unseen(&self, position: Offset, as_of: EventTime) -> bool {
        let next = self.counted.partition_point(|(at, _)| *at <= position);
        self.counted.get(next).is_some_and(|(_, least)| *least <= as_of)
    }
}
