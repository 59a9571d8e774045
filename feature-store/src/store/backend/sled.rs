//! sled 0.34 as the database.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
}

impl SledBackend {
    /// Opens the database in a folder, recovering it if it was not closed; makes it if there is none.
    ///
    /// `cache` is sled's cache capacity in bytes.
    ///
    /// # Errors
    /// If sled cannot read what is there, or the system refuses.
    pub fn open(dir: &Path, cache: u64) -> Result<Self, BackendError> {
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(cache)
            .segment_size(SEGMENT_BYTES)
            .flush_every_ms(None)
            .open()
            .map_err(BackendError::new)?;
        let log = File::open(dir.join("db")).map_err(BackendError::new)?;
        Ok(Self { db, dir: dir.to_owned(), log })
    }
}

impl Backend for SledBackend {
    fn tree(&self, name: &str) -> Result<Arc<dyn Tree>, BackendError> {
        Ok(Arc::new(SledTree(self.db.open_tree(name).map_err(BackendError::new)?)))
    }

    fn flush(&self) -> Result<(), BackendError> {
        self.db.flush().map_err(BackendError::new)?;
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

struct SledTree(sled::Tree);

impl Tree for SledTree {
    fn get(&self, key: &[u8], into: &mut Vec<u8>) -> Result<bool, BackendError> {
        into.clear();
        let value = self.0.get(key).map_err(BackendError::new)?;
        into.extend_from_slice(value.as_deref().unwrap_or_default());
        Ok(value.is_some())
    }

    fn apply(&self, batch: Batch) -> Result<(), BackendError> {
        let mut writes = sled::Batch::default();
        for (key, value) in batch.0 {
            writes.insert(key, value);
        }
        self.0.apply_batch(writes).map_err(BackendError::new)
    }
}
