//! Rows by replay: the log runs through the live pipeline, and some of what would have been scored is kept.

use std::ops::Range;
use std::sync::Arc;

use consumer::pipeline::{Pipeline, Place, Reject, Row, Rows, Stop, UserStore, Work};
use feature_store::{Spec, Store, StoreIdentity, UserState};
use hashbrown::HashMap;
use memchr::memmem;
use partition_log::{Log, RecordBuf};
use types::{Event, EventTime, Offset, PartitionId, SystemEvent, Trigger, headers};

use super::LabelledRows;
use super::day::{Choice, Day};
use crate::labels::{Lost, Triggers, Verdict};
use crate::replay::in_memory;
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
    let mut taken = Taken {
        rows: LabelledRows {
            names: spec.feature_names().to_vec(),
            excluded: spec.columns_reading(&labels.implying),
            ..LabelledRows::default()
        },
        fates: Vec::new(),
    };
    let mut newest = EventTime::MIN;
    for partition in (0..config.partitions).map(PartitionId) {
        // A store of its own for each partition, so that memory holds one partition's users at a time.
        let store = Store::in_memory(&identity, in_memory())?;
        let users = store.partition::<UserState>(partition)?;
        let first = taken.fates.len();
        let mut replay = Replay::new(spec, labels, partition, users);
        replay.run(log, topic, &mut taken, &mut progress)?;
        newest = newest.max(replay.newest);
        replay.decide(&mut taken, first);
    }
    Ok(taken.finish(labels, newest))
}

/// Rows in the making.
struct Taken {
    rows: LabelledRows,
    fates: Vec<Fate>,
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
}

impl Taken {
    fn put(&mut self, at: Option<usize>, partition: PartitionId, row: &Row<'_>) {
        let rows = &mut self.rows;
        let Some(at) = at else {
            rows.push(partition, row);
            self.fates.push(Fate::Open);
            return;
        };
        let width = row.features.len();
        rows.values[at * width..][..width].copy_from_slice(row.features);
        rows.as_of[at] = row.as_of;
        rows.trigger[at] = row.trigger;
        rows.position[at] = row.offset;
    }

    /// Keeps the rows whose label is decided, in an order that does not depend on the partitions.
    fn finish(mut self, labels: &Labels, newest: EventTime) -> LabelledRows {
        let by_table = matches!(labels.lost, Lost::Table(_));
        let rows = &mut self.rows;
        let mut order = Vec::new();
        for (row, fate) in self.fates.iter().enumerate() {
            let Fate::Labelled(verdict) = fate else {
                rows.summary.undecided += 1;
                continue;
            };
            match verdict {
                // A table knows what the log does not.
                _ if !by_table && rows.decided_at[row] > newest => rows.summary.undecided += 1,
                Verdict::LeftWithinLead => rows.summary.left_within_lead += 1,
                Verdict::Unknown => rows.summary.unknown += 1,
                Verdict::Lost | Verdict::Stayed => {
                    rows.lost[row] = *verdict == Verdict::Lost;
                    order.push(row);
                }
            }
        }
        let key = |row: usize| (rows.as_of[row], rows.entities[row].as_str(), rows.position[row]);
        order.sort_unstable_by(|a, b| key(*a).cmp(&key(*b)));
        rows.take(&order)
    }
}

/// The replay of one partition.
struct Replay<'a> {
    labels: &'a Labels,
    spec: &'a Spec,
    partition: PartitionId,
    triggers: Triggers,
    pipeline: Pipeline,
    users: UserStore,
    rows: Rows,
    numbers: HashMap<String, u32>,
    histories: Vec<History>,
    /// Ticks that were read and whose day has not begun, oldest first.
    ticks: std::collections::VecDeque<(Offset, EventTime)>,
    day: Day,
    /// The tick of the day, if the day has rows.
    due: Option<EventTime>,
    last_due: Option<EventTime>,
    newest: EventTime,
}

/// What a user's labels and eligibility need.
#[derive(Default)]
struct History {
    /// Where the earliest event so far changed, and its time.
    first: Vec<(Offset, EventTime)>,
    /// The times of the events that decide labels.
    counted: Vec<EventTime>,
}

impl<'a> Replay<'a> {
    fn new(spec: &'a Arc<Spec>, labels: &'a Labels, partition: PartitionId, users: UserStore) -> Self {
        let as_of_table = matches!(&labels.lost, Lost::Table(table) if table.is_as_of());
        Self {
            labels,
            spec,
            partition,
            triggers: if as_of_table { Triggers::Sweep } else { labels.triggers },
            pipeline: Pipeline::new(Arc::clone(spec)),
            users,
            rows: Rows::new(spec.feature_names().len()),
            numbers: HashMap::new(),
            histories: Vec::new(),
            ticks: std::collections::VecDeque::new(),
            day: Day::default(),
            due: None,
            last_due: None,
            newest: EventTime::MIN,
        }
    }

    fn run(
        &mut self,
        log: &dyn Log,
        topic: &str,
        taken: &mut Taken,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), BacktestError> {
        let start = log.bounds(topic, self.partition)?.start;
        let mut reader = log.reader(topic, self.partition, start)?;
        let mut records = RecordBuf::default();
        let mut place = Place::at(start);
        let mut rejects: Vec<Reject> = Vec::new();
        loop {
            records.clear();
            if reader.read(&mut records, 1 << 20)? == 0 {
                break;
            }
            self.note_ticks(&records);
            let mut noted = 0;
            loop {
                let (judged_from, rejected_from) = (noted, rejects.len());
                let mut work = Work { users: &mut self.users, rows: &mut self.rows, rejects: &mut rejects };
                let stop =
                    self.pipeline.advance(&mut place, Offset::ZERO, &records, records.len(), &mut work)?;
                noted = records.index_of(place.next_input);
                self.note_events(&records, judged_from..noted, &rejects[rejected_from..]);
                self.take(taken);
                if stop == Stop::End {
                    break;
                }
            }
            let summary = &mut taken.rows.summary;
            summary.records += records.len() as u64;
            summary.rejected += rejects.len() as u64;
            rejects.clear();
            // Nothing is committed here, so there is nothing for which memory could wait.
            let _ = self.users.maintain(place.next_input)?;
            progress(taken.rows.summary.records);
        }
        self.begin_days(Offset(u64::MAX), taken);
        // The last day is not over. Its sweep is.
        if self.triggers == Triggers::Sweep {
            self.close_day(taken);
        }
        taken.rows.summary.users += self.histories.len() as u64;
        Ok(())
    }

