//! The open end of a partition: where batches are written, segments rolled and checkpoints set.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Instant;

use types::{EventTime, Offset};

use super::checkpoint::{Checkpoint, CheckpointFile, Place};
use super::index::{IndexWriter, Moment, Position};
use super::names::{INDEX, LOG, TIME_INDEX, io_error, segment_path, sync_dir};
use super::scan::Partition;
use crate::{Durability, LogError, LogOptions};

/// What a batch is, beside its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct BatchInfo {
    /// The offset after its last record.
    pub(super) end: Offset,
    /// The timestamp of its first record.
    pub(super) first: EventTime,
    /// The newest timestamp.
    pub(super) newest: EventTime,
}

/// The segment that grows.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) base: Offset,
    pub(super) log: File,
    pub(super) path: PathBuf,
    pub(super) len: u64,
    pub(super) index: IndexWriter<Position>,
    pub(super) times: IndexWriter<Moment>,
    pub(super) progress: Progress,
}

/// What decides where index entries stand and when a segment is old enough; it follows from the segment's batches alone.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Progress {
    /// Bytes since the last index entry.
    since_index: u64,
    /// The first record's timestamp.
    first: Option<EventTime>,
    newest: Option<Moment>,
}

impl Progress {
    /// Takes note of a batch at `position`. Returns the entries that are due, by Kafka's rule: one before the first batch
    /// that has more than `interval` bytes between itself and the last entry.
    pub(super) fn note(
        &mut self,
        position: u64,
        len: u64,
        batch: BatchInfo,
        interval: u64,
    ) -> Option<(Position, Moment)> {
        let offset = Offset(batch.end.0 - 1);
        self.first.get_or_insert(batch.first);
        let newest = match self.newest {
            Some(newest) if newest.timestamp >= batch.newest => newest,
            _ => Moment { timestamp: batch.newest, offset },
        };
        self.newest = Some(newest);
        let due = self.since_index > interval;
        if due {
            self.since_index = 0;
        }
        self.since_index += len;
        due.then_some((Position { offset, position }, newest))
    }

    /// The segment's newest timestamp and where it is.
    pub(super) fn newest(&self) -> Option<Moment> {
        self.newest
    }
}

impl Active {
    /// Opens the segment at `base`, which ends at `len`, with the index entries that belong in it.
    pub(super) fn open(
        partition: &Partition,
        base: Offset,
        len: u64,
        index: IndexWriter<Position>,
        times: IndexWriter<Moment>,
    ) -> Result<Self, LogError> {
        let path = segment_path(&partition.dir, base, LOG);
        let opened = OpenOptions::new().read(true).write(true).open(&path);
        let log = opened.map_err(io_error("open", &path))?;
        Ok(Self { base, log, path, len, index, times, progress: Progress::default() })
    }

    /// Makes the files of a new, empty segment.
    pub(super) fn create(partition: &Partition, base: Offset) -> Result<Self, LogError> {
        let path = segment_path(&partition.dir, base, LOG);
        let index = IndexWriter::create(&segment_path(&partition.dir, base, INDEX), base, &[])?;
        let times = IndexWriter::create(&segment_path(&partition.dir, base, TIME_INDEX), base, &[])?;
        // The log last: a segment exists once this file does. One of this name can only be an empty one that an earlier
        // try left behind.
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path);
        let log = opened.map_err(io_error("create", &path))?;
        Ok(Self { base, log, path, len: 0, index, times, progress: Progress::default() })
    }

    /// Gives the time index its last entry, so that it tells the segment's newest timestamp.
    fn close_times(&mut self) {
        if let Some(newest) = self.progress.newest() {
            self.times.push(newest);
        }
    }
}

/// A partition open for appending.
#[derive(Debug)]
pub(super) struct OpenPartition {
    pub(super) partition: Partition,
    pub(super) options: LogOptions,
    pub(super) active: Active,
    pub(super) end: Offset,
    pub(super) checkpoint_file: CheckpointFile,
    pub(super) checkpoint: Checkpoint,
    pub(super) last_sync: Instant,
    pub(super) poisoned: Option<String>,
}

impl OpenPartition {
    fn place(&self) -> Place {
        Place { offset: self.end, segment: self.active.base, position: self.active.len }
    }

    /// Refuses work after a failed sync.
    fn check(&self) -> Result<(), LogError> {
        match &self.poisoned {
            None => Ok(()),
            Some(cause) => Err(LogError::Poisoned {
                topic: self.partition.topic.clone(),
                partition: self.partition.id,
                cause: cause.clone(),
            }),
        }
    }

    /// Writes a whole batch at the end, in a new segment if this one is full. All or nothing.
    pub(super) fn write(&mut self, bytes: &[u8], batch: BatchInfo) -> Result<(), LogError> {
        self.check()?;
        if self.is_full(bytes.len() as u64, batch) {
            self.roll()?;
        }
        let active = &mut self.active;
        if let Err(error) = active.log.write_all_at(bytes, active.len) {
            // What was written of it lies behind the end, where nobody reads; cutting it off also frees the room.
            let _ = active.log.set_len(active.len);
            return Err(io_error("append to", &active.path)(error));
        }
        let due =
            active.progress.note(active.len, bytes.len() as u64, batch, self.options.index_interval_bytes);
        if let Some((position, moment)) = due {
            active.index.push(position);
            active.times.push(moment);
        }
        active.len += bytes.len() as u64;
        self.end = batch.end;
        Ok(())
    }

