//! From events to the log: keys, ticks, batches, and going on after a kill.
//!
//! A source hands over its events one by one, always in the same order, each with a *position* that names it within the
//! source. The sink appends it to the partition of its entity, with the position in a header.
//!
//! **Resuming.** Appends to one partition are durable in order, so what a killed run left in each partition is a prefix
//! of what the whole run would have written there, each of its own length. Opening the sink finds the source's last
//! position and the last tick in each partition. The source then starts over, and each partition drops what comes up to
//! its last position. So nothing is lost and nothing repeated, whatever was synced when; a source must only be
//! repeatable and its positions unique.
//!
//! **Ticks.** Just before the first event that passes a tick (see [`TickPlan`]), the tick is written to every partition;
//! several that are passed at once are written in order. Each partition begins with the newest tick that the first
//! event has passed, so what is on a partition always tells which tick comes next, in a second import too. An event whose
//! time cannot be right (more than a day ahead of its arrival, or outside the years 1970 to 9999) passes no tick; it is
//! the consumer that rejects it.
//!
//! **The same bytes.** A batch ends where the sequence of events says so, never where a clock does. Rate, syncing, kill
//! and resume do not change a byte of the segment files.

mod partition;

use std::time::{Duration, Instant};

use partition_log::{Log, LogError, TopicConfig, TopicWriter, partition_for};
use types::{Event, EventTime, Millis, PartitionId};

use crate::tick::{TickPlan, tick_event};
use partition::Partition;

/// How a sink writes.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// The topic; made if it does not exist.
    pub topic: String,
    /// How many partitions it has; `None` for as many as it has already, or [`SinkConfig::DEFAULT_PARTITIONS`].
    pub partitions: Option<u32>,
    /// What the events are about: the topic's key.
    pub entity_type: String,
    /// When ticks are due.
    pub ticks: TickPlan,
    /// The name of the source, which its positions follow after a colon. It must tell it from every other source that
    /// writes to this topic, and be the same when the same source is run again.
    pub source: String,
}

impl SinkConfig {
    /// How many partitions a new topic has unless told otherwise.
    pub const DEFAULT_PARTITIONS: u32 = 4;
}

/// Why a sink could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A source was run again and did not hold what it held before.
    #[error(
        "partition {partition} holds `{position}` of this source, and the source no longer does: it has changed since; \
         write to another topic"
    )]
    SourceChanged {
        /// Where.
        partition: PartitionId,
        /// The last source position that it holds.
        position: String,
    },
}

/// What a sink has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkTotals {
    /// Events written.
    pub appended: u64,
    /// Events that the log held already.
    pub held: u64,
    /// Tick records written, every partition's counted.
    pub tick_records: u64,
}

/// Writes the events of one source to a topic. See the module's description.
pub struct EventSink {
    // Before `topic`, so that the lock goes last.
    partitions: Vec<Partition>,
    topic: Box<dyn TopicWriter>,
    ticks: TickPlan,
    /// The newest tick that the events so far have passed.
    passed: Option<EventTime>,
    batch: Batch,
    synced: Instant,
    totals: SinkTotals,
    /// `SOURCE:`, then the position of the event at hand.
    header: Vec<u8>,
    source_len: usize,
    value: Vec<u8>,
    foreign: bool,
}

/// The batch being built over all partitions.
#[derive(Debug, Default)]
struct Batch {
    events: u32,
    hour: i64,
}

impl Batch {
    /// So many events end a batch: few enough to be seen soon at a low rate, enough to cost little each.
    const EVENTS: u32 = 1024;
    /// So many do where an hour of arrival ends too, so that a small log replayed at a multiple of its speed flows.
    const EVENTS_BY_HOUR: u32 = 64;

    fn ends_before(&self, arrival: EventTime) -> bool {
        self.events >= Self::EVENTS || (self.events >= Self::EVENTS_BY_HOUR && hour_of(arrival) != self.hour)
    }
}

fn hour_of(time: EventTime) -> i64 {
    time.0.div_euclid(Millis::HOUR.0)
}

