//! Things to be done once each, however often it is tried and wherever it is killed.
//!
//! Each thing has a name; to do it is to append a record that carries the name in a header. What was done is remembered in
//! a topic of its own, one record for each name.
//!
//! Before a run first appends to a topic it notes where the topic ends. At its end it syncs what it appended, only then
//! remembers the names, and notes that it is done. So what is remembered was done, and what was done and is not
//! remembered lies behind a noted end: the next run opens those topics for writing, which brings back what a killed one had
//! flushed and not synced, looks through what lies behind the ends, and remembers it before it does anything else.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use types::{EventTime, Offset, PartitionId, headers};

use super::{READ_BYTES, partitions};
use crate::{Log, LogError, PartitionReader, PartitionWriter, Record, RecordBuf, TopicConfig};

/// A note in the memory: where topics ended before they were appended to, or that all of that is remembered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Note {
    Began(BTreeMap<String, Vec<u64>>),
    Done,
}

const MEMORY: PartitionId = PartitionId(0);

/// The memory of what was done, and the topics that a run appends to. Memory: the names of all that was ever done.
pub struct Once<'l> {
    log: &'l dyn Log,
    memory_topic: String,
    /// Which header of a record holds its name.
    name_header: &'static str,
    done: HashSet<String>,
    memory: Option<Box<dyn PartitionWriter>>,
    targets: BTreeMap<String, Target>,
    /// Done by this run and not remembered yet.
    fresh: Vec<String>,
}

struct Target {
    config: TopicConfig,
    writers: Vec<Box<dyn PartitionWriter>>,
    /// Whether this run has noted where they ended.
    noted: bool,
}

impl std::fmt::Debug for Once<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Once").field("memory_topic", &self.memory_topic).finish_non_exhaustive()
    }
}

impl<'l> Once<'l> {
    /// Reads the memory to look only. What an earlier run did and did not come to sync may be missing.
    ///
    /// # Errors
    /// If the memory or a topic that an unfinished run appended to cannot be read.
    pub fn look(log: &'l dyn Log, memory_topic: &str, name_header: &'static str) -> Result<Self, LogError> {
        let mut once = Self::new(log, memory_topic, name_header);
        for (topic, ends) in once.read_memory()? {
            once.read_behind(&topic, &ends)?;
        }
        // It is not ours to remember.
        once.fresh.clear();
        Ok(once)
    }

    /// Reads the memory, having put right what an unfinished run left. No other can do the same meanwhile.
    ///
    /// # Errors
    /// If the memory, or a topic that an unfinished run appended to, is open for writing elsewhere or cannot be read.
    pub fn open(log: &'l dyn Log, memory_topic: &str, name_header: &'static str) -> Result<Self, LogError> {
        let mut once = Self::new(log, memory_topic, name_header);
        if log.topic(memory_topic)?.is_some() {
            once.memory()?;
        }
        for (topic, ends) in once.read_memory()? {
            if log.topic(&topic)?.is_some() {
                // Its writer brings back what was flushed.
                once.target(&topic)?.noted = true;
                once.read_behind(&topic, &ends)?;
            }
        }
        once.finish()?;
        Ok(once)
    }

    fn new(log: &'l dyn Log, memory_topic: &str, name_header: &'static str) -> Self {
        Self {
            log,
            memory_topic: memory_topic.to_owned(),
            name_header,
            done: HashSet::new(),
            memory: None,
            targets: BTreeMap::new(),
            fresh: Vec::new(),
        }
    }

    /// Whether it was done, by this run or an earlier one.
    #[must_use]
    pub fn is_done(&self, name: &str) -> bool {
        self.done.contains(name)
    }

    /// Counts it as done without doing it, as a run does that only looks.
    pub fn pretend(&mut self, name: &str) {
        self.done.insert(name.to_owned());
    }

    /// Does it: appends a record to a partition of `topic`, which `choose` is asked for. `all` are its headers; the one for
    /// names must be among them and hold `name`, and so must [`headers::REDRIVEN`].
    ///
    /// # Errors
    /// If the topic or the memory cannot be written; it is not done then.
    pub fn append(
        &mut self,
        topic: &str,
        choose: impl FnOnce(&TopicConfig) -> PartitionId,
        (timestamp, key, value): (EventTime, &[u8], &[u8]),
        all: &[(&str, &[u8])],
        name: &str,
    ) -> Result<(), LogError> {
        if !self.target(topic)?.noted {
            let ends = self.target(topic)?.writers.iter().map(|writer| writer.end().0).collect();
            note(self.memory()?, &Note::Began(BTreeMap::from([(topic.to_owned(), ends)])))?;
            self.target(topic)?.noted = true;
        }
        let target = self.target(topic)?;
        let partition = choose(&target.config);
        let Some(writer) = target.writers.get_mut(partition.0 as usize) else {
            return Err(LogError::NoSuchPartition { topic: topic.to_owned(), partition });
        };
        writer.append(timestamp, key, value, all)?;
        self.done.insert(name.to_owned());
        self.fresh.push(name.to_owned());
        Ok(())
    }

