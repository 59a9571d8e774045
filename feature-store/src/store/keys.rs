//! The keys of a partition's tree, and reading and writing what stands under them.
//!
//! | key | value |
//! | --- | --- |
//! | `commit` | the commit and the offset to replay from |
//! | `shape` and a byte | which blocks there are, one of 64 records |
//! | `totals` | how many users and bytes the blocks hold, changed in the same batch as they |
//! | `published` | below which offset every block's newest state lies outside too, where there is such a place |
//! | `b` and eight bytes | the block whose range begins at that hash (big-endian) |

use types::{Offset, PartitionId};

use super::backend::Tree;
use super::block::Block;
use super::codec::{seal, unseal};
use super::commit::StoredCommit;
use super::range::HashRange;
use super::shape::{ROOTS, Root};
use super::{BackendError, StoreError};

const TOTALS_VERSION: u8 = 1;
const PUBLISHED_VERSION: u8 = 1;
pub(super) const COMMIT: &[u8] = b"commit";
pub(super) const TOTALS: &[u8] = b"totals";
pub(super) const PUBLISHED: &[u8] = b"published";

pub(super) fn shape(number: usize) -> Vec<u8> {
    [&b"shape"[..], &[number as u8]].concat()
}

pub(super) fn block(range: HashRange) -> [u8; 9] {
    let mut key = [b'b'; 9];
    key[1..].copy_from_slice(&range.start.to_be_bytes());
    key
}

/// The name of a partition's tree.
pub(super) fn tree(partition: PartitionId) -> String {
    format!("partition-{partition}")
}

pub(super) fn published(below: Offset) -> Vec<u8> {
    seal(PUBLISHED_VERSION, &below.0.to_le_bytes())
}

/// How much the blocks of a partition hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Totals {
    pub(super) users: u64,
    pub(super) bytes: u64,
}

impl Totals {
    pub(super) fn encode(self) -> Vec<u8> {
        seal(TOTALS_VERSION, &[self.users.to_le_bytes(), self.bytes.to_le_bytes()].concat())
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = unseal(TOTALS_VERSION, bytes)?;
        let fields = (|| Some(Self { users: reader.u64()?, bytes: reader.u64()? }))();
        fields.ok_or_else(|| "it is cut short".to_owned())
    }
}

/// Reads a partition's tree; every error names the partition and the record.
#[derive(Clone, Copy)]
pub(super) struct Records<'a> {
    pub(super) tree: &'a dyn Tree,
    pub(super) partition: PartitionId,
}

impl Records<'_> {
    pub(super) fn commit(self) -> Result<Option<StoredCommit>, StoreError> {
        self.small(COMMIT, "the commit", StoredCommit::decode)
    }

    /// Blocks applied to less than this are published as they are.
    pub(super) fn published(self) -> Result<Offset, StoreError> {
        let decode = |bytes: &[u8]| {
            let offset = unseal(PUBLISHED_VERSION, bytes)?.u64();
            offset.map(Offset).ok_or_else(|| "it is cut short".to_owned())
        };
        Ok(self.small(PUBLISHED, "the mark of what is published", decode)?.unwrap_or_default())
    }

    pub(super) fn totals(self) -> Result<Totals, StoreError> {
        Ok(self.small(TOTALS, "the totals", Totals::decode)?.unwrap_or_default())
    }

    pub(super) fn shape(self) -> Result<Vec<Root>, StoreError> {
        (0..ROOTS)
            .map(|number| {
                let root = self.small(&shape(number), "the shape", |bytes| Root::decode(number, bytes))?;
                Ok(root.unwrap_or_else(|| Root::new(number)))
            })
            .collect()
    }

    /// Reads the block that a hash lies in; its bytes land in `buf`.
    ///
    /// `known` is the block's range as last heard. The writing thread may have split it since: then the block found
    /// covers less, and the search goes on beside it.
    pub(super) fn block<'b>(
        self,
        known: HashRange,
        hash: u64,
        buf: &'b mut Vec<u8>,
    ) -> Result<Block<'b>, StoreError> {
        let mut range = known;
        loop {
            if !self.tree.get(&block(range), buf).map_err(reading)? {
                return Err(self.damaged(range, "it is missing"));
            }
            let found = Block::parse(buf).map_err(|detail| self.damaged(range, detail))?.range;
            if found.start != range.start || found.depth < range.depth {
                return Err(self.damaged(range, format!("{found} stands in its place")));
            }
            if found.contains(hash) {
                break;
            }
            range = found.beside(hash);
        }
        Block::parse(buf).map_err(|detail| self.damaged(range, detail))
    }

    pub(super) fn damaged(self, part: impl ToString, detail: impl ToString) -> StoreError {
        StoreError::Damaged { partition: self.partition, part: part.to_string(), detail: detail.to_string() }
    }

    fn small<T>(
        self,
        key: &[u8],
        part: &str,
        decode: impl FnOnce(&[u8]) -> Result<T, String>,
    ) -> Result<Option<T>, StoreError> {
        let mut bytes = Vec::new();
        if !self.tree.get(key, &mut bytes).map_err(reading)? {
            return Ok(None);
        }
        decode(&bytes).map(Some).map_err(|detail| self.damaged(part, detail))
    }
}

pub(super) fn reading(source: BackendError) -> StoreError {
    StoreError::Backend { action: "reading from the store", source }
}

pub(super) fn writing(source: BackendError) -> StoreError {
    StoreError::Backend { action: "writing to the store", source }
}
