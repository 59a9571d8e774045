//! A user's features at a past moment, by replaying the user's records.

use std::sync::Arc;
use std::time::Duration;

use consumer::FeatureReading;
use consumer::pipeline::{Pipeline, Place, Rows, Stop, Work};
use feature_store::{Spec, Store, StoreIdentity, StoreOptions, UserState};
use partition_log::{Log, RecordBuf, partition_for};
use types::{EventTime, Offset};

use crate::BacktestError;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct AsOfRequest {
    /// Who.
    pub entity: String,
    /// The moment; the user's newest event without one.
    pub as_of: Option<EventTime>,
    /// Only records before this offset are known; all without one.
    pub position: Option<Offset>,
}

/// State that lives and dies with the replay: everything stays in memory, and nothing is written.
pub(crate) fn in_memory() -> StoreOptions {
    StoreOptions { memory: usize::MAX, snapshot_interval: Duration::MAX, ..StoreOptions::default() }
}

/// Reads a user's features as they were known at a position, as of a moment: the user's records run through the same
/// pipeline that runs live. O(records of the user's partition).
///
/// # Errors
/// If the log cannot be read.
pub fn features_as_of(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    request: &AsOfRequest,
) -> Result<FeatureReading, BacktestError> {
    let Some(config) = log.topic(topic)? else {
        return Err(BacktestError::NoTopic { topic: topic.to_owned(), place: log.place() });
    };
    let key = request.entity.as_bytes();
    let partition = partition_for(key, config.partitions);
    let bounds = log.bounds(topic, partition)?;
    let position = request.position.unwrap_or(bounds.end).min(bounds.end);
    let identity = StoreIdentity {
        spec_hash: spec.hash().to_string(),
        topic: topic.to_owned(),
        partitions: config.partitions,
    };
    let store = Store::in_memory(&identity, in_memory())?;
    let mut users = store.partition::<UserState>(partition)?;

    let pipeline = Pipeline::new(Arc::clone(spec));
    let (mut all, mut of_user) = (RecordBuf::default(), RecordBuf::default());
    let mut rows = Rows::new(spec.feature_names().len());
    let mut rejects = Vec::new();
    let mut place = Place { next_input: bounds.start, sweep: None };
    let mut reader = log.reader(topic, partition, bounds.start)?;
    while reader.position() < position {
        all.clear();
        of_user.clear();
        if reader.read(&mut all, 1 << 20)? == 0 {
            break;
        }
        all.iter().filter(|r| r.key == key && r.offset < position).for_each(|r| of_user.push(&r));
        loop {
            let mut work = Work { users: &mut users, rows: &mut rows, rejects: &mut rejects };
            // Ticks have no key, so none is here; nothing is emitted anyway.
            let stop = pipeline.advance(&mut place, Offset(u64::MAX), &of_user, of_user.len(), &mut work)?;
            rows.clear();
            rejects.clear();
            if stop == Stop::End {
                break;
            }
        }
    }
    let slot = users.get(&request.entity)?;
    let state = slot.map(|slot| users.state(slot));
    Ok(FeatureReading::of(&request.entity, partition, position, spec, state, request.as_of))
}
