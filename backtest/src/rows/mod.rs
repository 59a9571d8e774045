//! Labelled rows: what was known of users when they were scored, and what happened then.

mod collect;
mod current;
mod day;
mod history;
mod sample;

use consumer::pipeline::Row;
use types::{EventTime, Offset, PartitionId, Trigger};

use crate::Labels;

use crate::replay::{Rejects, RejectsOfReason, Replayed};

pub use collect::collect;
pub use current::current;
pub use sample::Swept;

/// Rows with decided labels, one entry a row in every list; in the order of moment, user and position, whatever the number of
/// partitions.
#[derive(Debug, Clone, Default)]
pub struct LabelledRows {
    /// The features' names, in the order of the values.
    pub names: Vec<String>,
    /// The values, row after row; NaN where there is none.
    pub values: Vec<f32>,
    /// Whether the user was lost within the horizon.
    pub lost: Vec<bool>,
    /// The moments.
    pub as_of: Vec<EventTime>,
    /// The tick whose day each row is of: the stretch of the log from this tick to the next. Its moments may lie on two days of the
    /// calendar, and a little before the tick.
    pub tick: Vec<EventTime>,
    /// When each label was decided: the end of what it looks at, or what the outcome table says.
    pub decided_at: Vec<EventTime>,
    /// What caused each score.
    pub trigger: Vec<Trigger>,
    /// How much each row counts: the rows of a user and day weigh 1 together.
    pub weight: Vec<f32>,
    /// The users.
    pub entities: Vec<String>,
    /// Where each user's records lie.
    pub partition: Vec<PartitionId>,
    /// The event or tick that caused each row: it knows what lies before, and the event itself.
    pub position: Vec<Offset>,
    /// Positions of the columns that read events which give the label away; see [`exclude`](Self::exclude).
    pub excluded: Vec<usize>,
    /// What the sweeps saw on these days: for a watch to compare with.
    pub swept: Swept,
    /// What was counted on the way.
    pub summary: RowSummary,
}

/// What was counted while rows were made.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct RowSummary {
    /// Records read.
    pub records: u64,
    /// Records that could not be used.
    pub rejected: u64,
    /// The same by reason.
    pub rejects: Rejects,
    /// What spec and labels name and no event has, in words.
    pub unheard: Vec<String>,
    /// Records that retention had removed from the topic's beginning: users are known by what is left alone.
    pub removed: u64,
    /// Users seen.
    pub users: u64,
    /// Scores of sweeps on the days with rows, from which rows were chosen.
    pub sweep_scores: u64,
    /// Scores of events on those days.
    pub event_scores: u64,
    /// Rows whose label was not decided by the log's end.
    pub undecided: u64,
    /// Users and days with too little history for a row.
    pub too_new: u64,
    /// Rows of users who had left by then, which the log said later only.
    pub gone_unseen: u64,
    /// Rows of users who were erased since.
    pub erased: u64,
    /// Rows of users who were lost within the lead.
    pub left_within_lead: u64,
    /// Rows of which the outcome table says nothing.
    pub unknown: u64,
}

impl RowSummary {
    /// Takes over what a replay counted.
    fn note(&mut self, replayed: Replayed) {
        let Replayed { records, rejected, removed, rejects, unheard } = replayed;
        (self.records, self.rejected, self.removed) = (records, rejected, removed);
        (self.rejects, self.unheard) = (rejects, unheard);
    }

    /// Why there is no row.
    #[must_use]
    pub fn why_empty(&self, labels: &Labels) -> String {
        if self.users == 0 && self.rejected > 0 {
            return "there is no row, since every event was rejected".to_owned();
        }
        format!(
            "no row has a label that is decided: the log must reach more than {} beyond the first users' history",
            labels.span()
        )
    }

    /// What could not be used and why, if anything.
    #[must_use]
    pub fn rejected_in_words(&self) -> Option<String> {
        let of = |(reason, of): (&&str, &RejectsOfReason)| format!("{} {reason} ({})", of.records, of.first);
        let all: Vec<String> = self.rejects.iter().map(of).collect();
        let (rejected, records) = (self.rejected, self.records);
        (rejected > 0).then(|| format!("{rejected} of {records} records were rejected: {}", all.join("; ")))
    }

