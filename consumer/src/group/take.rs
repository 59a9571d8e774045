//! Taking partitions: from the store where it reaches far enough, from the snapshot topic where another process had the partition since, and
//! from the events themselves where neither helps.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use feature_store::{Published, UserState};
use partition_log::backends::kafka::GroupOffset;
use partition_log::{Bounds, LogError, PartitionReader, RecordBuf};
use types::{Offset, PartitionId};

use super::{Group, Session, Trouble};
use crate::ConsumerError;
use crate::member::{Snapshot, place};
use crate::observe::how_far;
use crate::open::{build, check_beginning, check_end, check_start};
use crate::output::{CONTROL, DEAD_LETTERS, Output, SCORES, SHADOW_SCORES, SNAPSHOTS};
use crate::pipeline::{Place, UserStore};
use crate::snapshot::{End, Restore, Wanted};
use crate::task::{Commits, Outputs, PartitionTask};

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);
/// How often it is asked whether a transaction is still open.
const AGAIN: Duration = Duration::from_millis(100);
/// How long the brokers may take to end what a member left that died: its transaction's time, and the next time that they look.
const PATIENCE: Duration = Duration::from_secs(90);

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
    /// Whether nobody else had the partition since this store's last commit, so that the newest sweep is this store's too.
    ours: bool,
}

/// Partitions that the group gave and that are not taken yet.
pub(super) struct Coming {
    partitions: Vec<PartitionId>,
    since: Instant,
    asked: Option<Instant>,
}

impl Coming {
    pub(super) fn new(partitions: Vec<PartitionId>) -> Self {
        Self { partitions, since: Instant::now(), asked: None }
    }

    /// These went before they were taken.
    pub(super) fn without(&mut self, gone: &[PartitionId]) {
        self.partitions.retain(|partition| !gone.contains(partition));
    }
}

/// A partition whose state is being restored.
pub(super) struct Restoring {
    taken: Taken,
    restore: Restore,
    /// When the group gave it.
    since: Instant,
    told: Option<Instant>,
}

impl Restoring {
    pub(super) fn partition(&self) -> PartitionId {
        self.taken.partition
    }
}

