//! Which partition a key belongs to: Apache Kafka's default partitioner for records with a key.

use types::PartitionId;

const SEED: u32 = 0x9747_b28c;
const M: u32 = 0x5bd1_e995;
const R: u32 = 24;

/// MurmurHash2 (Austin Appleby, 32 bits) with the seed that Kafka's clients use. O(length).
#[must_use]
pub fn murmur2(key: &[u8]) -> u32 {
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, &byte) in rest.iter().enumerate() {
            hash ^= u32::from(byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of `partitions` that `key` belongs to: `toPositive(murmur2(key)) % partitions`, where `toPositive`
/// drops the sign bit. O(length).
///
/// Records of no key (ticks) are placed by the writer explicitly, not by this.
///
/// # Panics
/// If `partitions` is 0: no topic has that.
#[must_use]
pub fn partition_for(key: &[u8], partitions: u32) -> PartitionId {
    PartitionId((murmur2(key) & 0x7fff_ffff) % partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of `UtilsTest.testMurmur2` in Apache Kafka.
    #[test]
    fn the_published_vectors_come_out() {
        for (key, hash) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    /// kafka-python's `test_partitioner` and `murmur2` give the same.
    #[test]
    fn partitions_are_those_of_other_clients() {
        assert_eq!(partition_for(b"foobar", 10), PartitionId(((-790_332_482_i32) & 0x7fff_ffff) as u32 % 10));
        for (key, of_1000) in
            [("", 681), ("a", 524), ("ab", 434), ("abc", 107), ("123456789", 566), ("\0 ", 742)]
        {
            assert_eq!(partition_for(key.as_bytes(), 1000), PartitionId(of_1000), "{key:?}");
        }
    }
}
