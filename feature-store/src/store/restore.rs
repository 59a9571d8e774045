//! Restoring a partition from blocks that another process published.

use std::collections::BTreeMap;
use std::sync::Arc;

use types::{Offset, PartitionId};

use super::backend::Tree;
use super::block::{self, Block, Entry};
use super::commit::{Commit, StoredCommit};
use super::keys::{self, Records, Totals};
use super::range::HashRange;
use super::shape::{Part, ROOT_DEPTH, ROOTS, Root, root_of};
use super::{Batch, Published, Shared, Store, StoreError};

/// Blocks that go into one batch of the database.
const BATCH_BYTES: usize = 1 << 20;

/// What was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    /// How many users.
    pub users: u64,
    /// How many bytes their blocks have.
    pub bytes: u64,
}

/// A look at published blocks, by which it is known whether a partition can be restored from them before anything gives way to them.
#[derive(Debug, Default)]
pub struct Survey {
    /// The newest block of each first hash.
    found: BTreeMap<u64, Found>,
}

/// A partition that is being restored. Nobody else has it meanwhile; one that is dropped before it is finished leaves the partition empty.
pub struct Restorer {
    shared: Arc<Shared>,
    partition: PartitionId,
    tree: Arc<dyn Tree>,
    survey: Survey,
    batch: Batch,
    batch_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    range: HashRange,
    applied: Offset,
    users: u32,
    bytes: u64,
}

/// A range and the block that holds its newest state.
type Choice = (HashRange, Found);

impl Store {
    /// Empties a partition, to be restored from blocks that were published.
    ///
    /// # Errors
    /// [`StoreError::PartitionInUse`] while a handle of it lives; the database's failure.
    pub fn restore(&self, partition: PartitionId) -> Result<Restorer, StoreError> {
        let shared = Arc::clone(&self.shared);
        if partition.0 >= shared.partitions {
            return Err(StoreError::NoSuchPartition { partition, partitions: shared.partitions });
        }
        if !shared.open_partitions().insert(partition) {
            return Err(StoreError::PartitionInUse { partition });
        }
        let tree = shared.backend.tree(&keys::tree(partition)).map_err(keys::reading);
        let tree = tree.inspect_err(|_| {
            shared.open_partitions().remove(&partition);
        })?;
        let restorer = Restorer {
            shared,
            partition,
            tree,
            survey: Survey::default(),
            batch: Batch::default(),
            batch_bytes: 0,
        };
        // Without commit and shape nothing of the old blocks counts; each gives way to one that begins at the same hash.
        let mut batch = Batch::default();
        [keys::COMMIT, keys::TOTALS, keys::PUBLISHED].iter().for_each(|key| batch.remove(*key));
        (0..ROOTS).for_each(|number| batch.remove(keys::shape(number)));
        let emptied = restorer.tree.apply(batch).and_then(|()| restorer.shared.backend.flush());
        emptied.map_err(keys::writing)?;
        Ok(restorer)
    }
}

impl Survey {
    /// Looks at a published block. Of several that begin at the same hash the last one counts, which is what compaction leaves.
    ///
    /// # Errors
    /// Why the bytes are not what was published.
    pub fn add(&mut self, bytes: &[u8]) -> Result<HashRange, String> {
        let block = Block::parse(bytes).map_err(|detail| format!("a block is damaged: {detail}"))?;
        let range = block.range;
        if range.depth < ROOT_DEPTH {
            return Err(format!("{range} is larger than any block"));
        }
        let found = Found { range, applied: block.applied, users: block.users, bytes: block.bytes() };
        self.found.insert(range.start, found);
        Ok(range)
    }

    /// Whether the blocks are all that was published, and hold nothing that is not committed.
    ///
    /// # Errors
    /// What is missing, or too new.
    pub fn check(&self, published: Published, next_input: Offset) -> Result<(), String> {
        roots(published).try_for_each(|whole| self.choose(whole, next_input).map(|_| ()))
    }

    /// The newest blocks of a root.
    fn choose(&self, whole: HashRange, next_input: Offset) -> Result<Vec<Choice>, String> {
        let blocks: Vec<_> = self.found.range(whole.start..=whole.last()).map(|(_, found)| *found).collect();
        let mut chosen = Vec::new();
        choose(whole, &blocks, &mut chosen).map_err(|gap| format!("{gap} is missing"))?;
        match chosen.iter().find(|(_, found)| found.applied > next_input) {
            Some((range, found)) => {
                Err(format!("{range} is at offset {}, the group at {next_input}", found.applied))
            }
            None => Ok(chosen),
        }
    }
}

/// The roots of which blocks were published.
fn roots(published: Published) -> impl Iterator<Item = HashRange> {
    let range = |number: usize| HashRange { start: (number as u64) << (64 - ROOT_DEPTH), depth: ROOT_DEPTH };
    (0..ROOTS).filter(move |number| published.roots >> number & 1 == 1).map(range)
}

