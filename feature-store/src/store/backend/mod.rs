//! The seam between the store and the database beneath it.
//!
//! The store asks for little: named trees of small keys and values of some kilobytes, batches that are whole or absent
//! after a crash, and that what survives a crash is a *prefix* of what was applied, over all trees. Checksums, formats and
//! the order of things are the store's own.

mod memory;
mod sled;

use std::sync::Arc;

use super::BackendError;

pub use self::{memory::MemoryBackend, sled::SledBackend};

/// A database.
pub trait Backend: Send + Sync {
    /// Opens a tree, making it if there is none.
    ///
    /// # Errors
    /// If the database fails.
    fn tree(&self, name: &str) -> Result<Arc<dyn Tree>, BackendError>;

    /// Returns once everything applied before the call survives a crash of the machine.
    ///
    /// # Errors
    /// If the database fails.
    fn flush(&self) -> Result<(), BackendError>;

    /// How many bytes the database takes on disk.
    ///
    /// # Errors
    /// If the disk cannot be asked.
    fn disk_bytes(&self) -> Result<u64, BackendError>;
}

/// Keys and values of a database.
pub trait Tree: Send + Sync {
    /// Replaces `into` with the value of a key; false if there is none.
    ///
    /// # Errors
    /// If the database fails.
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, BackendError>;

    /// Writes all of a batch or, after a crash, nothing of it.
    ///
    /// # Errors
    /// If the database fails.
    fn apply(&self, batch: Batch) -> Result<(), BackendError>;
}

/// Keys and their new values; without one, the key goes.
#[derive(Debug, Clone, Default)]
pub struct Batch(pub Vec<(Vec<u8>, Option<Vec<u8>>)>);

impl Batch {
    /// Adds a key and its new value.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: Vec<u8>) {
        self.0.push((key.into(), Some(value)));
    }

    /// Takes a key away.
    pub fn remove(&mut self, key: impl Into<Vec<u8>>) {
        self.0.push((key.into(), None));
    }
}
