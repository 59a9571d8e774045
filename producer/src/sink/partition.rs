//! One partition of a sink, and what its end tells of earlier runs.

use std::collections::HashMap;

use partition_log::{Log, LogError, PartitionWriter, RecordBuf};
use types::{Event, EventTime, Offset, PartitionId, SystemEvent, headers};

use super::SourceOrder;

pub(super) struct Partition {
    pub(super) writer: Box<dyn PartitionWriter>,
    /// Of each source the last record that is on the log, until the source has come to it again.
    pub(super) held_to: Vec<Option<Held>>,
    /// Of each source what it has given to this partition so far, from its beginning on.
    pub(super) chains: Vec<Chain>,
    pub(super) last_tick: Option<EventTime>,
    /// Whether there was none when it was opened.
    pub(super) ticks_removed: bool,
    /// Whether its oldest records were removed.
    pub(super) is_cut: bool,
    /// Of each source that others hold something of and this one nothing, though its oldest records were removed: the time of the oldest that
    /// is left. What is older may have been there.
    pub(super) doubted: Vec<Option<EventTime>>,
}

impl Partition {
    /// `held` are the sources that some partition holds something of.
    pub(super) fn new(writer: Box<dyn PartitionWriter>, end: End, held: &[bool]) -> Self {
        let chains = vec![Chain::default(); end.positions.len()];
        let End { positions: held_to, tick: last_tick, cut, is_cut, .. } = end;
        let doubt = |(here, elsewhere): (&Option<Held>, &bool)| cut.filter(|_| here.is_none() && *elsewhere);
        let doubted = held_to.iter().zip(held).map(doubt).collect();
        Self { writer, held_to, chains, last_tick, ticks_removed: last_tick.is_none(), is_cut, doubted }
    }
}

/// The last record of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// Its position, the source's name included.
    pub(super) position: Box<[u8]>,
    /// Its [`headers::CHAIN`]; `None` if it has none, as records of earlier versions.
    pub(super) chain: Option<Box<[u8]>>,
}

impl Held {
    /// What its source is called.
    pub(super) fn name(&self) -> &[u8] {
        memchr::memrchr(b':', &self.position).map_or(&*self.position, |colon| &self.position[..colon])
    }

    /// In which order its source was written, if it says so.
    pub(super) fn order(&self) -> Option<SourceOrder> {
        SourceOrder::of_letter(*self.chain.as_deref()?.first()?)
    }
}

/// A hash of a sequence of records: position, key and value of each, and how it is marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Chain(u64);

impl Chain {
    pub(super) fn push(&mut self, parts: [&[u8]; 4]) {
        for part in parts {
            // The hash of each part is the next one's seed, so their borders count too.
            self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(part, self.0);
        }
    }

    /// As it stands in the header, behind the letter of the order.
    pub(super) fn text(self, order: SourceOrder) -> [u8; 9] {
        let mut text = [order.letter(); 9];
        for (digit, shift) in text[1..].iter_mut().zip((0..8).rev()) {
            *digit = b"0123456789abcdef"[(self.0 >> (4 * shift)) as usize & 15];
        }
        text
    }
}

/// What the end of a partition holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Of each source its last record.
    pub(super) positions: Vec<Option<Held>>,
    /// The newest tick.
    pub(super) tick: Option<EventTime>,
    /// Whether records of other sources were seen.
    pub(super) foreign: bool,
    /// Where the partition's oldest records were removed and some are left: the time of the oldest of these.
    pub(super) cut: Option<EventTime>,
    /// Whether its oldest records were removed.
    pub(super) is_cut: bool,
}

/// How many records at the end are looked at first. What is looked for nearly always lies there.
const FIRST_LOOK: u64 = 4096;
const READ_BYTES: usize = 1 << 20;

