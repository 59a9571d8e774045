//! sled 0.34 as the database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Backend, Batch, Tree};
use crate::store::BackendError;

/// sled keeps up to sixteen values in a leaf and puts what exceeds a quarter of a segment into a file of its own, which it
/// does not sync. With segments of 2 MiB, leaves of 8 KiB blocks stay in its log, whose order its recovery keeps.
const SEGMENT_BYTES: usize = 2 << 20;

/// A sled database in a folder.
pub struct SledBackend {
    db: sled::Db,
    dir: PathBuf,
    log: File,
    cache: Arc<CacheKeeper>,
}

impl SledBackend {
    /// Opens the database in a folder, recovering it if it was not closed; makes it if there is none.
    ///
    /// `cache` is sled's cache capacity in bytes.
    ///
    /// # Errors
    /// If sled cannot read what is there, or the system refuses.
    pub fn open(dir: &Path, cache: u64) -> Result<Self, BackendError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None);
        let db = open_when_free(&config).map_err(told)?;
        let log = File::open(dir.join("db")).map_err(BackendError::new)?;
        let cache = Arc::new(CacheKeeper::open(&db).map_err(told)?);
        Ok(Self { db, dir: dir.to_owned(), log, cache })
    }

    /// Writes all keys and values into another database. O(bytes).
    ///
    /// # Errors
    /// If one of them fails.
    pub fn copy_to(&self, other: &Self) -> Result<(), BackendError> {
        for name in self.db.tree_names() {
            if name == CacheKeeper::TREE.as_bytes() {
                continue;
            }
            let from = self.db.open_tree(&name).map_err(told)?;
            let to = other.db.open_tree(&name).map_err(told)?;
            for pair in &from {
                let (key, value) = pair.map_err(told)?;
                to.insert(key, value).map_err(told)?;
                self.cache.accessed(1).and_then(|()| other.cache.accessed(1)).map_err(told)?;
            }
        }
        Ok(())
    }
}

/// What sled says of bytes that it did not write, and what to do then. Nothing of them is served.
fn told(error: sled::Error) -> BackendError {
    match error {
        sled::Error::Corruption { .. } | sled::Error::Unsupported(_) | sled::Error::ReportableBug(_) => {
            // Its own words are of pointers and backtraces.
            BackendError::new(
                "its files are damaged: rebuild the store from the log by `churnstream rebuild`",
            )
        }
        other => BackendError::new(other),
    }
}

/// A database that was dropped a moment ago is still held by sled's threads, which end on their own: waits for them. Other
/// processes are kept out by the store's own lock.
fn open_when_free(config: &sled::Config) -> sled::Result<sled::Db> {
    let mut patience = 500;
    loop {
        match config.open() {
            Err(sled::Error::Io(error))
                if patience > 0 && error.to_string().contains("could not acquire lock") =>
            {
                patience -= 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
}

/// Holds sled's cache to its capacity.
///
/// sled's cache has 256 shards by page number, and each only looks whether it is too large after 64 accesses to its pages.
/// By then every page of a database of some gigabytes may be in memory. So after some accesses this reads small pages of every
/// shard until all have looked: the pages lie in a tree of their own, made first, so that their numbers follow each other.
struct CacheKeeper {
    db: sled::Db,
    small: sled::Tree,
    accesses: AtomicUsize,
}

impl CacheKeeper {
    /// Accesses to blocks, each of which brings a leaf of some hundred kilobytes into memory at most.
    const EVERY: usize = 2048;
    /// A smaller database may lie in memory whole.
    const SMALL: u64 = 256 << 20;
    /// Leaves made in order are half full, eight keys: so many keys make two leaves a shard.
    const KEYS: u32 = 4096;
    const KEYS_PER_LEAF: usize = 8;
    const ROUNDS: usize = 32;
    const TREE: &'static str = "cache-keeper";

    fn open(db: &sled::Db) -> sled::Result<Self> {
        let small = db.open_tree(Self::TREE)?;
        if small.get((Self::KEYS - 1).to_be_bytes())?.is_none() {
            for key in 0..Self::KEYS {
                small.insert(key.to_be_bytes(), &[])?;
            }
        }
        Ok(Self { db: db.clone(), small, accesses: AtomicUsize::new(0) })
    }

    fn accessed(&self, blocks: usize) -> sled::Result<()> {
        let before = self.accesses.fetch_add(blocks, Ordering::Relaxed);
        if before + blocks < Self::EVERY || self.accesses.swap(0, Ordering::Relaxed) < Self::EVERY {
            return Ok(());
        }
        if self.db.size_on_disk()? < Self::SMALL { Ok(()) } else { self.keep() }
    }

    /// Lets every shard look. Some milliseconds.
    fn keep(&self) -> sled::Result<()> {
        for _ in 0..Self::ROUNDS {
            for key in (0..Self::KEYS).step_by(Self::KEYS_PER_LEAF) {
                self.small.get(key.to_be_bytes())?;
            }
        }
        Ok(())
    }
}

impl Backend for SledBackend {
    fn tree(&self, name: &str) -> Result<Arc<dyn Tree>, BackendError> {
        let tree = self.db.open_tree(name).map_err(told)?;
        Ok(Arc::new(SledTree { tree, cache: Arc::clone(&self.cache) }))
    }

    fn flush(&self) -> Result<(), BackendError> {
        self.db.flush().map_err(told)?;
        // On Linux sled only asks for its pages to be written (sync_file_range), which flushes neither the file's length nor
        // the disk's cache.
        self.log.sync_data().map_err(BackendError::new)
    }

    fn disk_bytes(&self) -> Result<u64, BackendError> {
        fn size(dir: &Path) -> std::io::Result<u64> {
            let mut total = 0;
            for entry in std::fs::read_dir(dir)? {
                let entry = entry?;
                total += match entry.metadata() {
                    Ok(meta) if meta.is_dir() => size(&entry.path())?,
                    Ok(meta) => meta.len(),
                    // sled removes files while this looks at them.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => 0,
                    Err(error) => return Err(error),
                };
            }
            Ok(total)
        }
        size(&self.dir).map_err(BackendError::new)
    }
}

struct SledTree {
    tree: sled::Tree,
    cache: Arc<CacheKeeper>,
}

impl Tree for SledTree {
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, BackendError> {
        into.clear();
        let value = self.tree.get(key).map_err(told)?;
        into.extend_from_slice(value.as_deref().unwrap_or_default());
        self.cache.accessed(1).map_err(told)?;
        Ok(value.is_some())
    }

    fn apply(&self, batch: Batch) -> Result<(), BackendError> {
        let blocks = batch.0.len();
        let mut writes = sled::Batch::default();
        for (key, value) in batch.0 {
            match value {
                Some(value) => writes.insert(key, value),
                None => writes.remove(key),
            }
        }
        self.tree.apply_batch(writes).and_then(|()| self.cache.accessed(blocks)).map_err(told)
    }
}
