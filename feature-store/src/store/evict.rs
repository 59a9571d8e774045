//! Memory: quiet users leave it, and where too many are changed the store asks for commits and waits for writes.

use std::sync::atomic::Ordering;

use types::Offset;

use super::partition::{PartitionStore, SlotId};
use super::slots::flag;
use super::{Pressure, StoreError};
use crate::StateValue;

/// Changes collected in one call of `maintain` while memory is short.
const PRESSED_STEP_BYTES: usize = 4 << 20;
/// Slots looked at in one call before the search for quiet users is given up.
const LOOKED_AT: u32 = 1 << 14;

impl<S: StateValue> PartitionStore<S> {
    /// Brings memory back under the budget, as far as that is possible now.
    pub(super) fn relieve(&mut self) -> Result<Pressure, StoreError> {
        self.evict(LOOKED_AT);
        let excess = self.excess();
        self.hurry(excess > 0);
        // No more than what is wanted: the longer a block waits, the more of its changes go in one write.
        if excess > self.in_flight_bytes {
            self.collect(Offset(u64::MAX), PRESSED_STEP_BYTES.min(excess - self.in_flight_bytes));
        }
        // A little over is no reason to stop: writes are under way. Far over, nothing goes on until they are done.
        let slack = self.shared.options.memory / 8;
        while self.over() > slack {
            self.evict(u32::MAX);
            if self.over() <= slack || self.awaited.is_empty() {
                break;
            }
            if self.waits_for_commit() {
                return Ok(Pressure::Commit);
            }
            self.wait()?;
        }
        Ok(Pressure::Calm)
    }

    /// Tells the other partitions how much this one takes.
    pub(super) fn share_bytes(&mut self) {
        let gauge = &self.shared.gauges.memory;
        gauge.fetch_add(self.bytes, Ordering::Relaxed);
        gauge.fetch_sub(self.bytes_shared, Ordering::Relaxed);
        self.bytes_shared = self.bytes;
    }

    /// Lets the writing thread pass over its bandwidth, or no longer; returns what was before.
    pub(super) fn hurry(&mut self, hurry: bool) -> bool {
        let before = std::mem::replace(&mut self.hurrying, hurry);
        match (before, hurry) {
            (false, true) => _ = self.shared.gauges.hurry.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.shared.gauges.hurry.fetch_sub(1, Ordering::Relaxed),
            _ => {}
        }
        before
    }

    /// By how many bytes all partitions together exceed the budget.
    fn over(&self) -> usize {
        self.shared.gauges.memory.load(Ordering::Relaxed).saturating_sub(self.shared.options.memory)
    }

    /// This partition's part of that, by its size.
    fn excess(&self) -> usize {
        let total = self.shared.gauges.memory.load(Ordering::Relaxed).max(1) as u128;
        (self.over() as u128 * self.bytes as u128).div_ceil(total) as usize
    }

    /// Whether what is in flight waits for the next commit.
    fn waits_for_commit(&self) -> bool {
        let committed = self.committed().map_or(Offset::ZERO, |c| c.next_input);
        self.awaited.first_key_value().is_some_and(|(at, _)| *at > committed)
    }

    /// Clock eviction: the hand goes round the slots; a user used since it last came by gets a second chance.
    fn evict(&mut self, look_at: u32) {
        let mut excess = self.excess();
        let capacity = self.slots.capacity();
        let mut left = capacity.saturating_mul(2).min(look_at);
        while excess > 0 && left > 0 {
            left -= 1;
            self.hand = if self.hand + 1 < capacity { self.hand + 1 } else { 0 };
            let id = SlotId(self.hand);
            let slot = &mut self.slots[id];
            if slot.has(flag::FREE | flag::DIRTY | flag::IN_FLIGHT) {
                continue;
            }
            if slot.has(flag::RECENT) {
                slot.clear(flag::RECENT);
                continue;
            }
            excess = excess.saturating_sub(slot.bytes as usize);
            self.drop_user(id);
        }
        self.share_bytes();
    }

    /// Drops a user whose state is on disk as it is in memory.
    fn drop_user(&mut self, id: SlotId) {
        let slot = &self.slots[id];
        debug_assert!(slot.has(flag::ON_DISK));
        let block = &mut self.blocks[slot.block];
        if let Some(cold) = &mut block.cold {
            cold.add(slot.hash);
        }
        if let Some(at) = block.slots.iter().position(|slot| *slot == id.0) {
            block.slots.swap_remove(at);
        }
        self.bytes -= slot.bytes as usize;
        self.slots.remove(id);
    }
}
