//! Rows by replay: the log runs through the live pipeline, and some of what would have been scored is kept.

use std::collections::VecDeque;
use std::sync::Arc;

use consumer::pipeline::{Row, Rows, UserStore, Witness};
use feature_store::Spec;
use hashbrown::HashMap;
use partition_log::Log;
use types::{Event, EventTime, Offset, PartitionId, Trigger};

use super::day::{Choice, Day};
use super::history::History;
use super::sample::{Sample, Swept};
use super::{LabelledRows, RowSummary};
use crate::labels::{Lost, Triggers, Verdict};
use crate::replay::{Replayed, Visitor, replay};
use crate::{BacktestError, Labels};

/// Replays a topic and makes rows of what would have been scored live on the days that `labels` asks for. `progress` is told
/// the number of records read. Memory: the users' state of one partition, and the rows twice.
///
/// # Errors
/// If the log cannot be read.
pub fn collect(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    labels: &Labels,
    progress: impl FnMut(u64),
) -> Result<LabelledRows, BacktestError> {
    let mut collect = Collect::new(spec, labels);
    let replayed = replay(log, topic, spec, Some(labels), &mut collect, progress)?;
    Ok(collect.finish(replayed))
}

/// What is known of a row so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Its day is not over: another score of the user may take its place.
    Open,
    /// It is chosen.
    Chosen,
    /// Its label is known.
    Labelled(Verdict),
    /// The user had left by then, and the log said so later only.
    Gone,
    /// The user was erased since: nothing is learnt from it.
    Erased,
}

struct Collect<'a> {
    labels: &'a Labels,
    spec: &'a Spec,
    triggers: Triggers,
    rows: LabelledRows,
    fates: Vec<Fate>,
    /// The number of each row's user among those of the partition.
    number_of: Vec<u32>,
    swept: Sample,
    oldest: EventTime,
    newest: EventTime,
    partition: PartitionId,
    /// The partition's first row.
    first: usize,
    numbers: HashMap<String, u32>,
    histories: Vec<History>,
    /// Ticks that were reached and whose day has not begun, oldest first.
    ticks: VecDeque<(Offset, EventTime)>,
    day: Day,
    /// The tick of the day, if the day has rows.
    due: Option<EventTime>,
    last_due: Option<EventTime>,
}

impl Witness for Collect<'_> {
    /// Keeps the times that labels need.
    fn event(&mut self, offset: Offset, event: &Event<'_>) {
        self.oldest = self.oldest.min(event.ts);
        self.newest = self.newest.max(event.ts);
        let number = self.numbers.get(&*event.entity).copied().unwrap_or_else(|| {
            // More users than that do not fit in memory.
            let number = self.histories.len() as u32;
            self.numbers.insert(event.entity.to_string(), number);
            self.histories.push(History::default());
            number
        });
        self.histories[number as usize].note(offset, event.ts, self.labels.counts(&event.kind));
    }

    fn tick(&mut self, offset: Offset, as_of: EventTime) {
        self.newest = self.newest.max(as_of);
        self.ticks.push_back((offset, as_of));
    }

    /// Who comes back is somebody else.
    fn erased(&mut self, entity: &str) {
        if let Some(number) = self.numbers.remove(entity) {
            self.histories[number as usize].is_erased = true;
        }
    }
}

impl Visitor for Collect<'_> {
    fn begin(&mut self, partition: PartitionId) {
        (self.partition, self.first) = (partition, self.fates.len());
        self.numbers.clear();
        self.histories.clear();
        self.ticks.clear();
        (self.due, self.last_due) = (None, None);
    }

    /// Goes through the rows that the pipeline made.
    fn rows(&mut self, rows: &Rows) {
        for row in rows.iter() {
            self.begin_days(row.offset);
            let Some(tick) = self.due else { continue };
            let Some(&number) = self.numbers.get(row.entity) else { continue };
            if row.trigger == Trigger::Sweep {
                self.swept.offer(self.partition, number, &row);
            }
            if self.triggers.take(row.trigger) && self.is_asked_for(row.entity, tick) {
                self.take(number, tick, &row);
            }
        }
    }

    fn end(&mut self, _: &mut UserStore) -> Result<(), BacktestError> {
        self.begin_days(Offset(u64::MAX));
        // The last day is not over. Its sweep is.
        if self.triggers == Triggers::Sweep {
            self.close_day();
        }
        self.day = Day::default();
        self.rows.summary.users += self.histories.len() as u64;
        self.swept.erase(self.partition, |number| self.histories[number as usize].is_erased);
        self.decide();
        Ok(())
    }
}

