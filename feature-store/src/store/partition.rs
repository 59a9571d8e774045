//! One partition's users: finding, making, changing and removing them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam::channel::{Receiver, unbounded};
use types::{Offset, PartitionId};

use super::backend::Tree;
use super::commit::{Commit, StoredCommit};
use super::directory::{BlockId, Directory};
use super::keys::{self, Records, Totals};
use super::publish::Unpublished;
use super::range::hash_of;
use super::slots::{Slots, flag};
use super::snapshot::Clock;
use super::writer::{Message, Reply};
use super::{Shared, StoreError};
use crate::StateValue;

/// A user in memory. Valid until the partition's next `maintain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SlotId(pub(super) u32);

/// The users of one partition.
///
/// Offsets given to it never go back. Dropping it drops every change that no commit covers, as a crash would.
pub struct PartitionStore<S> {
    pub(super) shared: Arc<Shared>,
    pub(super) partition: PartitionId,
    pub(super) tree: Arc<dyn Tree>,
    pub(super) replies: Receiver<Reply>,
    pub(super) slots: Slots<S>,
    pub(super) blocks: Directory,
    /// Blocks with changes that were not collected yet, by the offset of the first.
    pub(super) dirty: BTreeSet<(Offset, BlockId)>,
    /// Blocks with changes in flight, by the offset of the first.
    pub(super) in_flight: BTreeSet<(Offset, BlockId)>,
    /// How many blocks are in flight, by the offset that they will be applied to.
    pub(super) awaited: BTreeMap<Offset, usize>,
    /// What the users of the changes in flight count in the memory budget: nearly all can leave once written.
    pub(super) in_flight_bytes: usize,
    /// Slots whose size may have changed since it was counted.
    pub(super) touched: Vec<SlotId>,
    pub(super) stored: Option<StoredCommit>,
    /// What is to be published, if anything is.
    pub(super) unpublished: Option<Unpublished>,
    /// The offset after the newest event that states may hold.
    pub(super) position: Offset,
    /// Below this offset a block on disk may hold an event that is replayed.
    replay_end: Offset,
    pub(super) totals: Totals,
    /// What the users in memory count in the budget, and how much of it the shared gauge knows.
    pub(super) bytes: usize,
    pub(super) bytes_shared: usize,
    pub(super) hand: u32,
    pub(super) hurrying: bool,
    pub(super) failed: Option<String>,
    pub(super) clock: Clock,
    pub(super) buf: Vec<u8>,
}

impl<S: StateValue> PartitionStore<S> {
    pub(super) fn open(shared: Arc<Shared>, partition: PartitionId) -> Result<Self, StoreError> {
        if partition.0 >= shared.partitions {
            return Err(StoreError::NoSuchPartition { partition, partitions: shared.partitions });
        }
        if !shared.open_partitions().insert(partition) {
            return Err(StoreError::PartitionInUse { partition });
        }
        let opened = Self::read(Arc::clone(&shared), partition);
        if opened.is_err() {
            shared.open_partitions().remove(&partition);
        }
        opened
    }

    fn read(shared: Arc<Shared>, partition: PartitionId) -> Result<Self, StoreError> {
        let tree = shared.backend.tree(&keys::tree(partition)).map_err(keys::reading)?;
        let stored = Records { tree: &*tree, partition }.commit()?;
        let committed = stored.as_ref().map_or(Offset::ZERO, |s| s.commit.next_input);
        let replay_from = stored.as_ref().map_or(Offset::ZERO, |s| s.replay_from);
        let (sender, replies) = unbounded();
        // The thread answers only when it is done with all that an earlier handle of this partition left.
        shared.writer.send(Message::Open { partition, tree: Arc::clone(&tree), committed, replies: sender });
        let (shape, totals) = match replies.recv() {
            Ok(Reply::Opened { shape, totals }) => (shape, totals),
            Ok(Reply::Failed(error)) => return Err(error),
            Ok(Reply::Written { .. }) | Err(_) => {
                return Err(StoreError::Stopped("its thread is gone".to_owned()));
            }
        };
        let clock = Clock::new(shared.options.snapshot_interval, replay_from);
        Ok(Self {
            shared,
            partition,
            tree,
            replies,
            slots: Slots::new(),
            blocks: Directory::new(&shape),
            dirty: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            awaited: BTreeMap::new(),
            in_flight_bytes: 0,
            touched: Vec::new(),
            stored,
            unpublished: None,
            position: replay_from,
            replay_end: committed,
            totals,
            bytes: 0,
            bytes_shared: 0,
            hand: 0,
            hurrying: false,
            failed: None,
            clock,
            buf: Vec::new(),
        })
    }

