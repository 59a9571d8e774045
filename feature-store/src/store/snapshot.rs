//! Snapshots: which blocks' changes are handed to the writing thread when, and what its answers mean.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use types::Offset;

use super::directory::BlockId;
use super::merge::Edits;
use super::partition::{PartitionStore, SlotId};
use super::slots::flag;
use super::writer::{BlockEdits, Message, Reply, Written};
use super::{Pressure, StoreError};
use crate::StateValue;

/// Changes collected in one call of `maintain`, a block more or less: well under ten milliseconds of work.
const STEP_BYTES: usize = 1 << 20;
/// Changes waiting for the writing thread, over all partitions.
const QUEUE_BYTES: usize = 32 << 20;

impl<S: StateValue> PartitionStore<S> {
    /// Keeps house between two batches: `position` is the offset after the last event that was applied. Hands some changed
    /// blocks to the writing thread and lets quiet users leave memory. Slots given out before are void.
    ///
    /// Bounded work, except where memory is so short that it waits for the writing thread.
    ///
    /// # Errors
    /// What made the writing thread fail. The store takes no more work then.
    pub fn maintain(&mut self, position: Offset) -> Result<Pressure, StoreError> {
        self.check()?;
        self.position = self.position.max(position);
        self.clock.tick(self.position);
        self.receive()?;
        self.count_touched();
        let pressure = self.relieve()?;
        self.collect(self.clock.due_before(), STEP_BYTES);
        Ok(pressure)
    }

    /// Brings every change into blocks, however long that takes, so that nothing is replayed after it.
    ///
    /// # Errors
    /// [`StoreError::NotCommitted`] if the last commit does not cover all events that were applied; otherwise as for
    /// [`maintain`](Self::maintain).
    pub fn snapshot_all(&mut self) -> Result<(), StoreError> {
        self.check()?;
        let committed = self.committed().map_or(Offset::ZERO, |c| c.next_input);
        if self.position > committed {
            let (partition, position) = (self.partition, self.position);
            return Err(StoreError::NotCommitted { partition, position, committed });
        }
        self.receive()?;
        self.count_touched();
        let hurried = self.hurry(true);
        let done = loop {
            self.collect(Offset(u64::MAX), usize::MAX);
            if self.in_flight.is_empty() && self.dirty.is_empty() {
                break Ok(());
            }
            if let Err(error) = self.wait() {
                break Err(error);
            }
        };
        self.hurry(hurried);
        done?;
        match self.committed().cloned() {
            Some(commit) => self.commit(commit),
            None => Ok(()),
        }
    }

    /// Whether another commit, even of the same place, would let less be replayed after a crash: blocks were written since
    /// the last one.
    #[must_use]
    pub fn can_settle(&self) -> bool {
        let stored = self.stored.as_ref();
        stored.is_some_and(|stored| self.settled_below(stored.commit.next_input) > stored.replay_from)
    }

    /// The offset below which every event is in blocks, at most `next_input`.
    pub(super) fn settled_below(&self, next_input: Offset) -> Offset {
        let open = [self.dirty.first(), self.in_flight.first()];
        let oldest = open.into_iter().flatten().map(|(offset, _)| *offset).min();
        oldest.map_or(next_input, |oldest| oldest.min(next_input))
    }

    /// How long ago the oldest change arrived that a crash would replay, as of the last commit; zero if there is none. Wall
    /// time, for a metric only.
    #[must_use]
    pub fn snapshot_age(&self) -> Duration {
        self.clock.age(self.position)
    }

    /// Hands the changes of blocks to the writing thread, those longest changed first: blocks changed before `due`, until
    /// about `limit` bytes, and as far as the thread's queue has room.
    pub(super) fn collect(&mut self, due: Offset, limit: usize) {
        let mut blocks = Vec::new();
        let mut taken = 0;
        let queued = self.shared.gauges.queued.load(Ordering::Relaxed);
        while taken < limit
            && queued + taken < QUEUE_BYTES
            && let Some((since, id)) = self.dirty.pop_first()
        {
            if since >= due {
                self.dirty.insert((since, id));
                break;
            }
            let (edits, bytes) = self.collect_block(id);
            taken += edits.bytes();
            self.in_flight_bytes += bytes;
            self.in_flight.insert((since, id));
            let block = &mut self.blocks[id];
            block.in_flight_since = block.dirty_since.take();
            block.in_flight_bytes = bytes;
            blocks.push(BlockEdits { range: block.range, edits });
        }
        if !blocks.is_empty() {
            *self.awaited.entry(self.position).or_default() += blocks.len();
            self.shared.gauges.queued.fetch_add(taken, Ordering::Relaxed);
            let (partition, at) = (self.partition, self.position);
            self.shared.writer.send(Message::Write { partition, at, blocks });
        }
    }

    /// A block's changes, and what their users count in the memory budget.
    fn collect_block(&mut self, id: BlockId) -> (Edits, usize) {
        let slots = &self.slots;
        let changed = self.blocks[id].slots.iter().map(|slot| SlotId(*slot));
        let mut changed: Vec<_> =
            changed.filter(|s| slots[*s].has(flag::DIRTY)).map(|s| (slots[s].hash, s)).collect();
        changed.sort_unstable_by(|(a, x), (b, y)| {
            a.cmp(b).then_with(|| slots[*x].key_bytes().cmp(slots[*y].key_bytes()))
        });
        let mut edits = Edits::default();
        let mut bytes = 0;
        for (hash, id) in changed {
            let slot = &mut self.slots[id];
            bytes += slot.bytes as usize;
            slot.clear(flag::DIRTY);
            slot.set(flag::IN_FLIGHT);
            if slot.state.is_none() {
                slot.set(flag::LEAVING);
            }
            edits.push(hash, slot.key(), |out| {
                slot.state.as_ref().inspect(|state| state.encode(out)).is_some()
            });
        }
        (edits, bytes)
    }

