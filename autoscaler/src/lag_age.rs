//! How old lag is.

use std::collections::VecDeque;
use std::time::Duration;

use types::Offset;

/// So many ends are remembered at most.
const MOST_ENDS: usize = 4096;

/// For how long the oldest record that is not committed has been seen to wait. How long those waited that were there before
/// it first looked is not known: until they are done, the age is not either.
#[derive(Debug, Clone, Default)]
pub struct LagAge {
    /// The log's end at the first look.
    found: Option<Offset>,
    /// When the log was first seen to reach so far, oldest first; all beyond what is committed but the first.
    ends: VecDeque<(Duration, Offset)>,
}

impl LagAge {
    /// The age in seconds at a moment of any monotonic clock, by an end that was asked for `ago`; 0 if nothing waits, `None` if it is not known.
    pub fn seconds(
        &mut self,
        at: Duration,
        (end, ago): (Offset, Duration),
        committed: Offset,
    ) -> Option<f64> {
        let found = *self.found.get_or_insert(end);
        if self.ends.back().is_none_or(|(_, last)| *last < end) {
            if self.ends.len() >= MOST_ENDS {
                // Nobody reads for long: every second one tells what comes to be oldest well enough.
                let mut number = 0;
                self.ends.retain(|_| {
                    number += 1;
                    number % 2 == 1
                });
            }
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
    fn a_week_without_readers_takes_no_more_memory_and_the_age_stays() {
        let mut age = LagAge::default();
        let mut last = None;
        for second in 0..600_000 {
            last = age.seconds(Duration::from_secs(second), (Offset(second), Duration::ZERO), Offset(0));
        }
        assert!(age.ends.len() <= MOST_ENDS);
        assert_eq!(last, Some(599_998.0));
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