    /// Which partition this is.
    #[must_use]
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// The last commit; `None` if there never was one.
    #[must_use]
    pub fn committed(&self) -> Option<&Commit> {
        self.stored.as_ref().map(|stored| &stored.commit)
    }

    /// The offset from which the log must be read again after a crash: every event before it is in blocks. As of the last
    /// commit; never after it.
    #[must_use]
    pub fn replay_from(&self) -> Offset {
        self.stored.as_ref().map_or(Offset::ZERO, |stored| stored.replay_from)
    }

    /// The offset up to which what is known of a user's events is complete while the log is replayed to `position`: blocks
    /// may be ahead of the replay.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry).
    pub fn reaches(&mut self, key: &str, position: Offset) -> Result<Offset, StoreError> {
        let block = self.blocks.find(hash_of(key.as_bytes()));
        self.know(block)?;
        Ok(self.blocks[block].applied.map_or(position, |applied| applied.max(position)))
    }

    /// How many users there are in blocks. Users who came since the last snapshot are not counted.
    #[must_use]
    pub fn users_in_blocks(&self) -> u64 {
        self.totals.users
    }

    /// How many encoded bytes the blocks hold.
    #[must_use]
    pub fn block_bytes(&self) -> u64 {
        self.totals.bytes
    }

    /// How many users are in memory.
    #[must_use]
    pub fn users_in_memory(&self) -> usize {
        self.slots.users()
    }

    /// The slot of the user whom the event at offset `at` is about, to be changed by it; `make` gives a new user's state.
    /// `None` while replaying, if the user's block holds the event already.
    ///
    /// In memory: constant time, no allocation, no lock. A user who is not there is read from their block, and room is made
    /// in the next `maintain`.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the user's block is not what was written, or the database's failure.
    pub fn entry(
        &mut self,
        key: &str,
        at: Offset,
        make: impl FnOnce() -> S,
    ) -> Result<Option<SlotId>, StoreError> {
        let hash = hash_of(key.as_bytes());
        let id = match self.slots.find(hash, key) {
            Some(id) if at < self.replay_end && self.holds(self.slots[id].block, at) => return Ok(None),
            Some(id) => {
                let state = &mut self.slots[id].state;
                if state.is_none() {
                    *state = Some(make());
                }
                id
            }
            None => match self.entry_cold(hash, key, at, make)? {
                Some(id) => id,
                None => return Ok(None),
            },
        };
        self.touch(id, at);
        Ok(Some(id))
    }

    /// The slot of a user for reading; `None` if there is no such user. Brings the user into memory.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry).
    pub fn get(&mut self, key: &str) -> Result<Option<SlotId>, StoreError> {
        let hash = hash_of(key.as_bytes());
        if let Some(id) = self.slots.find(hash, key) {
            return Ok(self.slots[id].state.is_some().then_some(id));
        }
        let block = self.blocks.find(hash);
        let state = self.read_user(block, hash, key)?;
        Ok(state.map(|state| self.insert_read(hash, key, state, block)))
    }

    /// Removes a user because of the event at offset `at`; returns whether there was one. From memory the user is gone at once,
    /// from their block with its next snapshot.
    ///
    /// # Errors
    /// As for [`entry`](Self::entry).
    pub fn remove(&mut self, key: &str, at: Offset) -> Result<bool, StoreError> {
        let hash = hash_of(key.as_bytes());
        let block = self.blocks.find(hash);
        if self.slots.find(hash, key).is_none() {
            self.know(block)?;
        }
        if at < self.replay_end && self.holds(block, at) {
            return Ok(false);
        }
        let Some(id) = self.get(key)? else { return Ok(false) };
        self.slots[id].state = None;
        self.touch(id, at);
        Ok(true)
    }