impl<'a> Collect<'a> {
    fn new(spec: &'a Spec, labels: &'a Labels) -> Self {
        let as_of_table = matches!(&labels.lost, Lost::Table(table) if table.is_as_of());
        Self {
            labels,
            spec,
            triggers: if as_of_table { Triggers::Sweep } else { labels.triggers },
            rows: LabelledRows {
                names: spec.feature_names().to_vec(),
                excluded: spec.columns_reading(&labels.implying),
                ..LabelledRows::default()
            },
            fates: Vec::new(),
            number_of: Vec::new(),
            swept: Sample::new(spec.feature_names().len()),
            oldest: EventTime(i64::MAX),
            newest: EventTime::MIN,
            partition: PartitionId(0),
            first: 0,
            numbers: HashMap::new(),
            histories: Vec::new(),
            ticks: VecDeque::new(),
            day: Day::default(),
            due: None,
            last_due: None,
        }
    }

    /// Takes a score as a row, if the user is known long enough and the day's choice falls on it.
    fn take(&mut self, number: u32, tick: EventTime, row: &Row<'_>) {
        match row.trigger {
            Trigger::Sweep => self.rows.summary.sweep_scores += 1,
            Trigger::Event => self.rows.summary.event_scores += 1,
        }
        let known_for = self.histories[number as usize].known_for(row.offset, row.as_of);
        if known_for.0 < self.labels.min_history.0 {
            self.day.too_new(number);
            return;
        }
        match self.day.choose(number, row.entity, self.fates.len()) {
            Choice::Add => {
                self.rows.push(self.partition, tick, row);
                self.fates.push(Fate::Open);
                self.number_of.push(number);
            }
            Choice::Replace(at) => self.rows.replace(at, row),
            Choice::Pass => {}
        }
    }

    /// Begins the days of the ticks up to a record.
    fn begin_days(&mut self, offset: Offset) {
        while let Some(&(_, tick)) = self.ticks.front().filter(|(at, _)| *at <= offset) {
            self.ticks.pop_front();
            self.close_day();
            let each = matches!(&self.labels.lost, Lost::Table(table) if table.is_as_of());
            let is_due = self.last_due.is_none_or(|last| tick.since(last).0 >= self.labels.every.0);
            self.due = (each || is_due).then_some(tick);
            if let Some(tick) = self.due {
                self.last_due = Some(tick);
                self.day.begin(tick, self.labels.per_day);
            }
        }
    }

    fn close_day(&mut self) {
        let Self { rows, fates, day, .. } = self;
        rows.summary.too_new += day.close(|row, weight| {
            fates[row] = Fate::Chosen;
            rows.weight[row] = weight;
        });
    }

    fn is_asked_for(&self, user: &str, tick: EventTime) -> bool {
        match &self.labels.lost {
            Lost::Table(table) if table.is_as_of() => table.asks_for(user, tick, self.spec.tick().every),
            _ => true,
        }
    }

    /// Decides the labels of the partition's rows, now that all that followed is known.
    fn decide(&mut self) {
        self.histories.iter_mut().for_each(History::close);
        for row in self.first..self.fates.len() {
            if self.fates[row] != Fate::Chosen {
                continue;
            }
            let history = &self.histories[self.number_of[row] as usize];
            let as_of = self.rows.as_of[row];
            self.fates[row] = if history.is_erased {
                Fate::Erased
            } else if matches!(self.labels.lost, Lost::Events(_))
                && history.counted_unseen(self.rows.position[row], as_of)
            {
                Fate::Gone
            } else {
                let decisions = match &self.labels.lost {
                    Lost::Table(table) => table.of(&self.rows.entities[row]),
                    _ => &[],
                };
                let (verdict, decided_at) = self.labels.decide(as_of, history.counted(), decisions);
                self.rows.decided_at[row] = decided_at;
                Fate::Labelled(verdict)
            };
        }
    }

    /// Keeps the rows whose label is decided, in an order that does not depend on the partitions.
    fn finish(self, replayed: Replayed) -> LabelledRows {
        let Self { labels, mut rows, fates, newest, .. } = self;
        let by_table = matches!(labels.lost, Lost::Table(_));
        let RowSummary { undecided, left_within_lead, unknown, gone_unseen, erased, .. } = &mut rows.summary;
        let mut order = Vec::new();
        for (row, fate) in fates.iter().enumerate() {
            match fate {
                Fate::Open | Fate::Chosen => *undecided += 1,
                Fate::Erased => *erased += 1,
                Fate::Gone => *gone_unseen += 1,
                // A table knows what the log does not.
                Fate::Labelled(_) if !by_table && rows.decided_at[row] > newest => *undecided += 1,
                Fate::Labelled(Verdict::LeftWithinLead) => *left_within_lead += 1,
                Fate::Labelled(Verdict::Unknown) => *unknown += 1,
                Fate::Labelled(verdict) => {
                    rows.lost[row] = *verdict == Verdict::Lost;
                    order.push(row);
                }
            }
        }
        rows.summary.note(replayed);
        let key = |row: usize| (rows.as_of[row], rows.entities[row].as_str(), rows.position[row]);
        order.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)));
        let swept = Swept { began: self.oldest, ..self.swept.finish() };
        LabelledRows { swept, ..rows.take(&order) }
    }
}
