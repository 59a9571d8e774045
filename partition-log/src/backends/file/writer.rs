//! The one writer of a topic and the writers of its partitions.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Once, PoisonError};

use types::{EventTime, Offset, PartitionId};

use super::FileLog;
use super::names::{io_error, lock_path, lock_segments};
use super::partition::{BatchInfo, OpenPartition};
use super::recover;
use super::scan::Partition;
use crate::format::{BatchBuilder, BatchError};
use crate::{LogError, PartitionWriter, Recovery, TopicConfig, TopicWriter};

/// A topic open for appending.
#[derive(Debug)]
pub(super) struct FileTopicWriter {
    shared: Arc<Shared>,
    recovery: Vec<Recovery>,
}

/// Alive while any writer of the topic is.
#[derive(Debug)]
struct Shared {
    topic: String,
    config: TopicConfig,
    /// The partitions whose writers are not out. Dropped, and so closed, before the lock.
    partitions: Mutex<Vec<Option<OpenPartition>>>,
    lock_path: PathBuf,
    _lock: File,
}

impl FileTopicWriter {
    pub(super) fn open(log: &FileLog, topic: &str) -> Result<Self, LogError> {
        survive_file_size_limit();
        let config = log.require(topic)?.config;
        let lock_path = lock_path(log.dir(), topic);
        let lock = lock_file(topic, &lock_path)?;
        // What it looks through stays meanwhile.
        let _still = lock_segments(log.dir(), topic)?;
        let (mut partitions, mut recovery) = (Vec::new(), Vec::new());
        for index in 0..config.partitions {
            let (opened, found) = recover::open(log.partition(topic, PartitionId(index))?, log.options())?;
            partitions.push(Some(opened));
            recovery.extend(found);
        }
        let shared = Shared {
            topic: topic.to_owned(),
            config,
            partitions: Mutex::new(partitions),
            lock_path,
            _lock: lock,
        };
        Ok(Self { shared: Arc::new(shared), recovery })
    }
}

impl FileTopicWriter {
    /// Puts a partition to rest: everything that its checkpoint says is on the disk, and the checkpoint too. With `close` the
    /// segment that is written to ends, and the next begins.
    pub(super) fn settle(&mut self, partition: PartitionId, close: bool) -> Result<(), LogError> {
        let mut partitions = self.shared.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let open = partitions.get_mut(partition.0 as usize).and_then(Option::as_mut);
        open.map_or(Ok(()), |open| open.settle(close))
    }
}

fn lock_file(topic: &str, path: &PathBuf) -> Result<File, LogError> {
    let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
    let file = opened.map_err(io_error("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(LogError::Locked { topic: topic.to_owned(), lock: path.clone() })
        }
        Err(TryLockError::Error(e)) => Err(io_error("lock", path)(e)),
    }
}

/// A write beyond the process's file size limit raises SIGXFSZ, which ends a process that has not said otherwise. With a
/// handler the write fails instead, as it does on a full disk, and the writer can say so.
fn survive_file_size_limit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        if let Err(error) = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, flag) {
            tracing::debug!(%error, "SIGXFSZ keeps its default action");
        }
    });
}

impl TopicWriter for FileTopicWriter {
    fn config(&self) -> &TopicConfig {
        &self.shared.config
    }

    fn recovery(&self) -> &[Recovery] {
        &self.recovery
    }

    fn partition(&mut self, partition: PartitionId) -> Result<Box<dyn PartitionWriter>, LogError> {
        let mut partitions = self.shared.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(slot) = partitions.get_mut(partition.0 as usize) else {
            return Err(LogError::NoSuchPartition { topic: self.shared.topic.clone(), partition });
        };
        let Some(open) = slot.take() else {
            return Err(LogError::Locked {
                topic: self.shared.topic.clone(),
                lock: self.shared.lock_path.clone(),
            });
        };
        let batch = BatchBuilder::new(open.end, open.options.compression);
        Ok(Box::new(FileWriter { shared: Arc::clone(&self.shared), open: Some(open), batch }))
    }
}

/// Appends to one partition.
#[derive(Debug)]
struct FileWriter {
    shared: Arc<Shared>,
    /// `None` only while being dropped.
    open: Option<OpenPartition>,
    batch: BatchBuilder,
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let index = open.partition.id.0 as usize;
            let mut partitions = self.shared.partitions.lock().unwrap_or_else(PoisonError::into_inner);
            partitions[index] = Some(open);
        }
    }
}

impl FileWriter {
    fn open(&mut self) -> &mut OpenPartition {
        #[allow(clippy::expect_used)]
        self.open.as_mut().expect("a writer has its partition until it is dropped")
    }

    fn too_large(&mut self, error: &BatchError) -> LogError {
        let partition: &Partition = &self.open().partition;
        LogError::RecordTooLarge {
            topic: partition.topic.clone(),
            partition: partition.id,
            detail: error.to_string(),
        }
    }
}

impl PartitionWriter for FileWriter {
    fn append(
        &mut self,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<Offset, LogError> {
        let size = self.batch.plain_len() + key.len() + value.len();
        if size > self.open().options.batch_bytes && !self.batch.is_empty() {
            self.flush()?;
        }
        let offset = self.batch.end();
        self.batch.push(timestamp, key, value, headers).map_err(|e| self.too_large(&e))?;
        Ok(offset)
    }

    fn end(&self) -> Offset {
        self.batch.end()
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let (Some(first), Some((newest, _))) = (self.batch.first(), self.batch.newest()) else {
            return Ok(());
        };
        let info = BatchInfo { end: self.batch.end(), first, newest };
        let Some(open) = self.open.as_mut() else { return Ok(()) };
        match self.batch.finish() {
            Ok(bytes) => open.write(bytes, info)?,
            Err(e) => return Err(self.too_large(&e)),
        }
        self.batch.reset(info.end);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.flush()?;
        self.open().publish()
    }
}