/// Events outside the years 1970 to 9999 pass no tick.
const TICKING_TIMES: std::ops::Range<EventTime> = EventTime(0)..EventTime(253_402_300_800_000);

impl EventSink {
    /// How long what is written may stay unsynced while more is coming.
    const SYNC_EVERY: Duration = Duration::from_millis(250);

    /// Opens the topic for writing, making it if need be, and finds where the source stopped. Reads as much of each
    /// partition's end as it takes to find the source's last position, all of it if there is none.
    ///
    /// # Errors
    /// If the topic exists with other settings, is being written by another, or cannot be read.
    pub fn open(log: &dyn Log, config: &SinkConfig) -> Result<Self, SinkError> {
        let exists = log.topic(&config.topic)?;
        let partitions = config
            .partitions
            .or_else(|| exists.as_ref().map(|c| c.partitions))
            .unwrap_or(SinkConfig::DEFAULT_PARTITIONS);
        let wanted =
            TopicConfig { partitions, key: config.entity_type.clone(), partitioner: "murmur2".to_owned() };
        log.create_topic(&config.topic, &wanted)?;

        // The writer first: it recovers what a killed one left, and no other can come between the look and the append.
        let mut topic = log.writer(&config.topic)?;
        let header = format!("{}:", config.source).into_bytes();
        let mut foreign = false;
        let mut opened = Vec::with_capacity(partitions as usize);
        for id in (0..partitions).map(PartitionId) {
            let mut writer = topic.partition(id)?;
            // What a killed run flushed and did not sync is on the log; show it to the reader that looks for it.
            writer.sync()?;
            let end = partition::find_end(log, &config.topic, id, &header)?;
            foreign |= end.foreign && end.position.is_none();
            opened.push(Partition { writer, held_to: end.position, last_tick: end.tick });
        }
        Ok(Self {
            partitions: opened,
            topic,
            ticks: config.ticks,
            passed: None,
            batch: Batch::default(),
            synced: Instant::now(),
            totals: SinkTotals::default(),
            source_len: header.len(),
            header,
            value: Vec::with_capacity(1024),
            foreign,
        })
    }

    /// Whether the log holds events of this source already.
    #[must_use]
    pub fn is_resuming(&self) -> bool {
        self.partitions.iter().any(|p| p.held_to.is_some())
    }

    /// Whether some partition holds events of other sources and none of this one.
    #[must_use]
    pub fn has_other_sources(&self) -> bool {
        self.foreign
    }

    /// The topic's settings.
    #[must_use]
    pub fn topic(&self) -> &TopicConfig {
        self.topic.config()
    }

    /// What was done so far.
    #[must_use]
    pub fn totals(&self) -> SinkTotals {
        self.totals
    }

    /// Whether a batch would end before an event that arrived so: the place to stop at when asked to.
    #[must_use]
    pub fn batch_ends_before(&self, arrival: EventTime) -> bool {
        self.batch.ends_before(arrival)
    }

