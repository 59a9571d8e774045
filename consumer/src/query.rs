//! Reads of live state: asked by the HTTP API, answered by the worker that owns the partition, between two batches.

use crossbeam::channel::Sender;
use serde::{Deserialize, Serialize};
use types::{EventTime, Offset, PartitionId};

use crate::ConsumerError;
use crate::task::PartitionTask;

/// A question about one user.
pub(crate) struct Query {
    pub(crate) partition: PartitionId,
    pub(crate) entity: String,
    /// The moment asked for; the user's newest event without one.
    pub(crate) as_of: Option<EventTime>,
    pub(crate) reply: Sender<Answer>,
}

/// The answer.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Here it is.
    Features(FeatureReading),
    /// The partition is on its way to another worker: ask again.
    Moved,
    /// The state could not be read.
    Failed(ConsumerError),
}

/// Whether there is anything to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadStatus {
    /// The values are those of everything before `position`.
    Present,
    /// The user is not known.
    NotFound,
    /// The values, if any, are those of an earlier position than the one committed: state is still being rebuilt.
    Stale,
}

/// A user's features at a moment, and of what they are a function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureReading {
    /// Who.
    pub entity: String,
    /// Whether there are values.
    pub status: ReadStatus,
    /// The moment for which they hold.
    pub as_of: Option<EventTime>,
    /// The user's newest event.
    pub newest_event: Option<EventTime>,
    /// The partition that the user lies in.
    pub partition: PartitionId,
    /// The user's records before this offset are known.
    pub position: Offset,
    /// Whether the user takes part: not ended at the moment asked for.
    pub living: bool,
    /// Whether old events were compacted into panes.
    pub approximate: bool,
    /// The values by name, in the spec's order; `null` where there is none.
    pub features: Vec<(String, Option<f32>)>,
}

impl Query {
    pub(crate) fn answer(self, task: Option<&mut PartitionTask>) {
        let answer = match task {
            None => Answer::Moved,
            Some(task) => match read(task, &self.entity, self.as_of) {
                Ok(reading) => Answer::Features(reading),
                Err(error) => Answer::Failed(error),
            },
        };
        // Whoever asked may have given up.
        let _ = self.reply.send(answer);
    }
}

fn read(
    task: &mut PartitionTask,
    entity: &str,
    as_of: Option<EventTime>,
) -> Result<FeatureReading, ConsumerError> {
    let (partition, replaying, mut position) = (task.partition, task.is_replaying(), task.position());
    let spec = std::sync::Arc::clone(task.pipeline().spec());
    let users = task.users();
    let slot = users.get(entity)?;
    if replaying {
        position = users.reaches(entity, position)?;
    }
    let state = slot.map(|slot| users.state(slot));
    let mut reading = FeatureReading::of(entity, partition, position, &spec, state, as_of)?;
    // Behind what was committed, nobody can say that a user is not known.
    if replaying && users.committed().is_some_and(|commit| position < commit.next_input) {
        reading.status = ReadStatus::Stale;
    }
    Ok(reading)
}

impl FeatureReading {
    /// Reads the features of a state as of a moment, by default of the user's newest event.
    ///
    /// # Errors
    /// [`ConsumerError::AsOfTooOld`] for a moment further behind the newest event than the allowed lateness: state has
    /// dropped what such a reading needs.
    pub fn of(
        entity: &str,
        partition: PartitionId,
        position: Offset,
        spec: &feature_store::Spec,
        state: Option<&feature_store::UserState>,
        as_of: Option<EventTime>,
    ) -> Result<Self, ConsumerError> {
        let nothing = Self {
            entity: entity.to_owned(),
            status: ReadStatus::NotFound,
            as_of: None,
            newest_event: None,
            partition,
            position,
            living: false,
            approximate: false,
            features: Vec::new(),
        };
        let Some((state, newest)) = state.and_then(|state| Some((state, state.newest()?))) else {
            return Ok(nothing);
        };
        let as_of = as_of.unwrap_or(newest);
        if as_of < newest.minus(spec.allowed_lateness()) {
            return Err(ConsumerError::AsOfTooOld { entity: nothing.entity, as_of, newest });
        }
        let mut row = vec![f32::NAN; spec.feature_names().len()];
        state.features_at(spec, as_of, &mut row);
        Ok(Self {
            status: ReadStatus::Present,
            as_of: Some(as_of),
            newest_event: Some(newest),
            living: state.is_living(spec, as_of),
            approximate: state.is_approximate(),
            features: spec
                .feature_names()
                .iter()
                .cloned()
                .zip(row.into_iter().map(|v| (!v.is_nan()).then_some(v)))
                .collect(),
            ..nothing
        })
    }
}
