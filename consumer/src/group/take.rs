//! Taking partitions: from the store where it reaches far enough, from the snapshot topic where another process had the partition since, and
//! from the events themselves where neither helps.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use feature_store::{Published, UserState};
use partition_log::backends::kafka::GroupOffset;
use partition_log::{Bounds, PartitionReader, RecordBuf};
use telemetry::Check;
use types::{Offset, PartitionId};

use super::{Group, Session, Trouble, listed};
use crate::ConsumerError;
use crate::member::{Snapshot, place};
use crate::open::{build, check_end, check_start};
use crate::output::{CONTROL, DEAD_LETTERS, Output, SCORES, SHADOW_SCORES, SNAPSHOTS};
use crate::pipeline::{Place, UserStore};
use crate::snapshot::{End, Restore, Wanted};
use crate::task::{Commits, Outputs, PartitionTask};

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// A partition that was taken, as it is before its worker has it.
struct Taken {
    partition: PartitionId,
    reader: Box<dyn PartitionReader>,
    from: Offset,
    /// How far the group is; none if the partition was never read.
    last: Option<Place>,
    published: Published,
    /// Whether what was published is what this store holds of it.
    known: bool,
}

/// A partition whose state is being restored.
pub(super) struct Restoring {
    restore: Restore,
    taken: Taken,
    told: Instant,
}

impl Restoring {
    pub(super) fn partition(&self) -> PartitionId {
        self.taken.partition
    }
}