    /// What a reader of the numbers must know of the topic's beginning, if some of it is missing.
    #[must_use]
    pub fn doubt(&self) -> Option<String> {
        (self.removed > 0).then(|| {
            format!(
                "retention removed the first {} records of the log: users are known by what is left alone, so what reaches further \
                 back (lifetimes, long windows) is smaller here than in production",
                self.removed
            )
        })
    }
}

impl LabelledRows {
    /// The number of rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.lost.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lost.is_empty()
    }

    /// The values of a row.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.names.len()..][..self.names.len()]
    }

    /// The names of the columns that give the label away.
    pub fn excluded_names(&self) -> impl Iterator<Item = &str> {
        self.excluded.iter().map(|column| self.names[*column].as_str())
    }

    /// Takes the values of the columns that give the label away: what learns from these rows cannot learn from them. Scoring
    /// needs no such step, because a model does not look at a column that never had a value.
    pub fn exclude(&mut self) {
        for values in [&mut self.values, &mut self.swept.values] {
            for row in values.chunks_exact_mut(self.names.len().max(1)) {
                for column in &self.excluded {
                    row[*column] = f32::NAN;
                }
            }
        }
    }

    /// The rows that `keep` chooses by number, in order; the summary is that of all, and nothing of what sweeps saw.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let order: Vec<usize> = (0..self.len()).filter(|row| keep(*row)).collect();
        self.take(&order)
    }

    /// Adds what was scored as a row whose label is not known.
    fn push(&mut self, partition: PartitionId, tick: EventTime, row: &Row<'_>) {
        self.values.extend_from_slice(row.features);
        self.lost.push(false);
        self.as_of.push(row.as_of);
        self.tick.push(tick);
        self.decided_at.push(row.as_of);
        self.trigger.push(row.trigger);
        self.weight.push(1.0);
        self.entities.push(row.entity.to_owned());
        self.partition.push(partition);
        self.position.push(row.offset);
    }

    /// Puts another score of the same user into a row's place.
    fn replace(&mut self, at: usize, row: &Row<'_>) {
        self.values[at * row.features.len()..][..row.features.len()].copy_from_slice(row.features);
        self.as_of[at] = row.as_of;
        self.trigger[at] = row.trigger;
        self.position[at] = row.offset;
    }

    /// Adds other rows of the same features.
    pub(crate) fn append(&mut self, mut others: Self) {
        self.values.append(&mut others.values);
        self.lost.append(&mut others.lost);
        self.as_of.append(&mut others.as_of);
        self.tick.append(&mut others.tick);
        self.decided_at.append(&mut others.decided_at);
        self.trigger.append(&mut others.trigger);
        self.weight.append(&mut others.weight);
        self.entities.append(&mut others.entities);
        self.partition.append(&mut others.partition);
        self.position.append(&mut others.position);
    }

    /// Keeps the first rows only.
    fn truncate(&mut self, rows: usize) {
        self.values.truncate(rows * self.names.len());
        self.lost.truncate(rows);
        self.as_of.truncate(rows);
        self.tick.truncate(rows);
        self.decided_at.truncate(rows);
        self.trigger.truncate(rows);
        self.weight.truncate(rows);
        self.entities.truncate(rows);
        self.partition.truncate(rows);
        self.position.truncate(rows);
    }

    /// The rows with these numbers, in this order.
    fn take(&self, order: &[usize]) -> Self {
        fn pick<T: Clone>(from: &[T], order: &[usize]) -> Vec<T> {
            order.iter().map(|row| from[*row].clone()).collect()
        }
        let mut values = Vec::with_capacity(order.len() * self.names.len());
        order.iter().for_each(|row| values.extend_from_slice(self.row(*row)));
        Self {
            names: self.names.clone(),
            values,
            lost: pick(&self.lost, order),
            as_of: pick(&self.as_of, order),
            tick: pick(&self.tick, order),
            decided_at: pick(&self.decided_at, order),
            trigger: pick(&self.trigger, order),
            weight: pick(&self.weight, order),
            entities: pick(&self.entities, order),
            partition: pick(&self.partition, order),
            position: pick(&self.position, order),
            excluded: self.excluded.clone(),
            swept: Swept::default(),
            summary: self.summary.clone(),
        }
    }
}
