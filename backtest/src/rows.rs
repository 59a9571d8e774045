//! Labelled rows: every living user at regular ticks, as the live sweep would have seen them, and what happened then.

use std::collections::HashMap;
use std::sync::Arc;

use consumer::pipeline::{Pipeline, Place, Rows, Stop, UserStore, Work};
use feature_store::{Spec, Store, StoreIdentity, UserState};

use crate::replay::in_memory;
use partition_log::{Log, RecordBuf};
use types::{EventTime, Offset, PartitionId, SystemEvent, Trigger};

use crate::{BacktestError, Labels};

/// Rows with decided labels, one entry a row in every list.
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
    /// The users.
    pub entities: Vec<String>,
    /// What was counted on the way.
    pub summary: RowSummary,
}

/// What was counted while rows were made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct RowSummary {
    /// Records read.
    pub records: u64,
    /// Records that could not be used.
    pub rejected: u64,
    /// Users seen.
    pub users: u64,
    /// Rows whose label was not decided by the log's end.
    pub undecided: u64,
    /// Rows of users with too little history.
    pub too_new: u64,
}

/// Replays a topic and makes a row of every living user at every tick that `labels` asks for. `progress` is told the
/// number of records read. Memory: the users' state of one partition, and the rows.
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
    let mut all = LabelledRows { names: spec.feature_names().to_vec(), ..LabelledRows::default() };
    let mut open = Vec::new();
    let mut newest = EventTime::MIN;
    for partition in (0..config.partitions).map(PartitionId) {
        // A store of its own for each partition, so that memory holds one partition's users at a time.
        let store = Store::in_memory(&identity, in_memory())?;
        let users = store.partition::<UserState>(partition)?;
        let mut replay = Replay::new(spec, labels, users);
        replay.run(log, topic, partition, &mut all, &mut open, &mut progress)?;
        newest = newest.max(replay.newest);
        all.summary.users += replay.counted.len() as u64;
        decide(&mut all, &open, &replay.counted, labels);
        open.clear();
    }
    drop_undecided(&mut all, labels, newest);
    Ok(all)
}

struct Replay<'a> {
    labels: &'a Labels,
    pipeline: Pipeline,
    users: UserStore,
    rows: Rows,
    /// For each user, the times of the events that decide labels, and of the first event.
    counted: HashMap<String, History>,
    last_moment: Option<EventTime>,
    newest: EventTime,
}

#[derive(Default)]
struct History {
    first: Option<EventTime>,
    counted: Vec<EventTime>,
}

impl<'a> Replay<'a> {
    fn new(spec: &Arc<Spec>, labels: &'a Labels, users: UserStore) -> Self {
        let rows = Rows::new(spec.feature_names().len());
        let pipeline = Pipeline::new(Arc::clone(spec));
        Self {
            labels,
            pipeline,
            users,
            rows,
            counted: HashMap::new(),
            last_moment: None,
            newest: EventTime::MIN,
        }
    }

    fn run(
        &mut self,
        log: &dyn Log,
        topic: &str,
        partition: PartitionId,
        all: &mut LabelledRows,
        open: &mut Vec<usize>,
        progress: &mut impl FnMut(u64),
    ) -> Result<(), BacktestError> {
        let start = log.bounds(topic, partition)?.start;
        let mut reader = log.reader(topic, partition, start)?;
        let mut records = RecordBuf::default();
        let mut place = Place { next_input: start, sweep: None };
        let mut rejects = Vec::new();
        loop {
            records.clear();
            if reader.read(&mut records, 1 << 20)? == 0 {
                return Ok(());
            }
            self.note(&records);
            loop {
                let mut work = Work { users: &mut self.users, rows: &mut self.rows, rejects: &mut rejects };
                let stop =
                    self.pipeline.advance(&mut place, Offset::ZERO, &records, records.len(), &mut work)?;
                self.take(all, open);
                if stop == Stop::End {
                    break;
                }
            }
            all.summary.records += records.len() as u64;
            all.summary.rejected += rejects.len() as u64;
            rejects.clear();
            // Nothing is committed here, so there is nothing for which memory could wait.
            let _ = self.users.maintain(place.next_input)?;
            progress(all.summary.records);
        }
    }

    /// Keeps the times that labels need. What is no event is the pipeline's to judge.
    fn note(&mut self, records: &RecordBuf) {
        let mut event = types::Event::default();
        for record in records.iter() {
            if event.decode(record.value).is_err() {
                continue;
            }
            if event.kind == SystemEvent::TICK {
                self.newest = self.newest.max(event.ts);
            } else if !event.kind.starts_with('$') {
                self.newest = self.newest.max(event.ts);
                let counts = self.labels.counts(&event.kind);
                if !self.counted.contains_key(&*event.entity) {
                    self.counted.insert(event.entity.to_string(), History::default());
                }
                if let Some(history) = self.counted.get_mut(&*event.entity) {
                    history.first = Some(history.first.map_or(event.ts, |first| first.min(event.ts)));
                    if counts {
                        history.counted.push(event.ts);
                    }
                }
            }
        }
    }

    /// Takes the sweep's rows at the moments that are asked for.
    fn take(&mut self, all: &mut LabelledRows, open: &mut Vec<usize>) {
        for row in self.rows.iter().filter(|row| row.trigger == Trigger::Sweep) {
            let due = self
                .last_moment
                .is_none_or(|last| row.as_of == last || row.as_of.since(last).0 >= self.labels.every.0);
            if !due {
                continue;
            }
            self.last_moment = Some(row.as_of);
            open.push(all.as_of.len());
            all.values.extend_from_slice(row.features);
            all.lost.push(false);
            all.as_of.push(row.as_of);
            all.entities.push(row.entity.to_owned());
        }
        self.rows.clear();
    }
}

/// Decides the labels of a partition's rows, now that all that followed is known, and marks rows of too little history.
fn decide(all: &mut LabelledRows, open: &[usize], counted: &HashMap<String, History>, labels: &Labels) {
    let mut sorted: HashMap<&str, Vec<EventTime>> = HashMap::new();
    for &index in open {
        let Some((name, history)) = counted.get_key_value(&all.entities[index]) else { continue };
        let times = sorted.entry(name).or_insert_with(|| {
            let mut times = history.counted.clone();
            times.sort_unstable();
            times
        });
        all.lost[index] = labels.decide(all.as_of[index], times);
        let known_for = history.first.map_or(0, |first| all.as_of[index].since(first).0);
        if known_for < labels.min_history.0 {
            all.entities[index].clear();
        }
    }
}

/// Removes the rows that were marked, and those whose horizon reaches beyond the newest event.
fn drop_undecided(all: &mut LabelledRows, labels: &Labels, newest: EventTime) {
    let width = all.names.len();
    let mut kept = 0;
    for index in 0..all.as_of.len() {
        if all.entities[index].is_empty() {
            all.summary.too_new += 1;
            continue;
        }
        if all.as_of[index].plus(labels.horizon) > newest {
            all.summary.undecided += 1;
            continue;
        }
        all.values.copy_within(index * width..(index + 1) * width, kept * width);
        all.lost[kept] = all.lost[index];
        all.as_of[kept] = all.as_of[index];
        all.entities.swap(kept, index);
        kept += 1;
    }
    all.values.truncate(kept * width);
    all.lost.truncate(kept);
    all.as_of.truncate(kept);
    all.entities.truncate(kept);
}
