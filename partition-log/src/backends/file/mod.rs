//! Topics in files of a folder: the segment files of an Apache Kafka broker, plus a checkpoint for each partition that
//! says how far readers may see, and a lock for each topic's one writer.
//!
//! Readers need no server and no lock, in any process. A reader that comes to the end asks the checkpoint again; a
//! [`Watch`] sleeps until one changes.

mod aborted;
mod checkpoint;
mod index;
mod locate;
mod names;
mod partition;
mod purge;
mod reader;
mod recover;
mod retain;
mod scan;
mod verify;
mod watch;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};

use types::{EventTime, Offset, PartitionId};

use self::checkpoint::CheckpointFile;
use self::index::{Moment, read_all};
use self::names::{INDEX, LOG, TIME_INDEX, Topic, io_error, partition_dir, segment_path, segments};
use self::reader::FileReader;
use self::scan::{Partition, Scan};
use super::check_topic;
use crate::{
    Bounds, Log, LogError, LogOptions, PartitionCheck, PartitionReader, Record, RecordBuf, Retention,
    TopicConfig, TopicWriter, Usage, Watch,
};

/// A log in the files of a folder.
#[derive(Debug)]
pub struct FileLog {
    dir: PathBuf,
    options: LogOptions,
}

impl FileLog {
    /// The log in `dir`, which is made when the first topic is.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, options: LogOptions) -> Self {
        Self { dir: dir.into(), options }
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn options(&self) -> &LogOptions {
        &self.options
    }

    fn require(&self, topic: &str) -> Result<Topic, LogError> {
        let found = match super::check_name(topic) {
            Ok(()) => names::read_topic(&self.dir, topic)?,
            Err(_) => None,
        };
        found.ok_or_else(|| LogError::NoSuchTopic { topic: topic.to_owned(), place: self.place() })
    }

    fn partition(&self, topic: &str, id: PartitionId) -> Result<Partition, LogError> {
        let found = self.require(topic)?;
        let dir = partition_dir(&self.dir, topic, id);
        if id.0 >= found.config.partitions || !dir.is_dir() {
            return Err(LogError::NoSuchPartition { topic: topic.to_owned(), partition: id });
        }
        Ok(Partition { topic: topic.to_owned(), id, dir, dense: found.dense })
    }

    fn view(&self, partition: &Partition) -> Result<locate::View, LogError> {
        locate::view(partition, CheckpointFile::open(&partition.dir)?.as_ref())
    }
}

impl Log for FileLog {
    fn place(&self) -> String {
        format!("file:{}", self.dir.display())
    }

