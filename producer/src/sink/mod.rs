//! From events to the log: keys, ticks, batches, and going on after a kill.
//!
//! A source hands over its events one by one, always in the same order, each with a *position* that names it within the
//! source. The sink appends it to the partition of its entity, with the position in a header.
//!
//! **Resuming.** Appends to one partition are durable in order, so what a killed run left in each partition is a prefix
//! of what the whole run would have written there, each of its own length. Opening the sink finds the source's last
//! position and the last tick in each partition. The source then starts over, and each partition drops what comes up to
//! its last position. Several sources (the files of an import) are told apart, so that one may be added later. So nothing
//! is lost and nothing repeated, whatever was synced when; a source must only be repeatable and its positions unique.
//!
//! Whether it was the same again is checked: every record carries a hash of all that its source had given to the
//! partition up to it ([`headers::CHAIN`](types::headers::CHAIN)), and at the last position both must agree. Otherwise a
//! source that has changed, or comes in another order, would lose records or repeat them.
//!
//! **Ticks.** Just before the first event that passes a tick (see [`TickPlan`]), the tick is written to every partition;
//! several that are passed at once are written in order. Each partition begins with the newest tick that the first
//! event has passed, so what is on a partition always tells which tick comes next, in a second import too. An event whose
//! time cannot be right (more than a day ahead of its arrival, or no possible one at all) passes no tick; it is
//! the consumer that rejects it.
//!
//! **The same bytes.** A batch ends where the sequence of events says so, never where a clock does. Rate, syncing, kill
//! and resume do not change a byte of the segment files.

mod config;
mod idle;
mod known;
mod partition;
mod told;

use std::time::{Duration, Instant};

use partition_log::{Log, TopicConfig, TopicWriter, partition_for};
use types::{Event, EventTime, Millis, PartitionId, RejectReason};

use crate::around::Surroundings;
use crate::tick::{TickPlan, tick_event};
pub use config::{SinkConfig, SinkError, SinkTotals, SourceOrder};
pub use partition::needed_from;
pub(crate) use partition::tick_of;
use partition::{Held, Partition};
use told::Told;

/// Writes the events of one or several sources to a topic. See the module's description.
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
    told: Told,
    order: SourceOrder,
    /// `SOURCE:` of each source.
    names: Vec<Box<[u8]>>,
    /// `SOURCE:`, then the position of the event at hand.
    header: Vec<u8>,
    /// An event, encoded.
    encoded: Vec<u8>,
    /// A tick, encoded.
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

impl EventSink {
    /// How long what is written may stay unsynced while more is coming.
    const SYNC_EVERY: Duration = Duration::from_millis(250);

    /// Opens the topic for writing, making it if need be, and finds where the source stopped. Reads as much of each
    /// partition's end as it takes to find the source's last position, all of it if there is none.
    ///
    /// # Errors
    /// If the topic exists with other settings, is being written by another, or cannot be read.
    pub fn open(log: &dyn Log, config: &SinkConfig, around: &Surroundings) -> Result<Self, SinkError> {
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
        let (names, opened, foreign) = known::open(log, config, &mut *topic, partitions)?;
        Ok(Self {
            partitions: opened,
            topic,
            ticks: config.ticks,
            passed: None,
            batch: Batch::default(),
            synced: Instant::now(),
            totals: SinkTotals::default(),
            told: Told::new(around, &config.topic),
            order: SourceOrder::Own,
            names: names.iter().map(|name| format!("{name}:").into_bytes().into()).collect(),
            header: Vec::with_capacity(256),
            encoded: Vec::with_capacity(1024),
            value: Vec::with_capacity(128),
            foreign,
        })
    }

    /// Whether the log holds events of the sources already.
    #[must_use]
    pub fn is_resuming(&self) -> bool {
        self.partitions.iter().any(|p| p.held_to.iter().any(Option::is_some))
    }

    /// In which order the sources were written before: sorted if one of them was; `None` if the log does not say.
    #[must_use]
    pub fn written_order(&self) -> Option<SourceOrder> {
        let orders = self.partitions.iter().flat_map(|p| &p.held_to).flatten().filter_map(Held::order);
        orders.max_by_key(|order| *order == SourceOrder::Sorted)
    }

    /// Says in which order the sources' records will come, before the first one does. Unless said, in their own.
    ///
    /// # Errors
    /// [`SinkError::OtherOrder`] if the log holds one in another.
    pub fn set_order(&mut self, order: SourceOrder) -> Result<(), SinkError> {
        self.order = order;
        for partition in &self.partitions {
            for (held, name) in partition.held_to.iter().zip(&self.names) {
                if let Some(was) = held.as_ref().and_then(Held::order).filter(|was| *was != order) {
                    let name = String::from_utf8_lossy(name.strip_suffix(b":").unwrap_or(name)).into_owned();
                    return Err(SinkError::OtherOrder { name, was });
                }
            }
        }
        Ok(())
    }

    /// Whether some partition holds events of other sources and none of these.
    #[must_use]
    pub fn has_other_sources(&self) -> bool {
        self.foreign
    }

    /// The topic's settings.
    #[must_use]
    pub fn topic(&self) -> &TopicConfig {
        self.topic.config()
    }

    /// The newest tick that is on the topic.
    #[must_use]
    pub fn newest_tick(&self) -> Option<EventTime> {
        self.partitions.iter().filter_map(|p| p.last_tick).max()
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

    /// Writes an event of the first source, the ticks that it passes before it, unless the log holds it already. Returns
    /// whether it was written. O(length); allocates nothing once its buffers have grown.
    ///
    /// `position` names the event within its source (it may be any text without a colon); `arrival` is when it reached us,
    /// and becomes the record's time.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn append(
        &mut self,
        event: &Event<'_>,
        arrival: EventTime,
        position: &[u8],
    ) -> Result<bool, SinkError> {
        let mut value = std::mem::take(&mut self.encoded);
        value.clear();
        event.encode(&mut value);
        let encoded = (event.entity.as_bytes(), &*value);
        let appended = self.append_encoded(encoded, event.ts, arrival, 0, position);
        self.encoded = value;
        appended
    }

