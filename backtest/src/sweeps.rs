//! The rows of past sweeps: every living user at the ticks of a period, as the consumer saw them.

use std::sync::Arc;

use consumer::pipeline::{Row, Rows, Witness};
use feature_store::Spec;
use partition_log::Log;
use types::{EventTime, Trigger};

use crate::BacktestError;
use crate::replay::{Visitor, replay};

/// Replays a topic and shows every row of the sweeps in `from <= as_of < to`, partition by partition and in the order of the
/// log in each. `progress` is told the number of records read. Memory: the users' state of one partition.
///
/// # Errors
/// If there is no such topic, or the log cannot be read.
pub fn sweeps(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    period: (EventTime, EventTime),
    row: impl FnMut(Row<'_>),
    progress: impl FnMut(u64),
) -> Result<(), BacktestError> {
    replay(log, topic, spec, None, &mut Sweeps { period, row }, progress)?;
    Ok(())
}

struct Sweeps<F> {
    period: (EventTime, EventTime),
    row: F,
}

impl<F> Witness for Sweeps<F> {}

impl<F: FnMut(Row<'_>)> Visitor for Sweeps<F> {
    fn rows(&mut self, rows: &Rows) {
        let (from, to) = self.period;
        let of_period = |row: &Row<'_>| from <= row.as_of && row.as_of < to;
        rows.iter().filter(|row| row.trigger == Trigger::Sweep).filter(of_period).for_each(&mut self.row);
    }
}
