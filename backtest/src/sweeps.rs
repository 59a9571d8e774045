//! The rows of past sweeps: every living user at the ticks of a period, as the consumer saw them.

use std::sync::Arc;

use consumer::pipeline::{Pipeline, Place, Row, Rows, Stop, Work};
use feature_store::{Spec, Store, StoreIdentity, UserState};
use partition_log::{Log, RecordBuf};
use types::{EventTime, Offset, PartitionId, Trigger};

use crate::BacktestError;
use crate::replay::in_memory;

/// Replays a topic and shows every row of the sweeps in `from <= as_of < to`, partition by partition and in the order of the
/// log in each. `progress` is told the number of records read. Memory: the users' state of one partition.
///
/// # Errors
/// If there is no such topic, or the log cannot be read.
pub fn sweeps(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    (from, to): (EventTime, EventTime),
    mut row: impl FnMut(Row<'_>),
    mut progress: impl FnMut(u64),
) -> Result<(), BacktestError> {
    let Some(config) = log.topic(topic)? else {
        return Err(BacktestError::NoTopic { topic: topic.to_owned(), place: log.place() });
    };
    let identity = StoreIdentity {
        spec_hash: spec.hash().to_string(),
        topic: topic.to_owned(),
        partitions: config.partitions,
    };
    let pipeline = Pipeline::new(Arc::clone(spec));
    let (mut records, mut rejects) = (RecordBuf::default(), Vec::new());
    let mut rows = Rows::new(spec.feature_names().len());
    let mut read = 0;
    for partition in (0..config.partitions).map(PartitionId) {
        let store = Store::in_memory(&identity, in_memory())?;
        let mut users = store.partition::<UserState>(partition)?;
        let start = log.bounds(topic, partition)?.start;
        let mut reader = log.reader(topic, partition, start)?;
        let mut place = Place::at(start);
        loop {
            records.clear();
            if reader.read(&mut records, 1 << 20)? == 0 {
                break;
            }
            loop {
                let mut work = Work { users: &mut users, rows: &mut rows, rejects: &mut rejects };
                let stop = pipeline.advance(&mut place, Offset::ZERO, &records, records.len(), &mut work)?;
                let of_period = |row: &Row<'_>| from <= row.as_of && row.as_of < to;
                rows.iter().filter(|row| row.trigger == Trigger::Sweep).filter(of_period).for_each(&mut row);
                rows.clear();
                rejects.clear();
                if stop == Stop::End {
                    break;
                }
            }
            read += records.len() as u64;
            // Nothing is committed here, so there is nothing for which memory could wait.
            let _ = users.maintain(place.next_input)?;
            progress(read);
        }
    }
    Ok(())
}