    fn create_topic(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError> {
        check_topic(topic, config)?;
        if let Some(existing) = names::read_topic(&self.dir, topic)? {
            return config.check_same(topic, &existing.config);
        }
        for index in 0..config.partitions {
            let dir = partition_dir(&self.dir, topic, PartitionId(index));
            fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        }
        if names::write_topic(&self.dir, topic, config)? {
            return Ok(());
        }
        // Somebody was faster.
        config.check_same(topic, &self.require(topic)?.config)
    }

    fn topic(&self, topic: &str) -> Result<Option<TopicConfig>, LogError> {
        match super::check_name(topic) {
            Ok(()) => Ok(names::read_topic(&self.dir, topic)?.map(|found| found.config)),
            Err(_) => Ok(None),
        }
    }

    fn topics(&self) -> Result<Vec<String>, LogError> {
        names::topics(&self.dir)
    }

    fn bounds(&self, topic: &str, partition: PartitionId) -> Result<Bounds, LogError> {
        Ok(self.view(&self.partition(topic, partition)?)?.bounds())
    }

    fn offset_at(&self, topic: &str, partition: PartitionId, time: EventTime) -> Result<Offset, LogError> {
        let partition = self.partition(topic, partition)?;
        let view = self.view(&partition)?;
        let bases = segments(&partition.dir)?;
        for &base in bases.iter().filter(|base| **base <= view.visible.segment) {
            match find_in_segment(&partition, &view, base, time) {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(error) if locate::was_removed(&partition, base, &error)? => {}
                Err(error) => return Err(error),
            }
        }
        Ok(view.bounds().end)
    }

    fn writer(&self, topic: &str) -> Result<Box<dyn TopicWriter>, LogError> {
        Ok(Box::new(writer::FileTopicWriter::open(self, topic)?))
    }

    fn reader(
        &self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
    ) -> Result<Box<dyn PartitionReader>, LogError> {
        Ok(Box::new(FileReader::open(self.partition(topic, partition)?, from)?))
    }

    fn retain(
        &self,
        topic: &str,
        partition: PartitionId,
        keep: &Retention,
        floor: Offset,
    ) -> Result<Bounds, LogError> {
        let partition = self.partition(topic, partition)?;
        retain::retain(&self.dir, &partition, keep, floor)?;
        Ok(self.view(&partition)?.bounds())
    }

    fn purge(
        &self,
        topic: &str,
        partition: PartitionId,
        drop: &mut dyn FnMut(&Record<'_>) -> bool,
    ) -> Result<u64, LogError> {
        purge::purge(self, topic, partition, drop)
    }

    fn usage(&self, topic: &str, partition: PartitionId) -> Result<Usage, LogError> {
        let partition = self.partition(topic, partition)?;
        let mut usage = Usage::default();
        for base in segments(&partition.dir)? {
            usage.portions += 1;
            for suffix in [LOG, INDEX, TIME_INDEX] {
                // One that is not there takes nothing.
                let file = fs::metadata(segment_path(&partition.dir, base, suffix));
                usage.bytes += file.map_or(0, |file| file.len());
            }
        }
        Ok(usage)
    }

    fn verify(&self, topic: &str, partition: PartitionId) -> Result<PartitionCheck, LogError> {
        let found = self.require(topic)?;
        let partition = self.partition(topic, partition)?;
        verify::verify(&partition, &self.view(&partition)?, &found.config)
    }

    fn watch(&self, topic: &str) -> Result<Box<dyn Watch>, LogError> {
        let partitions = self.require(topic)?.config.partitions;
        let dirs = (0..partitions).map(|index| partition_dir(&self.dir, topic, PartitionId(index)));
        Ok(Box::new(watch::FileWatch::new(dirs)?))
    }
}

/// The first visible record of a segment at or after `time`. The indexes say where to begin, batch headers which batch to
/// decode.
fn find_in_segment(
    partition: &Partition,
    view: &locate::View,
    base: Offset,
    time: EventTime,
) -> Result<Option<Offset>, LogError> {
    let moments =
        read_all::<Moment>(&segment_path(&partition.dir, base, TIME_INDEX), base)?.unwrap_or_default();
    let closed = base < view.visible.segment;
    if closed && moments.last().is_some_and(|newest| newest.timestamp < time) {
        return Ok(None);
    }
    // Everything up to the last entry that is older is older.
    let older = moments.partition_point(|moment| moment.timestamp < time);
    let target = older.checked_sub(1).map_or(base, |i| moments[i].offset);
    let (position, offset) = locate::scan_start(partition, base, target)?;
    let mut scan = Scan::open(partition, segment_path(&partition.dir, base, LOG), position, offset)?;
    if !closed {
        scan.limit = scan.limit.min(view.visible.position);
    }
    while let Some(header) = scan.next_header().map_err(|e| scan.error(e))? {
        if header.max_timestamp < time.0 || header.is_control() {
            continue;
        }
        let mut buf = RecordBuf::default();
        FileReader::open(partition.clone(), header.base_offset.max(view.start))?.read(&mut buf, 0)?;
        if let Some(found) = buf.iter().find(|record| record.timestamp >= time) {
            return Ok(Some(found.offset));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{Compression, SharedLog};

    #[test]
    fn it_does_what_every_backend_must() {
        for (name, compression) in
            [("none", Compression::None), ("lz4", Compression::Lz4), ("zstd", Compression::Zstd)]
        {
            let dir = tempfile::tempdir().unwrap();
            // Small segments and indexes at every chance, so that the checks meet their borders.
            let options = LogOptions {
                compression,
                segment_bytes: if compression == Compression::None { 1 << 20 } else { 20_000 },
                index_interval_bytes: 100,
                ..LogOptions::default()
            };
            let log: SharedLog = Arc::new(FileLog::new(dir.path().join("new"), options));
            crate::conformance::run(&log, name);
        }
    }
}
