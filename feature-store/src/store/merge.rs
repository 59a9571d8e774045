//! A block's changes, and what becomes of a block with them.

use types::Offset;

use super::block::{self, Block, Entry};
use super::range::HashRange;

/// Changed and removed users of one block, in order of (hash, key), in one buffer.
#[derive(Debug, Default)]
pub(super) struct Edits {
    bytes: Vec<u8>,
    items: Vec<Edit>,
}

#[derive(Debug, Clone, Copy)]
struct Edit {
    hash: u64,
    start: usize,
    state: usize,
    end: usize,
    removed: bool,
}

impl Edits {
    /// Adds a user after all that come before: `write` appends the state, or says that there is none any more.
    pub(super) fn push(&mut self, hash: u64, key: &str, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key.as_bytes());
        let state = self.bytes.len();
        let removed = !write(&mut self.bytes);
        self.items.push(Edit { hash, start, state, end: self.bytes.len(), removed });
    }

    /// How many bytes the keys and states take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn entries(&self) -> impl Iterator<Item = (Entry<'_>, bool)> {
        self.items.iter().map(|edit| {
            #[allow(clippy::expect_used)]
            let key = std::str::from_utf8(&self.bytes[edit.start..edit.state]).expect("pushed as a str");
            (Entry { hash: edit.hash, key, state: &self.bytes[edit.state..edit.end] }, edit.removed)
        })
    }
}

/// A block to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NewBlock {
    pub(super) range: HashRange,
    /// Its users' hashes, in order.
    pub(super) hashes: Vec<u64>,
    pub(super) bytes: Vec<u8>,
}

/// The block with its changes, in as many pieces as it takes for none to be larger than twice `target` bytes where
/// splitting can help. The pieces tile the range in order.
pub(super) fn merge(
    range: HashRange,
    old: Option<Block<'_>>,
    edits: &Edits,
    applied: Offset,
    target: usize,
) -> Result<Vec<NewBlock>, String> {
    let mut merged = Vec::new();
    let mut edits = edits.entries().peekable();
    if let Some(old) = old {
        old.for_each(|entry| {
            while let Some((edit, removed)) =
                edits.next_if(|(e, _)| (e.hash, e.key) < (entry.hash, entry.key))
            {
                merged.extend((!removed).then_some(edit));
            }
            match edits.next_if(|(e, _)| e.key == entry.key) {
                Some((edit, removed)) => merged.extend((!removed).then_some(edit)),
                None => merged.push(entry),
            }
        })?;
    }
    merged.extend(edits.filter(|(_, removed)| !removed).map(|(edit, _)| edit));
    let mut blocks = Vec::new();
    split(range, &merged, applied, target, &mut blocks);
    Ok(blocks)
}

fn split(range: HashRange, entries: &[Entry<'_>], applied: Offset, target: usize, into: &mut Vec<NewBlock>) {
    let large = entries.len() > 1 && block::encoded_len(entries) > 2 * target;
    match range.halves().filter(|_| large) {
        Some([low, high]) => {
            let (left, right) = entries.split_at(entries.partition_point(|e| low.contains(e.hash)));
            split(low, left, applied, target, into);
            split(high, right, applied, target, into);
        }
        None => {
            let bytes = block::encode(range, applied, entries);
            into.push(NewBlock { range, hashes: entries.iter().map(|entry| entry.hash).collect(), bytes });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::range::hash_of;
    use super::*;

    fn edits(changes: &BTreeMap<String, Option<Vec<u8>>>) -> Edits {
        let mut sorted: Vec<_> = changes.iter().map(|(k, s)| (hash_of(k.as_bytes()), k, s)).collect();
        sorted.sort();
        let mut edits = Edits::default();
        for (hash, key, state) in sorted {
            edits.push(hash, key, |out| {
                out.extend_from_slice(state.as_deref().unwrap_or_default());
                state.is_some()
            });
        }
        edits
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn merging_is_what_a_map_does(
            rounds in prop::collection::vec(
                prop::collection::btree_map("[a-h]{1,2}", prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0..30),
                1..5,
            ),
        ) {
            let whole = HashRange { start: 0, depth: 0 };
            let mut model = BTreeMap::new();
            let mut blocks = vec![NewBlock { range: whole, hashes: vec![], bytes: block::encode(whole, Offset(0), &[]) }];
            for (round, changes) in rounds.iter().enumerate() {
                for (key, state) in changes {
                    match state {
                        Some(state) => model.insert(key.clone(), state.clone()),
                        None => model.remove(key),
                    };
                }
                blocks = blocks.into_iter().flat_map(|old| {
                    let mine = changes.iter().filter(|(k, _)| old.range.contains(hash_of(k.as_bytes())));
                    let mine = edits(&mine.map(|(k, s)| (k.clone(), s.clone())).collect());
                    merge(old.range, Some(Block::parse(&old.bytes).unwrap()), &mine, Offset(round as u64), 100).unwrap()
                }).collect();
                let mut read = BTreeMap::new();
                let mut next = Some(0);
                for block in &blocks {
                    prop_assert_eq!(Some(block.range.start), next);
                    next = block.range.last().checked_add(1);
                    prop_assert!(block.bytes.len() <= 200 || block.hashes.len() <= 1);
                    let parsed = Block::parse(&block.bytes).unwrap();
                    prop_assert_eq!(parsed.applied, Offset(round as u64));
                    parsed.for_each(|e| { read.insert(e.key.to_owned(), e.state.to_vec()); }).unwrap();
                }
                prop_assert_eq!(next, None);
                prop_assert_eq!(&read, &model);
            }
        }
    }
}