    /// Keeps the ticks of a block: rows of their sweeps come before the pipeline has passed them.
    fn note_ticks(&mut self, records: &RecordBuf) {
        let mut event = Event::default();
        // Few records are ticks, and the others need not be read twice. An escape could hide the word.
        let tick = memmem::Finder::new(SystemEvent::TICK);
        let may_be = |value: &[u8]| tick.find(value).is_some() || memmem::find(value, b"\\u00").is_some();
        let candidates = records.iter().filter(|record| may_be(record.value));
        for record in candidates.filter(|record| record.header(headers::REASON).is_none()) {
            if event.decode(record.value).is_ok() && event.kind == SystemEvent::TICK && event.ts.is_possible()
            {
                self.newest = self.newest.max(event.ts);
                self.ticks.push_back((record.offset, event.ts));
            }
        }
    }

    /// Keeps the times that labels need, of the events that the pipeline took: what it rejected did not happen.
    fn note_events(&mut self, records: &RecordBuf, judged: Range<usize>, rejects: &[Reject]) {
        let mut event = Event::default();
        for index in judged {
            let Some(record) = records.get(index) else { break };
            let is_rejected = rejects.binary_search_by_key(&index, |reject| reject.index).is_ok();
            if is_rejected || event.decode(record.value).is_err() || event.kind.starts_with('$') {
                continue;
            }
            self.newest = self.newest.max(event.ts);
            let number = self.numbers.get(&*event.entity).copied().unwrap_or_else(|| {
                // More users than that do not fit in memory.
                let number = self.histories.len() as u32;
                self.numbers.insert(event.entity.to_string(), number);
                self.histories.push(History::default());
                number
            });
            let history = &mut self.histories[number as usize];
            if history.first.last().is_none_or(|(_, first)| event.ts < *first) {
                history.first.push((record.offset, event.ts));
            }
            if self.labels.counts(&event.kind) {
                history.counted.push(event.ts);
            }
        }
    }

    /// Goes through the rows that the pipeline made.
    fn take(&mut self, taken: &mut Taken) {
        for index in 0..self.rows.len() {
            let offset = self.rows.row(index).offset;
            self.begin_days(offset, taken);
            let row = self.rows.row(index);
            let Some(tick) = self.due.filter(|_| self.triggers.take(row.trigger)) else { continue };
            let Some(&number) = self.numbers.get(row.entity) else { continue };
            if !self.is_asked_for(row.entity, tick) {
                continue;
            }
            match row.trigger {
                Trigger::Sweep => taken.rows.summary.sweep_scores += 1,
                Trigger::Event => taken.rows.summary.event_scores += 1,
            }
            let first = &self.histories[number as usize].first;
            let known = first.partition_point(|(at, _)| *at <= row.offset);
            let since = known.checked_sub(1).map_or(0, |last| row.as_of.since(first[last].1).0);
            if since < self.labels.min_history.0 {
                self.day.too_new(number);
                continue;
            }
            match self.day.choose(number, row.entity, taken.fates.len()) {
                Choice::Add => taken.put(None, self.partition, &row),
                Choice::Replace(at) => taken.put(Some(at), self.partition, &row),
                Choice::Pass => {}
            }
        }
        self.rows.clear();
    }

    /// Begins the days of the ticks up to a record.
    fn begin_days(&mut self, offset: Offset, taken: &mut Taken) {
        while let Some(&(_, tick)) = self.ticks.front().filter(|(at, _)| *at <= offset) {
            self.ticks.pop_front();
            self.close_day(taken);
            let each = matches!(&self.labels.lost, Lost::Table(table) if table.is_as_of());
            let is_due = self.last_due.is_none_or(|last| tick.since(last).0 >= self.labels.every.0);
            self.due = (each || is_due).then_some(tick);
            if let Some(tick) = self.due {
                self.last_due = Some(tick);
                self.day.begin(tick, self.labels.per_day);
            }
        }
    }

    fn close_day(&mut self, taken: &mut Taken) {
        let Taken { rows, fates } = taken;
        rows.summary.too_new += self.day.close(|row, weight| {
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

    /// Decides the labels of the partition's rows, from the one numbered `first` on, now that all that followed is known.
    fn decide(mut self, taken: &mut Taken, first: usize) {
        self.histories.iter_mut().for_each(|history| history.counted.sort_unstable());
        for row in first..taken.fates.len() {
            if taken.fates[row] != Fate::Chosen {
                continue;
            }
            let entity = &taken.rows.entities[row];
            let counted =
                self.numbers.get(entity).map_or(&[][..], |number| &self.histories[*number as usize].counted);
            let decisions = match &self.labels.lost {
                Lost::Table(table) => table.of(entity),
                _ => &[],
            };
            let (verdict, decided_at) = self.labels.decide(taken.rows.as_of[row], counted, decisions);
            taken.rows.decided_at[row] = decided_at;
            taken.fates[row] = Fate::Labelled(verdict);
        }
    }
}
