//! What a partition's worker counts, read by everyone else without stopping it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use types::{Band, Offset, RejectReason, Trigger};

use crate::output::Emitted;
use crate::pipeline::ScoreRecord;
use crate::status::{LastNeeded, Needed};
use crate::watch::{LastSweep, SweepSeen};

/// Counters of one partition since the process began. Written by one worker at a time, once a batch or more rarely
/// wherever that is enough.
#[derive(Debug)]
pub struct PartitionStats {
    /// Whether this process has the partition.
    owned: AtomicBool,
    position: AtomicU64,
    committed: AtomicU64,
    /// Where rebuilding its state began, and when, in nanoseconds since `begun`.
    rebuilt_from: AtomicU64,
    rebuilt_since: AtomicU64,
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
    seen: LastSweep,
    needed: LastNeeded,
}

impl Default for PartitionStats {
    fn default() -> Self {
        let zeros = || std::array::from_fn(|_| AtomicU64::new(0));
        Self {
            owned: AtomicBool::new(false),
            position: AtomicU64::new(0),
            committed: AtomicU64::new(0),
            rebuilt_from: AtomicU64::new(0),
            rebuilt_since: AtomicU64::new(0),
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
            seen: LastSweep::default(),
            needed: LastNeeded::default(),
        }
    }
}

impl PartitionStats {
    /// This process has the partition from now on, and goes on at these places.
    pub(crate) fn begin(&self, position: Offset, committed: Offset) {
        self.position.store(position.0, Relaxed);
        self.committed.store(committed.0, Relaxed);
        self.rebuilt_from.store(position.0, Relaxed);
        self.rebuilt_since.store(nanos(self.begun.elapsed()), Relaxed);
        self.owned.store(true, Relaxed);
    }

    /// While its state is not yet what was committed: how many thousandths are done, and since when.
    pub(crate) fn rebuilding(&self) -> Option<(u64, Duration)> {
        let [position, to, from] =
            [&self.position, &self.committed, &self.rebuilt_from].map(|offset| offset.load(Relaxed));
        if position >= to || !self.is_owned() {
            return None;
        }
        let since = Duration::from_nanos(self.rebuilt_since.load(Relaxed));
        let done = position.saturating_sub(from) * 1000 / to.saturating_sub(from).max(1);
        Some((done, self.begun.elapsed().saturating_sub(since)))
    }

