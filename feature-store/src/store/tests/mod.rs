//! The store as its caller sees it.

mod disk;
mod faults;
mod model;
mod process;
mod published;
mod rewrite;
mod single;

use std::collections::BTreeMap;
use std::time::Duration;

use types::{Offset, PartitionId};

use super::{Commit, PartitionStore, Store, StoreIdentity, StoreOptions, SweepCursor};
use crate::{DecodeStateError, StateValue};

/// A state that remembers which events it was given: a lost one, a repeated one and an order changed all show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Seen(Vec<u64>);

impl StateValue for Seen {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.0.iter().flat_map(|offset| offset.to_le_bytes()));
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeStateError> {
        let (chunks, rest) = bytes.as_chunks::<8>();
        let offsets = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk)).collect();
        if rest.is_empty() { Ok(Self(offsets)) } else { Err(DecodeStateError("not whole offsets")) }
    }

    fn heap_bytes(&self) -> usize {
        self.0.capacity() * 8
    }
}

fn identity() -> StoreIdentity {
    StoreIdentity { spec_hash: "0123456789abcdef".to_owned(), topic: "events".to_owned(), partitions: 2 }
}

/// Blocks of a few users, written as soon as a commit covers them.
fn eager() -> StoreOptions {
    StoreOptions {
        snapshot_interval: Duration::ZERO,
        bandwidth: u64::MAX,
        block_bytes: 150,
        ..StoreOptions::default()
    }
}

fn commit_at(offset: u64) -> Commit {
    Commit { next_input: Offset(offset), ..Commit::default() }
}

fn open(store: &Store) -> PartitionStore<Seen> {
    store.partition(PartitionId(0)).unwrap()
}

/// Applies the event at an offset; false if the store holds it already.
fn apply(users: &mut PartitionStore<Seen>, key: &str, at: u64) -> bool {
    let slot = users.entry(key, Offset(at), Seen::default).unwrap();
    slot.inspect(|slot| users.state_mut(*slot).0.push(at)).is_some()
}

/// All users, swept in chunks of `limit`; also checks the order and that nobody comes twice.
fn sweep(users: &mut PartitionStore<Seen>, limit: usize) -> BTreeMap<String, Seen> {
    let mut all = BTreeMap::new();
    let mut before = None;
    let mut cursor = Some(SweepCursor::START);
    while let Some(from) = cursor {
        cursor = users
            .sweep(from, limit, |key, state| {
                let place = (super::hash_of(key.as_bytes()), key.to_owned());
                assert!(Some(&place) > before.as_ref(), "{key} comes out of order");
                before = Some(place);
                all.insert(key.to_owned(), state.clone());
            })
            .unwrap();
    }
    all
}
