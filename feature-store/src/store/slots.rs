//! Users in memory: fixed slots, and an index from key to slot.
//!
//! Slots lie in chunks, so that growing moves nobody and pauses for nothing but the index. Short keys lie in their slot:
//! finding a user touches the index and the slot.

use hashbrown::HashTable;

use super::SlotId;
use crate::StateValue;

const CHUNK: usize = 1024;
const SHORT: usize = 22;

/// What is known of a slot, as bits.
pub(super) mod flag {
    /// Changed since its block's changes were last collected.
    pub(in crate::store) const DIRTY: u8 = 1;
    /// Its collected change is not written yet.
    pub(in crate::store) const IN_FLIGHT: u8 = 2;
    /// Its block on disk holds it (perhaps an older state).
    pub(in crate::store) const ON_DISK: u8 = 4;
    /// The change in flight removes it.
    pub(in crate::store) const LEAVING: u8 = 8;
    /// Used since eviction last came by.
    pub(in crate::store) const RECENT: u8 = 16;
    /// Stands in the list of slots whose size may have changed.
    pub(in crate::store) const TOUCHED: u8 = 32;
    /// Holds nobody.
    pub(in crate::store) const FREE: u8 = 64;
}

/// A user in memory.
pub(super) struct Slot<S> {
    pub(super) hash: u64,
    key: SlotKey,
    /// `None` for a user who was removed: the slot stays until its block is written without them.
    pub(super) state: Option<S>,
    /// The block, as number in the directory.
    pub(super) block: u32,
    /// What the slot counts in the memory budget.
    pub(super) bytes: u32,
    flags: u8,
}

enum SlotKey {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Box<str>),
}

impl SlotKey {
    fn new(key: &str) -> Self {
        if key.len() > SHORT {
            return Self::Long(key.into());
        }
        let mut bytes = [0; SHORT];
        bytes[..key.len()].copy_from_slice(key.as_bytes());
        Self::Short { len: key.len() as u8, bytes }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(key) => key.as_bytes(),
        }
    }
}

impl<S> Slot<S> {
    pub(super) fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    pub(super) fn set(&mut self, flags: u8) {
        self.flags |= flags;
    }

    pub(super) fn clear(&mut self, flags: u8) {
        self.flags &= !flags;
    }

    pub(super) fn key_bytes(&self) -> &[u8] {
        self.key.as_bytes()
    }

    #[allow(clippy::expect_used)]
    pub(super) fn key(&self) -> &str {
        std::str::from_utf8(self.key.as_bytes()).expect("made of a str")
    }
}

impl<S: StateValue> Slot<S> {
    /// Counts again what the user takes in memory: the slot, its places in the index and in its block's list, and what
    /// key and state have on the heap.
    pub(super) fn measure(&mut self) -> usize {
        let key = if let SlotKey::Long(key) = &self.key { key.len().next_multiple_of(16) } else { 0 };
        let fixed = size_of::<Self>() + 2 * size_of::<Place>() + size_of::<u32>();
        let heap = self.state.as_ref().map_or(0, StateValue::heap_bytes);
        self.bytes = u32::try_from(fixed + key + heap).unwrap_or(u32::MAX);
        self.bytes as usize
    }
}

/// A place of the index. The tag comes from the hash; it tells most others apart without looking at their slots.
#[derive(Clone, Copy)]
struct Place {
    tag: u32,
    slot: u32,
}

impl Place {
    fn tag(hash: u64) -> u32 {
        (hash ^ (hash >> 32)) as u32
    }

