//! Replaying a topic: all of its records through the live pipeline, partition by partition.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use consumer::pipeline::{Pipeline, Place, Reject, Rows, Stop, UserStore, Witness, Work};
use feature_store::{Spec, Store, StoreIdentity, StoreOptions, UserState};
use partition_log::{Log, RecordBuf};
use types::{Event, EventTime, Offset, PartitionId};

use crate::decided::Decided;
use crate::names::Names;
use crate::{BacktestError, Labels};

/// Bytes that are read from the log at once.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// What a replay is for. Besides what a [`Witness`] sees, it is shown the rows; what caused a row was witnessed before.
pub(crate) trait Visitor: Witness {
    /// A partition begins.
    fn begin(&mut self, partition: PartitionId) {
        _ = partition;
    }

    /// What would have been scored, in the order of the log.
    fn rows(&mut self, rows: &Rows);

    /// The partition that was begun last is at its end, and its users are as they stand.
    ///
    /// # Errors
    /// If a user's state cannot be read.
    fn end(&mut self, users: &mut UserStore) -> Result<(), BacktestError> {
        _ = users;
        Ok(())
    }
}

/// What was counted on the way.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Records read.
    pub(crate) records: u64,
    /// Of these, those that could not be used.
    pub(crate) rejected: u64,
    /// Records that retention removed before.
    pub(crate) removed: u64,
    /// The same by reason.
    pub(crate) rejects: Rejects,
    /// What spec and labels name and no event has.
    pub(crate) unheard: Vec<String>,
}

/// Records that could not be used, by reason.
pub type Rejects = BTreeMap<&'static str, RejectsOfReason>;

/// Records that could not be used for one reason.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct RejectsOfReason {
    /// How many.
    pub records: u64,
    /// What exactly is wrong with the first of them.
    pub first: String,
}

/// A visitor beside whom the names are looked at that events have.
struct Beside<'a, V>(&'a mut V, &'a mut Names);

impl<V: Witness> Witness for Beside<'_, V> {
    fn event(&mut self, offset: Offset, event: &Event<'_>) {
        self.1.note(event);
        self.0.event(offset, event);
    }

    fn tick(&mut self, offset: Offset, as_of: EventTime) {
        self.0.tick(offset, as_of);
    }

    fn erased(&mut self, entity: &str) {
        self.0.erased(entity);
    }
}

/// What retention has taken away from the beginning of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Removed {
    /// Records, of all partitions together.
    pub records: u64,
    /// The partition that has lost most, and the offset that it begins at.
    pub most: (PartitionId, Offset),
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, most: (partition, start) } = self;
        write!(
            f,
            "retention removed the first {records} records (partition {partition} begins at offset {start})"
        )
    }
}

/// What is missing at the beginning of a topic; `None` if nothing is. A replay of such a topic knows users by what is left alone: it gives
/// other numbers than a consumer that has seen all.
///
/// # Errors
/// If there is no such topic, or the log cannot be read.
pub fn removed(log: &dyn Log, topic: &str) -> Result<Option<Removed>, BacktestError> {
    let Some(config) = log.topic(topic)? else {
        return Err(BacktestError::NoTopic { topic: topic.to_owned(), place: log.place() });
    };
    let mut removed: Option<Removed> = None;
    for partition in (0..config.partitions).map(PartitionId) {
        let start = log.bounds(topic, partition)?.start;
        if start > Offset::ZERO {
            let Removed { records, most } =
                removed.unwrap_or(Removed { records: 0, most: (partition, start) });
            let most = if start > most.1 { (partition, start) } else { most };
            removed = Some(Removed { records: records + start.0, most });
        }
    }
    Ok(removed)
}

/// State that lives and dies with the replay: everything stays in memory, and nothing is written.
pub(crate) fn in_memory() -> StoreOptions {
    StoreOptions { memory: usize::MAX, snapshot_interval: Duration::MAX, ..StoreOptions::default() }
}

/// How many partitions a topic has, and what a store of its users is known by.
pub(crate) fn identity(log: &dyn Log, topic: &str, spec: &Spec) -> Result<StoreIdentity, BacktestError> {
    let Some(config) = log.topic(topic)? else {
        return Err(BacktestError::NoTopic { topic: topic.to_owned(), place: log.place() });
    };
    consumer::check_key(log, topic, &config, spec)?;
    Ok(StoreIdentity {
        spec_hash: spec.hash().to_string(),
        topic: topic.to_owned(),
        partitions: config.partitions,
    })
}

/// Replays a topic from its beginning to its end. Where nobody writes ticks to it, those stand that a consumer decided and wrote to the
/// control topic beside it, and where there are none, they are decided by the events as a consumer does.
///
/// `progress` is told the number of records read. Memory: the users' state of one
/// partition.
///
/// # Errors
/// If there is no such topic, or the log cannot be read.
pub(crate) fn replay(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    labels: Option<&Labels>,
    visitor: &mut impl Visitor,
    mut progress: impl FnMut(u64),
) -> Result<Replayed, BacktestError> {
    let identity = identity(log, topic, spec)?;
    let decides_ticks = log.topic(topic)?.is_some_and(|config| consumer::decides_ticks(log, &config));
    let pipeline = Pipeline::new(Arc::clone(spec)).deciding_ticks(decides_ticks);
    let (mut records, mut rejects) = (RecordBuf::default(), Vec::new());
    let mut rows = Rows::new(spec.feature_names().len());
    let removed = removed(log, topic)?.map_or(0, |removed| removed.records);
    let mut replayed = Replayed { removed, ..Replayed::default() };
    let mut names = Names::of(spec, labels);
    for partition in (0..identity.partitions).map(PartitionId) {
        visitor.begin(partition);
        // A store of its own for each partition, so that memory holds one partition's users at a time.
        let store = Store::in_memory(&identity, in_memory())?;
        let mut users = store.partition::<UserState>(partition)?;
        let start = log.bounds(topic, partition)?.start;
        let mut reader = log.reader(topic, partition, start)?;
        let mut place = Place::at(start);
        let mut decided =
            if decides_ticks { Decided::read(log, partition, spec)? } else { Decided::default() };
        loop {
            records.clear();
            let is_end = reader.read(&mut records, READ_BYTES)? == 0;
            loop {
                let mut beside = Beside(visitor, &mut names);
                if let Some(tick) = decided.begin(&mut place) {
                    beside.tick(place.next_input, tick);
                }
                let end = decided.next().map_or(records.len(), |before| records.index_of(before));
                let mut work = Work { users: &mut users, rows: &mut rows, rejects: &mut rejects };
                let stop = pipeline.advance_before(
                    &mut place,
                    Offset::ZERO,
                    &records,
                    end,
                    &mut work,
                    &mut beside,
                )?;
                visitor.rows(&rows);
                rows.clear();
                let all_before = end < records.len() || is_end;
                if stop == Stop::End && !decided.reach(&mut place, all_before, reader.position()) {
                    break;
                }
            }
            if is_end {
                break;
            }
            replayed.records += records.len() as u64;
            replayed.rejected += rejects.len() as u64;
            for Reject { reason, detail, .. } in rejects.drain(..) {
                let first = || RejectsOfReason { records: 0, first: detail };
                replayed.rejects.entry(reason.name()).or_insert_with(first).records += 1;
            }
            // Nothing is committed here, so there is nothing for which memory could wait.
            let _ = users.maintain(place.next_input)?;
            progress(replayed.records);
        }
        visitor.end(&mut users)?;
    }
    replayed.unheard = names.warnings();
    Ok(replayed)
}
