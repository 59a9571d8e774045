//! The users as they stand: one row of everybody who is there, as of the newest tick.

use std::sync::Arc;

use consumer::pipeline::{Pipeline, Place, Rows, Stop, Work};
use feature_store::{Spec, Store, StoreIdentity, UserState};
use partition_log::{Log, RecordBuf};
use types::{EventTime, Offset, PartitionId, Trigger};

use super::LabelledRows;
use crate::BacktestError;
use crate::replay::in_memory;

/// Replays a topic and makes a row of every living user as of the newest tick, as the live sweep would: in the order of users,
/// without labels (nobody is lost yet). `progress` is told the number of records read. Memory: the users' state of one partition, and
/// the rows.
///
/// # Errors
/// If the log cannot be read.
pub fn current(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    mut progress: impl FnMut(u64),
) -> Result<LabelledRows, BacktestError> {
    let Some(config) = log.topic(topic)? else {
        return Err(BacktestError::NoTopic { topic: topic.to_owned(), place: log.place() });
    };
    let identity = StoreIdentity {
        spec_hash: spec.hash().to_string(),
        topic: topic.to_owned(),
        partitions: config.partitions,
    };
    let mut all = LabelledRows { names: spec.feature_names().to_vec(), ..LabelledRows::default() };
    for partition in (0..config.partitions).map(PartitionId) {
        let store = Store::in_memory(&identity, in_memory())?;
        let mut users = store.partition::<UserState>(partition)?;
        let pipeline = Pipeline::new(Arc::clone(spec));
        let (mut records, mut rows) = (RecordBuf::default(), Rows::new(all.names.len()));
        let (mut rejects, mut first) = (Vec::new(), all.len());
        let start = log.bounds(topic, partition)?.start;
        let mut reader = log.reader(topic, partition, start)?;
        let mut place = Place::at(start);
        let mut tick: Option<EventTime> = None;
        loop {
            records.clear();
            if reader.read(&mut records, 1 << 20)? == 0 {
                break;
            }
            loop {
                let mut work = Work { users: &mut users, rows: &mut rows, rejects: &mut rejects };
                let stop = pipeline.advance(&mut place, Offset::ZERO, &records, records.len(), &mut work)?;
                for row in rows.iter().filter(|row| row.trigger == Trigger::Sweep) {
                    if tick != Some(row.as_of) {
                        tick = Some(row.as_of);
                        all.truncate(first);
                        first = all.len();
                    }
                    all.push(partition, &row);
                }
                rows.clear();
                if stop == Stop::End {
                    break;
                }
            }
            all.summary.records += records.len() as u64;
            all.summary.rejected += rejects.len() as u64;
            rejects.clear();
            // Nothing is committed here, so there is nothing for which memory could wait.
            let _ = users.maintain(place.next_input)?;
            progress(all.summary.records);
        }
    }
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_unstable_by(|a, b| all.entities[*a].cmp(&all.entities[*b]));
    Ok(all.take(&order))
}