    fn is_full(&self, bytes: u64, batch: BatchInfo) -> bool {
        // Positions in the index are 31 bits, as are offsets less the base.
        let max_bytes = self.options.segment_bytes.min(i32::MAX as u64);
        let span = self.active.progress.first.map_or(0, |first| batch.newest.since(first).0);
        self.active.len > 0
            && (self.active.len + bytes > max_bytes
                || span > self.options.segment_span.0
                || batch.end.since(self.active.base) > i32::MAX as u64)
    }

    /// Closes the active segment, syncing it whatever the durability is, as a broker does, and begins the next.
    fn roll(&mut self) -> Result<(), LogError> {
        self.sync_disk()?;
        self.active.close_times();
        self.active.index.sync()?;
        self.active.times.sync()?;
        let next = Active::create(&self.partition, self.end)?;
        sync_dir(&self.partition.dir)?;
        self.active = next;
        Ok(())
    }

    /// Shows everything to readers, and syncs it with the checkpoint. With `close` the active segment ends, unless it is empty.
    pub(super) fn settle(&mut self, close: bool) -> Result<(), LogError> {
        self.check()?;
        if close && self.active.len > 0 {
            self.roll()?;
        }
        self.publish()?;
        self.sync_disk()?;
        self.checkpoint_file.write(&self.checkpoint)?;
        self.checkpoint_file.sync()
    }

    /// Everything that was written reaches the disk, or nothing more is written.
    pub(super) fn sync_disk(&mut self) -> Result<(), LogError> {
        self.check()?;
        if self.checkpoint.durable == self.place() {
            return Ok(());
        }
        if let Err(error) = self.active.log.sync_data() {
            // The kernel may have dropped the pages that it could not write; trying again would report success.
            self.poisoned = Some(error.to_string());
            return Err(io_error("sync", &self.active.path)(error));
        }
        self.checkpoint.durable = self.place();
        self.last_sync = Instant::now();
        Ok(())
    }

    /// Shows everything that was written to readers, synced first as the options ask.
    pub(super) fn publish(&mut self) -> Result<(), LogError> {
        self.check()?;
        if self.checkpoint.visible == self.place() {
            return Ok(());
        }
        let due = match self.options.durability {
            Durability::Always => true,
            Durability::Interval(span) => self.last_sync.elapsed() >= span,
            Durability::System => false,
        };
        if due {
            self.sync_disk()?;
        }
        let checkpoint = Checkpoint { visible: self.place(), ..self.checkpoint };
        self.checkpoint_file.write(&checkpoint)?;
        self.checkpoint = checkpoint;
        Ok(())
    }
}

impl Drop for OpenPartition {
    /// An orderly end: everything on the disk, so that the next writer has nothing to look through. Failure costs only that.
    fn drop(&mut self) {
        let closed = self.sync_disk().and_then(|()| {
            self.checkpoint_file.write(&self.checkpoint)?;
            self.checkpoint_file.sync()
        });
        if let Err(error) = closed {
            tracing::warn!(topic = self.partition.topic, partition = self.partition.id.0, %error, "not closed cleanly");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use types::PartitionId;

    use super::super::recover;
    use super::*;

    fn open(dir: &std::path::Path, durability: Durability) -> OpenPartition {
        let partition = Partition { topic: "t".into(), id: PartitionId(0), dir: dir.to_owned(), dense: true };
        recover::open(partition, &LogOptions { durability, ..LogOptions::default() }).unwrap().0
    }

    fn write(open: &mut OpenPartition) {
        let mut batch = crate::format::BatchBuilder::new(open.end, crate::Compression::None);
        batch.push(EventTime(0), b"k", b"v", &[]).unwrap();
        let info = BatchInfo { end: batch.end(), first: EventTime(0), newest: EventTime(0) };
        open.write(batch.finish().unwrap(), info).unwrap();
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let mut open = open(dir.path(), Durability::Always);
        write(&mut open);
        open.publish().unwrap();
        let visible = open.checkpoint.visible;
        // A device that takes writes and cannot be synced stands for a disk that fails.
        open.active.log = OpenOptions::new().write(true).open("/dev/null").unwrap();
        write(&mut open);
        assert!(matches!(open.publish(), Err(LogError::Io { action: "sync", .. })));
        for _ in 0..2 {
            let error = open.publish().unwrap_err();
            assert!(matches!(error, LogError::Poisoned { .. }), "{error}");
        }
        let info = BatchInfo { end: open.end.next(), first: EventTime(0), newest: EventTime(0) };
        assert!(matches!(open.write(b"x", info), Err(LogError::Poisoned { .. })));
        assert_eq!(
            open.checkpoint_file.read().unwrap().unwrap().visible,
            visible,
            "readers saw nothing of it"
        );
    }

    #[test]
    fn the_disk_is_asked_as_often_as_the_durability_says() {
        for (durability, synced) in [
            (Durability::Always, true),
            (Durability::Interval(Duration::ZERO), true),
            (Durability::Interval(Duration::from_secs(3600)), false),
            (Durability::System, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut open = open(dir.path(), durability);
            write(&mut open);
            open.publish().unwrap();
            assert_eq!(open.checkpoint.visible, open.place());
            assert_eq!(open.checkpoint.durable == open.place(), synced, "{durability:?}");
        }
    }
}
