//! Visiting every user in an order that depends on nothing but their keys.

use super::StoreError;
use super::block::{Block, Entry};
use super::commit::SweepCursor;
use super::directory::BlockId;
use super::keys::Records;
use super::partition::{PartitionStore, SlotId};
use super::slots::Slots;
use crate::StateValue;

impl<S: StateValue> PartitionStore<S> {
    /// Visits users in order of (hash of key, key), from a cursor on, until at least `limit` were visited; returns where to go
    /// on, `None` after the last. Changes nothing, and brings nobody into memory: others are decoded for the visit alone.
    ///
    /// As long as no event is applied between the calls, every user is visited exactly once, whatever is maintained,
    /// committed or written meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if a block is not what was written, or the database's failure.
    pub fn sweep(
        &mut self,
        from: SweepCursor,
        limit: usize,
        visit: impl FnMut(&str, &S),
    ) -> Result<Option<SweepCursor>, StoreError> {
        let mut walk = Walk { from: from.0, limit: limit.max(1), visited: 0, last: 0, stop: None, visit };
        let mut buf = std::mem::take(&mut self.buf);
        let mut hash = Some(from.0);
        let mut result = Ok(());
        while let Some(at) = hash
            && result.is_ok()
            && walk.stop.is_none()
        {
            if walk.is_full() {
                walk.stop = Some(at);
                break;
            }
            let id = self.blocks.find(at);
            result = self.sweep_block(id, &mut walk, &mut buf);
            hash = self.blocks[id].range.last().checked_add(1);
        }
        self.buf = buf;
        result.map(|()| walk.stop.map(SweepCursor))
    }

    fn sweep_block<V: FnMut(&str, &S)>(
        &self,
        id: BlockId,
        walk: &mut Walk<V>,
        buf: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let block = &self.blocks[id];
        let slots = &self.slots;
        let mut there: Vec<_> = block.slots.iter().map(|slot| (slots[SlotId(*slot)].hash, *slot)).collect();
        there.retain(|(hash, _)| *hash >= walk.from);
        there.sort_unstable_by(|(a, x), (b, y)| {
            a.cmp(b).then_with(|| slots[SlotId(*x)].key_bytes().cmp(slots[SlotId(*y)].key_bytes()))
        });
        let mut there = there.as_slice();
        if block.cold.as_ref().is_none_or(|cold| !cold.is_empty()) {
            let records = Records { tree: &*self.tree, partition: self.partition };
            // While its changes are in flight the block may be several on disk.
            let mut hash = Some(block.range.start.max(walk.from));
            while let Some(at) = hash
                && walk.stop.is_none()
            {
                let stored = records.block(block.range, at, buf)?;
                overlay(slots, &stored, &mut there, walk)
                    .map_err(|detail| records.damaged(stored.range, detail))?;
                hash = stored.range.last().checked_add(1).filter(|next| block.range.contains(*next));
            }
        }
        for (hash, slot) in there {
            walk.slot(*hash, slots, SlotId(*slot));
        }
        Ok(())
    }
}

/// Visits a block's users and, in their places between them, those in memory, which come off the front of `there`.
fn overlay<S: StateValue, V: FnMut(&str, &S)>(
    slots: &Slots<S>,
    stored: &Block<'_>,
    there: &mut &[(u64, u32)],
    walk: &mut Walk<V>,
) -> Result<(), String> {
    let mut wrong = Ok(());
    stored.for_each(|Entry { hash, key, state }| {
        if hash < walk.from || walk.stop.is_some() || wrong.is_err() {
            return;
        }
        while let Some(((next, slot), rest)) = there.split_first() {
            let slot = SlotId(*slot);
            let order = next.cmp(&hash).then_with(|| slots[slot].key_bytes().cmp(key.as_bytes()));
            if order.is_gt() {
                break;
            }
            *there = rest;
            walk.slot(*next, slots, slot);
            if order.is_eq() {
                return;
            }
        }
        if walk.goes_on(hash) {
            match S::decode(state) {
                Ok(state) => walk.visit(hash, key, &state),
                Err(error) => wrong = Err(format!("user `{key}`: {error}")),
            }
        }
    })?;
    wrong
}

struct Walk<V> {
    from: u64,
    limit: usize,
    visited: usize,
    /// The hash of the user visited last.
    last: u64,
    /// The hash to go on at, once enough were visited.
    stop: Option<u64>,
    visit: V,
}

impl<V> Walk<V> {
    fn is_full(&self) -> bool {
        self.visited >= self.limit
    }

    /// Whether the next user, of this hash, is still to be visited. A cursor is a hash, so users of one hash go together.
    fn goes_on(&mut self, hash: u64) -> bool {
        if self.stop.is_none() && self.is_full() && hash != self.last {
            self.stop = Some(hash);
        }
        self.stop.is_none()
    }

    fn slot<S>(&mut self, hash: u64, slots: &Slots<S>, id: SlotId)
    where
        V: FnMut(&str, &S),
    {
        let slot = &slots[id];
        if let Some(state) = &slot.state
            && self.goes_on(hash)
        {
            self.visit(hash, slot.key(), state);
        }
    }

    fn visit<S>(&mut self, hash: u64, key: &str, state: &S)
    where
        V: FnMut(&str, &S),
    {
        (self.visit)(key, state);
        self.visited += 1;
        self.last = hash;
    }
}