impl Group<'_> {
    /// Takes partitions: each goes on from what the group knows.
    pub(super) fn take(&self, session: &mut Session, partitions: &[PartitionId]) -> Result<(), Trouble> {
        let begun = Instant::now();
        let committed =
            if partitions.is_empty() { Vec::new() } else { session.group.committed(partitions)? };
        let (mut starts, mut tasks) = (Vec::new(), Vec::new());
        for partition in partitions {
            let known = committed.iter().find(|known| known.partition == *partition);
            let (taken, users) = self.begin(session, *partition, known)?;
            starts.push((*partition, taken.from));
            match users {
                Some(users) => tasks.push(self.task(session, taken, users)?),
                None => session.restoring.push(self.restore(taken, known)?),
            }
        }
        session.group.take(&starts)?;
        tasks.into_iter().for_each(|task| session.pool.own(task));
        session.owned.extend(partitions);
        session.assigned = true;
        self.paused(begun);
        tracing::info!(partitions = %listed(partitions), took = ?begun.elapsed(), "partitions came");
        Ok(())
    }

    /// Gives partitions that are restored to the workers. Others are worked on meanwhile.
    pub(super) fn restored(&self, session: &mut Session, ready: &Check) -> Result<(), Trouble> {
        let mut at = 0;
        let waited = !session.restoring.is_empty();
        while let Some(Restoring { restore, taken, told }) = session.restoring.get_mut(at) {
            let partition = taken.partition;
            match restore.ended() {
                None => {
                    if told.elapsed() >= TELL {
                        *told = Instant::now();
                        let (percent, left) = restore.progress();
                        let left =
                            left.map_or(String::new(), |left| format!(", about {} s left", left.as_secs()));
                        ready.not_ready(&format!("restoring partition {partition}: {percent} %{left}"));
                    }
                    at += 1;
                }
                Some(Ok(End::Done)) => {
                    let Restoring { taken, .. } = session.restoring.swap_remove(at);
                    let users = self.base.store.partition(partition).map_err(ConsumerError::from)?;
                    let task = self.task(session, taken, users)?;
                    session.pool.own(task);
                }
                Some(Ok(End::Lost(why))) => {
                    self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(partition);
                    return Err(Trouble::Session(why));
                }
                Some(Ok(End::Stopped)) => {
                    return Err(Trouble::Session(format!("restoring partition {partition} was stopped")));
                }
                Some(Err(error)) => return Err(error.into()),
            }
        }
        if waited && session.restoring.is_empty() {
            ready.ready();
        }
        Ok(())
    }

    /// Where a partition begins, and its state if the store has it or it is rebuilt from the events; none if it is to be restored.
    fn begin(
        &self,
        session: &Session,
        partition: PartitionId,
        known: Option<&GroupOffset>,
    ) -> Result<(Taken, Option<UserStore>), Trouble> {
        let topic = &self.options.topic;
        let users = self.base.store.partition::<UserState>(partition).map_err(ConsumerError::from)?;
        let bounds = self.log.bounds(topic, partition)?;
        let last = known.map(|known| place(topic, known)).transpose()?;
        let next = last.as_ref().map(|last| last.next_input);
        check_end(topic, partition, next.unwrap_or_default(), bounds)?;
        let stored = users.committed().map(|commit| commit.next_input);
        if stored > next {
            let (topic, store) = (topic.clone(), stored.unwrap_or_default());
            return Err(ConsumerError::StoreAheadOfGroup { topic, partition, store, group: next }.into());
        }
        if next.is_none() {
            self.check_unused(partition)?;
        }
        let snapshot = known.map(|known| self.snapshot(partition, known)).transpose()?.flatten();
        let (published, by) = snapshot.map_or((Published::default(), None), |s| (s.published, Some(s.by)));
        let known = by.as_ref() == Some(&self.joining.member);
        let below = published.below;
        let gone = users.replay_from() < bounds.start && bounds.start <= below;
        if stored.unwrap_or_default() < below || (stored.is_some() && gone) {
            check_start(topic, partition, below, bounds)?;
            let reader = session.group.reader(partition, below)?;
            return Ok((Taken { partition, reader, from: below, last, published, known: true }, None));
        }
        let from = if stored.is_some() { users.replay_from() } else { bounds.start };
        if stored.is_none() && next.is_some_and(|next| next > bounds.start) {
            self.said_rebuilt(partition, bounds, next.unwrap_or_default())?;
        }
        check_start(topic, partition, from, bounds)?;
        let reader = session.group.reader(partition, from)?;
        Ok((Taken { partition, reader, from, last, published, known }, Some(users)))
    }

    fn said_rebuilt(&self, partition: PartitionId, bounds: Bounds, to: Offset) -> Result<(), ConsumerError> {
        tracing::warn!(%partition, from = %bounds.start, %to,
            "neither the store nor the snapshot topic has anything of this partition: its state is rebuilt from the topic");
        // Of what retention removed, state would be missing.
        check_start(&self.options.topic, partition, Offset::ZERO, bounds)
    }

    /// What the snapshot topic holds of a partition, by the group's word; nothing if it was made by another spec, or is lost.
    fn snapshot(&self, partition: PartitionId, known: &GroupOffset) -> Result<Option<Snapshot>, Trouble> {
        let Some(noted) = Snapshot::noted(known).filter(|s| s.spec == self.base.spec.hash().as_str()) else {
            return Ok(None);
        };
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).remove(&partition);
        let bounds = self.log.bounds(SNAPSHOTS, partition)?;
        if lost || (noted.published.roots > 0 && bounds.start == bounds.end) {
            tracing::warn!(%partition, topic = self.kafka.name(SNAPSHOTS), below = %noted.published.below,
                "the snapshot topic has lost what was published of this partition: was it deleted? It is filled again, and until \
                 then a process without a store of its own rebuilds the state from all events");
            return Ok(None);
        }
        Ok(Some(noted))
    }

    fn restore(&self, taken: Taken, known: Option<&GroupOffset>) -> Result<Restoring, Trouble> {
        let wanted = Wanted {
            partition: taken.partition,
            spec: self.base.spec.hash().to_string(),
            published: taken.published,
            next_input: known.map_or(Offset::ZERO, |known| known.next),
        };
        tracing::info!(partition = %taken.partition, from = %taken.from, "restoring the state from the snapshot topic");
        let restore = Restore::start(Arc::clone(self.log), self.base.store.clone(), wanted)?;
        Ok(Restoring { restore, taken, told: Instant::now() })
    }

    fn task(&self, session: &Session, taken: Taken, mut users: UserStore) -> Result<PartitionTask, Trouble> {
        let Taken { partition, reader, from, last, published, known } = taken;
        users.begin_publishing(published, known).map_err(ConsumerError::from)?;
        let output = |name| session.group.output(name, partition).map(Output::Transaction);
        let outputs = Outputs {
            scores: output(SCORES)?,
            shadow_scores: output(SHADOW_SCORES)?,
            dead_letters: output(DEAD_LETTERS)?,
            control: if self.base.decides_ticks { Some(output(CONTROL)?) } else { None },
            snapshots: Some(output(SNAPSHOTS)?),
        };
        let next = last.as_ref().map_or(from, |last| last.next_input);
        self.base.stats[partition.0 as usize].begin(from, next);
        let (base, metrics) = (&self.base, &self.around.metrics);
        let schedule = Arc::clone(&self.schedule.read().unwrap_or_else(PoisonError::into_inner));
        let commits = Commits::Together { last };
        Ok(build(self.options, base, &schedule, metrics, partition, users, reader, outputs, commits))
    }

    /// A partition of which the group knows no offset was never scored: its outputs hold nothing. If they do, its offset was lost, or
    /// is not to be seen yet; to begin again would write everything twice.
    fn check_unused(&self, partition: PartitionId) -> Result<(), Trouble> {
        for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS] {
            let start = self.log.bounds(topic, partition)?.start;
            let mut found = RecordBuf::default();
            if self.log.reader(topic, partition, start)?.read(&mut found, 1)? > 0 {
                return Err(Trouble::Session(format!(
                    "{topic}-{partition} holds records, and the group knows no offset of the partition: was it reset, did it expire, or \
                     is this another group? To score all again, use another group and other output topics (kafka:BROKERS/PREFIX)"
                )));
            }
        }
        Ok(())
    }
}
