//! From records to feature rows: decode, judge, update the user's windows, read the vector.

use std::sync::Arc;

use feature_store::{Applied, Spec, StoreError, SweepCursor, UserState};
use partition_log::{Record, RecordBuf};
use types::{Event, EventTime, Offset, RejectReason, SystemEvent, Trigger, headers};

use super::{Rows, UserStore};

/// Where a partition stands in its log, and in a sweep if one is under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// The next record to process. During a sweep, the tick that caused it.
    pub next_input: Offset,
    /// Where the sweep at `next_input` goes on, if it has begun.
    pub sweep: Option<SweepCursor>,
    /// The newest tick of a topic whose ticks are decided here; its sweep is done unless `sweep` says otherwise.
    pub tick: Option<EventTime>,
}

impl Place {
    /// At an offset, in no sweep.
    #[must_use]
    pub const fn at(next_input: Offset) -> Self {
        Self { next_input, sweep: None, tick: None }
    }
}

/// What the pipeline works on: the state it changes and the buffers it fills, both kept from batch to batch.
pub struct Work<'w> {
    /// The partition's users.
    pub users: &'w mut UserStore,
    /// Filled with feature rows.
    pub rows: &'w mut Rows,
    /// Filled with what cannot be used.
    pub rejects: &'w mut Vec<Reject>,
}

/// Whoever wants to know what the pipeline took, as it takes it: what was rejected did not happen.
pub trait Witness {
    /// A user's event, at `offset`, is part of the user's state now.
    fn event(&mut self, offset: Offset, event: &Event<'_>) {
        _ = (offset, event);
    }

    /// The sweep of the tick at `offset` begins.
    fn tick(&mut self, offset: Offset, as_of: EventTime) {
        _ = (offset, as_of);
    }

    /// Nothing is known of the user any more.
    fn erased(&mut self, entity: &str) {
        _ = entity;
    }
}

/// Nobody.
impl Witness for () {}

/// Why [`Pipeline::advance`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// All records are processed.
    End,
    /// The rows are to be scored and cleared before it goes on.
    RowsFull,
    /// A sweep is complete: the rows hold its last users.
    Swept,
}

/// A record that cannot be used.
#[derive(Debug)]
pub struct Reject {
    /// Its index in the block of records that was read.
    pub index: usize,
    /// Under which reason it is counted.
    pub reason: RejectReason,
    /// What exactly is wrong.
    pub detail: String,
}

/// What stops the pipeline: never the input, only the store under it.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The state could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Turns records into feature rows.
#[derive(Debug, Clone)]
pub struct Pipeline {
    spec: Arc<Spec>,
    /// Records larger than this many bytes are dead letters.
    max_record_bytes: usize,
    /// After this many rows they must be scored.
    rows_per_block: usize,
    /// Whether ticks are decided by the events, because nobody writes them to the topic.
    decides_ticks: bool,
}

impl Pipeline {
    /// Records beyond this size are rejected unless told otherwise.
    pub const MAX_RECORD_BYTES: usize = 1 << 20;
    /// Rows that are scored together: enough for the batch evaluators, few enough to stay in the cache.
    pub const ROWS_PER_BLOCK: usize = 512;

    /// A pipeline for a spec.
    #[must_use]
    pub fn new(spec: Arc<Spec>) -> Self {
        Self {
            spec,
            max_record_bytes: Self::MAX_RECORD_BYTES,
            rows_per_block: Self::ROWS_PER_BLOCK,
            decides_ticks: false,
        }
    }

    /// One for a topic that holds no ticks: a tick stands just before the partition's first event whose time, and whose arrival, are past
    /// it by the spec's grace. Only ticks after the first event count.
    #[must_use]
    pub const fn deciding_ticks(mut self, decides: bool) -> Self {
        self.decides_ticks = decides;
        self
    }

    /// Whether ticks are decided by the events.
    #[must_use]
    pub const fn decides_ticks(&self) -> bool {
        self.decides_ticks
    }

    /// Begins the sweep of the tick after the last one at `place`, if that tick is due at this moment. It is made by the next
    /// [`advance`](Self::advance), whatever records that is given.
    pub fn decide_tick(&self, place: &mut Place, now: EventTime) -> bool {
        let (Some(last), None) = (place.tick, place.sweep) else { return false };
        let next = self.spec.tick().next_after(last);
        let due = now >= next.plus(self.spec.tick().grace);
        if due {
            place.tick = Some(next);
            place.sweep = Some(SweepCursor::START);
        }
        due
    }

    /// Whether a tick stands before this event, which `place` has come to.
    fn passes_tick(&self, at: EventTime, place: &mut Place) -> bool {
        if place.tick.is_none() {
            let tick = self.spec.tick();
            place.tick = Some(tick.next_after(at.minus(tick.grace)).minus(tick.every));
        }
        self.decide_tick(place, at)
    }

