//! What a partition's worker counts, read by everyone else without stopping it.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use types::{Band, Offset, RejectReason, Trigger};

use crate::output::Emitted;
use crate::pipeline::ScoreRecord;
use crate::watch::SweepSeen;

/// Counters of one partition since the process began. Written by one worker at a time, once a batch or more rarely
/// wherever that is enough.
#[derive(Debug)]
pub struct PartitionStats {
    /// Whether this process has the partition.
    owned: AtomicBool,
    position: AtomicU64,
    committed: AtomicU64,
    processed: AtomicU64,
    busy_nanos: AtomicU64,
    commits: AtomicU64,
    /// When the last commit was made, in nanoseconds since `begun`; 0 before the first.
    committed_at: AtomicU64,
    snapshot_age: AtomicU64,
    begun: Instant,
    swept: AtomicU64,
    newest_as_of: AtomicI64,
    scores: [AtomicU64; Band::ALL.len()],
    rejects: [AtomicU64; RejectReason::ALL.len()],
    /// Scores of the sweep that is under way, by band; becomes `customers` when it ends.
    sweeping: [AtomicU64; Band::ALL.len()],
    customers: [AtomicU64; Band::ALL.len()],
    sweeps: AtomicU64,
    /// The sweep under way was begun by an earlier process, which counted its first users.
    resumed: AtomicBool,
    /// What the last complete sweep saw; locked once a sweep.
    seen: Mutex<Option<Option<Arc<SweepSeen>>>>,
}

impl Default for PartitionStats {
    fn default() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            owned: AtomicBool::new(false),
            position: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            processed: AtomicU64::new(0),
            busy_nanos: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            committed_at: AtomicU64::new(0),
            snapshot_age: AtomicU64::new(0),
            begun: Instant::now(),
            swept: AtomicU64::new(0),
            newest_as_of: AtomicI64::new(i64::MIN),
            scores: zeros(),
            rejects: std::array::from_fn(|_| AtomicU64::new(0)),
            sweeping: zeros(),
            customers: zeros(),
            sweeps: AtomicU64::new(0),
            resumed: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }
}

impl PartitionStats {
    /// This process has the partition from now on, and goes on at these places.
    pub(crate) fn begin(&self, position: Offset, committed: Offset) {
        self.position.store(position.0, Relaxed);
        self.committed.store(committed.0, Relaxed);
        self.owned.store(true, Relaxed);
    }

    /// Another process has the partition from now on.
    pub(crate) fn end(&self) {
        self.owned.store(false, Relaxed);
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether this process has the partition.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.owned.load(Relaxed)
    }

    pub(crate) fn batch(&self, position: Offset, records: u64, busy: Duration) {
        self.position.store(position.0, Relaxed);
        self.processed.fetch_add(records, Relaxed);
        self.busy_nanos.fetch_add(nanos(busy), Relaxed);
    }

    pub(crate) fn committed(&self, position: Offset) {
        self.committed.store(position.0, Relaxed);
        add_one(&self.commits);
        self.committed_at.store(nanos(self.begun.elapsed()).max(1), Relaxed);
    }

    /// The next record to process.
    #[must_use]
    pub fn position(&self) -> Offset {
        Offset(self.position.load(Relaxed))
    }

    /// How long ago the last commit was made; `None` before the first.
    #[must_use]
    pub fn commit_age(&self) -> Option<Duration> {
        let at = Some(self.committed_at.load(Relaxed)).filter(|at| *at > 0)?;
        Some(self.begun.elapsed().saturating_sub(Duration::from_nanos(at)))
    }

    pub(crate) fn score(&self, score: &ScoreRecord<'_>, emitted: Emitted) {
        if emitted == Emitted::Written {
            add_one(&self.scores[score.band as usize]);
        }
        if score.trigger == Trigger::Sweep {
            add_one(&self.swept);
            add_one(&self.sweeping[score.band as usize]);
        }
        if score.as_of.0 > self.newest_as_of.load(Relaxed) {
            self.newest_as_of.store(score.as_of.0, Relaxed);
        }
    }

    pub(crate) fn reject(&self, reason: RejectReason) {
        add_one(&self.rejects[reason as usize]);
    }

    pub(crate) fn snapshot_age(&self, age: Duration) {
        self.snapshot_age.store(nanos(age), Relaxed);
    }

    /// The sweep under way goes on where an earlier process stopped: it will not have counted everybody.
    pub(crate) fn resume_sweep(&self) {
        self.resumed.store(true, Relaxed);
    }

