//! One partition of a sink, and what its end tells of earlier runs.

use std::collections::HashMap;

use partition_log::{Log, LogError, PartitionWriter, RecordBuf};
use types::{Event, EventTime, Offset, PartitionId, SystemEvent, headers};

pub(super) struct Partition {
    pub(super) writer: Box<dyn PartitionWriter>,
    /// Of each source the last record that is on the log, until the source has come to it again.
    pub(super) held_to: Vec<Option<Box<[u8]>>>,
    pub(super) last_tick: Option<EventTime>,
}

/// What the end of a partition holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Of each source the last position, its name included.
    pub(super) positions: Vec<Option<Box<[u8]>>>,
    /// The newest tick.
    pub(super) tick: Option<EventTime>,
    /// Whether records of other sources were seen.
    pub(super) foreign: bool,
}

/// How many records at the end are looked at first. What is looked for nearly always lies there.
const FIRST_LOOK: u64 = 4096;
const READ_BYTES: usize = 1 << 20;

/// Finds the last record of each source, and the last tick. Looks at ever longer tails of the partition until all are
/// found or the whole was read. `sources` are the names' places.
pub(super) fn find_end(
    log: &dyn Log,
    topic: &str,
    id: PartitionId,
    sources: &HashMap<&[u8], usize>,
) -> Result<End, LogError> {
    let bounds = log.bounds(topic, id)?;
    let mut records = RecordBuf::default();
    let mut look = FIRST_LOOK;
    loop {
        let from = Offset(bounds.end.0.saturating_sub(look).max(bounds.start.0));
        let end = scan(log, topic, id, from, sources, &mut records)?;
        if from == bounds.start || (end.positions.iter().all(Option::is_some) && end.tick.is_some()) {
            return Ok(end);
        }
        look = look.saturating_mul(16);
    }
}

fn scan(
    log: &dyn Log,
    topic: &str,
    id: PartitionId,
    from: Offset,
    sources: &HashMap<&[u8], usize>,
    records: &mut RecordBuf,
) -> Result<End, LogError> {
    let mut reader = log.reader(topic, id, from)?;
    let mut end = End { positions: vec![None; sources.len()], ..End::default() };
    let mut last = vec![None; sources.len()];
    loop {
        records.clear();
        if reader.read(records, READ_BYTES)? == 0 {
            return Ok(end);
        }
        for (index, record) in records.iter().enumerate() {
            // A record with a source is never a tick, whatever its bytes say.
            let Some(source) = record.header(headers::SOURCE) else {
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
            if let Some(source) = record.and_then(|record| record.header(headers::SOURCE)) {
                *position = Some(source.into());
            }
        }
    }
}

/// The tick that a record is, if it is one.
fn tick_of(key: &[u8], value: &[u8]) -> Option<EventTime> {
    if !key.is_empty() {
        return None;
    }
    let mut event = Event::default();
    event.decode(value).ok()?;
    (event.system() == Ok(Some(SystemEvent::Tick))).then_some(event.ts)
}
