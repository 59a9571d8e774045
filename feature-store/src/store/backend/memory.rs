//! A database in memory: for replays that keep nothing, and for tests that crash on purpose.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Backend, Batch, Tree};
use crate::store::BackendError;

type Trees = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A database in memory. Clones share the same trees.
#[derive(Clone, Default)]
pub struct MemoryBackend {
    trees: Arc<Mutex<Trees>>,
    /// Every batch since the last flush, where a test wants to crash between them.
    #[cfg(test)]
    pub(crate) journal: Option<Arc<Mutex<Journal>>>,
}

#[cfg(test)]
#[derive(Default)]
pub(crate) struct Journal {
    durable: Trees,
    pending: Vec<(String, Batch)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half-done if a holder panics: each section is one insertion after the other of owned values.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn insert(trees: &mut Trees, name: &str, batch: &Batch) {
    let tree = trees.entry(name.to_owned()).or_default();
    for (key, value) in &batch.0 {
        match value {
            Some(value) => tree.insert(key.clone(), value.clone()),
            None => tree.remove(key),
        };
    }
}

#[cfg(test)]
impl MemoryBackend {
    /// One that remembers what a crash could lose.
    pub(crate) fn journaled() -> Self {
        Self { journal: Some(Arc::default()), ..Self::default() }
    }

    /// What a crash leaves: everything flushed, and `choose(n)` of the `n` batches since.
    pub(crate) fn crash(&self, choose: impl FnOnce(usize) -> usize) -> Self {
        let journal = self.journal.as_ref().expect("journaled");
        let journal = lock(journal);
        let mut trees = journal.durable.clone();
        for (name, batch) in &journal.pending[..choose(journal.pending.len())] {
            insert(&mut trees, name, batch);
        }
        let survivor = Journal { durable: trees.clone(), pending: Vec::new() };
        Self { trees: Arc::new(Mutex::new(trees)), journal: Some(Arc::new(Mutex::new(survivor))) }
    }

    /// Changes a stored value behind the store's back; false if there is no such key.
    pub(crate) fn tamper(&self, tree: &str, key: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut trees = lock(&self.trees);
        trees.get_mut(tree).and_then(|t| t.get_mut(key)).map(change).is_some()
    }

    /// A stored value; false if there is no such key.
    pub(crate) fn tree_bytes(&self, tree: &str, key: &[u8], into: &mut Vec<u8>) -> bool {
        self.tamper(tree, key, |value| into.clone_from(value))
    }

    /// All keys of a tree.
    pub(crate) fn keys(&self, tree: &str) -> Vec<Vec<u8>> {
        lock(&self.trees).get(tree).map(|t| t.keys().cloned().collect()).unwrap_or_default()
    }
}

impl Backend for MemoryBackend {
    fn tree(&self, name: &str) -> Result<Arc<dyn Tree>, BackendError> {
        Ok(Arc::new(MemoryTree { name: name.to_owned(), backend: self.clone() }))
    }

    fn flush(&self) -> Result<(), BackendError> {
        #[cfg(test)]
        if let Some(journal) = &self.journal {
            let _order = lock(&self.trees);
            let mut journal = lock(journal);
            for (name, batch) in std::mem::take(&mut journal.pending) {
                insert(&mut journal.durable, &name, &batch);
            }
        }
        Ok(())
    }

    fn disk_bytes(&self) -> Result<u64, BackendError> {
        Ok(0)
    }
}

struct MemoryTree {
    name: String,
    backend: MemoryBackend,
}

impl Tree for MemoryTree {
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, BackendError> {
        into.clear();
        let trees = lock(&self.backend.trees);
        let value = trees.get(&self.name).and_then(|tree| tree.get(key));
        into.extend_from_slice(value.map_or(&[], Vec::as_slice));
        Ok(value.is_some())
    }

    fn apply(&self, batch: Batch) -> Result<(), BackendError> {
        let mut trees = lock(&self.backend.trees);
        insert(&mut trees, &self.name, &batch);
        #[cfg(test)]
        if let Some(journal) = &self.backend.journal {
            lock(journal).pending.push((self.name.clone(), batch));
        }
        Ok(())
    }
}
