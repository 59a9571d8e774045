//! Users in the order of their hashes, and ranges of hashes.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// Where a user stands in the order of users: XXH3-64 (seed 0) of the key's bytes. Part of the format on disk.
#[must_use]
pub fn hash_of(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The hashes that share their first `depth` bits with `start`: what one block covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashRange {
    /// The first hash of the range.
    pub start: u64,
    /// How many leading bits are fixed, at most [`Self::MAX_DEPTH`].
    pub depth: u8,
}

impl HashRange {
    /// Ranges are not split further: a million blocks a partition.
    pub const MAX_DEPTH: u8 = 20;

    /// The range of this depth that a hash lies in.
    #[must_use]
    pub fn around(hash: u64, depth: u8) -> Self {
        Self { start: hash & !Self::free_bits(depth), depth }
    }

    /// Whether a hash lies in the range.
    #[must_use]
    pub fn contains(self, hash: u64) -> bool {
        (hash ^ self.start) & !Self::free_bits(self.depth) == 0
    }

    /// The last hash of the range.
    #[must_use]
    pub fn last(self) -> u64 {
        self.start | Self::free_bits(self.depth)
    }

    /// Whether the range begins where it may: its free bits are zero, and it is no deeper than allowed.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.depth <= Self::MAX_DEPTH && self.start & Self::free_bits(self.depth) == 0
    }

    /// Whether the other range lies in this one.
    #[must_use]
    pub fn covers(self, other: Self) -> bool {
        other.depth >= self.depth && self.contains(other.start)
    }

    /// Both halves, or `None` at the greatest depth.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        let depth = self.depth + 1;
        let upper = self.start | 1 << (64 - u32::from(depth));
        (depth <= Self::MAX_DEPTH)
            .then_some([Self { start: self.start, depth }, Self { start: upper, depth }])
    }

    /// The largest range around `hash` that leaves this one out; `hash` must not lie in this one.
    pub(super) fn beside(self, hash: u64) -> Self {
        let shared = (hash ^ self.start).leading_zeros() as u8;
        Self::around(hash, shared + 1)
    }

    fn free_bits(depth: u8) -> u64 {
        u64::MAX.checked_shr(u32::from(depth)).unwrap_or(0)
    }
}

impl fmt::Display for HashRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {:#018x}/{}", self.start, self.depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        // From XXH3's own test values: the empty input with seed 0.
        assert_eq!(hash_of(b""), 0x2d06_8005_38d3_94c2);
    }

    #[test]
    fn halves_tile_their_range() {
        let whole = HashRange { start: 0, depth: 0 };
        let [low, high] = whole.halves().unwrap();
        assert_eq!((low.start, low.last() + 1, high.last()), (0, high.start, u64::MAX));
        assert!(whole.covers(high) && !high.covers(whole) && !low.contains(high.start));
        assert_eq!(low.beside(u64::MAX), high);
        assert_eq!(HashRange::around(u64::MAX, HashRange::MAX_DEPTH).halves(), None);
    }
}
