//! One partition of a sink, and what its end tells of earlier runs.

use partition_log::{Log, LogError, PartitionWriter, RecordBuf};
use types::{Event, EventTime, Offset, PartitionId, SystemEvent, headers};

pub(super) struct Partition {
    pub(super) writer: Box<dyn PartitionWriter>,
    /// The source's last event that is on the log, until the source has come to it again.
    pub(super) held_to: Option<Box<[u8]>>,
    pub(super) last_tick: Option<EventTime>,
}

/// What the end of a partition holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// The last position of the source, its name included.
    pub(super) position: Option<Box<[u8]>>,
    /// The newest tick.
    pub(super) tick: Option<EventTime>,
    /// Whether records of other sources were seen.
    pub(super) foreign: bool,
}

/// How many records at the end are looked at first. What is looked for nearly always lies there.
const FIRST_LOOK: u64 = 4096;
const READ_BYTES: usize = 1 << 20;

/// Finds the last record of the source whose positions begin with `prefix`, and the last tick. Looks at ever longer
/// tails of the partition until both are found or the whole was read.
pub(super) fn find_end(log: &dyn Log, topic: &str, id: PartitionId, prefix: &[u8]) -> Result<End, LogError> {
    let bounds = log.bounds(topic, id)?;
    let mut records = RecordBuf::default();
    let mut look = FIRST_LOOK;
    loop {
        let from = Offset(bounds.end.0.saturating_sub(look).max(bounds.start.0));
        let end = scan(log, topic, id, from, prefix, &mut records)?;
        if from == bounds.start || (end.position.is_some() && end.tick.is_some()) {
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
    prefix: &[u8],
    records: &mut RecordBuf,
) -> Result<End, LogError> {
    let mut reader = log.reader(topic, id, from)?;
    let mut end = End::default();
    loop {
        records.clear();
        if reader.read(records, READ_BYTES)? == 0 {
            return Ok(end);
        }
        let mut last = None;
        for record in records.iter() {
            match record.header(headers::SOURCE) {
                Some(source) if source.starts_with(prefix) => last = Some(source),
                _ => match tick_of(record.key, record.value) {
                    Some(tick) => end.tick = end.tick.max(Some(tick)),
                    None => end.foreign = true,
                },
            }
        }
        if let Some(last) = last {
            end.position = Some(last.into());
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
