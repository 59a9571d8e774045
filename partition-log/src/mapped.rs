//! A topic that others write in a form of their own: each record is turned into one of ours as it is read.
//!
//! Offsets stay, so commits, replays and dead letters speak of the records as they stand in the topic.

use std::sync::Arc;
use std::time::{Duration, Instant};

use types::{EventTime, Offset, PartitionId};

use crate::{
    Bounds, KafkaLog, Log, LogError, PartitionCheck, PartitionReader, Record, RecordBuf, Retention,
    SharedLog, TopicConfig, TopicWriter, Usage, Watch,
};

/// The header of what was read through a map, and of no stored record: the value as it stands in the topic.
pub const ORIGINAL: &str = "cs-original";

/// How records become ours.
pub trait RecordMap: Send + Sync {
    /// Adds to `into` what each of `records` becomes, at its offset. One that means nothing is left out. Takes some seconds at the most.
    ///
    /// # Errors
    /// [`LogError::NotNow`] if something has to be known for it that cannot be had at the moment: nothing was added, and the call may be
    /// repeated. A record that cannot be read is no error but becomes one that says so.
    fn map(&self, records: &RecordBuf, into: &mut RecordBuf) -> Result<(), LogError>;

    /// Whether who reads through it has nothing else to do than to wait for what comes. Others are let go with [`LogError::NotNow`] now and
    /// then where a long stretch of records means nothing.
    fn is_patient(&self) -> bool {
        false
    }
}

/// For so long records that mean nothing are passed over in one go.
const STRETCH: Duration = Duration::from_millis(500);

/// A log whose topic `topic` is read through a map. Everything else about it is as it was.
#[must_use]
pub fn mapped(log: SharedLog, topic: &str, map: Arc<dyn RecordMap>) -> SharedLog {
    match log.as_kafka() {
        // Groups read through it too.
        Some(kafka) => Arc::new(kafka.clone().with_map(topic, map)),
        None => Arc::new(MappedLog { log, topic: topic.to_owned(), map }),
    }
}

/// Reads through a map.
pub(crate) struct MappedReader {
    pub(crate) reader: Box<dyn PartitionReader>,
    pub(crate) map: Arc<dyn RecordMap>,
    /// What was read and not mapped yet.
    pub(crate) block: RecordBuf,
}

impl PartitionReader for MappedReader {
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError> {
        let (before, begun) = (into.len(), Instant::now());
        // Nothing added would mean the end.
        while into.len() == before {
            if begun.elapsed() > STRETCH && !self.map.is_patient() {
                return Err(LogError::NotNow("the map leaves out all that was read so far".to_owned()));
            }
            if self.block.is_empty() && self.reader.read(&mut self.block, max_bytes)? == 0 {
                break;
            }
            self.map.map(&self.block, into)?;
            self.block.clear();
        }
        Ok(into.len() - before)
    }

    fn position(&self) -> Offset {
        self.block.get(0).map_or_else(|| self.reader.position(), |record| record.offset)
    }

    fn seek(&mut self, to: Offset) -> Result<(), LogError> {
        self.reader.seek(to)?;
        self.block.clear();
        Ok(())
    }

    fn set_patience(&mut self, patience: Duration) {
        self.reader.set_patience(patience);
    }
}

struct MappedLog {
    log: SharedLog,
    topic: String,
    map: Arc<dyn RecordMap>,
}

impl Log for MappedLog {
    fn place(&self) -> String {
        self.log.place()
    }

    fn as_kafka(&self) -> Option<&KafkaLog> {
        self.log.as_kafka()
    }

    fn create_topic(&self, topic: &str, config: &TopicConfig) -> Result<(), LogError> {
        self.log.create_topic(topic, config)
    }

    fn topic(&self, topic: &str) -> Result<Option<TopicConfig>, LogError> {
        self.log.topic(topic)
    }

    fn largest(&self, topic: &str) -> Result<usize, LogError> {
        self.log.largest(topic)
    }

    fn topics(&self) -> Result<Vec<String>, LogError> {
        self.log.topics()
    }

    fn bounds(&self, topic: &str, partition: PartitionId) -> Result<Bounds, LogError> {
        self.log.bounds(topic, partition)
    }

    fn offset_at(&self, topic: &str, partition: PartitionId, time: EventTime) -> Result<Offset, LogError> {
        self.log.offset_at(topic, partition, time)
    }

    fn writer(&self, topic: &str) -> Result<Box<dyn TopicWriter>, LogError> {
        self.log.writer(topic)
    }

    fn reader(
        &self,
        topic: &str,
        partition: PartitionId,
        from: Offset,
    ) -> Result<Box<dyn PartitionReader>, LogError> {
        let reader = self.log.reader(topic, partition, from)?;
        if topic != self.topic {
            return Ok(reader);
        }
        Ok(Box::new(MappedReader { reader, map: Arc::clone(&self.map), block: RecordBuf::default() }))
    }

