//! Structures that answer for every window at once, because windows end together: a window differs from another only in how far
//! back it looks, so a sorted list and a binary search serve them all.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::spec::plan::SeriesKind;

const DAY: i64 = 86_400_000;

#[derive(Debug, Clone)]
pub(crate) enum Series {
    /// (time, value): each value is greater than all later ones. The maximum over `(x, T]` is the first one behind x.
    Extremes(VecDeque<(i64, i64)>),
    /// For each UTC day with an event, the time of its last one.
    Days(VecDeque<i64>),
    /// (first, last) time of each run of events.
    Sessions(VecDeque<(i64, i64)>),
    /// For each text its last time, and the windows (bits) whose cells count it.
    Distinct(HashMap<i64, (i64, u32)>),
}

impl Series {
    pub(crate) fn new(kind: SeriesKind) -> Self {
        match kind {
            SeriesKind::Max | SeriesKind::Min => Self::Extremes(VecDeque::new()),
            SeriesKind::Days => Self::Days(VecDeque::new()),
            SeriesKind::Sessions { .. } => Self::Sessions(VecDeque::new()),
            SeriesKind::Distinct => Self::Distinct(HashMap::new()),
        }
    }

    /// Empties it for another use; whether its kind fits.
    pub(crate) fn reset(&mut self, kind: SeriesKind) -> bool {
        match (self, kind) {
            (Self::Extremes(list), SeriesKind::Max | SeriesKind::Min) => list.clear(),
            (Self::Days(list), SeriesKind::Days) => list.clear(),
            (Self::Sessions(list), SeriesKind::Sessions { .. }) => list.clear(),
            (Self::Distinct(map), SeriesKind::Distinct) => map.clear(),
            _ => return false,
        }
        true
    }

    /// Takes a value in, wherever its time belongs. Amortised O(1) at the end, O(log n + what lies behind) elsewhere.
    pub(crate) fn add_value(&mut self, ts: i64, value: i64) {
        let Self::Extremes(list) = self else { return };
        // Behind those of the same time: the later arrival goes last, and only the greater one stays.
        let at = if list.back().is_none_or(|last| last.0 <= ts) {
            list.len()
        } else {
            list.partition_point(|e| e.0 <= ts)
        };
        if list.get(at).is_some_and(|later| later.1 >= value) {
            return;
        }
        let mut keep = at;
        while keep > 0 && list[keep - 1].1 <= value {
            keep -= 1;
        }
        if at == list.len() {
            list.truncate(keep);
            list.push_back((ts, value));
        } else {
            list.drain(keep..at);
            list.insert(keep, (ts, value));
        }
    }

    /// Takes a stretch of activity in. As [`add_value`](Self::add_value).
    pub(crate) fn add_time(&mut self, kind: SeriesKind, first: i64, last: i64) {
        match (self, kind) {
            (Self::Days(list), _) => {
                // Panes lie within an hour, so a stretch never spans days.
                let begin = last.saturating_sub(last.rem_euclid(DAY));
                let end = begin.saturating_add(DAY);
                // Usually it is the newest day, or a newer one.
                let at = match list.back() {
                    Some(newest) if *newest >= end => list.partition_point(|e| *e < begin),
                    Some(newest) => list.len() - usize::from(*newest >= begin),
                    None => 0,
                };
                match list.get_mut(at) {
                    Some(known) if *known < end => *known = last.max(*known),
                    Some(_) => list.insert(at, last),
                    None => list.push_back(last),
                }
            }
            (Self::Sessions(list), SeriesKind::Sessions { gap }) => {
                let mut run = (first, last);
                let at = match list.back() {
                    Some(back) if back.0 <= first => {
                        list.len() - usize::from(back.1.saturating_add(gap) >= first)
                    }
                    _ => list.partition_point(|r| r.1.saturating_add(gap) < first),
                };
                while let Some(&near) = list.get(at).filter(|r| r.0 <= run.1.saturating_add(gap)) {
                    run = (run.0.min(near.0), run.1.max(near.1));
                    if at + 1 == list.len() || list[at + 1].0 > run.1.saturating_add(gap) {
                        list[at] = run;
                        return;
                    }
                    list.remove(at);
                }
                list.insert(at, run);
            }
            _ => {}
        }
    }

    /// Forgets what no window that ends at a later time than now can see: all up to `ts`. Amortised O(1).
    pub(crate) fn forget_up_to(&mut self, ts: i64) {
        match self {
            Self::Extremes(list) => while list.pop_front_if(|e| e.0 <= ts).is_some() {},
            Self::Days(list) => while list.pop_front_if(|e| *e <= ts).is_some() {},
            Self::Sessions(list) => while list.pop_front_if(|e| e.1 <= ts).is_some() {},
            // Its entries go when the last window lets go of them.
            Self::Distinct(_) => {}
        }
    }

    /// The greatest value behind `after`. O(log n).
    pub(crate) fn greatest(&self, after: i64) -> Option<i64> {
        let Self::Extremes(list) = self else { return None };
        list.get(list.partition_point(|e| e.0 <= after)).map(|e| e.1)
    }

    /// How many days or sessions reach behind `after`. O(log n).
    pub(crate) fn count(&self, after: i64) -> usize {
        match self {
            Self::Days(list) => list.len() - list.partition_point(|e| *e <= after),
            Self::Sessions(list) => list.len() - list.partition_point(|e| e.1 <= after),
            Self::Extremes(_) | Self::Distinct(_) => 0,
        }
    }

    /// Counts a text in a window if it is not; whether that was so.
    pub(crate) fn admit(&mut self, text: i64, ts: i64, window: usize) -> bool {
        let Self::Distinct(map) = self else { return false };
        let (last, windows) = map.entry(text).or_insert((ts, 0));
        *last = ts.max(*last);
        let before = *windows;
        *windows |= 1 << window;
        *windows != before
    }

    /// Lets go of a text in a window that now begins behind `after`, unless it came again; whether it let go.
    pub(crate) fn dismiss(&mut self, text: i64, after: i64, window: usize) -> bool {
        let Self::Distinct(map) = self else { return false };
        let Some((last, windows)) = map.get_mut(&text) else { return false };
        if *last > after || *windows >> window & 1 == 0 {
            return false;
        }
        *windows &= !(1 << window);
        if *windows == 0 {
            map.remove(&text);
        }
        true
    }

    /// Becomes a copy of a series that counts texts.
    pub(crate) fn copy_texts(&mut self, other: &Self) {
        match (&mut *self, other) {
            // Keeps the memory.
            (Self::Distinct(map), Self::Distinct(other)) => map.clone_from(other),
            _ => self.clone_from(other),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Extremes(list) | Self::Sessions(list) => list.capacity() * 16,
            Self::Days(list) => list.capacity() * 8,
            Self::Distinct(map) => map.allocation_size(),
        }
    }
}
