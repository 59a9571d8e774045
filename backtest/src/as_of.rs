//! A user's features at a past moment, by replaying the user's records.

use std::collections::BTreeSet;
use std::sync::Arc;

use consumer::pipeline::{Pipeline, Place, Reject, Rows, Stop, UserStore, Work};
use consumer::{ConsumerError, FeatureReading};
use feature_store::{Spec, Store, UserState};
use partition_log::{Log, Record, RecordBuf, partition_for};
use types::{Event, EventTime, Offset, PartitionId};

use crate::BacktestError;
use crate::replay::{identity, in_memory};

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
    let identity = identity(log, topic, spec)?;
    let key = request.entity.as_bytes();
    let partition = partition_for(key, identity.partitions);
    let bounds = log.bounds(topic, partition)?;
    let position = request.position.unwrap_or(bounds.end).min(bounds.end);
    let store = Store::in_memory(&identity, in_memory())?;
    let mut users = store.partition::<UserState>(partition)?;

    let user = UserRecords { log, topic, partition, key, position };
    let rejected = user.replay(spec, &mut users, |_| true)?;
    let slot = users.get(&request.entity)?;
    let state = slot.map(|slot| users.state(slot));
    match FeatureReading::of(&request.entity, partition, position, spec, state, request.as_of) {
        Err(ConsumerError::AsOfTooOld { as_of, .. }) => {
            // The state of today has dropped what was known then. What was accepted, judged with all of it, is what counts.
            let early = Store::in_memory(&identity, in_memory())?;
            let mut users = early.partition::<UserState>(partition)?;
            user.replay(spec, &mut users, |record| {
                let mut event = Event::default();
                let is_event =
                    event.decode(record.value).is_ok() && event.system().is_ok_and(|s| s.is_none());
                !(rejected.contains(&record.offset) || is_event && event.ts > as_of)
            })?;
            let slot = users.get(&request.entity)?;
            let state = slot.map(|slot| users.state(slot));
            Ok(FeatureReading::of(&request.entity, partition, position, spec, state, Some(as_of))?)
        }
        reading => Ok(reading?),
    }
}

/// The records of one user before a position.
struct UserRecords<'a> {
    log: &'a dyn Log,
    topic: &'a str,
    partition: PartitionId,
    key: &'a [u8],
    position: Offset,
}

impl UserRecords<'_> {
    /// Runs those records that `keep` lets pass through the pipeline; returns the offsets of those that it rejected.
    fn replay(
        &self,
        spec: &Arc<Spec>,
        users: &mut UserStore,
        mut keep: impl for<'r> FnMut(&Record<'r>) -> bool,
    ) -> Result<BTreeSet<Offset>, BacktestError> {
        let pipeline = Pipeline::new(Arc::clone(spec));
        let (mut all, mut of_user) = (RecordBuf::default(), RecordBuf::default());
        let mut rows = Rows::new(spec.feature_names().len());
        let mut rejects: Vec<Reject> = Vec::new();
        let mut rejected = BTreeSet::new();
        let start = self.log.bounds(self.topic, self.partition)?.start;
        let mut place = Place::at(start);
        let mut reader = self.log.reader(self.topic, self.partition, start)?;
        while reader.position() < self.position {
            all.clear();
            of_user.clear();
            if reader.read(&mut all, 1 << 20)? == 0 {
                break;
            }
            let known = all.iter().filter(|r| r.key == self.key && r.offset < self.position);
            known.filter(|r| keep(r)).for_each(|r| of_user.push(&r));
            loop {
                let mut work = Work { users, rows: &mut rows, rejects: &mut rejects };
                // Ticks have no key, so none is here; nothing is emitted anyway.
                let stop =
                    pipeline.advance(&mut place, Offset(u64::MAX), &of_user, of_user.len(), &mut work)?;
                rows.clear();
                let offsets = rejects.drain(..).filter_map(|r| of_user.get(r.index));
                rejected.extend(offsets.map(|record| record.offset));
                if stop == Stop::End {
                    break;
                }
            }
        }
        Ok(rejected)
    }
}
