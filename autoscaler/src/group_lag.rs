//! What the brokers say of a group: how far it is, and where the log ends.
//!
//! Brokers may take long to answer, or not answer at all, and who asks looks after processes too: so they are asked on a thread of their
//! own.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use partition_log::LogError;
use partition_log::backends::kafka::{GroupLag, GroupView};
use types::PartitionId;

use crate::{LagAge, Observation, Sample, Tracker};

/// How long one look may take.
const WITHIN: Duration = Duration::from_secs(5);
/// What was seen is good for so long at least.
const LASTS: Duration = Duration::from_secs(3);

/// What was seen at a moment; an error, in words, where nothing was.
struct Look {
    asked: Instant,
    found: Result<Vec<GroupLag>, String>,
    /// How many members the group has, if that was asked and answered.
    members: Option<u32>,
}

/// Follows a group.
pub(crate) struct Follower {
    seen: Seen,
    looks: Receiver<Look>,
    /// Dropped, it ends the thread, when that has its answer; nobody waits for it.
    _stop: Sender<()>,
}

impl Follower {
    /// Asks from now on, so often; with `members` also how many members the group has.
    pub(crate) fn start(view: GroupView, every: Duration, members: bool) -> std::io::Result<Self> {
        let (tell, looks) = channel();
        let (stop, stopped) = channel::<()>();
        std::thread::Builder::new().name("group-lag".to_owned()).spawn(move || {
            loop {
                let asked = Instant::now();
                let found = view.look(WITHIN).map_err(|error: LogError| error.to_string());
                let members = if members && found.is_ok() { view.members(WITHIN).ok() } else { None };
                let look = Look { asked, found, members };
                let left = every.saturating_sub(asked.elapsed());
                if tell.send(look).is_err() || stopped.recv_timeout(left) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Self { seen: Seen::new(Instant::now(), every), looks, _stop: stop })
    }

    /// What is known now, where there are so many workers.
    pub(crate) fn observe(&mut self, workers: u32) -> Observation {
        self.looks.try_iter().for_each(|look| self.seen.take(look));
        self.seen.tracker.observe(self.seen.begun.elapsed(), workers)
    }

    /// How many members the group had at the last look, if that is known.
    pub(crate) fn members(&self) -> Option<u32> {
        self.seen.members
    }

    /// Why nothing is known, if so.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.seen.trouble(self.seen.begun.elapsed())
    }
}

struct Seen {
    begun: Instant,
    lasts: Duration,
    tracker: Tracker,
    /// One a partition; empty until it is known how many there are.
    ages: Vec<LagAge>,
    /// Why the last look saw nothing, if so.
    trouble: Option<String>,
    members: Option<u32>,
    /// When the last look was taken in.
    heard: Duration,
}

impl Seen {
    fn new(begun: Instant, every: Duration) -> Self {
        let lasts = LASTS.max(every * 3);
        // Of one partition, whose lag is unknown: of none at all everything would be known.
        let tracker = Tracker::new(1, lasts);
        Self { begun, lasts, tracker, ages: Vec::new(), trouble: None, members: None, heard: Duration::ZERO }
    }

    fn trouble(&self, now: Duration) -> Option<&str> {
        if self.ages.is_empty() && self.trouble.is_none() {
            return Some("nobody has answered yet");
        }
        let silent = now.saturating_sub(self.heard) > self.lasts + WITHIN;
        self.trouble.as_deref().or(silent.then_some("the brokers have stopped answering"))
    }

    fn take(&mut self, look: Look) {
        let at = look.asked.saturating_duration_since(self.begun);
        (self.heard, self.members) = (at, look.members);
        match look.found {
            Ok(found) => {
                if self.trouble.take().is_some() || self.ages.is_empty() {
                    tracing::info!(partitions = found.len(), "the lag of the group is known");
                }
                if found.len() != self.ages.len() {
                    self.tracker = Tracker::new(u32::try_from(found.len()).unwrap_or(u32::MAX), self.lasts);
                    self.ages = vec![LagAge::default(); found.len()];
                }
                for (lag, age) in found.iter().zip(&mut self.ages) {
                    self.tracker.sample(lag.partition, at, sample(lag, age, at));
                }
            }
            Err(words) => {
                if self.trouble.is_none() {
                    tracing::warn!(
                        why = words,
                        "the lag of the group is unknown: as many processes as there are stay"
                    );
                }
                self.trouble = Some(words);
                for (partition, _) in (0..).map(PartitionId).zip(&self.ages) {
                    self.tracker.sample(partition, at, Sample::default());
                }
            }
        }
    }
}

/// Where nothing was committed, the group is at the start; and what was removed since it committed cannot wait.
fn sample(lag: &GroupLag, age: &mut LagAge, at: Duration) -> Sample {
    let committed = lag.committed.map_or(lag.bounds.start, |committed| committed.max(lag.bounds.start));
    Sample {
        end: Some(lag.bounds.end),
        committed: Some(committed),
        lag_seconds: age.seconds(at, (lag.bounds.end, Duration::ZERO), committed),
        // Brokers count no commits, and do not say what is being rebuilt.
        commits: None,
        position: None,
    }
}

#[cfg(test)]
mod tests {
    use partition_log::Bounds;
    use types::Offset;

