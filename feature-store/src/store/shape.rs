//! Which blocks a partition has: the ranges that tile the hashes, so that no block must be read to know them.
//!
//! Sixty-four records, one for each value of a hash's first six bits: per block, in order, one byte with its depth and, as
//! highest bit, whether it was ever written. A record that is missing stands for one block never written.

use super::codec::{seal, unseal};
use super::range::HashRange;

const VERSION: u8 = 1;
const WRITTEN: u8 = 0x80;
/// How many leading bits of a hash choose the record; no block is larger than what one record describes.
pub(super) const ROOT_DEPTH: u8 = 6;
/// How many records there are.
pub(super) const ROOTS: usize = 1 << ROOT_DEPTH;

/// A block that is or will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) range: HashRange,
    pub(super) written: bool,
}

/// The blocks of one record, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root(pub(super) Vec<Part>);

/// The number of the record that describes a hash's block.
pub(super) fn root_of(hash: u64) -> usize {
    (hash >> (64 - ROOT_DEPTH)) as usize
}

impl Root {
    /// One block, never written.
    pub(super) fn new(number: usize) -> Self {
        Self(vec![Part { range: Self::range(number), written: false }])
    }

    fn range(number: usize) -> HashRange {
        HashRange { start: (number as u64) << (64 - ROOT_DEPTH), depth: ROOT_DEPTH }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let flag = |part: &Part| part.range.depth | if part.written { WRITTEN } else { 0 };
        seal(VERSION, &self.0.iter().map(flag).collect::<Vec<_>>())
    }

    pub(super) fn decode(number: usize, bytes: &[u8]) -> Result<Self, String> {
        let body = unseal(VERSION, bytes)?.0;
        let whole = Self::range(number);
        let mut start = Some(whole.start);
        let mut parts = Vec::with_capacity(body.len());
        for byte in body {
            let range = HashRange { start: start.unwrap_or_default(), depth: byte & !WRITTEN };
            if start.is_none() || !range.is_valid() || !whole.covers(range) {
                return Err("its ranges do not tile the hashes".to_owned());
            }
            parts.push(Part { range, written: byte & WRITTEN != 0 });
            start = range.last().checked_add(1).filter(|next| whole.contains(*next));
        }
        if start.is_some() {
            return Err("its ranges do not tile the hashes".to_owned());
        }
        Ok(Self(parts))
    }

    /// Puts the written pieces of a range in its place; true if that changes anything.
    pub(super) fn replace(&mut self, range: HashRange, pieces: impl Iterator<Item = HashRange>) -> bool {
        let pieces: Vec<_> = pieces.map(|range| Part { range, written: true }).collect();
        let at = self.0.partition_point(|part| part.range.start < range.start);
        if self.0.get(at..at + 1) == Some(&pieces) {
            return false;
        }
        self.0.splice(at..=at, pieces);
        true
    }

    /// The part that is exactly this range.
    pub(super) fn part(&self, range: HashRange) -> Option<Part> {
        let at = self.0.partition_point(|part| part.range.start < range.start);
        self.0.get(at).copied().filter(|part| part.range == range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_read_back() {
        for number in [0, 5, ROOTS - 1] {
            let mut root = Root::new(number);
            let whole = root.0[0].range;
            let [low, high] = whole.halves().unwrap();
            assert!(root.replace(whole, [low, high].into_iter()));
            let quarters = high.halves().unwrap();
            assert!(root.replace(high, quarters.into_iter()));
            assert!(!root.replace(low, [low].into_iter()), "nothing changed");
            assert_eq!(root.0.len(), 3);
            assert!(root.part(quarters[1]).is_some() && root.part(high).is_none());
            assert_eq!(Root::decode(number, &root.encode()), Ok(root));
        }
    }

    #[test]
    fn ranges_that_do_not_tile_are_refused() {
        for depths in [vec![], vec![7], vec![7, 7, 7], vec![8, 7, 8], vec![5], vec![21], vec![6, 6]] {
            assert!(Root::decode(3, &seal(VERSION, &depths)).is_err(), "{depths:?}");
        }
    }
}
