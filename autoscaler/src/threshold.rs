//! Threshold and cooldown: the simplest rule that works.

use std::time::Duration;

use crate::{History, Observation, Policy, Reason, Wish};

/// Wants one worker more while more waits than a threshold, and one fewer once little has waited for a while.
///
/// It forecasts nothing and knows no costs, so it reacts late and pays for it in workers; it cannot go far wrong either.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ThresholdPolicy {
    /// More records than this waiting, over all partitions, is too much.
    pub high_events: u64,
    /// An oldest record waiting for longer than this, in seconds, is too much; `None` to look at the number alone.
    pub high_seconds: Option<f64>,
    /// What is below this share of the thresholds is little; 0 to 1.
    pub low_share: f64,
    /// For how long it must have been little, all along with the same number of workers.
    pub low_for: Duration,
}

impl Default for ThresholdPolicy {
    /// High over 10,000 records or 10 s, low under a tenth of that for 30 s.
    fn default() -> Self {
        Self {
            high_events: 10_000,
            high_seconds: Some(10.0),
            low_share: 0.1,
            low_for: Duration::from_secs(30),
        }
    }
}

impl ThresholdPolicy {
    fn is_low(&self, lag_events: Option<u64>, lag_seconds: Option<f64>) -> bool {
        let few = lag_events.is_some_and(|n| n as f64 <= self.high_events as f64 * self.low_share);
        let young =
            self.high_seconds.is_none_or(|high| lag_seconds.is_some_and(|s| s <= high * self.low_share));
        few && young
    }

    /// For how long little has waited with `current` workers, up to the observation at `now`. O(history).
    fn low_since(&self, past: &History, now: Duration, current: u32) -> Duration {
        past.newest_first()
            .take_while(|p| p.desired == current && self.is_low(p.lag_events, p.lag_seconds))
            .last()
            .map_or(Duration::ZERO, |first| now.saturating_sub(first.at))
    }
}

impl Policy for ThresholdPolicy {
    fn name(&self) -> &'static str {
        "threshold"
    }

    fn memory(&self) -> Duration {
        self.low_for
    }

    fn wish(&self, seen: &Observation, past: &History, current: u32) -> Wish {
        let wish = |workers, reason, words| Wish { workers, reason, words };
        let (lag_events, lag_seconds) = (seen.lag_events(), seen.lag_seconds());
        let Some(events) = lag_events else {
            return wish(current, Reason::TelemetryMissing, "the lag is unknown".to_owned());
        };
        if events > self.high_events {
            let words = format!("{events} events wait, over {}", self.high_events);
            return wish(current.saturating_add(1), Reason::LagHigh, words);
        }
        if let Some(high) = self.high_seconds {
            let Some(seconds) = lag_seconds else {
                return wish(
                    current,
                    Reason::TelemetryMissing,
                    "the age of the oldest event is unknown".to_owned(),
                );
            };
            if seconds > high {
                let words = format!("the oldest event waits for {seconds:.1} s, over {high} s");
                return wish(current.saturating_add(1), Reason::LagHigh, words);
            }
        }
        if !self.is_low(lag_events, lag_seconds) {
            return wish(
                current,
                Reason::Steady,
                format!("{events} events wait, which is neither much nor little"),
            );
        }
        let low_since = self.low_since(past, seen.at, current);
        let (so_far, needed) = (low_since.as_secs_f64(), self.low_for.as_secs_f64());
        if low_since < self.low_for {
            return wish(
                current,
                Reason::Steady,
                format!("{events} events wait, little for {so_far:.0} s of {needed:.0}"),
            );
        }
        wish(
            current.saturating_sub(1),
            Reason::LagLow,
            format!("little has waited for {so_far:.0} s, now {events} events"),
        )
    }
}