    /// The spec.
    #[must_use]
    pub fn spec(&self) -> &Arc<Spec> {
        &self.spec
    }

    /// Processes `records` up to the index `end` from `place` on, until they end or the rows are full. Records before
    /// `place` are passed over, so the same block is given again after the rows were scored.
    ///
    /// Before `emit_from` only state is rebuilt: rows are made for events, since what they are scored changes the
    /// user's band, and no user is swept, since a sweep changes nothing.
    ///
    /// # Errors
    /// Only if state cannot be read. Bad input is added to `work.rejects`.
    pub fn advance(
        &self,
        place: &mut Place,
        emit_from: Offset,
        records: &RecordBuf,
        end: usize,
        work: &mut Work<'_>,
    ) -> Result<Stop, PipelineError> {
        self.advance_before(place, emit_from, records, end, work, &mut ())
    }

    /// [`advance`](Self::advance) before a witness.
    ///
    /// # Errors
    /// As `advance`.
    pub fn advance_before(
        &self,
        place: &mut Place,
        emit_from: Offset,
        records: &RecordBuf,
        end: usize,
        work: &mut Work<'_>,
        witness: &mut impl Witness,
    ) -> Result<Stop, PipelineError> {
        let mut event = Event::default();
        if self.decides_ticks
            && let (Some(tick), Some(_)) = (place.tick, place.sweep)
        {
            let judged = self.tick(tick, place.next_input, place, emit_from, work)?;
            return Ok(if matches!(judged, Judged::Swept) { Stop::Swept } else { Stop::RowsFull });
        }
        for index in records.index_of(place.next_input)..end {
            let Some(record) = records.get(index) else { break };
            if work.rows.len() >= self.rows_per_block {
                return Ok(Stop::RowsFull);
            }
            match self.record(&record, place, emit_from, work, &mut event, witness)? {
                Judged::Done => {}
                Judged::Sweeping | Judged::ScoreFirst => return Ok(Stop::RowsFull),
                Judged::TickFirst => {
                    place.next_input = record.offset;
                    return Ok(Stop::RowsFull);
                }
                Judged::Swept => {
                    place.next_input = record.offset.next();
                    return Ok(Stop::Swept);
                }
                Judged::Rejected(reason, detail) => work.rejects.push(Reject { index, reason, detail }),
            }
            place.next_input = record.offset.next();
        }
        Ok(Stop::End)
    }

