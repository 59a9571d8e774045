//! How old lag is, and how fast records are processed.

use std::collections::VecDeque;
use std::time::Duration;

use types::Offset;

/// For how long the oldest record that is not committed has been seen to wait. How long those waited that were there before
/// this process began is not known here: until they are done, the age is not either.
#[derive(Default)]
pub(super) struct LagAge {
    /// The log's end at the first look.
    found: Option<Offset>,
    /// When the log was first seen to reach so far, oldest first; all beyond what is committed but the first.
    ends: VecDeque<(Duration, Offset)>,
}

impl LagAge {
    /// By an end that was asked for `ago`.
    pub(super) fn seconds(
        &mut self,
        at: Duration,
        (end, ago): (Offset, Duration),
        committed: Offset,
    ) -> Option<f64> {
        let found = *self.found.get_or_insert(end);
        if self.ends.back().is_none_or(|(_, last)| *last < end) {
            self.ends.push_back((at.saturating_sub(ago), end));
        }
        while self.ends.front().is_some_and(|(_, reached)| *reached <= committed) {
            self.ends.pop_front();
        }
        if committed < found {
            return None;
        }
        Some(self.ends.front().map_or(0.0, |(since, _)| at.saturating_sub(*since).as_secs_f64()))
    }
}

/// A rate over the last few seconds.
#[derive(Default)]
pub(super) struct Rate {
    seen: VecDeque<(Duration, u64)>,
}

impl Rate {
    const WINDOW: usize = 5;

    /// A second, by how many there were in all at a moment.
    pub(super) fn over(&mut self, at: Duration, count: u64) -> f64 {
        self.seen.push_back((at, count));
        if self.seen.len() > Self::WINDOW {
            self.seen.pop_front();
        }
        let Some(&(from, before)) = self.seen.front() else { return 0.0 };
        let seconds = at.saturating_sub(from).as_secs_f64();
        if seconds > 0.0 { (count - before) as f64 / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_waiting_record_is_as_old_as_the_log_was_first_seen_beyond_it() {
        let mut age = LagAge::default();
        let mut seconds = |at, end, committed| {
            age.seconds(Duration::from_secs(at), (Offset(end), Duration::ZERO), Offset(committed))
        };
        assert_eq!(seconds(0, 100, 0), None, "nobody saw them come");
        assert_eq!(seconds(5, 150, 50), None);
        assert_eq!(seconds(6, 150, 100), Some(1.0), "up to 100 is committed: what came at 5 is oldest");
        assert_eq!(seconds(7, 150, 150), Some(0.0));
        assert_eq!(seconds(9, 151, 150), Some(0.0));
        assert_eq!(seconds(12, 151, 150), Some(3.0));
    }

    #[test]
    fn what_was_asked_for_a_while_ago_has_waited_since() {
        let mut age = LagAge::default();
        let (at, ago) = (Duration::from_secs, Duration::from_secs(2));
        assert_eq!(age.seconds(at(10), (Offset(5), ago), Offset(5)), Some(0.0));
        assert_eq!(age.seconds(at(20), (Offset(6), ago), Offset(5)), Some(2.0));
        assert_eq!(age.seconds(at(21), (Offset(6), at(3)), Offset(5)), Some(3.0));
    }
}
