//! One partition's work: read a block of records, run the pipeline, write the outputs, commit.
//!
//! A task is owned by one worker thread at a time and moves between them whole, at a batch boundary.

mod emit;
mod publish;
mod ticks;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use feature_store::{Commit, Pressure};
use partition_log::{LogError, PartitionReader, RecordBuf};
use scorer::Schedule;
use types::{Offset, PartitionId};

use crate::ConsumerError;
use crate::measure::{Measures, Stage};
use crate::member::Progress;
use crate::output::{DEAD_LETTERS, Output, SCORES, SHADOW_SCORES};
use crate::pipeline::{Pipeline, Place, Reasons, Reject, Rows, Scoring, Stop, UserStore, Work};
use crate::stats::{PartitionStats, Written};
use crate::status::Needed;
use crate::watch::SweepCounter;

/// How much is read from the log at once.
const READ_BYTES: usize = 1 << 20;

/// The outputs of a partition.
pub(crate) struct Outputs {
    pub(crate) scores: Output,
    pub(crate) shadow_scores: Output,
    pub(crate) dead_letters: Output,
    /// How large one of these may be.
    pub(crate) dead_letter_bytes: usize,
    /// Where decided ticks are written down; none where the topic holds its ticks.
    pub(crate) control: Option<Output>,
    /// Where the state goes from which another process can go on; none where there is no other.
    pub(crate) snapshots: Option<Output>,
}

/// One partition's work and everything that it needs.
pub(crate) struct PartitionTask {
    pub(crate) partition: PartitionId,
    topic: Arc<str>,
    pipeline: Pipeline,
    scoring: Scoring,
    users: UserStore,
    reader: Box<dyn PartitionReader>,
    outputs: Outputs,
    place: Place,
    /// Before this offset the outputs hold everything: only state is rebuilt.
    emit_from: Offset,
    replaying: bool,
    records: RecordBuf,
    /// How many of the records in `records` are processed at most before the caller is asked again.
    batch_events: usize,
    rows: Rows,
    rejects: Vec<Reject>,
    committed: Option<Place>,
    commits: Commits,
    /// Whether memory waits for a commit.
    pressed: bool,
    /// Since when there is nothing to read at a place.
    idle: Option<(Offset, Instant)>,
    /// After how long ticks are decided by the clock.
    tick_idle: Duration,
    last_commit: Instant,
    /// Whether something was published since then, that is to be committed.
    published: bool,
    /// What was written since then.
    written: Written,
    stats: Arc<PartitionStats>,
    swept: SweepCounter,
    measures: Measures,
}

/// How a task's commits come about.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Commits {
    /// It makes them itself, and the store's last one is the truth.
    Alone,
    /// The process makes them for all its partitions at once, and the group knows the last one; the store's may be behind it.
    Together {
        /// The last one; none if the partition was never read.
        last: Option<Place>,
    },
}

/// What a step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// There was something to do; there may be more.
    Worked,
    /// The end of the log is reached.
    AtEnd,
}

impl PartitionTask {
    #[expect(clippy::too_many_arguments, reason = "built in one place, from parts that live nowhere else")]
    pub(crate) fn new(
        partition: PartitionId,
        topic: Arc<str>,
        pipeline: Pipeline,
        schedule: Arc<Schedule>,
        users: UserStore,
        reader: Box<dyn PartitionReader>,
        outputs: Outputs,
        batch_events: usize,
        reasons: Reasons,
        commits: Commits,
        tick_idle: Duration,
        stats: Arc<PartitionStats>,
        measures: Measures,
        swept: SweepCounter,
    ) -> Self {
        let committed = match &commits {
            Commits::Alone => users.committed().map(|c| Place { sweep: c.sweep, ..Place::at(c.next_input) }),
            Commits::Together { last } => last.clone(),
        };
        let emit_from = committed.as_ref().map_or(Offset::ZERO, |c| c.next_input);
        Self {
            swept,
            scoring: Scoring::new(partition, pipeline.spec().entity(), schedule).with_reasons(reasons),
            place: Place::at(reader.position()),
            rows: Rows::new(pipeline.spec().feature_names().len()),
            replaying: true,
            partition,
            topic,
            pipeline,
            users,
            reader,
            outputs,
            emit_from,
            records: RecordBuf::default(),
            batch_events,
            rejects: Vec::new(),
            committed,
            commits,
            pressed: false,
            idle: None,
            tick_idle,
            last_commit: Instant::now(),
            published: false,
            written: Written::default(),
            stats,
            measures,
        }
    }

