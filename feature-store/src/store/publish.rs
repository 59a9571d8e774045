//! Publishing: which blocks have changed since they were last handed to a place outside, from which another process can restore the
//! partition.
//!
//! What was written to the database is published with a later commit, oldest change first. Beside the blocks stands [`Published`]: a restore from
//! the last block that was published under each first hash, the newest where they overlap, goes on at [`Published::below`]. As a block says to which offset it is
//! applied, it does not matter how much newer than that some of them are.
//!
//! The first publication of a hash's root holds all of the root's blocks, and later ones replace blocks by what they became: so whatever was
//! published covers every root that [`Published::roots`] names, without gaps. What is published together must be seen together or not at all.

use std::collections::{BTreeMap, BTreeSet};

use types::Offset;

use super::block::Block;
use super::keys::{self, Records};
use super::partition::PartitionStore;
use super::range::HashRange;
use super::shape::{ROOT_DEPTH, ROOTS, root_of};
use super::{Batch, StoreError};
use crate::StateValue;

/// What a restore can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Published {
    /// Every event before this offset is in a published block.
    pub below: Offset,
    /// For each of the 64 parts of the hashes, lowest bit first, whether blocks of it were published.
    pub roots: u64,
}

/// The ranges of hashes in which blocks were written that are not published yet.
#[derive(Debug)]
pub(super) struct Unpublished {
    /// By the offset of the first event that the published blocks lack.
    by_age: BTreeSet<(Offset, u64)>,
    /// The same by the range's first hash. Ranges do not overlap.
    by_start: BTreeMap<u64, (HashRange, Offset)>,
    /// Blocks applied to less than this need no publishing, as of the last commit.
    mark: Offset,
    /// The mark that holds when the next commit is made.
    next_mark: Option<Offset>,
    /// The offset to which the newest written block is applied.
    newest: Offset,
    published: Published,
}

impl Unpublished {
    fn new(published: Published, mark: Offset) -> Self {
        Self {
            by_age: BTreeSet::new(),
            by_start: BTreeMap::new(),
            mark,
            next_mark: None,
            newest: Offset::ZERO,
            published,
        }
    }

    /// Blocks of this range were written, applied to `at`; `since` is the first event that was new in them.
    pub(super) fn written(&mut self, at: Offset, since: Offset, range: HashRange) {
        self.newest = self.newest.max(at);
        let before = self.by_start.range(..=range.start).next_back();
        if before.is_some_and(|(_, (before, _))| before.covers(range)) {
            // It waits already, and for longer.
            return;
        }
        self.by_start.insert(range.start, (range, since));
        self.by_age.insert((since, range.start));
    }

    /// The mark for the commit that is being made.
    pub(super) fn take_mark(&mut self) -> Option<Offset> {
        let mark = self.next_mark.take()?;
        self.mark = mark;
        Some(mark)
    }

    fn pop(&mut self) -> Option<HashRange> {
        let (_, start) = self.by_age.pop_first()?;
        self.by_start.remove(&start).map(|(range, _)| range)
    }
}

impl<S: StateValue> PartitionStore<S> {
    /// From now on blocks are published. `published` is what was published last. Where another process did that, or what it published is lost,
    /// nothing is known of what lies there (`known` is false), and all blocks are published again.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], or the database's failure.
    pub fn begin_publishing(&mut self, published: Published, known: bool) -> Result<(), StoreError> {
        let records = Records { tree: &*self.tree, partition: self.partition };
        // What the replay is going to write is applied to more than where it begins.
        let (stored, trusted) = (records.published()?, if known { Offset(u64::MAX) } else { Offset::ZERO });
        let mark = stored.min(trusted).min(self.replay_from().next());
        if mark < stored {
            let mut batch = Batch::default();
            batch.put(keys::PUBLISHED, keys::published(mark));
            // Before anything is published: the group could hear of that, and this store not.
            self.tree.apply(batch).and_then(|()| self.shared.backend.flush()).map_err(keys::writing)?;
        }
        let mut unpublished = Unpublished::new(published, mark);
        // Which blocks were written since the mark, only they know; those of a root at once, for they may have been split since.
        for (number, root) in records.shape()?.iter().enumerate() {
            if root.0.iter().any(|part| part.written) {
                let start = (number as u64) << (64 - ROOT_DEPTH);
                unpublished.written(Offset::ZERO, published.below, HashRange { start, depth: ROOT_DEPTH });
            }
        }
        self.unpublished = Some(unpublished);
        Ok(())
    }

    /// What was published, as it holds once the next commit is made; `None` if nothing is published at all.
    #[must_use]
    pub fn published(&self) -> Option<Published> {
        self.unpublished.as_ref().map(|unpublished| unpublished.published)
    }

    /// About how many bytes wait for being published.
    #[must_use]
    pub fn unpublished_bytes(&self) -> usize {
        let ranges = self.unpublished.as_ref().map_or(0, |unpublished| unpublished.by_age.len());
        ranges * self.shared.options.block_bytes
    }

    /// Whether there is something to publish, or more could be said of what was.
    #[must_use]
    pub fn can_publish(&self) -> bool {
        self.unpublished.as_ref().is_some_and(|unpublished| {
            !unpublished.by_age.is_empty() || self.settled_in_blocks() != unpublished.published.below
        })
    }

    /// Hands blocks to `write` that are to be published with the next commit, until about `limit` bytes were read. What holds once
    /// that commit is made, [`published`](Self::published) says. If the commit is not made, the partition must be dropped.
    ///
    /// # Errors
    /// What `write` returns; [`StoreError::Damaged`], or the database's failure.
    pub fn publish<E: From<StoreError>>(
        &mut self,
        limit: usize,
        mut write: impl FnMut(HashRange, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.receive()?;
        let settled = self.settled_in_blocks();
        let Some(unpublished) = &mut self.unpublished else { return Ok(()) };
        let records = Records { tree: &*self.tree, partition: self.partition };
        let mut read = 0;
        while read < limit
            && let Some(range) = unpublished.pop()
        {
            let mut next = Some(range.start);
            // The writing thread may have split it since: what is found may cover less.
            while let Some(start) = next {
                let block: Block<'_> = records.block(range, start, &mut self.buf)?;
                let (found, applied) = (block.range, block.applied);
                read += self.buf.len();
                if applied >= unpublished.mark {
                    write(found, &self.buf)?;
                }
                next = found.last().checked_add(1).filter(|next| range.contains(*next));
            }
            unpublished.published.roots |= 1 << root_of(range.start);
        }
        let oldest = unpublished.by_age.first().map_or(settled, |(since, _)| *since);
        // It may go back: where the store is older than what another process published, blocks are replaced by older ones.
        unpublished.published.below = oldest.min(settled);
        if unpublished.by_age.is_empty() {
            // More blocks may be on their way that are applied to the same offset as the newest.
            unpublished.next_mark = Some(unpublished.newest).filter(|newest| *newest > unpublished.mark);
        }
        Ok(())
    }

    /// The offset below which every event is in written blocks.
    fn settled_in_blocks(&self) -> Offset {
        self.settled_below(self.committed().map_or(Offset::ZERO, |commit| commit.next_input))
    }
}

/// All roots.
const _: () = assert!(ROOTS == u64::BITS as usize);