    fn retain(
        &self,
        topic: &str,
        partition: PartitionId,
        keep: &Retention,
        floor: Offset,
    ) -> Result<Bounds, LogError> {
        self.log.retain(topic, partition, keep, floor)
    }

    fn purge(
        &self,
        topic: &str,
        partition: PartitionId,
        drop: &mut dyn FnMut(&Record<'_>) -> bool,
    ) -> Result<u64, LogError> {
        self.log.purge(topic, partition, drop)
    }

    fn usage(&self, topic: &str, partition: PartitionId) -> Result<Usage, LogError> {
        self.log.usage(topic, partition)
    }

    fn verify(&self, topic: &str, partition: PartitionId) -> Result<PartitionCheck, LogError> {
        self.log.verify(topic, partition)
    }

    fn watch(&self, topic: &str) -> Result<Box<dyn Watch>, LogError> {
        self.log.watch(topic)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::MemoryLog;

    /// Leaves out what begins with `-`, doubles the rest, and has to wait now and then.
    struct Doubling(AtomicBool);

    impl RecordMap for Doubling {
        fn map(&self, records: &RecordBuf, into: &mut RecordBuf) -> Result<(), LogError> {
            if self.0.fetch_xor(true, Ordering::Relaxed) {
                return Err(LogError::NotNow("not now".into()));
            }
            for record in records.iter().filter(|record| !record.value.starts_with(b"-")) {
                let value = record.value.repeat(2);
                into.push_parts(record.offset, record.timestamp, record.key, &value, record.headers());
            }
            Ok(())
        }
    }

    /// Leaves everything out, slowly.
    struct Nothing {
        is_patient: bool,
    }

    impl RecordMap for Nothing {
        fn map(&self, _: &RecordBuf, _: &mut RecordBuf) -> Result<(), LogError> {
            std::thread::sleep(STRETCH);
            Ok(())
        }

        fn is_patient(&self) -> bool {
            self.is_patient
        }
    }

    #[test]
    fn who_has_other_things_to_do_is_let_go_where_nothing_means_anything() {
        let log: SharedLog = Arc::new(MemoryLog::default());
        let config = TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".into() };
        log.create_topic("foreign", &config).unwrap();
        let mut writer = log.writer("foreign").unwrap().partition(PartitionId(0)).unwrap();
        for _ in 0..4 {
            writer.append(EventTime(7), b"", b"-", &[]).unwrap();
            writer.sync().unwrap();
        }
        for is_patient in [false, true] {
            let log = mapped(Arc::clone(&log), "foreign", Arc::new(Nothing { is_patient }));
            let mut reader = log.reader("foreign", PartitionId(0), Offset::ZERO).unwrap();
            let mut block = RecordBuf::default();
            let (mut answers, mut tries) = (reader.read(&mut block, 1), 1);
            while matches!(answers, Err(LogError::NotNow(_))) {
                let before = reader.position();
                answers = reader.read(&mut block, 1);
                assert!(reader.position() > before || answers.is_ok(), "it goes on where it was");
                tries += 1;
            }
            assert_eq!((answers.unwrap(), tries > 1, reader.position()), (0, !is_patient, Offset(4)));
        }
    }

    #[test]
    fn records_are_turned_at_their_offsets_and_none_is_lost_by_waiting() {
        let log: SharedLog = Arc::new(MemoryLog::default());
        let config = TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".into() };
        let p0 = PartitionId(0);
        for topic in ["foreign", "ours"] {
            log.create_topic(topic, &config).unwrap();
            let mut writer = log.writer(topic).unwrap().partition(p0).unwrap();
            for value in ["a", "-", "-", "b", "-"] {
                writer.append(EventTime(7), b"", value.as_bytes(), &[]).unwrap();
                writer.sync().unwrap();
            }
        }
        let log = mapped(log, "foreign", Arc::new(Doubling(AtomicBool::new(false))));
        let read = |topic: &str, tries: usize| {
            let mut reader = log.reader(topic, p0, Offset::ZERO).unwrap();
            let (mut found, mut block) = (Vec::new(), RecordBuf::default());
            for _ in 0..tries {
                block.clear();
                let before = reader.position();
                match reader.read(&mut block, 1) {
                    Ok(count) => assert_eq!(count, block.len()),
                    Err(_) => assert!(block.is_empty() && reader.position() >= before),
                }
                found
                    .extend(block.iter().map(|r| (r.offset.0, String::from_utf8(r.value.to_vec()).unwrap())));
            }
            (found, reader.position())
        };
        let doubled = vec![(0, "aa".to_owned()), (3, "bb".to_owned())];
        assert_eq!(read("foreign", 20), (doubled, Offset(5)));
        assert_eq!(read("ours", 20).0.len(), 5);
    }
}