    /// Syncs what was appended, then remembers it. More may follow.
    ///
    /// # Errors
    /// If a topic cannot be written. The next run puts it right.
    pub fn finish(&mut self) -> Result<(), LogError> {
        for writer in self.targets.values_mut().flat_map(|target| &mut target.writers) {
            writer.sync()?;
        }
        if self.fresh.is_empty() && !self.targets.values().any(|target| target.noted) {
            return Ok(());
        }
        let fresh = std::mem::take(&mut self.fresh);
        let memory = self.memory()?;
        for name in &fresh {
            memory.append(EventTime(0), name.as_bytes(), b"", &[])?;
        }
        memory.sync()?;
        note(memory, &Note::Done)?;
        self.targets.values_mut().for_each(|target| target.noted = false);
        Ok(())
    }

    fn memory(&mut self) -> Result<&mut dyn PartitionWriter, LogError> {
        let memory = match self.memory.take() {
            Some(memory) => memory,
            None => {
                let config =
                    TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".to_owned() };
                self.log.create_topic(&self.memory_topic, &config)?;
                let mut memory = self.log.writer(&self.memory_topic)?.partition(MEMORY)?;
                memory.sync()?;
                memory
            }
        };
        Ok(&mut **self.memory.insert(memory))
    }

    fn target(&mut self, topic: &str) -> Result<&mut Target, LogError> {
        let target = match self.targets.remove(topic) {
            Some(target) => target,
            None => {
                let mut writer = self.log.writer(topic)?;
                let config = writer.config().clone();
                let open = |partition| {
                    let mut writer = writer.partition(partition)?;
                    writer.sync()?;
                    Ok::<_, LogError>(writer)
                };
                let writers = partitions(&config).map(open).collect::<Result<_, _>>()?;
                Target { config, writers, noted: false }
            }
        };
        Ok(self.targets.entry(topic.to_owned()).or_insert(target))
    }

    /// Reads the names. Returns where the topics ended that an unfinished run appended to.
    fn read_memory(&mut self) -> Result<BTreeMap<String, Vec<u64>>, LogError> {
        let mut unfinished = BTreeMap::new();
        if self.log.topic(&self.memory_topic)?.is_none() {
            return Ok(unfinished);
        }
        let start = self.log.bounds(&self.memory_topic, MEMORY)?.start;
        let mut broken = None;
        each(&mut *self.log.reader(&self.memory_topic, MEMORY, start)?, |record| {
            if !record.key.is_empty() {
                self.done.insert(String::from_utf8_lossy(record.key).into_owned());
                return;
            }
            match serde_json::from_slice(record.value) {
                Ok(Note::Began(ends)) => unfinished.extend(ends),
                Ok(Note::Done) => unfinished.clear(),
                Err(error) => {
                    broken.get_or_insert_with(|| format!("offset {}: {error}", record.offset));
                }
            }
        })?;
        match broken {
            Some(detail) => Err(LogError::BadTopic { topic: self.memory_topic.clone(), detail }),
            None => Ok(unfinished),
        }
    }

    /// Finds what was done behind the noted ends of a topic.
    fn read_behind(&mut self, topic: &str, ends: &[u64]) -> Result<(), LogError> {
        let count = self.log.topic(topic)?.map_or(0, |config| config.partitions);
        for (partition, end) in (0..count).map(PartitionId).zip(ends) {
            let bounds = self.log.bounds(topic, partition)?;
            let from = Offset(*end).clamp(bounds.start, bounds.end);
            each(&mut *self.log.reader(topic, partition, from)?, |record| {
                if let (Some(name), Some(_)) =
                    (record.header(self.name_header), record.header(headers::REDRIVEN))
                {
                    let name = String::from_utf8_lossy(name).into_owned();
                    if self.done.insert(name.clone()) {
                        self.fresh.push(name);
                    }
                }
            })?;
        }
        Ok(())
    }
}

fn note(memory: &mut dyn PartitionWriter, note: &Note) -> Result<(), LogError> {
    // Maps of text and numbers always have a JSON form.
    let json = serde_json::to_vec(note).unwrap_or_default();
    memory.append(EventTime(0), b"", &json, &[])?;
    memory.sync()
}

fn each(reader: &mut dyn PartitionReader, mut visit: impl FnMut(&Record<'_>)) -> Result<(), LogError> {
    let mut buf = RecordBuf::default();
    loop {
        buf.clear();
        if reader.read(&mut buf, READ_BYTES)? == 0 {
            return Ok(());
        }
        buf.iter().for_each(|record| visit(&record));
    }
}
