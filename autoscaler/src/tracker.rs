//! Observations from samples: lag, rates and status of each partition.

use std::collections::VecDeque;
use std::time::Duration;

use types::{Offset, PartitionId};

use crate::{Observation, PartitionObservation, PartitionStatus};

/// How many samples of a partition are kept and judged.
pub const WINDOW: usize = 10;

/// What was read of a partition at one moment; `None` is what could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// The offset after the log's last record.
    pub end: Option<Offset>,
    /// The next offset of the last commit.
    pub committed: Option<Offset>,
    /// Age in seconds of the oldest record that is not committed; 0 if there is none.
    pub lag_seconds: Option<f64>,
    /// How many commits there have been, whether the position moved or not; tells a stall from a stop.
    pub commits: Option<u64>,
    /// The next record that the partition's owner takes; behind `committed` while it rebuilds state. `None` where nobody says.
    pub position: Option<Offset>,
}

/// Keeps the last [`WINDOW`] samples of each partition and judges them, as Burrow does:
///
/// - *rewind*: the position went back within the window;
/// - *ok*: the lag was zero at some moment of the window, or it fell at some moment;
/// - *ok* as well: state is being rebuilt, that is, the position behind the commit moved within the window;
/// - *stop*: records wait, the position stays, and there was no commit, in all of the window;
/// - *stall*: the same, but there were commits (or they are not counted);
/// - *warn*: the position moves, but the lag never fell within the window;
/// - *unknown*: no sample, or the last one could not be read or is too old.
///
/// Before the window is full only *rewind*, *ok* and *unknown* are given.
#[derive(Debug, Clone)]
pub struct Tracker {
    windows: Vec<VecDeque<(Duration, Sample)>>,
    stale_after: Duration,
}

impl Tracker {
    /// Knows nothing yet. Samples older than `stale_after` count as not read; three times the sampling interval is a fair
    /// choice.
    #[must_use]
    pub fn new(partitions: u32, stale_after: Duration) -> Self {
        let windows = (0..partitions).map(|_| VecDeque::with_capacity(WINDOW)).collect();
        Self { windows, stale_after }
    }

    /// Adds what was read at `at`, which is later than the sample before; one that is not is passed over, as is one of a
    /// partition that there is not. O(1).
    pub fn sample(&mut self, partition: PartitionId, at: Duration, sample: Sample) {
        let Some(window) = self.windows.get_mut(partition.0 as usize) else { return };
        if window.back().is_some_and(|(last, _)| *last >= at) {
            return;
        }
        if window.len() == WINDOW {
            window.pop_front();
        }
        window.push_back((at, sample));
    }

    /// What is known at `at`. O(partitions).
    #[must_use]
    pub fn observe(&self, at: Duration, workers: u32) -> Observation {
        let partitions =
            (0_u32..).zip(&self.windows).map(|(n, window)| self.judge(PartitionId(n), window, at)).collect();
        Observation { at, workers, partitions }
    }

    fn judge(
        &self,
        partition: PartitionId,
        window: &VecDeque<(Duration, Sample)>,
        at: Duration,
    ) -> PartitionObservation {
        let unknown = PartitionObservation {
            partition,
            lag_events: None,
            lag_seconds: None,
            arrival_rate: None,
            service_rate: None,
            status: PartitionStatus::Unknown,
        };
        let Some((read_at, last)) = window.back() else { return unknown };
        if at.saturating_sub(*read_at) > self.stale_after {
            return unknown;
        }
        PartitionObservation {
            lag_events: lag(last),
            lag_seconds: last.lag_seconds.filter(|s| s.is_finite()).map(|s| s.max(0.0)),
            arrival_rate: rate(window, |s| s.end),
            service_rate: rate(window, |s| s.committed),
            status: status(window),
            ..unknown
        }
    }
}

fn lag(sample: &Sample) -> Option<u64> {
    Some(sample.end?.since(sample.committed?))
}

/// How fast an offset moved between the first and the last sample in which it was read; `None` with fewer than two.
fn rate(window: &VecDeque<(Duration, Sample)>, offset: impl Fn(&Sample) -> Option<Offset>) -> Option<f64> {
    let mut known = window.iter().filter_map(|(at, sample)| Some((*at, offset(sample)?)));
    let (first_at, first) = known.next()?;
    let (last_at, last) = known.next_back()?;
    let seconds = (last_at - first_at).as_secs_f64();
    // A position that went back is no rate; zero is the nearest that is true of it.
    Some(last.since(first) as f64 / seconds)
}

fn status(window: &VecDeque<(Duration, Sample)>) -> PartitionStatus {
    let known: Vec<_> = window.iter().filter_map(|(_, s)| Some((lag(s)?, s.committed?, s.commits))).collect();
    let last_is_known = window.back().is_some_and(|(_, s)| lag(s).is_some());
    let (true, Some(first), Some(last)) = (last_is_known, known.first(), known.last()) else {
        return PartitionStatus::Unknown;
    };
    let mut steps = known.iter().zip(known.iter().skip(1));
    if steps.clone().any(|(before, after)| after.1 < before.1) {
        return PartitionStatus::Rewind;
    }
    if known.len() < WINDOW || known.iter().any(|(lag, ..)| *lag == 0) {
        return PartitionStatus::Ok;
    }
    if first.1 == last.1 {
        if is_rebuilding(window) {
            return PartitionStatus::Ok;
        }
        let no_commits = matches!((first.2, last.2), (Some(then), Some(now)) if then == now);
        return if no_commits { PartitionStatus::Stop } else { PartitionStatus::Stall };
    }
    if steps.all(|(before, after)| after.0 >= before.0) { PartitionStatus::Warn } else { PartitionStatus::Ok }
}