    fn record<'a>(
        &self,
        record: &Record<'a>,
        place: &mut Place,
        emit_from: Offset,
        work: &mut Work<'_>,
        event: &mut Event<'a>,
        witness: &mut impl Witness,
    ) -> Result<Judged, PipelineError> {
        if let Some((reason, detail)) = rejected_by_producer(record) {
            return Ok(Judged::Rejected(reason, detail));
        }
        if record.value.len() > self.max_record_bytes {
            let detail =
                format!("{} bytes; at most {} are allowed", record.value.len(), self.max_record_bytes);
            return Ok(Judged::Rejected(RejectReason::TooLarge, detail));
        }
        if let Err(error) = event.decode(record.value) {
            return Ok(Judged::Rejected(error.reason, error.detail));
        }
        match event.system() {
            Ok(None) => self.user_event(record, event, place, emit_from, work, witness),
            Ok(Some(SystemEvent::Tick)) if !event.ts.is_possible() => Ok(Judged::Rejected(
                RejectReason::TimeOutOfRange,
                format!("ts {} is not between 1971 and 2199", event.ts),
            )),
            // Copied from a topic of ours, say: what is decided here takes its place.
            Ok(Some(SystemEvent::Tick)) if self.decides_ticks => Ok(Judged::Done),
            Ok(Some(SystemEvent::Tick)) => {
                if place.sweep.is_none() {
                    witness.tick(record.offset, event.ts);
                }
                self.tick(event.ts, record.offset, place, emit_from, work)
            }
            Ok(Some(SystemEvent::Erase)) if event.entity.is_empty() => {
                Ok(Judged::Rejected(RejectReason::MissingField, "`entity` is missing".to_owned()))
            }
            // In another partition lies another user's state, or none.
            Ok(Some(SystemEvent::Erase)) if record.key != event.entity.as_bytes() => Ok(key_mismatch(event)),
            // Rows that wait for their score may be the user's: their state must be there until then.
            Ok(Some(SystemEvent::Erase)) if !work.rows.is_empty() => Ok(Judged::ScoreFirst),
            Ok(Some(SystemEvent::Erase)) => {
                work.users.remove(&event.entity, record.offset)?;
                witness.erased(&event.entity);
                Ok(Judged::Done)
            }
            Err(reason) => Ok(Judged::Rejected(reason, format!("`{}`", event.kind))),
        }
    }

    fn user_event(
        &self,
        record: &Record<'_>,
        event: &Event<'_>,
        place: &mut Place,
        emit_from: Offset,
        work: &mut Work<'_>,
        witness: &mut impl Witness,
    ) -> Result<Judged, PipelineError> {
        if event.entity_type != self.spec.entity() {
            let detail =
                format!("entity type `{}`; the spec is about `{}`", event.entity_type, self.spec.entity());
            return Ok(Judged::Rejected(RejectReason::WrongEntityType, detail));
        }
        if record.key != event.entity.as_bytes() {
            return Ok(key_mismatch(event));
        }
        // Before `emit_from` nobody is swept, and what was decided is known there.
        if self.decides_ticks
            && record.offset >= emit_from
            && self.passes_tick(event.ts.min(record.timestamp), place)
        {
            if let Some(tick) = place.tick {
                witness.tick(record.offset, tick);
            }
            return Ok(Judged::TickFirst);
        }
        let Some(slot) = work.users.entry(&event.entity, record.offset, UserState::new)? else {
            // Replaying: the user's block holds this event already.
            return Ok(Judged::Done);
        };
        let redriven = record.header(headers::REDRIVEN).is_some();
        let state = work.users.state_mut(slot);
        match state.apply(&self.spec, event, record.timestamp, redriven) {
            Applied::Accepted { as_of } => {
                witness.event(record.offset, event);
                if state.is_living(&self.spec, as_of) {
                    let (slot, rough) = (Some(slot), state.is_approximate());
                    let row =
                        work.rows.push(&event.entity, as_of, record.offset, Trigger::Event, slot, rough);
                    state.features(&self.spec, as_of, row);
                }
                Ok(Judged::Done)
            }
            Applied::Rejected { reason, detail } => Ok(Judged::Rejected(reason, detail)),
        }
    }

    /// Scores every living user as of the tick, a block of rows at a time.
    fn tick(
        &self,
        as_of: EventTime,
        offset: Offset,
        place: &mut Place,
        emit_from: Offset,
        work: &mut Work<'_>,
    ) -> Result<Judged, PipelineError> {
        if offset < emit_from {
            return Ok(Judged::Done);
        }
        let from = place.sweep.take().unwrap_or(SweepCursor::START);
        let room = self.rows_per_block - work.rows.len();
        let (spec, rows) = (&self.spec, &mut *work.rows);
        place.sweep = work.users.sweep(from, room, |entity, state| {
            if state.is_living(spec, as_of) {
                let rough = state.is_approximate();
                let row = rows.push(entity, as_of, offset, Trigger::Sweep, None, rough);
                state.features_at(spec, as_of, row);
            }
        })?;
        Ok(if place.sweep.is_some() { Judged::Sweeping } else { Judged::Swept })
    }
}

/// What an importer could not read lies on the log as it was, without a key, and says in its headers why. It must not be
/// taken for an event, even if its bytes happen to be one.
fn rejected_by_producer(record: &Record<'_>) -> Option<(RejectReason, String)> {
    // What a map could not read has the key that its writers gave it.
    if !record.key.is_empty() && record.header(partition_log::mapped::ORIGINAL).is_none() {
        return None;
    }
    let reason = record.header(headers::REASON).and_then(RejectReason::named)?;
    let detail = record.header(headers::DETAIL).unwrap_or_default();
    Some((reason, String::from_utf8_lossy(detail).into_owned()))
}

fn key_mismatch(event: &Event<'_>) -> Judged {
    let detail = format!("the record's key is not the entity `{}`", event.entity);
    Judged::Rejected(RejectReason::KeyMismatch, detail)
}

enum Judged {
    Done,
    ScoreFirst,
    TickFirst,
    Sweeping,
    Swept,
    Rejected(RejectReason, String),
}

#[cfg(test)]
mod tests {
    use partition_log::{Log, MemoryLog, TopicConfig};
    use types::PartitionId;

    use super::*;

    #[test]
    fn what_an_importer_set_aside_is_no_event_even_if_it_looks_like_one() {
        let log = MemoryLog::new();
        let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
        log.create_topic("events", &config).unwrap();
        let mut topic = log.writer("events").unwrap();
        let mut writer = topic.partition(PartitionId(0)).unwrap();
        let tick = br#"{"v":1,"type":"$tick","ts":86400000}"#;
        let reason: [(&str, &[u8]); 2] = [(headers::REASON, b"mapping"), (headers::DETAIL, b"why")];
        writer.append(EventTime(0), b"", tick, &reason).unwrap();
        writer.append(EventTime(0), b"", tick, &[]).unwrap();
        writer.append(EventTime(0), b"u1", tick, &reason).unwrap();
        writer.sync().unwrap();
        let mut records = RecordBuf::default();
        log.reader("events", PartitionId(0), Offset::ZERO).unwrap().read(&mut records, 1 << 20).unwrap();
        let found: Vec<_> = records.iter().map(|record| rejected_by_producer(&record)).collect();
        assert_eq!(found, [Some((RejectReason::Mapping, "why".to_owned())), None, None]);
    }
}