/// Finds the last record of each source, and the last tick. Looks at ever longer tails of the partition until all are
/// found or the whole was read. `sources` are the places of the names, of which a source may have several; there are `count` places.
pub(super) fn find_end(
    log: &dyn Log,
    topic: &str,
    id: PartitionId,
    sources: &HashMap<&[u8], usize>,
    count: usize,
) -> Result<End, LogError> {
    let bounds = log.bounds(topic, id)?;
    let mut records = RecordBuf::default();
    let mut look = FIRST_LOOK;
    loop {
        let from = Offset(bounds.end.0.saturating_sub(look).max(bounds.start.0));
        let mut end = scan(log, topic, id, from, (sources, count), &mut records)?;
        end.is_cut = bounds.start > Offset::ZERO;
        if from == bounds.start || (end.positions.iter().all(Option::is_some) && end.tick.is_some()) {
            if end.is_cut {
                records.clear();
                log.reader(topic, id, bounds.start)?.read(&mut records, 1)?;
                end.cut = records.get(0).map(|record| record.timestamp);
            }
            return Ok(end);
        }
        look = look.saturating_mul(16);
    }
}

/// From where on a partition is needed by a producer that goes on: it looks for the newest record that has a source, and for the newest
/// tick. The end of the partition if it holds neither.
///
/// # Errors
/// If the partition cannot be read.
pub fn needed_from(log: &dyn Log, topic: &str, id: PartitionId) -> Result<Offset, LogError> {
    let bounds = log.bounds(topic, id)?;
    let mut records = RecordBuf::default();
    let mut look = FIRST_LOOK;
    loop {
        let from = Offset(bounds.end.0.saturating_sub(look).max(bounds.start.0));
        let mut reader = log.reader(topic, id, from)?;
        let (mut sourced, mut tick) = (None, None);
        loop {
            records.clear();
            if reader.read(&mut records, READ_BYTES)? == 0 {
                break;
            }
            for record in records.iter() {
                if record.header(headers::SOURCE).is_none() {
                    tick = tick_of(record.key, record.value).map(|_| record.offset).or(tick);
                } else if record.header(headers::REDRIVEN).is_none() {
                    sourced = Some(record.offset);
                }
            }
        }
        if from == bounds.start || (sourced.is_some() && tick.is_some()) {
            return Ok([sourced, tick].into_iter().flatten().min().unwrap_or(bounds.end));
        }
        look = look.saturating_mul(16);
    }
}

fn scan(
    log: &dyn Log,
    topic: &str,
    id: PartitionId,
    from: Offset,
    (sources, count): (&HashMap<&[u8], usize>, usize),
    records: &mut RecordBuf,
) -> Result<End, LogError> {
    let mut reader = log.reader(topic, id, from)?;
    let mut end = End { positions: vec![None; count], ..End::default() };
    let mut last = vec![None; count];
    loop {
        records.clear();
        if reader.read(records, READ_BYTES)? == 0 {
            return Ok(end);
        }
        for (index, record) in records.iter().enumerate() {
            // A record with a source is never a tick, whatever its bytes say. What was mended later is not where its source was.
            let source =
                record.header(headers::SOURCE).filter(|_| record.header(headers::REDRIVEN).is_none());
            let Some(source) = source else {
                match tick_of(record.key, record.value) {
                    Some(tick) => end.tick = end.tick.max(Some(tick)),
                    None => end.foreign = true,
                }
                continue;
            };
            let name = memchr::memrchr(b':', source).map_or(source, |colon| &source[..colon]);
            match sources.get(name) {
                Some(place) => last[*place] = Some(index),
                None => end.foreign = true,
            }
        }
        for (last, position) in last.iter_mut().zip(&mut end.positions) {
            let record = last.take().and_then(|index| records.get(index));
            if let Some(record) = record
                && let Some(source) = record.header(headers::SOURCE)
            {
                let chain = record.header(headers::CHAIN).map(Into::into);
                *position = Some(Held { position: source.into(), chain });
            }
        }
    }
}

/// The tick that a record is, if it is one.
pub(crate) fn tick_of(key: &[u8], value: &[u8]) -> Option<EventTime> {
    if !key.is_empty() {
        return None;
    }
    let mut event = Event::default();
    event.decode(value).ok()?;
    (event.system() == Ok(Some(SystemEvent::Tick))).then_some(event.ts)
}