impl Group<'_> {
    /// Somebody may have given the topic more partitions than there were.
    pub(super) fn check_partitions(&self, coming: &[PartitionId]) -> Result<(), ConsumerError> {
        let (topic, before) = (self.options.topic.clone(), self.base.config.partitions);
        match coming.iter().map(|partition| partition.0 + 1).max() {
            Some(now) if now > before => Err(ConsumerError::PartitionsChanged { topic, before, now }),
            _ => Ok(()),
        }
    }

    /// Takes what the group gave, as soon as it is known how far the group is. Others of this process's partitions are worked on and committed
    /// meanwhile, and while states are restored.
    pub(super) fn come(&self, session: &mut Session) -> Result<(), Trouble> {
        for coming in std::mem::take(&mut session.coming) {
            let is_due = coming.asked.is_none_or(|asked| asked.elapsed() >= AGAIN);
            let asked = if is_due { Some(Instant::now()) } else { coming.asked };
            let known = if is_due { self.settled(session, &coming.partitions)? } else { None };
            match known {
                Some(committed) => self.take(session, &coming, &committed)?,
                None if coming.since.elapsed() > PATIENCE => {
                    return Err(Trouble::Session(format!(
                        "a transaction stays open on partitions {}, or no broker answers: see `kafka-transactions.sh find-hanging` and `abort`",
                        listed(&coming.partitions)
                    )));
                }
                None => {
                    self.ready.not_ready("partitions wait for their last owner's transaction to end");
                    session.coming.push(Coming { asked, ..coming });
                }
            }
        }
        let mut at = 0;
        while at < session.restoring.len() {
            if !self.is_restored(&mut session.restoring[at])? {
                at += 1;
                continue;
            }
            let Restoring { taken, since, .. } = session.restoring.swap_remove(at);
            let users = self.base.store.partition(taken.partition).map_err(ConsumerError::from)?;
            let task = self.task(session, taken, users)?;
            session.pool.own(task);
            self.paused(since);
        }
        Ok(())
    }

    /// How far the group is with partitions; `None` as long as a transaction of their last owner is open in their outputs: what it holds is not
    /// seen, blocks of state among it, and what is written behind it is seen only when it has ended.
    fn settled(
        &self,
        session: &Session,
        partitions: &[PartitionId],
    ) -> Result<Option<Vec<GroupOffset>>, Trouble> {
        for partition in partitions {
            match session.group.is_open(*partition) {
                Ok(false) => {}
                Ok(true) => return Ok(None),
                // They may be away for a moment.
                Err(error @ LogError::Broker { .. }) => {
                    tracing::debug!(%error, %partition, "asking what is open");
                    return Ok(None);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if partitions.is_empty() { Ok(Some(Vec::new())) } else { Ok(session.group.committed(partitions)?) }
    }

    fn take(
        &self,
        session: &mut Session,
        Coming { partitions, since, .. }: &Coming,
        committed: &[GroupOffset],
    ) -> Result<(), Trouble> {
        let (mut starts, mut tasks) = (Vec::new(), Vec::new());
        for partition in partitions {
            let known = committed.iter().find(|known| known.partition == *partition);
            let (taken, users) = self.begin(session, *partition, known)?;
            starts.push((*partition, taken.from));
            match users {
                Some(users) => tasks.push(self.task(session, taken, users)?),
                None => {
                    let restore = self.restore(&taken, known)?;
                    session.restoring.push(Restoring { taken, restore, since: *since, told: None });
                }
            }
        }
        session.group.take(&starts)?;
        for task in tasks {
            session.pool.own(task);
            self.paused(*since);
        }
        session.owned.extend(partitions);
        tracing::info!(partitions = %listed(partitions), took = ?since.elapsed(), "partitions came");
        Ok(())
    }

    /// Whether a restore is done; says how far it is.
    fn is_restored(&self, restoring: &mut Restoring) -> Result<bool, Trouble> {
        let partition = restoring.partition();
        match restoring.restore.ended() {
            None => {
                if restoring.told.is_none_or(|told| told.elapsed() >= TELL) {
                    restoring.told = Some(Instant::now());
                    let how_far = how_far(restoring.restore.progress());
                    self.ready.not_ready(&format!("restoring partition {partition}: {how_far}"));
                }
                Ok(false)
            }
            Some(Ok(End::Done)) => Ok(true),
            Some(Ok(End::Lost(why))) => {
                let published = restoring.taken.published;
                self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(partition, published);
                Err(Trouble::Session(why))
            }
            Some(Ok(End::Stopped)) => {
                Err(Trouble::Session(format!("restoring partition {partition} was stopped")))
            }
            Some(Err(error)) => Err(error.into()),
        }
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
        let is_ours = by.as_ref() == Some(&self.joining.member);
        let below = published.below;
        let gone = users.replay_from() < bounds.start && bounds.start <= below;
        if stored.unwrap_or_default() < below || (stored.is_some() && gone) {
            check_start(topic, partition, below, bounds)?;
            let reader = session.group.reader(partition, below)?;
            return Ok((
                Taken { partition, reader, from: below, last, published, known: true, ours: false },
                None,
            ));
        }
        let from = if stored.is_some() { users.replay_from() } else { bounds.start };
        if stored.is_none() && next.is_some_and(|next| next > bounds.start) {
            self.said_rebuilt(partition, bounds, next.unwrap_or_default())?;
        }
        check_start(topic, partition, from, bounds)?;
        if stored.is_none() && next.is_none() {
            check_beginning(self.options, &self.base, partition, bounds)?;
        }
        let reader = session.group.reader(partition, from)?;
        // A tick that was decided by the clock moves no offset.
        let ours = stored.is_some() && stored == next && !self.base.decides_ticks;
        Ok((Taken { partition, reader, from, last, published, known: is_ours, ours }, Some(users)))
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
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner).get(&partition)
            == Some(&noted.published);
        let bounds = self.log.bounds(SNAPSHOTS, partition)?;
        if lost || (noted.published.roots > 0 && bounds.start == bounds.end) {
            tracing::warn!(%partition, topic = self.kafka.name(SNAPSHOTS), below = %noted.published.below,
                "the snapshot topic has lost what was published of this partition: was it deleted? It is filled again, and until \
                 then a process without a store of its own rebuilds the state from all events");
            return Ok(None);
        }
        Ok(Some(noted))
    }

    fn restore(&self, taken: &Taken, known: Option<&GroupOffset>) -> Result<Restore, Trouble> {
        let wanted = Wanted {
            partition: taken.partition,
            spec: self.base.spec.hash().to_string(),
            published: taken.published,
            next_input: known.map_or(Offset::ZERO, |known| known.next),
        };
        tracing::info!(partition = %taken.partition, from = %taken.from, "restoring the state from the snapshot topic");
        Ok(Restore::start(Arc::clone(self.log), self.base.store.clone(), wanted)?)
    }

    fn task(&self, session: &Session, taken: Taken, mut users: UserStore) -> Result<PartitionTask, Trouble> {
        let Taken { partition, reader, from, last, published, known, ours } = taken;
        users.begin_publishing(published, known).map_err(ConsumerError::from)?;
        let output = |name| session.group.output(name, partition).map(Output::Transaction);
        let outputs = Outputs {
            scores: output(SCORES)?,
            shadow_scores: output(SHADOW_SCORES)?,
            dead_letters: output(DEAD_LETTERS)?,
            dead_letter_bytes: self.base.dead_letter_bytes,
            control: if self.base.decides_ticks { Some(output(CONTROL)?) } else { None },
            snapshots: Some(output(SNAPSHOTS)?),
        };
        let next = last.as_ref().map_or(from, |last| last.next_input);
        self.base.stats[partition.0 as usize].begin(from, next);
        let (base, metrics) = (&self.base, &self.around.metrics);
        let schedule = Arc::clone(&self.schedule.read().unwrap_or_else(PoisonError::into_inner));
        let commits = Commits::Together { last };
        let task = build(self.options, base, &schedule, metrics, partition, users, reader, outputs, commits);
        task.show_last_sweep(ours);
        Ok(task)
    }

    /// A partition of which the group knows no offset was never scored: its outputs hold nothing. If they do, its offset was lost, or
    /// is not to be seen yet; to begin again would write everything twice.
    fn check_unused(&self, partition: PartitionId) -> Result<(), Trouble> {
        for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS, SNAPSHOTS] {
            let Bounds { start, end } = self.log.bounds(topic, partition)?;
            // The usual case: no client has to be made for it, while all else waits.
            if start == end {
                continue;
            }
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

pub(super) fn listed(partitions: &[PartitionId]) -> String {
    let all: Vec<String> = partitions.iter().map(PartitionId::to_string).collect();
    all.join(" ")
}
