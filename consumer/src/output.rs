//! One output partition: appends records, and after a crash recognises those that it holds already.
//!
//! On Kafka there is nothing to recognise: the records of input that was not committed lie in a transaction that was not either, and
//! nobody sees them.
//!
//! A commit names, for every output, the offset up to which the records belong to committed input. A process that dies
//! leaves more behind that: synced records of input that was not committed. They are made again by the replay, byte for
//! byte, because they are a function of the log alone; so instead of being written twice they are compared and passed.

use partition_log::backends::kafka::TransactionWriter;
use partition_log::{Log, LogError, PartitionReader, PartitionWriter, RecordBuf, TopicWriter};
use types::{EventTime, Offset, PartitionId};

use crate::ConsumerError;

/// The topic of scores.
pub const SCORES: &str = "scores";
/// The topic of a challenger's scores.
pub const SHADOW_SCORES: &str = "shadow-scores";
/// The topic of records that could not be used.
pub const DEAD_LETTERS: &str = "dead-letters";

/// The topic of what was decided about partitions that others write: after which record which tick stands.
pub const CONTROL: &str = "control";

/// The topic of the blocks of users' states, from which another process of a group restores them.
pub const SNAPSHOTS: &str = "snapshots";

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Emitted {
    /// It was added.
    Written,
    /// It stood there already: an earlier run wrote it.
    Found,
}

/// How much of what an output holds is read at once while comparing.
const READ_BYTES: usize = 1 << 20;

/// One partition of an output topic.
pub(crate) enum Output {
    /// This process alone writes it.
    Own(OwnOutput),
    /// What is written counts when the transaction is committed.
    Transaction(TransactionWriter),
}

impl Output {
    /// Adds a record.
    pub(crate) fn emit(
        &mut self,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<Emitted, ConsumerError> {
        match self {
            Self::Own(output) => output.emit(timestamp, key, value, headers),
            Self::Transaction(writer) => {
                writer.append(timestamp, key, value, headers)?;
                Ok(Emitted::Written)
            }
        }
    }

    /// Makes everything durable and returns the offset for the commit; none where the transaction does that.
    pub(crate) fn sync(&mut self) -> Result<Option<Offset>, LogError> {
        match self {
            Self::Own(output) => output.sync().map(Some),
            Self::Transaction(_) => Ok(None),
        }
    }
}

/// Appends to one partition of an output topic that this process alone writes.
pub(crate) struct OwnOutput {
    topic: &'static str,
    partition: PartitionId,
    writer: Box<dyn PartitionWriter>,
    /// What was there beyond the commit when this was opened, until all of it was made again.
    existing: Option<Existing>,
    /// The offset after the last record that was made, or found.
    position: Offset,
}

struct Existing {
    reader: Box<dyn PartitionReader>,
    records: RecordBuf,
    next: usize,
}

impl OwnOutput {
    /// Opens an output at the offset that the commit names; at the log's start without one.
    pub(crate) fn open(
        log: &dyn Log,
        writer: &mut dyn TopicWriter,
        topic: &'static str,
        partition: PartitionId,
        committed: Option<Offset>,
    ) -> Result<Self, ConsumerError> {
        let writer = writer.partition(partition)?;
        let end = writer.end();
        let position = match committed {
            Some(offset) if offset > end => {
                return Err(ConsumerError::OutputBehindCommit { topic, partition, committed: offset, end });
            }
            Some(offset) => offset,
            None => log.bounds(topic, partition)?.start,
        };
        let existing = if position < end {
            let reader = log.reader(topic, partition, position)?;
            Some(Existing { reader, records: RecordBuf::default(), next: 0 })
        } else {
            None
        };
        Ok(Self { topic, partition, writer, existing, position })
    }

    /// Adds a record, or finds it where it stands already.
    fn emit(
        &mut self,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<Emitted, ConsumerError> {
        if let Some(existing) = &mut self.existing {
            if let Some(found) = existing.next()? {
                let same = found.timestamp == timestamp
                    && found.key == key
                    && found.value == value
                    && found.headers().eq(headers.iter().map(|(name, value)| (name.as_bytes(), *value)));
                if !same {
                    return Err(ConsumerError::OutputDiffers {
                        topic: self.topic,
                        partition: self.partition,
                        offset: found.offset,
                        holds: String::from_utf8_lossy(found.value).into_owned(),
                        made: String::from_utf8_lossy(value).into_owned(),
                    });
                }
                self.position = found.offset.next();
                return Ok(Emitted::Found);
            }
            self.existing = None;
        }
        let offset = self.writer.append(timestamp, key, value, headers)?;
        self.position = offset.next();
        Ok(Emitted::Written)
    }

    /// Makes everything durable and returns the offset for the commit.
    fn sync(&mut self) -> Result<Offset, LogError> {
        self.writer.sync()?;
        Ok(self.position)
    }
}

impl Existing {
    fn next(&mut self) -> Result<Option<partition_log::Record<'_>>, LogError> {
        if self.next == self.records.len() {
            self.records.clear();
            self.next = 0;
            self.reader.read(&mut self.records, READ_BYTES)?;
        }
        let at = self.next;
        self.next += usize::from(at < self.records.len());
        Ok(self.records.get(at))
    }
}
