//! The users as they stand: one row of everybody who is there, as of the newest tick.

use std::sync::Arc;

use consumer::pipeline::{Rows, UserStore, Witness};
use feature_store::Spec;
use partition_log::Log;
use types::{EventTime, Offset, PartitionId, Trigger};

use super::LabelledRows;
use crate::BacktestError;
use crate::replay::{Visitor, replay};

/// Replays a topic and makes a row of every living user as of the newest tick, as the live sweep would: in the order of users,
/// without labels (nobody is lost yet). Who has left or was erased since that tick has none. `progress` is told the number of
/// records read. Memory: the users' state of one partition, and the rows.
///
/// # Errors
/// If the log cannot be read.
pub fn current(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    progress: impl FnMut(u64),
) -> Result<LabelledRows, BacktestError> {
    let all = LabelledRows { names: spec.feature_names().to_vec(), ..LabelledRows::default() };
    let mut current = Current { spec, partition: PartitionId(0), first: 0, newest: EventTime::MIN, all };
    let replayed = replay(log, topic, spec, None, &mut current, progress)?;
    let mut all = current.all;
    all.summary.note(replayed);
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.sort_unstable_by(|a, b| all.entities[*a].cmp(&all.entities[*b]));
    Ok(all.take(&order))
}

struct Current<'a> {
    spec: &'a Spec,
    partition: PartitionId,
    /// The partition's first row.
    first: usize,
    /// The newest tick of any partition.
    newest: EventTime,
    all: LabelledRows,
}

impl Witness for Current<'_> {
    fn tick(&mut self, _: Offset, as_of: EventTime) {
        // Its sweep may find nobody: what an earlier one found is past all the same.
        self.all.truncate(self.first);
        self.newest = self.newest.max(as_of);
    }
}

impl Visitor for Current<'_> {
    fn begin(&mut self, partition: PartitionId) {
        (self.partition, self.first) = (partition, self.all.len());
    }

    fn rows(&mut self, rows: &Rows) {
        for row in rows.iter().filter(|row| row.trigger == Trigger::Sweep) {
            self.all.push(self.partition, row.as_of, &row);
        }
    }

    fn end(&mut self, users: &mut UserStore) -> Result<(), BacktestError> {
        let mut kept = Vec::new();
        for row in self.first..self.all.len() {
            let Some(slot) = users.get(&self.all.entities[row])? else { continue };
            // What came after the tick counts too: nobody is to be asked to stay who is gone.
            let state = users.state(slot);
            let now = state.newest().map_or(self.newest, |newest| newest.max(self.newest));
            if state.is_living(self.spec, now) {
                kept.push(row);
            }
        }
        let of_partition = self.all.take(&kept);
        self.all.truncate(self.first);
        self.all.append(of_partition);
        Ok(())
    }
}