    /// Writes an event, the ticks that it passes before it, unless the log holds it already. Returns whether it was
    /// written. O(length); allocates nothing once its buffers have grown.
    ///
    /// `position` names the event within its source; `arrival` is when it reached us, and becomes the record's time.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn append(
        &mut self,
        event: &Event<'_>,
        arrival: EventTime,
        position: &[u8],
    ) -> Result<bool, SinkError> {
        let partition = self.arrange(event.entity.as_bytes(), Some(event.ts), arrival, position)?;
        let Some(partition) = partition else { return Ok(false) };
        self.value.clear();
        event.encode(&mut self.value);
        self.write(partition, arrival, event.entity.as_bytes(), None)?;
        Ok(true)
    }

    /// As [`EventSink::append`] for bytes that the source holds as an event already, or that are none and shall be found
    /// so by the consumer. `ts` is the event's time, if it has one that may pass ticks.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn append_bytes(
        &mut self,
        key: &[u8],
        value: &[u8],
        ts: Option<EventTime>,
        arrival: EventTime,
        position: &[u8],
    ) -> Result<bool, SinkError> {
        let Some(partition) = self.arrange(key, ts, arrival, position)? else { return Ok(false) };
        self.write(partition, arrival, key, Some(value))?;
        Ok(true)
    }

    /// Everything that comes before an event's bytes: ends the batch, writes ticks, finds the partition. `None` if the
    /// partition holds the event already.
    fn arrange(
        &mut self,
        key: &[u8],
        ts: Option<EventTime>,
        arrival: EventTime,
        position: &[u8],
    ) -> Result<Option<usize>, SinkError> {
        if self.batch.ends_before(arrival) {
            self.end_batch()?;
        }
        if let Some(ts) = ts
            && TICKING_TIMES.contains(&ts)
            && ts <= arrival.plus(Millis::DAY)
        {
            self.pass_ticks(ts, arrival)?;
        }
        self.batch.events += 1;
        self.batch.hour = hour_of(arrival);
        self.header.truncate(self.source_len);
        self.header.extend_from_slice(position);

        let index = partition_for(key, self.partitions.len() as u32).0 as usize;
        let partition = &mut self.partitions[index];
        if let Some(last) = &partition.held_to {
            if **last == *self.header {
                partition.held_to = None;
            }
            self.totals.held += 1;
            return Ok(None);
        }
        Ok(Some(index))
    }

    fn write(
        &mut self,
        partition: usize,
        arrival: EventTime,
        key: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), SinkError> {
        let value = value.unwrap_or(&self.value);
        let headers = [(types::headers::SOURCE, &*self.header)];
        self.partitions[partition].writer.append(arrival, key, value, &headers)?;
        self.totals.appended += 1;
        Ok(())
    }

    /// Writes the ticks that the moment `now` has passed and that are not on the log yet. A source calls it at its end
    /// with the time up to which it is complete. Nothing happens before the first event.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn flush_ticks_until(&mut self, now: EventTime) -> Result<(), SinkError> {
        if self.passed.is_some() { self.pass_ticks(now, EventTime::MIN) } else { Ok(()) }
    }

    /// Writes the ticks that `ts` has passed. Their records have the time of `arrival`, as that of the event that passes them,
    /// which keeps record times in order; or that at which they were due, if it is later.
    fn pass_ticks(&mut self, ts: EventTime, arrival: EventTime) -> Result<(), SinkError> {
        let passed = self.ticks.passed_by(ts);
        if self.passed.is_some_and(|before| before >= passed) {
            return Ok(());
        }
        for partition in &mut self.partitions {
            let mut next = partition.last_tick.map_or(passed, |last| self.ticks.after(last));
            while next <= passed {
                self.value.clear();
                tick_event(next).encode(&mut self.value);
                partition.writer.append(arrival.max(self.ticks.due(next)), b"", &self.value, &[])?;
                partition.last_tick = Some(next);
                self.totals.tick_records += 1;
                next = self.ticks.after(next);
            }
        }
        self.passed = Some(passed);
        Ok(())
    }

    fn end_batch(&mut self) -> Result<(), SinkError> {
        self.batch = Batch::default();
        // A sync flushes too, so whether one is due changes no byte.
        let sync = self.synced.elapsed() >= Self::SYNC_EVERY;
        for partition in &mut self.partitions {
            if sync { partition.writer.sync()? } else { partition.writer.flush()? }
        }
        if sync {
            self.synced = Instant::now();
        }
        Ok(())
    }

    /// Syncs everything. `complete` says that the source came to its end, and was not stopped before it.
    ///
    /// # Errors
    /// If the log cannot be written; [`SinkError::SourceChanged`] if a complete source never came to the position up to
    /// which the log holds it.
    pub fn finish(mut self, complete: bool) -> Result<SinkTotals, SinkError> {
        for partition in &mut self.partitions {
            partition.writer.sync()?;
        }
        if complete {
            for (id, partition) in (0..).map(PartitionId).zip(&self.partitions) {
                if let Some(position) = &partition.held_to {
                    let position = String::from_utf8_lossy(position).into_owned();
                    return Err(SinkError::SourceChanged { partition: id, position });
                }
            }
        }
        Ok(self.totals)
    }
}

#[cfg(test)]
mod tests;