    /// The state in a slot.
    ///
    /// # Panics
    /// If the slot is not one that this partition gave out since its last `maintain`.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn state(&self, slot: SlotId) -> &S {
        self.slots[slot].state.as_ref().expect("a slot of this partition, given out since the last maintain")
    }

    /// The state in a slot, to be changed by the event that [`entry`](Self::entry) was called for.
    ///
    /// # Panics
    /// If the slot is not one that this partition gave out since its last `maintain`.
    #[must_use]
    #[allow(clippy::expect_used)]
    pub fn state_mut(&mut self, slot: SlotId) -> &mut S {
        debug_assert!(self.slots[slot].has(flag::DIRTY), "a slot from `entry`, not from `get`");
        self.slots[slot].state.as_mut().expect("a slot of this partition, given out since the last maintain")
    }

    /// Makes a commit durable: after a crash the partition goes on from it. Everything that it names must be on disk before.
    /// Flushes the database: a millisecond or some.
    ///
    /// # Errors
    /// [`StoreError::CommitGoesBack`] if it lies before the last one; the database's failure.
    pub fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        self.check()?;
        let asked = commit.next_input;
        let committed = self.committed().map_or(Offset::ZERO, |c| c.next_input);
        if asked < committed {
            return Err(StoreError::CommitGoesBack { partition: self.partition, committed, asked });
        }
        self.position = self.position.max(asked);
        self.receive()?;
        let replay_from = self.settled_below(asked);
        let stored = StoredCommit { commit, replay_from };
        let mut batch = super::Batch::default();
        batch.put(keys::COMMIT, stored.encode());
        if let Some(below) = self.unpublished.as_mut().and_then(Unpublished::take_mark) {
            batch.put(keys::PUBLISHED, keys::published(below));
        }
        self.tree.apply(batch).and_then(|()| self.shared.backend.flush()).map_err(keys::writing)?;
        self.stored = Some(stored);
        self.clock.settled(replay_from);
        self.shared.writer.send(Message::Committed { partition: self.partition, next_input: asked });
        Ok(())
    }

    /// Refuses further work after a failure of the writing thread.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), |why| Err(StoreError::Stopped(why)))
    }

    #[cold]
    fn entry_cold(
        &mut self,
        hash: u64,
        key: &str,
        at: Offset,
        make: impl FnOnce() -> S,
    ) -> Result<Option<SlotId>, StoreError> {
        let block = self.blocks.find(hash);
        let replaying = at < self.replay_end;
        if replaying && self.holds(block, at) {
            return Ok(None);
        }
        // Of a block that was not read yet, one read tells both: what it holds, and the user. A replay is mostly such reads.
        let state = self.read_user(block, hash, key)?;
        if replaying && self.holds(block, at) {
            return Ok(None);
        }
        Ok(Some(match state {
            Some(state) => self.insert_read(hash, key, state, block),
            None => self.insert(hash, key, make(), block, 0),
        }))
    }

    /// Whether a block is known to hold the event at an offset.
    fn holds(&self, block: BlockId, at: Offset) -> bool {
        self.blocks[block].applied.is_some_and(|applied| at < applied)
    }

    /// Marks a user as changed by the event at an offset.
    fn touch(&mut self, id: SlotId, at: Offset) {
        debug_assert!(at.next() >= self.position, "offsets never go back");
        self.position = at.next();
        let slot = &mut self.slots[id];
        let fresh = !slot.has(flag::DIRTY);
        if !slot.has(flag::TOUCHED) {
            self.touched.push(id);
        }
        slot.set(flag::DIRTY | flag::TOUCHED | flag::RECENT);
        if fresh {
            let id = slot.block;
            let block = &mut self.blocks[id];
            if block.dirty_since.is_none() {
                block.dirty_since = Some(at);
                // A block in flight waits for that to end.
                if block.in_flight_since.is_none() {
                    self.dirty.insert((at, id));
                }
            }
        }
    }

    fn insert(&mut self, hash: u64, key: &str, state: S, block: BlockId, flags: u8) -> SlotId {
        let id = self.slots.insert(hash, key, state, block, flags);
        self.bytes += self.slots[id].measure();
        self.blocks[block].slots.push(id.0);
        id
    }

    /// Puts a user in memory who was read from their block.
    fn insert_read(&mut self, hash: u64, key: &str, state: S, block: BlockId) -> SlotId {
        if let Some(cold) = &mut self.blocks[block].cold {
            cold.remove(hash);
        }
        self.insert(hash, key, state, block, flag::ON_DISK)
    }
}

impl<S> Drop for PartitionStore<S> {
    fn drop(&mut self) {
        let gauges = &self.shared.gauges;
        gauges.memory.fetch_sub(self.bytes_shared, Ordering::Relaxed);
        if self.hurrying {
            gauges.hurry.fetch_sub(1, Ordering::Relaxed);
        }
        self.shared.writer.send(Message::Close { partition: self.partition });
        self.shared.open_partitions().remove(&self.partition);
    }
}
