//! The durable state of users: decoded in memory while they are active, in blocks of a database otherwise.
//!
//! ```text
//!   entry(key, offset) -> state in a slot            (nanoseconds, no lock)
//!      commit(...)     -> the commit, durable         (each second)
//!      maintain(...)   -> some changed blocks are handed to the writing thread; quiet users leave memory
//!                         writing thread: waits for a commit that covers them, merges, writes
//! ```
//!
//! The rules that make a crash harmless:
//!
//! - A block says to which offset it is applied, and holds every event of its users before that offset and none after.
//! - No block on disk is applied beyond the commit on disk.
//! - A commit stores `replay_from`: below it every event is in blocks.
//!
//! So after a crash the worker reads the log from [`PartitionStore::replay_from`] and asks for each event's user with the
//! event's offset; [`PartitionStore::entry`] answers `None` where the user's block holds that event already. The states are
//! then those of a run without a crash.
//!
//! One folder is one store: `store.toml` says what it was built from, `lock` is held while it is open, `sled/` is the
//! database, one tree a partition.

mod backend;
pub mod block;
mod codec;
mod commit;
mod directory;
mod error;
mod evict;
mod folder;
mod keys;
mod lookup;
mod merge;
mod options;
mod partition;
mod pressure;
mod publish;
mod range;
mod restore;
mod shape;
mod slots;
mod snapshot;
mod sweep;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use types::PartitionId;

pub use self::backend::{Backend, Batch, MemoryBackend, SledBackend, Tree};
pub use self::commit::{Commit, SweepCursor};
pub use self::error::{BackendError, StoreError};
pub use self::folder::{Needs, Rebuilt, hold_needs, identity, rebuild, rewrite};
pub use self::options::{StoreIdentity, StoreOptions};
pub use self::partition::{PartitionStore, SlotId};
pub use self::pressure::Pressure;
pub use self::publish::Published;
pub use self::range::{HashRange, hash_of};
pub use self::restore::{Restored, Restorer, Survey};

use self::writer::{Gauges, Writer};
use crate::StateValue;

/// The durable state of all partitions of one process. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    // Dropped in this order: the thread ends, then the database closes, then the lock is free.
    writer: Writer,
    backend: Box<dyn Backend>,
    options: StoreOptions,
    partitions: u32,
    gauges: Arc<Gauges>,
    open: Mutex<BTreeSet<PartitionId>>,
    _lock: Option<File>,
}

impl Shared {
    fn open_partitions(&self) -> MutexGuard<'_, BTreeSet<PartitionId>> {
        // A set is whole whenever the lock is free, even if a holder panicked.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Opens the store in a folder, or makes one there if the folder is empty or missing.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while another process has it, [`StoreError::Mismatch`] if it was built from something else,
    /// [`StoreError::Format`] if the folder holds something that is no store.
    pub fn open(dir: &Path, identity: &StoreIdentity, options: StoreOptions) -> Result<Self, StoreError> {
        let lock = folder::open(dir, identity)?;
        let backend = folder::database(dir, options.cache)?;
        Self::start(Box::new(backend), Some(lock), identity.partitions, options)
    }

    /// A store over a database of the caller's.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn with_backend(
        backend: Box<dyn Backend>,
        identity: &StoreIdentity,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        Self::start(backend, None, identity.partitions, options)
    }

    /// A store that keeps nothing when it is dropped.
    ///
    /// # Errors
    /// If the system refuses a thread.
    pub fn in_memory(identity: &StoreIdentity, options: StoreOptions) -> Result<Self, StoreError> {
        Self::with_backend(Box::new(MemoryBackend::default()), identity, options)
    }

    fn start(
        backend: Box<dyn Backend>,
        lock: Option<File>,
        partitions: u32,
        options: StoreOptions,
    ) -> Result<Self, StoreError> {
        let gauges = Arc::<Gauges>::default();
        let writer = Writer::start(&options, Arc::clone(&gauges)).map_err(|source| StoreError::Io {
            action: "starting a thread for",
            path: "the store".into(),
            source,
        })?;
        let open = Mutex::default();
        Ok(Self {
            shared: Arc::new(Shared { writer, backend, options, partitions, gauges, open, _lock: lock }),
        })
    }

    /// Opens a partition. It may be used by any thread, one at a time, and several partitions by several threads at once.
    ///
    /// # Errors
    /// [`StoreError::PartitionInUse`] while another handle of it lives, [`StoreError::Damaged`] if its commit or its list of
    /// blocks is not what was written.
    pub fn partition<S: StateValue>(&self, partition: PartitionId) -> Result<PartitionStore<S>, StoreError> {
        PartitionStore::open(Arc::clone(&self.shared), partition)
    }

    /// How many bytes the store takes on disk. Lists the folder's files; not for the hot path.
    ///
    /// # Errors
    /// If the disk cannot be asked.
    pub fn disk_bytes(&self) -> Result<u64, StoreError> {
        self.shared.backend.disk_bytes().map_err(keys::reading)
    }

    /// How many bytes the users in memory take, over all partitions, as of their last `maintain`.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.shared.gauges.memory.load(std::sync::atomic::Ordering::Relaxed)
    }
}