    /// Spreads a tag over the 64 bits that the index takes its bucket and its seven bits of fingerprint from.
    fn spread(tag: u32) -> u64 {
        u64::from(tag).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// All users in memory of one partition.
pub(super) struct Slots<S> {
    chunks: Vec<Vec<Slot<S>>>,
    free: Vec<u32>,
    index: HashTable<Place>,
    len: u32,
}

impl<S> Slots<S> {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), index: HashTable::new(), len: 0 }
    }

    /// How many slot numbers there are, free ones included.
    pub(super) fn capacity(&self) -> u32 {
        self.len
    }

    /// How many users are in memory, removed ones not yet written included.
    pub(super) fn users(&self) -> usize {
        self.index.len()
    }

    pub(super) fn find(&self, hash: u64, key: &str) -> Option<SlotId> {
        let tag = Place::tag(hash);
        let found = self.index.find(Place::spread(tag), |place| {
            place.tag == tag && {
                let slot = &self[SlotId(place.slot)];
                slot.hash == hash && slot.key.as_bytes() == key.as_bytes()
            }
        });
        found.map(|place| SlotId(place.slot))
    }

    /// Takes a slot for a user who has none; it has no flags but those given.
    pub(super) fn insert(&mut self, hash: u64, key: &str, state: S, block: u32, flags: u8) -> SlotId {
        let slot = Slot { hash, key: SlotKey::new(key), state: Some(state), block, bytes: 0, flags };
        let id = match self.free.pop() {
            Some(id) => {
                self[SlotId(id)] = slot;
                id
            }
            None => {
                let id = self.len;
                if (id as usize).is_multiple_of(CHUNK) {
                    self.chunks.push(Vec::with_capacity(CHUNK));
                }
                self.chunks[id as usize / CHUNK].push(slot);
                self.len += 1;
                id
            }
        };
        let place = Place { tag: Place::tag(hash), slot: id };
        self.index.insert_unique(Place::spread(place.tag), place, |place| Place::spread(place.tag));
        SlotId(id)
    }

    /// Gives a slot back.
    pub(super) fn remove(&mut self, id: SlotId) {
        let slot = &mut self[id];
        slot.state = None;
        slot.key = SlotKey::new("");
        slot.flags = flag::FREE;
        let tag = Place::tag(slot.hash);
        if let Ok(entry) = self.index.find_entry(Place::spread(tag), |place| place.slot == id.0) {
            entry.remove();
        }
        self.free.push(id.0);
    }
}

impl<S> std::ops::Index<SlotId> for Slots<S> {
    type Output = Slot<S>;

    fn index(&self, id: SlotId) -> &Slot<S> {
        &self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }
}

impl<S> std::ops::IndexMut<SlotId> for Slots<S> {
    fn index_mut(&mut self, id: SlotId) -> &mut Slot<S> {
        &mut self.chunks[id.0 as usize / CHUNK][id.0 as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::super::range::hash_of;
    use super::*;

    #[test]
    fn users_are_found_after_growth_removal_and_reuse() {
        let mut slots = Slots::new();
        let key = |i: u32| {
            if i.is_multiple_of(2) { format!("u{i}") } else { format!("a user with a long key, number {i}") }
        };
        let put = |slots: &mut Slots<u32>, i: u32| slots.insert(hash_of(key(i).as_bytes()), &key(i), i, 0, 0);
        let ids: Vec<_> = (0..5000).map(|i| put(&mut slots, i)).collect();
        for i in (0..5000).step_by(3) {
            slots.remove(ids[i]);
        }
        (5000..6000).for_each(|i| _ = put(&mut slots, i));
        assert_eq!((slots.capacity(), slots.users()), (5000, 5000 - 1667 + 1000));
        for i in 0..6000 {
            let found = slots.find(hash_of(key(i).as_bytes()), &key(i));
            assert_eq!(found.is_some(), i >= 5000 || i % 3 != 0, "{i}");
            assert!(found.is_none_or(|id| slots[id].state == Some(i) && slots[id].key() == key(i)));
        }
    }

    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let mut slots = Slots::new();
        let a = slots.insert(7, "a", 1, 0, 0);
        let b = slots.insert(7, "b", 2, 0, 0);
        assert_eq!((slots.find(7, "a"), slots.find(7, "b"), slots.find(7, "c")), (Some(a), Some(b), None));
        slots.remove(a);
        assert_eq!((slots.find(7, "a"), slots.find(7, "b")), (None, Some(b)));
    }
}
