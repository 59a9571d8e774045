//! The blocks of a partition as its worker knows them: which users of each are in memory, and what is changed.

use types::Offset;

use super::range::HashRange;
use super::shape::Part;

/// A block, as number in the directory. Numbers stay when blocks are split: the first piece keeps it.
pub(super) type BlockId = u32;

/// A block as its worker knows it.
#[derive(Debug)]
pub(super) struct BlockInfo {
    pub(super) range: HashRange,
    /// The offset that the block on disk is applied to; `None` until it was read or written once.
    pub(super) applied: Option<Offset>,
    /// The users on disk who are not in memory; `None` until it was read or written once.
    pub(super) cold: Option<ColdUsers>,
    /// The offset of the first change that was not collected yet.
    pub(super) dirty_since: Option<Offset>,
    /// The offset of the first change that was collected and is not written yet.
    pub(super) in_flight_since: Option<Offset>,
    /// What the users of the changes in flight count in the memory budget.
    pub(super) in_flight_bytes: usize,
    /// The slots of its users in memory, in no order.
    pub(super) slots: Vec<u32>,
}

impl BlockInfo {
    fn new(part: Part) -> Self {
        // A block that was never written holds nobody.
        let known = !part.written;
        Self {
            range: part.range,
            applied: known.then_some(Offset::ZERO),
            cold: known.then(ColdUsers::default),
            dirty_since: None,
            in_flight_since: None,
            in_flight_bytes: 0,
            slots: Vec::new(),
        }
    }
}

/// Who of a block is on disk only, by sixteen bits of their hashes: a new user is told from a quiet one without reading the
/// block, but for one in some hundred times.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ColdUsers(Vec<u16>);

impl ColdUsers {
    pub(super) fn of(hashes: impl Iterator<Item = u64>) -> Self {
        Self(hashes.map(Self::print).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a user may be among them. O(users of the block), some nanoseconds.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        self.0.contains(&Self::print(hash))
    }

    pub(super) fn add(&mut self, hash: u64) {
        self.0.push(Self::print(hash));
    }

    /// Takes one out who is among them.
    pub(super) fn remove(&mut self, hash: u64) {
        let at = self.0.iter().position(|print| *print == Self::print(hash));
        debug_assert!(at.is_some(), "only who is on disk is taken out");
        if let Some(at) = at {
            self.0.swap_remove(at);
        }
    }

    /// Low bits: the high ones are alike within a block.
    fn print(hash: u64) -> u16 {
        hash as u16
    }
}

/// All blocks of a partition, found by hash in constant time: a table over as many leading bits as the deepest block has.
#[derive(Debug)]
pub(super) struct Directory {
    table: Vec<BlockId>,
    bits: u8,
    blocks: Vec<BlockInfo>,
}

impl Directory {
    /// Of parts that tile the hashes.
    pub(super) fn new(parts: &[Part]) -> Self {
        let bits = parts.iter().map(|part| part.range.depth).max().unwrap_or(0);
        let mut directory = Self { table: vec![0; 1 << bits], bits, blocks: Vec::with_capacity(parts.len()) };
        for part in parts {
            directory.push(*part);
        }
        directory
    }

    /// The block that a hash lies in.
    pub(super) fn find(&self, hash: u64) -> BlockId {
        self.table[self.place(hash)]
    }

    /// Puts the pieces that a block was split into in its place, with nobody in them; returns the block as it was, and the
    /// numbers of the pieces.
    pub(super) fn replace(&mut self, id: BlockId, pieces: &[HashRange]) -> (BlockInfo, Vec<BlockId>) {
        let deepest = pieces.iter().map(|range| range.depth).max().unwrap_or(0);
        if deepest > self.bits {
            let repeat = 1 << (deepest - self.bits);
            self.table = self.table.iter().flat_map(|id| std::iter::repeat_n(*id, repeat)).collect();
            self.bits = deepest;
        }
        let mut parts = pieces.iter().map(|range| Part { range: *range, written: true });
        let first = parts.next().map_or(Part { range: self[id].range, written: true }, |part| part);
        let mut ids = vec![id];
        let old = std::mem::replace(&mut self[id], BlockInfo::new(first));
        ids.extend(parts.map(|part| self.push(part)));
        (old, ids)
    }

    fn push(&mut self, part: Part) -> BlockId {
        let id = self.blocks.len() as BlockId;
        let places = self.place(part.range.start)..=self.place(part.range.last());
        self.table[places].fill(id);
        self.blocks.push(BlockInfo::new(part));
        id
    }

    fn place(&self, hash: u64) -> usize {
        hash.checked_shr(64 - u32::from(self.bits)).unwrap_or(0) as usize
    }
}

impl std::ops::Index<BlockId> for Directory {
    type Output = BlockInfo;

    fn index(&self, id: BlockId) -> &BlockInfo {
        &self.blocks[id as usize]
    }
}

impl std::ops::IndexMut<BlockId> for Directory {
    fn index_mut(&mut self, id: BlockId) -> &mut BlockInfo {
        &mut self.blocks[id as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hash_finds_its_block_however_they_are_split() {
        let mut directory =
            Directory::new(&[Part { range: HashRange { start: 0, depth: 0 }, written: false }]);
        let mut seed = 1u64;
        for _ in 0..200 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let id = directory.find(seed);
            if let Some(halves) = directory[id].range.halves() {
                let (old, ids) = directory.replace(id, &halves);
                assert_eq!((old.range.start, ids.len(), ids[0]), (halves[0].start, 2, id));
            }
            for probe in [0, seed, seed.rotate_left(17), u64::MAX] {
                assert!(directory[directory.find(probe)].range.contains(probe));
            }
        }
        assert!(directory.blocks.len() > 150);
    }
}