    /// Shows what the newest sweep saw, which this process's store knows.
    pub(crate) fn show_last_sweep(&self, ours: bool) {
        self.swept.restore(&self.stats, ours);
    }

    /// Reads and processes one batch, or goes on with the sweep under way.
    pub(crate) fn step(&mut self) -> Result<Step, ConsumerError> {
        let begun = Instant::now();
        let mut first = self.processed();
        if first == self.records.len() {
            self.records.clear();
            first = 0;
            // The sweep of a decided tick needs no record.
            if !self.is_sweeping_by_itself() {
                match self.reader.read(&mut self.records, READ_BYTES) {
                    // There are records, so this is neither the end nor silence: the reader is asked again, at once where it goes on
                    // through what means nothing to us.
                    Err(LogError::NotNow(_)) => {
                        let moved = self.pass_over();
                        self.keep_house()?;
                        return Ok(if moved { Step::Worked } else { Step::AtEnd });
                    }
                    Ok(0) => {
                        self.at_end()?;
                        if !self.is_sweeping_by_itself() {
                            return Ok(Step::AtEnd);
                        }
                    }
                    read => _ = read?,
                }
            }
            self.measures.stage(Stage::Read, begun);
        }
        let batch_end = (first + self.batch_events).min(self.records.len());
        let end = self.replay_end(first).map_or(batch_end, |beyond| beyond.min(batch_end));
        loop {
            let (stage, tick) = (Instant::now(), self.place.tick);
            let stop = self.pipeline.advance(
                &mut self.place,
                self.emit_from,
                &self.records,
                end,
                &mut Work { users: &mut self.users, rows: &mut self.rows, rejects: &mut self.rejects },
            )?;
            self.measures.stage(Stage::Features, stage);
            let stage = Instant::now();
            if self.place.tick != tick && self.is_sweeping_by_itself() {
                self.note_tick()?;
            }
            self.score()?;
            self.set_aside()?;
            self.measures.stage(Stage::Score, stage);
            if stop == Stop::Swept {
                self.swept.end(&self.stats);
            }
            // A sweep can be long: between its blocks the worker may commit, move or stop.
            if stop == Stop::End || self.place.sweep.is_some() {
                break;
            }
        }
        let done = self.processed();
        if !self.replaying {
            self.measures.scored((first..done).filter_map(|i| Some(self.records.get(i)?.timestamp)));
        }
        let stage = Instant::now();
        self.keep_house()?;
        self.measures.stage(Stage::State, stage);
        self.measures.flush();
        self.stats.batch(self.place.next_input, (done - first) as u64, begun.elapsed());
        Ok(Step::Worked)
    }

    /// There is nothing to read now.
    fn at_end(&mut self) -> Result<(), ConsumerError> {
        self.pass_over();
        self.tick_by_the_clock()?;
        self.keep_house()
    }

    /// Goes on to where the reader is: what lies before is processed, or no record of ours. Returns whether that is further.
    fn pass_over(&mut self) -> bool {
        let at = self.reader.position();
        if at >= self.emit_from {
            self.replay_end(0);
        }
        let moved = self.place.sweep.is_none() && at > self.place.next_input;
        if moved {
            self.place.next_input = at;
            self.stats.batch(at, 0, Duration::ZERO);
        }
        moved
    }

    /// Lets the store write and forget; commits early where memory waits for it.
    fn keep_house(&mut self) -> Result<(), ConsumerError> {
        if self.users.maintain(self.place.next_input)? == Pressure::Commit {
            match self.commits {
                Commits::Alone => self.commit()?,
                Commits::Together { .. } if self.replaying => self.commit_replayed()?,
                Commits::Together { .. } => self.pressed = true,
            }
        }
        self.stats.snapshot_age(self.users.snapshot_age());
        Ok(())
    }

    /// Whether memory waits for the process's next commit: no further step before it.
    pub(crate) fn is_pressed(&self) -> bool {
        self.pressed
    }

    /// Everything before `emit_from` was committed once, so state up to here may go to the store.
    fn commit_replayed(&mut self) -> Result<(), ConsumerError> {
        let next_input = self.place.next_input;
        let stored = self.users.committed().map_or(Offset::ZERO, |commit| commit.next_input);
        if stored < next_input && next_input <= self.emit_from {
            self.users.commit(Commit { next_input, ..Commit::default() })?;
        }
        Ok(())
    }