/// Whether the partition's owner comes nearer to its own commit: there are no commits until it is there.
fn is_rebuilding(window: &VecDeque<(Duration, Sample)>) -> bool {
    let mut positions = window.iter().filter_map(|(_, s)| Some((s.position?, s.committed?)));
    let (Some((first, _)), Some((last, committed))) = (positions.next(), positions.next_back()) else {
        return false;
    };
    first < last && last < committed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One sample a second from (end, committed, commits).
    fn track(samples: &[(u64, u64, u64)]) -> PartitionObservation {
        let mut tracker = Tracker::new(1, Duration::from_secs(3));
        for (second, &(end, committed, commits)) in (1..).zip(samples) {
            let sample = Sample {
                end: Some(Offset(end)),
                committed: Some(Offset(committed)),
                lag_seconds: Some(0.5),
                commits: Some(commits),
                position: None,
            };
            tracker.sample(PartitionId(0), Duration::from_secs(second), sample);
        }
        tracker.observe(Duration::from_secs(samples.len() as u64), 1).partitions[0]
    }

    #[test]
    fn rates_and_lag_come_from_the_window() {
        // 15 samples, of which the last 10 count: the log grows by 100, the position by 80 a second.
        let seen = track(&(0..15).map(|i| (1000 + i * 100, 500 + i * 80, i)).collect::<Vec<_>>());
        assert_eq!(seen.lag_events, Some(2400 - 1620));
        assert_eq!((seen.arrival_rate, seen.service_rate), (Some(100.0), Some(80.0)));
        assert_eq!(seen.status, PartitionStatus::Warn);
        assert_eq!(track(&[(10, 20, 0)]).lag_events, Some(0), "a stale log end gives no negative lag");
        assert_eq!(track(&[(10, 0, 0)]).arrival_rate, None, "one sample is no rate");
    }

    #[test]
    fn status_follows_the_rules() {
        use PartitionStatus::*;
        let ten = |f: fn(u64) -> (u64, u64, u64)| track(&(0..10).map(f).collect::<Vec<_>>()).status;
        assert_eq!(ten(|i| (1000, 100 * i, i)), Ok, "catching up");
        assert_eq!(ten(|i| (1000 + 10 * i, 10 * i, i)), Warn, "never nearer");
        assert_eq!(ten(|i| (1000 + 10 * i, 500, i)), Stall, "commits without moving");
        assert_eq!(ten(|i| (1000 + 10 * i, 500, 3)), Stop, "no commits");
        assert_eq!(ten(|_| (500, 500, 3)), Ok, "nothing to do");
        assert_eq!(
            ten(|i| (if i == 4 { 500 } else { 600 + i }, 500, 3)),
            Ok,
            "there was a moment without lag"
        );
        assert_eq!(ten(|i| (1000, if i < 7 { 900 } else { 800 }, i)), Rewind);
        assert_eq!(track(&[(5, 1, 0), (9, 1, 0)]).status, Ok, "too early to complain");
    }

    #[test]
    fn rebuilding_state_is_no_stop() {
        let status = |position: fn(u64) -> u64| {
            let mut tracker = Tracker::new(1, Duration::from_secs(3));
            for second in 1..=10 {
                let sample = Sample {
                    end: Some(Offset(900)),
                    committed: Some(Offset(800)),
                    lag_seconds: None,
                    commits: Some(0),
                    position: Some(Offset(position(second))),
                };
                tracker.sample(PartitionId(0), Duration::from_secs(second), sample);
            }
            tracker.observe(Duration::from_secs(10), 1).partitions[0].status
        };
        assert_eq!(status(|second| 10 * second), PartitionStatus::Ok, "on its way to the commit");
        assert_eq!(status(|_| 50), PartitionStatus::Stop, "stuck on its way");
        assert_eq!(status(|second| 790 + second), PartitionStatus::Stop, "there, and no commits since");
    }

    #[test]
    fn what_was_not_read_is_unknown() {
        let at = Duration::from_secs;
        let mut tracker = Tracker::new(2, at(3));
        let known = Sample { end: Some(Offset(9)), committed: Some(Offset(2)), ..Sample::default() };
        tracker.sample(PartitionId(0), at(1), known);
        let seen = tracker.observe(at(4), 2);
        assert_eq!(
            (seen.partitions[0].lag_events, seen.partitions[0].status),
            (Some(7), PartitionStatus::Ok)
        );
        assert_eq!(
            (seen.partitions[1].lag_events, seen.partitions[1].status),
            (None, PartitionStatus::Unknown)
        );
        assert_eq!(tracker.observe(at(5), 2).partitions[0].lag_events, None, "too old");
        tracker.sample(PartitionId(0), at(5), Sample { committed: None, ..known });
        let seen = tracker.observe(at(5), 2).partitions[0];
        assert_eq!((seen.lag_events, seen.lag_seconds, seen.status), (None, None, PartitionStatus::Unknown));
        tracker.sample(PartitionId(9), at(6), known); // no such partition: nothing happens
    }
}