    use super::*;
    use crate::PartitionStatus;

    fn lag(partition: u32, start: u64, committed: Option<u64>, end: u64) -> GroupLag {
        let bounds = Bounds { start: Offset(start), end: Offset(end) };
        GroupLag { partition: PartitionId(partition), bounds, committed: committed.map(Offset) }
    }

    fn see(looks: Vec<(u64, Result<Vec<GroupLag>, String>)>, at: u64) -> Observation {
        let begun = Instant::now();
        let second = Duration::from_secs;
        let mut seen = Seen::new(begun, second(1));
        for (at, found) in looks {
            seen.take(Look { asked: begun + second(at), found, members: None });
        }
        seen.tracker.observe(second(at), 2)
    }

    #[test]
    fn lag_is_counted_from_the_commit_or_the_start() {
        let seen = see(
            vec![(1, Ok(vec![lag(0, 0, Some(40), 100), lag(1, 30, None, 50), lag(2, 30, Some(10), 35)]))],
            2,
        );
        let lags: Vec<_> = seen.partitions.iter().map(|p| p.lag_events).collect();
        assert_eq!(lags, [Some(60), Some(20), Some(5)]);
        assert_eq!((seen.workers, seen.lag_events()), (2, Some(85)));
        assert_eq!(seen.lag_seconds(), None, "nobody saw them come");
        let caught_up = |at| (at, Ok(vec![lag(0, 0, Some(100), 100)]));
        let seen = see(
            vec![
                caught_up(1),
                caught_up(2),
                (3, Ok(vec![lag(0, 0, Some(100), 130)])),
                (6, Ok(vec![lag(0, 0, Some(100), 190)])),
            ],
            6,
        );
        assert_eq!((seen.lag_events(), seen.lag_seconds()), (Some(90), Some(3.0)));
        assert_eq!(seen.arrival_rate(), Some(18.0));
    }

    #[test]
    fn silence_is_trouble_too() {
        let begun = Instant::now();
        let second = Duration::from_secs;
        let mut seen = Seen::new(begun, second(1));
        assert_eq!(seen.trouble(second(1)), Some("nobody has answered yet"));
        let found = Ok(vec![lag(0, 0, Some(9), 10)]);
        seen.take(Look { asked: begun + second(2), found, members: Some(3) });
        assert_eq!((seen.trouble(second(3)), seen.members), (None, Some(3)));
        assert_eq!(seen.trouble(second(30)), Some("the brokers have stopped answering"));
        seen.take(Look { asked: begun + second(31), found: Err("away".to_owned()), members: None });
        assert_eq!((seen.trouble(second(32)), seen.members), (Some("away"), None));
    }

    #[test]
    fn what_brokers_do_not_say_is_unknown() {
        let unknown = |seen: &Observation| {
            assert_eq!(seen.lag_events(), None);
            assert!(!seen.partitions.is_empty());
            assert!(seen.partitions.iter().all(|p| p.status == PartitionStatus::Unknown), "{seen:?}");
        };
        unknown(&see(vec![], 0));
        unknown(&see(vec![(1, Err("away".to_owned()))], 1));
        let known = || Ok(vec![lag(0, 0, Some(9), 10), lag(1, 0, Some(9), 10)]);
        unknown(&see(vec![(1, known()), (2, Err("away".to_owned()))], 2));
        unknown(&see(vec![(1, known())], 12));
        assert_eq!(
            see(vec![(1, known()), (2, Err("away".to_owned())), (3, known())], 4).lag_events(),
            Some(2)
        );
    }
}