    fn processed(&self) -> usize {
        let next = self.place.next_input;
        let all_done = self.records.len().checked_sub(1).and_then(|last| self.records.get(last));
        match all_done {
            None => 0,
            Some(last) if last.offset < next => self.records.len(),
            Some(_) => self.records.index_of(next),
        }
    }

    /// While state is being rebuilt, the index of the first record beyond what was committed; there, takes up the sweep
    /// that the commit was in the middle of.
    fn replay_end(&mut self, first: usize) -> Option<usize> {
        if !self.replaying {
            return None;
        }
        let beyond = self.records.index_of(self.emit_from);
        if first < beyond {
            return Some(beyond);
        }
        self.replaying = false;
        self.place = self.committed.clone().unwrap_or_else(|| Place::at(self.emit_from));
        // What was committed may end behind the last record.
        self.stats.batch(self.place.next_input, 0, Duration::ZERO);
        if self.place.sweep.is_some() {
            self.stats.resume_sweep();
            self.swept.resume();
        }
        None
    }

    /// Syncs the outputs and commits their positions with the place in the input. Nothing happens if nothing moved.
    pub(crate) fn commit(&mut self) -> Result<(), ConsumerError> {
        match self.prepare()? {
            Some(progress) => self.committed(progress.commit, None),
            None => Ok(()),
        }
    }

    /// Syncs the outputs and says what is to be committed: nothing if nothing moved.
    pub(crate) fn prepare(&mut self) -> Result<Option<Progress>, ConsumerError> {
        self.last_commit = Instant::now();
        // While state is being rebuilt there is nothing new to promise.
        if self.replaying {
            if matches!(self.commits, Commits::Together { .. }) {
                self.commit_replayed()?;
            }
            return Ok(None);
        }
        // Even where nothing came, blocks written since the last commit shorten what a restart has to replay.
        let moved = self.published || self.committed.as_ref() != Some(&self.place);
        if !moved && !self.users.can_settle() && !self.users.can_publish() {
            // The store of a process that took the partition over may not know how far it was committed.
            if matches!(self.commits, Commits::Together { .. }) {
                self.commit_replayed()?;
            }
            self.stats.committed(self.place.next_input);
            return Ok(None);
        }
        self.swept.keep();
        let mut outputs = BTreeMap::new();
        for (topic, output) in [
            (SCORES, &mut self.outputs.scores),
            (SHADOW_SCORES, &mut self.outputs.shadow_scores),
            (DEAD_LETTERS, &mut self.outputs.dead_letters),
        ] {
            outputs.extend(output.sync()?.map(|offset| (topic.to_owned(), offset)));
        }
        self.published = false;
        let Place { next_input, sweep, tick } = self.place.clone();
        Ok(Some(Progress {
            commit: Commit { next_input, outputs, sweep },
            tick,
            published: self.users.published(),
        }))
    }

    /// What was prepared is committed: the store may write what it covers. Where the task goes on, `since` says how long after the commit
    /// before: state is published for the next one.
    pub(crate) fn committed(&mut self, commit: Commit, since: Option<Duration>) -> Result<(), ConsumerError> {
        self.users.commit(commit)?;
        self.stats.need(Needed::by(&self.users));
        self.committed = Some(self.place.clone());
        self.pressed = false;
        self.stats.wrote(&std::mem::take(&mut self.written));
        self.stats.committed(self.place.next_input);
        self.measures.commit(self.last_commit);
        self.measures.visible();
        since.map_or(Ok(()), |since| self.publish(since))
    }

    /// When the last commit was made, or tried.
    pub(crate) fn last_commit(&self) -> Instant {
        self.last_commit
    }

    /// Writes all state to the store. Everything that was processed is committed.
    pub(crate) fn snapshot(&mut self) -> Result<(), ConsumerError> {
        self.users.snapshot_all()?;
        Ok(())
    }

    /// Goes on with a schedule that was extended.
    pub(crate) fn reschedule(&mut self, schedule: &Arc<Schedule>) {
        self.scoring.reschedule(Arc::clone(schedule));
        self.swept.reschedule(Arc::clone(schedule));
    }

    /// The state of the partition's users, for reads between batches.
    pub(crate) fn users(&mut self) -> &mut UserStore {
        &mut self.users
    }

    /// Whether state is still being rebuilt from what was committed.
    pub(crate) fn is_replaying(&self) -> bool {
        self.replaying
    }

    /// The offset up to which the state holds everything.
    pub(crate) fn position(&self) -> Offset {
        self.place.next_input
    }

    /// The spec and what turns rows into scores, for reads between batches.
    pub(crate) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }
}
