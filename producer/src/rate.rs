//! How fast events are let out: so many a second, or so many times faster than they happened.
//!
//! Pacing only delays; it never changes what is written.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, Instant};

use telemetry::Shutdown;
use types::EventTime;

/// A limit on events per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// As fast as it goes.
    Max,
    /// At most so many a second; more than 0, finite.
    PerSecond(f64),
}

/// What is wrong with a written rate or speed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a {what}")]
pub struct RateError {
    text: String,
    what: &'static str,
}

fn positive(text: &str) -> Option<f64> {
    text.parse().ok().filter(|n: &f64| n.is_finite() && *n > 0.0)
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let error =
            || RateError { text: text.to_owned(), what: "rate: write a number of events per second, or max" };
        positive(text).map(Self::PerSecond).ok_or_else(error)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::PerSecond(n) => n.fmt(f),
        }
    }
}

/// How many times faster than it was event time passes; more than 0, finite. Written `60` or `60x`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed(pub f64);

impl FromStr for Speed {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        let error =
            || RateError { text: text.to_owned(), what: "speed: write how many times faster, as in 3600" };
        positive(text.strip_suffix('x').unwrap_or(text)).map(Self).ok_or_else(error)
    }
}

/// Holds events back until they are due.
#[derive(Debug)]
pub struct Pacer {
    rate: Rate,
    speed: Option<Speed>,
    begun: Option<Begun>,
}

#[derive(Debug, Clone, Copy)]
struct Begun {
    at: Instant,
    arrival: EventTime,
    events: u64,
}

impl Pacer {
    /// A pacer that obeys both limits; the first event is due at once.
    #[must_use]
    pub fn new(rate: Rate, speed: Option<Speed>) -> Self {
        Self { rate, speed, begun: None }
    }

    /// Whether it ever waits. Where it does not, [`Pacer::wait`] need not be called.
    #[must_use]
    pub fn is_unlimited(&self) -> bool {
        self.rate == Rate::Max && self.speed.is_none()
    }

    /// Sleeps until the next event, which arrived at `arrival`, is due; returns early when asked to stop.
    pub fn wait(&mut self, arrival: EventTime, shutdown: &Shutdown) {
        if self.is_unlimited() {
            return;
        }
        let now = Instant::now();
        let begun = self.begun.get_or_insert(Begun { at: now, arrival, events: 0 });
        let due = begun.at + due_after(self.rate, self.speed, begun.events, arrival.since(begun.arrival).0);
        begun.events += 1;
        // A shorter sleep than the system can keep would only cost time: let events bunch up to a millisecond.
        if due > now + Duration::from_millis(1) {
            let _ = shutdown.wait_timeout(due - now);
        }
    }
}

/// How long after the first event the one is due that follows `events` others and arrived `arrived_ms` after the first.
fn due_after(rate: Rate, speed: Option<Speed>, events: u64, arrived_ms: i64) -> Duration {
    /// Longer than anyone waits, and safe to add to any moment.
    const LONGEST_S: f64 = 1e9;
    let by_rate = match rate {
        Rate::Max => 0.0,
        Rate::PerSecond(n) => events as f64 / n,
    };
    let by_speed = speed.map_or(0.0, |Speed(x)| arrived_ms.max(0) as f64 / 1e3 / x);
    Duration::from_secs_f64(by_rate.max(by_speed).min(LONGEST_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_speeds_read_as_written() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("2.5".parse(), Ok(Rate::PerSecond(2.5)));
        assert_eq!("60x".parse(), Ok(Speed(60.0)));
        for text in ["", "0", "-1", "inf", "NaN", "fast"] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_slower_limit_holds() {
        let at = |rate, speed, events, ms| due_after(rate, speed, events, ms).as_millis();
        assert_eq!(at(Rate::PerSecond(100.0), None, 250, 0), 2_500);
        assert_eq!(at(Rate::Max, Some(Speed(60.0)), 250, 120_000), 2_000);
        assert_eq!(at(Rate::PerSecond(100.0), Some(Speed(60.0)), 250, 120_000), 2_500);
        assert_eq!(at(Rate::PerSecond(100.0), Some(Speed(60.0)), 150, 120_000), 2_000);
        assert_eq!(at(Rate::Max, Some(Speed(1.0)), 0, i64::MIN), 0);
    }

    #[test]
    fn a_raised_flag_ends_the_wait() {
        let shutdown = Shutdown::new();
        shutdown.request("test");
        let mut pacer = Pacer::new(Rate::PerSecond(0.001), None);
        let begun = Instant::now();
        for _ in 0..5 {
            pacer.wait(EventTime(0), &shutdown);
        }
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