    /// Takes what the writing thread has answered.
    pub(super) fn receive(&mut self) -> Result<(), StoreError> {
        while let Ok(reply) = self.replies.try_recv() {
            self.handle(reply)?;
        }
        Ok(())
    }

    /// Waits for one answer of the writing thread.
    pub(super) fn wait(&mut self) -> Result<(), StoreError> {
        match self.replies.recv() {
            Ok(reply) => self.handle(reply),
            Err(_) => {
                self.failed = Some("its thread is gone".to_owned());
                self.check()
            }
        }
    }

    fn handle(&mut self, reply: Reply) -> Result<(), StoreError> {
        match reply {
            Reply::Written { at, blocks, totals } => {
                if let Some(awaited) = self.awaited.get_mut(&at) {
                    *awaited -= blocks.len();
                    if *awaited == 0 {
                        self.awaited.remove(&at);
                    }
                }
                self.totals = totals;
                blocks.into_iter().for_each(|block| self.settle(at, block));
                Ok(())
            }
            Reply::Failed(error) => {
                self.failed = Some(error.to_string());
                Err(error)
            }
            // Only sent before the partition was made.
            Reply::Opened { .. } => Ok(()),
        }
    }

    /// A block is on disk with the changes that were collected from it, perhaps in pieces.
    fn settle(&mut self, at: Offset, written: Written) {
        let id = self.blocks.find(written.range.start);
        let ranges: Vec<_> = written.pieces.iter().map(|(range, _)| *range).collect();
        let (old, ids) = self.blocks.replace(id, &ranges);
        if let Some(since) = old.in_flight_since {
            self.in_flight.remove(&(since, id));
            if let Some(unpublished) = &mut self.unpublished {
                unpublished.written(at, since, written.range);
            }
        }
        self.in_flight_bytes -= old.in_flight_bytes;
        for (id, (_, users)) in ids.iter().zip(written.pieces) {
            let block = &mut self.blocks[*id];
            block.applied = Some(at);
            block.cold = Some(users);
        }
        for id in old.slots.into_iter().map(SlotId) {
            let slot = &mut self.slots[id];
            if slot.has(flag::IN_FLIGHT) {
                let stays = !slot.has(flag::LEAVING);
                slot.clear(flag::IN_FLIGHT | flag::LEAVING | flag::ON_DISK);
                slot.set(if stays { flag::ON_DISK } else { 0 });
            }
            let dirty = slot.has(flag::DIRTY);
            if slot.state.is_none() && !dirty {
                self.bytes -= slot.bytes as usize;
                self.slots.remove(id);
                continue;
            }
            slot.block = self.blocks.find(slot.hash);
            let block = &mut self.blocks[slot.block];
            block.slots.push(id.0);
            if dirty {
                block.dirty_since = old.dirty_since;
            }
            if slot.has(flag::ON_DISK)
                && let Some(cold) = &mut block.cold
            {
                cold.remove(slot.hash);
            }
        }
        for id in ids {
            self.dirty.extend(self.blocks[id].dirty_since.map(|since| (since, id)));
        }
    }

    /// Counts anew what the users who may have changed take in memory.
    fn count_touched(&mut self) {
        while let Some(id) = self.touched.pop() {
            let slot = &mut self.slots[id];
            slot.clear(flag::TOUCHED);
            self.bytes -= slot.bytes as usize;
            self.bytes += slot.measure();
        }
        self.share_bytes();
    }
}

/// When which offsets were reached, roughly. Paces snapshots and dates them; no result depends on it.
pub(super) struct Clock {
    interval: Duration,
    /// A mark each [`Clock::STEP`] at most, from the last one at or before `settled` on.
    marks: VecDeque<(Instant, Offset)>,
    settled: Offset,
}

impl Clock {
    const STEP: Duration = Duration::from_millis(250);
    const MARKS: usize = 4096;

    pub(super) fn new(interval: Duration, position: Offset) -> Self {
        Self { interval, marks: [(Instant::now(), position)].into(), settled: position }
    }

    fn tick(&mut self, position: Offset) {
        let now = Instant::now();
        let fresh = self.marks.back().is_none_or(|(time, _)| now.duration_since(*time) >= Self::STEP);
        if !fresh {
            return;
        }
        if self.marks.len() == Self::MARKS {
            let mut nth = 0;
            self.marks.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
        self.marks.push_back((now, position));
    }

    /// Everything below `replay_from` is in blocks.
    pub(super) fn settled(&mut self, replay_from: Offset) {
        self.settled = replay_from;
        while self.marks.get(1).is_some_and(|(_, position)| *position <= replay_from) {
            self.marks.pop_front();
        }
    }

    /// Changes before this offset have waited for an interval.
    fn due_before(&self) -> Offset {
        if self.interval.is_zero() {
            return Offset(u64::MAX);
        }
        let now = Instant::now();
        let old = self.marks.partition_point(|(time, _)| now.duration_since(*time) >= self.interval);
        old.checked_sub(1).and_then(|at| self.marks.get(at)).map_or(Offset::ZERO, |(_, position)| *position)
    }

    fn age(&self, position: Offset) -> Duration {
        let oldest = self.marks.front().filter(|_| self.settled < position);
        oldest.map_or(Duration::ZERO, |(time, _)| time.elapsed())
    }
}