    /// Another process has the partition from now on: it says how many customers there are, and how old its commit is. What was counted
    /// since this process began stays.
    pub(crate) fn end(&self) {
        self.owned.store(false, Relaxed);
        let of_owner = [&self.sweeps, &self.committed_at, &self.snapshot_age];
        for number in of_owner.into_iter().chain(&self.sweeping).chain(&self.customers) {
            number.store(0, Relaxed);
        }
        self.resumed.store(false, Relaxed);
        self.seen.set(None);
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

    /// What of the log is needed after a crash, by what is committed on the disk.
    pub(crate) fn need(&self, needed: Needed) {
        self.needed.set(needed);
    }

    /// What of the log is needed after a crash.
    pub(crate) fn needed(&self) -> Needed {
        self.needed.get()
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

    pub(crate) fn score(&self, score: &ScoreRecord<'_>) {
        if score.trigger == Trigger::Sweep {
            add_one(&self.swept);
            add_one(&self.sweeping[score.band as usize]);
        }
        if score.as_of.0 > self.newest_as_of.load(Relaxed) {
            self.newest_as_of.store(score.as_of.0, Relaxed);
        }
    }

    /// What was written since the last commit is committed: it counts.
    pub(crate) fn wrote(&self, written: &Written) {
        for (all, new) in
            self.scores.iter().zip(written.scores).chain(self.rejects.iter().zip(written.rejects))
        {
            add(all, new);
        }
    }

    pub(crate) fn snapshot_age(&self, age: Duration) {
        self.snapshot_age.store(nanos(age), Relaxed);
    }

    /// The sweep under way goes on where an earlier process stopped: it will not have counted everybody.
    pub(crate) fn resume_sweep(&self) {
        self.resumed.store(true, Relaxed);
    }

    /// A sweep is complete: what it counted are the customers now, and what else it `seen` (nothing if there was nobody), if it saw them all.
    /// Otherwise nobody knows until the next: what was known is of an earlier one.
    pub(crate) fn end_sweep(&self, seen: Option<Option<Arc<SweepSeen>>>) {
        let is_half = self.resumed.swap(false, Relaxed) || seen.is_none();
        for (customers, counted) in self.customers.iter().zip(&self.sweeping) {
            let counted = counted.swap(0, Relaxed);
            customers.store(if is_half { 0 } else { counted }, Relaxed);
        }
        self.seen.set(seen.filter(|_| !is_half));
        if is_half { self.sweeps.store(0, Relaxed) } else { add_one(&self.sweeps) }
    }

    /// What the newest sweep before the commit counted and saw, as an earlier process kept it.
    pub(crate) fn restore_sweep(
        &self,
        customers: [u64; Band::ALL.len()],
        seen: Option<Option<Arc<SweepSeen>>>,
    ) {
        self.customers.iter().zip(customers).for_each(|(known, count)| known.store(count, Relaxed));
        self.seen.set(seen);
        self.sweeps.store(1, Relaxed);
    }

    /// What the last complete sweep saw; `None` before the first.
    pub(crate) fn swept_seen(&self) -> Option<Option<Arc<SweepSeen>>> {
        self.seen.get()
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

/// What was written and is not committed. A transaction that is aborted takes it along: what is written again is counted once.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    scores: [u64; Band::ALL.len()],
    rejects: [u64; RejectReason::ALL.len()],
}

impl Default for Written {
    fn default() -> Self {
        Self { scores: [0; Band::ALL.len()], rejects: [0; RejectReason::ALL.len()] }
    }
}

impl Written {
    pub(crate) fn score(&mut self, band: Band, emitted: Emitted) {
        self.scores[band as usize] += u64::from(emitted == Emitted::Written);
    }

    pub(crate) fn reject(&mut self, reason: RejectReason, emitted: Emitted) {
        self.rejects[reason as usize] += u64::from(emitted == Emitted::Written);
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
    /// Sweeps completed that counted everybody, since this process has the partition; one if an earlier process kept what it counted. Zero
    /// again after one of which this process saw a part.
    pub sweeps: u64,
    /// Living users by band at the last of these sweeps; zeros before the first.
    pub customers: [u64; Band::ALL.len()],
    /// Scores written and committed by band, lowest first.
    pub scores: [u64; Band::ALL.len()],
    /// Dead letters written and committed by reason, in the order of [`RejectReason::ALL`].
    pub rejects: [u64; RejectReason::ALL.len()],
}

/// One writer at a time, so a plain load and store will do, and costs no locked instruction.
fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Relaxed) + n, Relaxed);
}

fn add_one(counter: &AtomicU64) {
    add(counter, 1);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use types::EventTime;

    use super::*;
    use crate::pipeline::Shadow;

    fn swept(stats: &PartitionStats, band: Band) {
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
        stats.score(&score);
    }

    #[test]
    fn half_a_sweep_says_nothing_of_how_many_customers_there_are() {
        let stats = PartitionStats::default();
        stats.resume_sweep();
        swept(&stats, Band::High);
        stats.end_sweep(Some(None));
        let seen = stats.snapshot();
        assert_eq!((seen.sweeps, seen.customers), (0, [0; 3]), "its first half was counted elsewhere");
        for band in [Band::Low, Band::Low, Band::High] {
            swept(&stats, band);
        }
        stats.end_sweep(Some(None));
        let seen = stats.snapshot();
        assert_eq!((seen.sweeps, seen.customers), (1, [2, 0, 1]));
    }

    #[test]
    fn state_is_rebuilt_from_where_it_began_to_what_was_committed() {
        let stats = PartitionStats::default();
        let done = || stats.rebuilding().map(|(done, _)| done);
        assert_eq!(done(), None);
        stats.begin(Offset(100), Offset(300));
        assert_eq!(done(), Some(0));
        stats.batch(Offset(150), 50, Duration::ZERO);
        assert_eq!(done(), Some(250));
        stats.batch(Offset(300), 150, Duration::ZERO);
        assert_eq!(done(), None);
        stats.begin(Offset(100), Offset(300));
        stats.end();
        assert_eq!(done(), None, "it is another's");
    }

    #[test]
    fn a_partition_that_left_has_no_customers_here_and_what_was_counted_stays() {
        let stats = PartitionStats::default();
        stats.begin(Offset(1), Offset(1));
        swept(&stats, Band::High);
        stats.end_sweep(Some(None));
        swept(&stats, Band::Low);
        stats.committed(Offset(2));
        stats.snapshot_age(Duration::from_secs(9));
        stats.resume_sweep();
        stats.end();
        let seen = stats.snapshot();
        assert_eq!((seen.sweeps, seen.customers, stats.commit_age()), (0, [0; 3], None));
        assert_eq!((seen.snapshot_age, seen.swept), (Duration::ZERO, 2));
        stats.begin(Offset(9), Offset(9));
        swept(&stats, Band::High);
        stats.end_sweep(Some(None));
        assert_eq!(stats.snapshot().customers, [0, 0, 1], "half a sweep of its first time is not in it");
    }

    #[test]
    fn what_is_written_counts_when_it_is_committed_and_what_stood_there_already_never() {
        let (stats, mut written) = (PartitionStats::default(), Written::default());
        written.score(Band::Low, Emitted::Found);
        written.score(Band::Low, Emitted::Written);
        written.reject(RejectReason::ALL[1], Emitted::Written);
        let seen = stats.snapshot();
        assert_eq!((seen.scores, seen.rejects[1]), ([0; 3], 0));
        stats.wrote(&written);
        stats.wrote(&Written::default());
        let seen = stats.snapshot();
        assert_eq!((seen.scores, seen.rejects[1], seen.rejects.iter().sum::<u64>()), ([1, 0, 0], 1, 1));
    }

    #[test]
    fn a_sweep_counts_everybody_whoever_wrote_it() {
        let stats = PartitionStats::default();
        swept(&stats, Band::Low);
        swept(&stats, Band::Low);
        stats.end_sweep(Some(None));
        let seen = stats.snapshot();
        assert_eq!((seen.swept, seen.customers, seen.newest_as_of), (2, [2, 0, 0], 5));
    }
}