impl Restorer {
    /// Adds a published block; of several that begin at the same hash the last one stays.
    ///
    /// # Errors
    /// [`StoreError::SnapshotLost`] if the bytes are not what was published; the database's failure.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let range = self.survey.add(bytes).map_err(|detail| self.lost(detail))?;
        self.put(range, bytes.to_vec())
    }

    /// Makes the blocks the partition's state. It is committed to `next_input` then, and replayed from where the publication says.
    ///
    /// # Errors
    /// [`StoreError::SnapshotLost`] if blocks are missing, or hold events that are not committed: the partition is empty then.
    pub fn finish(mut self, published: Published, next_input: Offset) -> Result<Restored, StoreError> {
        self.write()?;
        let (mut totals, mut last) = (Totals::default(), Batch::default());
        // What was restored is published as it is.
        let mut mark = published.below.next();
        for whole in roots(published) {
            let chosen = self.survey.choose(whole, next_input).map_err(|detail| self.lost(detail))?;
            // First those that are cut out of others, which are still there.
            let cut = self.cut(&chosen)?;
            for (_, found) in chosen.iter().filter(|(range, found)| *range == found.range) {
                totals.users += u64::from(found.users);
                totals.bytes += found.bytes;
            }
            for (range, users, bytes) in cut {
                totals.users += users;
                totals.bytes += bytes.len() as u64;
                self.put(range, bytes)?;
                // The block that it was cut out of may be replaced by what covers less.
                mark = Offset::ZERO;
            }
            let parts = chosen.iter().map(|(range, _)| Part { range: *range, written: true }).collect();
            last.put(keys::shape(root_of(whole.start)), Root(parts).encode());
        }
        self.write()?;
        let commit = Commit { next_input, ..Commit::default() };
        last.put(keys::COMMIT, StoredCommit { commit, replay_from: published.below }.encode());
        last.put(keys::TOTALS, totals.encode());
        last.put(keys::PUBLISHED, keys::published(mark));
        let done = self.tree.apply(last).and_then(|()| self.shared.backend.flush());
        done.map_err(keys::writing)?;
        Ok(Restored { users: totals.users, bytes: totals.bytes })
    }

    /// The blocks of those ranges that are less than what their block covers.
    fn cut(&self, chosen: &[Choice]) -> Result<Vec<(HashRange, u64, Vec<u8>)>, StoreError> {
        let records = Records { tree: &*self.tree, partition: self.partition };
        let (mut all, mut buf) = (Vec::new(), Vec::new());
        for (range, found) in chosen.iter().filter(|(range, found)| *range != found.range) {
            let mut entries: Vec<Entry<'_>> = Vec::new();
            let block = records.block(found.range, found.range.start, &mut buf)?;
            let read = block.for_each(|entry| entries.extend(range.contains(entry.hash).then_some(entry)));
            read.map_err(|detail| records.damaged(found.range, detail))?;
            all.push((*range, entries.len() as u64, block::encode(*range, found.applied, &entries)));
        }
        Ok(all)
    }

    fn put(&mut self, range: HashRange, bytes: Vec<u8>) -> Result<(), StoreError> {
        self.batch_bytes += bytes.len();
        self.batch.put(keys::block(range), bytes);
        if self.batch_bytes >= BATCH_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), StoreError> {
        self.batch_bytes = 0;
        self.tree.apply(std::mem::take(&mut self.batch)).map_err(keys::writing)
    }

    fn lost(&self, detail: String) -> StoreError {
        StoreError::SnapshotLost { partition: self.partition, detail }
    }
}

impl Drop for Restorer {
    fn drop(&mut self) {
        self.shared.open_partitions().remove(&self.partition);
    }
}

/// Tiles a range with the newest of the blocks that overlap it. Blocks of one process only become smaller, but those that another published
/// after it may be larger again. Returns the range that no block covers, if there is one.
fn choose(range: HashRange, blocks: &[Found], into: &mut Vec<Choice>) -> Result<(), HashRange> {
    let covering = blocks.iter().filter(|found| found.range.covers(range)).max_by_key(|found| found.applied);
    let inside = |found: &&Found| range.covers(found.range) && found.range != range;
    let newest_inside = blocks.iter().filter(inside).map(|found| found.applied).max();
    if let Some(found) = covering
        && newest_inside.is_none_or(|inside| inside <= found.applied)
    {
        into.push((range, *found));
        return Ok(());
    }
    let halves = range.halves().filter(|_| newest_inside.is_some()).ok_or(range)?;
    for half in halves {
        let overlapping = |found: &&Found| found.range.covers(half) || half.covers(found.range);
        let blocks: Vec<_> = blocks.iter().filter(overlapping).copied().collect();
        choose(half, &blocks, into)?;
    }
    Ok(())
}