    /// A sweep is complete: what it counted are the customers now, if it counted them all.
    pub(crate) fn end_sweep(&self) {
        if self.resumed.swap(false, Relaxed) {
            self.sweeping.iter().for_each(|counted| counted.store(0, Relaxed));
            return;
        }
        for (customers, counted) in self.customers.iter().zip(&self.sweeping) {
            customers.store(counted.swap(0, Relaxed), Relaxed);
        }
        add_one(&self.sweeps);
    }

    /// What the sweep that was just completed saw; nothing if there was nobody.
    pub(crate) fn see(&self, seen: Option<Arc<SweepSeen>>) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(seen);
    }

    /// What the last complete sweep saw; `None` before the first.
    pub(crate) fn swept_seen(&self) -> Option<Option<Arc<SweepSeen>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers as they are now; each is right, though not all of the same instant.
    #[must_use]
    pub fn snapshot(&self) -> StatsSnapshot {
        StatsSnapshot {
            position: Offset(self.position.load(Relaxed)),
            committed: Offset(self.committed.load(Relaxed)),
            processed: self.processed.load(Relaxed),
            busy: Duration::from_nanos(self.busy_nanos.load(Relaxed)),
            commits: self.commits.load(Relaxed),
            snapshot_age: Duration::from_nanos(self.snapshot_age.load(Relaxed)),
            swept: self.swept.load(Relaxed),
            newest_as_of: self.newest_as_of.load(Relaxed),
            sweeps: self.sweeps.load(Relaxed),
            customers: std::array::from_fn(|i| self.customers[i].load(Relaxed)),
            scores: std::array::from_fn(|i| self.scores[i].load(Relaxed)),
            rejects: std::array::from_fn(|i| self.rejects[i].load(Relaxed)),
        }
    }
}

/// [`PartitionStats`] at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct StatsSnapshot {
    /// The next record to process.
    pub position: Offset,
    /// The next record of the last commit.
    pub committed: Offset,
    /// Records processed, those replayed to rebuild state included.
    pub processed: u64,
    /// Time spent processing.
    pub busy: Duration,
    /// Commits made, those at which nothing had moved included.
    pub commits: u64,
    /// How old the oldest change is that is not in the store's blocks.
    pub snapshot_age: Duration,
    /// Scores made by sweeps, those that an earlier process had written already included.
    pub swept: u64,
    /// The newest moment for which a user was scored, ms; `i64::MIN` before the first.
    pub newest_as_of: i64,
    /// Sweeps completed that counted everybody.
    pub sweeps: u64,
    /// Living users by band at the last of these sweeps; zeros before the first.
    pub customers: [u64; Band::ALL.len()],
    /// Scores written by band, lowest first.
    pub scores: [u64; Band::ALL.len()],
    /// Dead letters written by reason, in the order of [`RejectReason::ALL`].
    pub rejects: [u64; RejectReason::ALL.len()],
}

/// One writer at a time, so a plain load and store will do, and costs no locked instruction.
fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use types::EventTime;

    use super::*;
    use crate::pipeline::Shadow;

    fn swept(stats: &PartitionStats, band: Band, emitted: Emitted) {
        let score = ScoreRecord {
            shadow: Shadow::No,
            offset: Offset(1),
            as_of: EventTime(5),
            entity: "u",
            band,
            probability: 0.5,
            trigger: Trigger::Sweep,
            json: b"",
        };
        stats.score(&score, emitted);
    }

    #[test]
    fn half_a_sweep_says_nothing_of_how_many_customers_there_are() {
        let stats = PartitionStats::default();
        stats.resume_sweep();
        swept(&stats, Band::High, Emitted::Written);
        stats.end_sweep();
        let seen = stats.snapshot();
        assert_eq!((seen.sweeps, seen.customers), (0, [0; 3]), "its first half was counted elsewhere");
        for band in [Band::Low, Band::Low, Band::High] {
            swept(&stats, band, Emitted::Written);
        }
        stats.end_sweep();
        let seen = stats.snapshot();
        assert_eq!((seen.sweeps, seen.customers), (1, [2, 0, 1]));
    }

    #[test]
    fn what_stood_there_already_is_not_counted_as_written() {
        let stats = PartitionStats::default();
        swept(&stats, Band::Low, Emitted::Found);
        swept(&stats, Band::Low, Emitted::Written);
        stats.end_sweep();
        let seen = stats.snapshot();
        assert_eq!((seen.scores, seen.customers), ([1, 0, 0], [2, 0, 0]));
        assert_eq!(seen.newest_as_of, 5);
    }
}