    /// As [`EventSink::append`] for an event that is encoded already and comes from the source with that place in
    /// [`SinkConfig::sources`]. `ts` is its time.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn append_encoded(
        &mut self,
        (key, value): (&[u8], &[u8]),
        ts: EventTime,
        arrival: EventTime,
        source: usize,
        position: &[u8],
    ) -> Result<bool, SinkError> {
        self.arrange(Some(ts), arrival, source, position)?;
        let place = partition_for(key, self.partitions.len() as u32).0 as usize;
        let Some(chain) = self.come_to(place, source, arrival, [key, value, b""])? else { return Ok(false) };
        let headers = [(types::headers::SOURCE, &*self.header), (types::headers::CHAIN, &chain[..])];
        self.partitions[place].writer.append(arrival, key, value, &headers)?;
        Ok(true)
    }

    /// Writes what the source holds and is no event: a record of the original bytes, without a key, whose headers say what
    /// is wrong with it. The consumer, which alone writes dead letters, moves it there under that reason. So it keeps
    /// its place in the order, is written exactly once like all else, and needs no second log that two would write to.
    ///
    /// # Errors
    /// If the log cannot be written.
    pub fn append_reject(
        &mut self,
        original: &[u8],
        (reason, detail): (RejectReason, &str),
        arrival: EventTime,
        source: usize,
        position: &[u8],
    ) -> Result<bool, SinkError> {
        self.arrange(None, arrival, source, position)?;
        // Without a key: its position spreads them evenly and always the same.
        let place = partition_for(&self.header, self.partitions.len() as u32).0 as usize;
        let reason_name = reason.name().as_bytes();
        let Some(chain) = self.come_to(place, source, arrival, [b"", original, reason_name])? else {
            return Ok(false);
        };
        let headers = [
            (types::headers::SOURCE, &*self.header),
            (types::headers::CHAIN, &chain[..]),
            (types::headers::REASON, reason_name),
            (types::headers::DETAIL, detail.as_bytes()),
        ];
        self.partitions[place].writer.append(arrival, b"", original, &headers)?;
        Ok(true)
    }

    /// Everything that comes before a record: ends the batch, writes ticks, sets the header.
    fn arrange(
        &mut self,
        ts: Option<EventTime>,
        arrival: EventTime,
        source: usize,
        position: &[u8],
    ) -> Result<(), SinkError> {
        if self.batch.ends_before(arrival) {
            self.end_batch()?;
        }
        if let Some(ts) = ts
            && ts.is_possible()
            && ts <= arrival.plus(Millis::DAY)
        {
            self.pass_ticks(ts, arrival)?;
        }
        if self.batch.events == 0 {
            self.told.batch(&self.partitions);
        }
        self.batch.events += 1;
        self.batch.hour = hour_of(arrival);
        self.header.clear();
        self.header.extend_from_slice(&self.names[source]);
        self.header.extend_from_slice(position);
        Ok(())
    }

    /// Counts the record at hand, whose key, value and mark are given, as the next of its source in a partition. Returns the
    /// header that says so; `None` if the partition holds the record already.
    fn come_to(
        &mut self,
        place: usize,
        source: usize,
        arrival: EventTime,
        [key, value, mark]: [&[u8]; 3],
    ) -> Result<Option<[u8; 9]>, SinkError> {
        let partition = PartitionId(place as u32);
        let Partition { held_to, chains, doubted, .. } = &mut self.partitions[place];
        if doubted[source].is_some_and(|oldest| arrival < oldest) {
            let name = self.names[source].strip_suffix(b":").unwrap_or_default();
            return Err(SinkError::Removed { partition, name: String::from_utf8_lossy(name).into_owned() });
        }
        chains[source].push([&self.header, key, value, mark]);
        let chain = chains[source].text(self.order);
        let Some(last) = &held_to[source] else {
            self.totals.appended += 1;
            return Ok(Some(chain));
        };
        self.totals.held += 1;
        if *last.position == *self.header {
            if last.chain.as_deref().is_some_and(|before| *before != chain) {
                let position = String::from_utf8_lossy(&last.position).into_owned();
                return Err(SinkError::SourceChanged { partition, position });
            }
            held_to[source] = None;
        }
        Ok(None)
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
            // What stood before a record that the log holds was written before it; retention has removed it since.
            if partition.ticks_removed && partition.held_to.iter().any(Option::is_some) {
                partition.last_tick = Some(passed);
                continue;
            }
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
        let partitions = &mut self.partitions;
        self.told.while_waiting(|| {
            let mut writers = partitions.iter_mut().map(|partition| &mut partition.writer);
            writers.try_for_each(|writer| if sync { writer.sync() } else { writer.flush() })
        })?;
        if sync {
            self.synced = Instant::now();
            self.told.durable(self.totals.appended);
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
        self.told.durable(self.totals.appended);
        if complete {
            for (id, partition) in (0..).map(PartitionId).zip(&self.partitions) {
                if let Some(held) = partition.held_to.iter().flatten().next() {
                    let position = String::from_utf8_lossy(&held.position).into_owned();
                    return Err(SinkError::SourceChanged { partition: id, position });
                }
            }
        }
        Ok(self.totals)
    }
}

#[cfg(test)]
mod tests;
