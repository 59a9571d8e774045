//! What a session commits, and what it gives back.

use std::time::{Duration, Instant};

use partition_log::backends::kafka::{GroupOffset, NotCommitted};
use types::PartitionId;

use crate::member::{Progress, offset};

use super::take::listed;
use super::{Group, LAST_COMMIT, Session, Trouble};

/// A commit that takes longer is told of.
const SLOW: Duration = Duration::from_secs(10);

impl Group<'_> {
    /// Gives partitions back: what was done with them is committed before anybody else may have them.
    pub(super) fn release(&self, session: &mut Session, partitions: &[PartitionId]) -> Result<(), Trouble> {
        let begun = Instant::now();
        // What was not taken yet has nothing to commit.
        session.coming.iter_mut().for_each(|coming| coming.without(partitions));
        self.commit_and(session, None, partitions)?;
        if !partitions.is_empty() {
            session.pool.discard(partitions)?;
        }
        session.group.release(partitions)?;
        let (went, stay): (Vec<_>, Vec<_>) =
            session.owned.iter().partition(|owned| partitions.contains(owned));
        session.owned = stay;
        session.restoring.retain(|restoring| !partitions.contains(&restoring.partition()));
        for partition in went {
            self.base.stats[partition.0 as usize].end();
            self.paused(begun);
        }
        tracing::info!(partitions = %listed(partitions), took = ?begun.elapsed(), "partitions went");
        Ok(())
    }

    fn offset(&self, partition: PartitionId, progress: &Progress) -> GroupOffset {
        offset(partition, progress, self.base.spec.hash().as_str(), &self.joining.member)
    }

    /// A partition stood still, for going or coming.
    pub(super) fn paused(&self, since: Instant) {
        let pause = self.around.metrics.histogram(telemetry::catalogue::REBALANCE_PAUSE, []);
        pause.observe_duration(since.elapsed());
    }

    pub(super) fn commit(&self, session: &mut Session) -> Result<(), Trouble> {
        self.commit_and(session, None, &[])
    }

    /// Commits what all partitions have done, in one transaction; after it `stop` ends the workers, and those to `drop` are not worked on.
    pub(super) fn commit_and(
        &self,
        session: &mut Session,
        stop: Option<bool>,
        drop: &[PartitionId],
    ) -> Result<(), Trouble> {
        let begun = Instant::now();
        let moved = session.pool.prepare()?;
        if !moved.is_empty() {
            let places: Vec<_> =
                moved.iter().map(|(partition, progress)| self.offset(*partition, progress)).collect();
            let stopping = std::cell::Cell::new(None);
            let give_up = || {
                // While brokers are away a commit takes as long as they do.
                if begun.elapsed() > SLOW {
                    self.ready.not_ready("the brokers have not confirmed a commit yet");
                } else {
                    self.ready.beat();
                }
                if self.around.shutdown.is_requested() && stopping.get().is_none() {
                    stopping.set(Some(Instant::now()));
                }
                stopping.get().is_some_and(|since: Instant| since.elapsed() > LAST_COMMIT)
            };
            session
                .group
                .commit(&places, &give_up)
                .map_err(|error: NotCommitted| Trouble::Session(error.to_string()))?;
            session.commits += 1;
        }
        session.pool.committed(stop, drop);
        // After a slow commit there is time to work before the next: an empty one would cost another interval.
        let interval = self.options.commit_interval;
        session.due = (begun + interval).max(Instant::now() + interval / 2);
        Ok(())
    }

    /// The last commit, and with `snapshot` all state to the store.
    pub(super) fn finish(&self, session: &mut Session, snapshot: bool) -> Result<(), Trouble> {
        match self.commit_and(session, Some(snapshot), &[]) {
            Ok(()) => {
                self.around.last_commit.done();
                // Others need not wait until all state is written here.
                session.group.leave();
                Ok(session.pool.wait()?)
            }
            // What is asked for is not done before it is committed.
            Err(Trouble::Session(why)) if !snapshot => {
                tracing::warn!(
                    why,
                    "the last commit is not confirmed; the next start goes on from what the group knows then"
                );
                Ok(())
            }
            Err(other) => Err(other),
        }
    }
}
