//! Blocks: the states of all users of a range of hashes, as one value of the database.
//!
//! ```text
//! offset  size  what (numbers are little-endian)
//!      0     3  "csb"
//!      3     1  format version, 1
//!      4     4  CRC-32C of everything from byte 8 on
//!      8     8  applied offset: the states hold every event before it and none at or after it
//!     16     8  first hash of the range
//!     24     4  number of users
//!     28     1  depth: how many leading bits of the hash are fixed
//!     29        per user, in order of (hash, key): key length (LEB128), key, state length (LEB128), state
//! ```

use types::Offset;

use super::codec::{Reader, len_bytes, put_bytes};
use super::range::{HashRange, hash_of};

const MAGIC: [u8; 3] = *b"csb";
const VERSION: u8 = 1;
const HEADER: usize = 29;

/// A block's header, checked, and its users' bytes.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The states hold every event before this offset and none at or after it.
    pub applied: Offset,
    /// Which users it holds.
    pub range: HashRange,
    /// How many they are.
    pub users: u32,
    body: Reader<'a>,
}

/// One user of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The hash of the key.
    pub hash: u64,
    /// The user's key.
    pub key: &'a str,
    /// The encoded state.
    pub state: &'a [u8],
}

impl Entry<'_> {
    fn encoded_len(&self) -> usize {
        len_bytes(self.key.len()) + self.key.len() + len_bytes(self.state.len()) + self.state.len()
    }
}

impl<'a> Block<'a> {
    /// Reads a block's header and checks its checksum. O(bytes).
    ///
    /// # Errors
    /// If the bytes are not a block of this format, or not what was written: the text says what is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, String> {
        let (header, body) = bytes.split_at_checked(HEADER).ok_or("it is cut short")?;
        let mut reader = Reader(header);
        if reader.take(3) != Some(&MAGIC) {
            return Err("it is no block".to_owned());
        }
        let version = reader.u8().unwrap_or_default();
        if version != VERSION {
            return Err(format!("its format is version {version}, known is {VERSION}"));
        }
        if reader.u32() != Some(crc32c::crc32c(&bytes[8..])) {
            return Err("its checksum does not match".to_owned());
        }
        let fields = (|| Some((reader.u64()?, reader.u64()?, reader.u32()?, reader.u8()?)))();
        let (applied, start, users, depth) = fields.ok_or("it is cut short")?;
        let range = HashRange { start, depth };
        if !range.is_valid() {
            return Err("its range is impossible".to_owned());
        }
        Ok(Self { applied: Offset(applied), range, users, body: Reader(body) })
    }

    /// The block's size, header included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (HEADER + self.body.0.len()) as u64
    }

    /// The encoded state of a user, if the block has one. O(users).
    ///
    /// # Errors
    /// If the users' bytes are damaged.
    pub fn find(&self, key: &str) -> Result<Option<&'a [u8]>, String> {
        let mut body = self.body;
        for _ in 0..self.users {
            let (found, state) = next(&mut body).ok_or("its users' bytes end too early")?;
            if found == key.as_bytes() {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// Visits all users in order of (hash, key), and checks that order. O(bytes).
    ///
    /// # Errors
    /// If the users' bytes are damaged.
    pub fn for_each(&self, mut visit: impl FnMut(Entry<'a>)) -> Result<(), String> {
        let mut body = self.body;
        let mut before: Option<(u64, &[u8])> = None;
        for _ in 0..self.users {
            let (key, state) = next(&mut body).ok_or("its users' bytes end too early")?;
            let hash = hash_of(key);
            if before >= Some((hash, key)) || !self.range.contains(hash) {
                return Err("its users are out of order".to_owned());
            }
            before = Some((hash, key));
            let key = std::str::from_utf8(key).map_err(|_| "a key is not UTF-8")?;
            visit(Entry { hash, key, state });
        }
        if body.is_empty() { Ok(()) } else { Err("bytes follow its last user".to_owned()) }
    }
}

fn next<'a>(body: &mut Reader<'a>) -> Option<(&'a [u8], &'a [u8])> {
    Some((body.bytes()?, body.bytes()?))
}

/// The bytes of a block. The entries are in order of (hash, key) and lie in the range.
#[must_use]
pub fn encode(range: HashRange, applied: Offset, entries: &[Entry<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(encoded_len(entries));
    out.extend_from_slice(&MAGIC);
    out.push(VERSION);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&applied.0.to_le_bytes());
    out.extend_from_slice(&range.start.to_le_bytes());
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.push(range.depth);
    for entry in entries {
        put_bytes(&mut out, entry.key.as_bytes());
        put_bytes(&mut out, entry.state);
    }
    let crc = crc32c::crc32c(&out[8..]);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

/// How many bytes [`encode`] makes of these entries.
pub(super) fn encoded_len(entries: &[Entry<'_>]) -> usize {
    HEADER + entries.iter().map(Entry::encoded_len).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WHOLE: HashRange = HashRange { start: 0, depth: 0 };

    fn sorted(users: &std::collections::BTreeMap<String, Vec<u8>>) -> Vec<Entry<'_>> {
        let mut entries: Vec<_> =
            users.iter().map(|(key, state)| Entry { hash: hash_of(key.as_bytes()), key, state }).collect();
        entries.sort_by_key(|e| (e.hash, e.key));
        entries
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn blocks_read_back_and_damage_is_found(
            users in prop::collection::btree_map(".{0,12}", prop::collection::vec(any::<u8>(), 0..200), 0..20),
            applied: u64,
            at: prop::sample::Index,
            flip in 1u8..,
        ) {
            let entries = sorted(&users);
            let bytes = encode(WHOLE, Offset(applied), &entries);
            prop_assert_eq!(bytes.len(), encoded_len(&entries));
            let block = Block::parse(&bytes).unwrap();
            prop_assert_eq!((block.applied, block.range), (Offset(applied), WHOLE));
            let mut read = Vec::new();
            block.for_each(|entry| read.push(entry)).unwrap();
            prop_assert_eq!(&read, &entries);
            for entry in &entries {
                prop_assert_eq!(block.find(entry.key).unwrap(), Some(entry.state));
            }
            prop_assert_eq!(block.find("somebody else entirely").unwrap(), None);

            let mut bad = bytes.clone();
            bad[at.index(bytes.len())] ^= flip;
            prop_assert!(Block::parse(&bad).is_err());
            prop_assert!(Block::parse(&bytes[..at.index(bytes.len())]).is_err());
        }
    }

    #[test]
    fn users_out_of_order_are_found_behind_a_right_checksum() {
        let users = [("a".to_owned(), vec![1]), ("b".to_owned(), vec![2]), ("c".to_owned(), vec![3])].into();
        let mut entries = sorted(&users);
        entries.swap(0, 2);
        let bytes = encode(WHOLE, Offset(1), &entries);
        assert_eq!(Block::parse(&bytes).unwrap().for_each(|_| ()).unwrap_err(), "its users are out of order");
    }
}
