//! A consumer in a Kafka group: partitions come and go, and all that the process has are committed in one transaction.
//!
//! A *session* is one membership: joined, with its transaction open, until the process stops or something of it fails. Whatever fails
//! (an aborted transaction, a membership that was lost, brokers that do not answer), the session ends the same way: every partition's
//! state in memory is dropped as in a crash, and the next session begins from what the group knows to be committed.
//!
//! The group's offset is the truth, with the sweep under way noted beside it. The local store is behind it, never ahead: it hears of a
//! commit when the brokers have confirmed it.

use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use feature_store::UserState;
use partition_log::backends::kafka::{
    GroupEvent, GroupOffset, GroupOptions, KafkaGroup, KafkaLog, NotCommitted,
};
use partition_log::{Log, LogError, RecordBuf};
use scorer::Schedule;
use telemetry::Check;
use types::{Offset, PartitionId};

use crate::member::{member, offset, place};
use crate::observe::Observer;
use crate::open::{Base, build, check_end, check_start, outputs};
use crate::output::{CONTROL, DEAD_LETTERS, Output, SCORES, SHADOW_SCORES};
use crate::pool::{Pool, Routes};
use crate::run::{LOOK, Surroundings, pool_size, serve, targets};
use crate::task::{Commits, Outputs, PartitionTask};
use crate::worker::WorkerConfig;
use crate::{ConsumerError, ConsumerOptions, Status};

/// So many sessions in a row may end without a commit.
const TRIES: u32 = 8;
/// How long a commit may be tried while the process is to stop.
const LAST_COMMIT: Duration = Duration::from_secs(10);
/// After this long the brokers abort what this process left open.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(15);

/// Everything that lasts longer than a session.
struct Group<'c> {
    options: &'c ConsumerOptions,
    log: &'c Arc<dyn Log>,
    kafka: &'c KafkaLog,
    around: &'c Surroundings,
    base: Base,
    schedule: Arc<RwLock<Arc<Schedule>>>,
    routes: Routes,
    joining: GroupOptions,
    targets: Vec<Offset>,
}

/// One membership.
struct Session {
    group: KafkaGroup,
    pool: Pool,
    owned: Vec<PartitionId>,
    /// Whether the group has said what this process gets, if only nothing.
    assigned: bool,
    last_commit: Instant,
    commits: u32,
}

/// How a session ended.
enum Ended {
    /// The process is to stop; everything is committed that could be.
    Stopped,
    /// The next session is to begin.
    Again(String),
}

/// Why a session cannot go on.
enum Trouble {
    /// Another session may.
    Session(String),
    /// Nothing helps.
    Fatal(ConsumerError),
}

impl From<ConsumerError> for Trouble {
    fn from(error: ConsumerError) -> Self {
        match error {
            ConsumerError::Log(error @ LogError::Broker { .. }) => Self::Session(error.to_string()),
            error => Self::Fatal(error),
        }
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        ConsumerError::from(error).into()
    }
}

pub(crate) fn run(
    options: &ConsumerOptions,
    log: &Arc<dyn Log>,
    kafka: &KafkaLog,
    around: &Surroundings,
    base: Base,
    ready: &Check,
) -> Result<Status, ConsumerError> {
    let joining = GroupOptions {
        group: options.group.clone().unwrap_or_else(|| format!("churnstream-{}", kafka.name(&options.topic))),
        member: member(&options.store)?,
        topic: options.topic.clone(),
        outputs: outputs(base.decides_ticks).map(str::to_owned).collect(),
        session_timeout: options.session_timeout,
        transaction_timeout: TRANSACTION_TIMEOUT.max(options.commit_interval * 5),
    };
    let (first, most) = pool_size(options, base.config.partitions);
    // What a store remembers of the registry is its process's own, and all processes of a group must use the same entries: all of them.
    let all = Schedule::load(&options.model)?;
    all.check_spec(base.spec.hash().as_str(), base.spec.feature_names())?;
    let schedule = Arc::new(RwLock::new(Arc::new(all)));
    let routes = Routes::default();
    let server = serve(options, around, routes.clone(), base.config.partitions, &schedule)?;
    let stats = base.stats.clone();
    let mut observer = Observer::new(options, log, &base.spec, stats, &around.metrics, (first, most));
    let targets = targets(options, log.as_ref(), base.config.partitions)?;
    let group = Group { options, log, kafka, around, base, schedule, routes, joining, targets };

    let mut failures = 0;
    while !around.shutdown.is_requested() {
        let (ended, commits) = group.session(&mut observer, ready)?;
        ready.not_ready("joining the group");
        match ended {
            Ended::Stopped => break,
            Ended::Again(why) => {
                failures = if commits > 0 { 1 } else { failures + 1 };
                if failures >= TRIES {
                    return Err(ConsumerError::GroupFailed { times: failures, last: why });
                }
                tracing::warn!(why, "what was not committed is dropped; joining the group again");
                // The loop's condition asks again.
                let _ = around.shutdown.wait_timeout(Duration::from_millis(100) * 2_u32.pow(failures.min(6)));
            }
        }
    }
    observer.last_look(&group.base.store, &around.status);
    drop(server);
    Ok(around.status.read())
}

impl Group<'_> {
    /// Runs a session to its end. Returns how many commits it made.
    fn session(&self, observer: &mut Observer, ready: &Check) -> Result<(Ended, u32), ConsumerError> {
        let joined = match self.kafka.join(&self.joining) {
            Ok(joined) => joined,
            Err(error @ LogError::Broker { .. }) => return Ok((Ended::Again(error.to_string()), 0)),
            Err(error) => return Err(error.into()),
        };
        let (workers, _) = pool_size(self.options, self.base.config.partitions);
        let config = WorkerConfig { commit_interval: self.options.commit_interval, together: true };
        let partitions = self.base.config.partitions;
        let (health, routes) = (&self.around.health, self.routes.clone());
        let pool = Pool::start(config, health, workers, partitions, Vec::new(), routes)?;
        let last_commit = Instant::now();
        let mut session =
            Session { group: joined, pool, owned: Vec::new(), assigned: false, last_commit, commits: 0 };
        let ended = match self.live(&mut session, observer, ready) {
            Ok(()) => Ok(Ended::Stopped),
            Err(Trouble::Session(why)) => Ok(Ended::Again(why)),
            Err(Trouble::Fatal(error)) => Err(error),
        };
        let Session { group, pool, owned, commits, .. } = session;
        // The states go first, so that what the next owner reads is not ours any more.
        let stopped = pool.abandon();
        owned.iter().for_each(|partition| self.base.stats[partition.0 as usize].end());
        drop(group);
        let ended = ended?;
        if let Err(error) = stopped {
            match Trouble::from(error) {
                Trouble::Session(_) => {}
                Trouble::Fatal(error) => return Err(error),
            }
        }
        Ok((ended, commits))
    }

    fn live(&self, session: &mut Session, observer: &mut Observer, ready: &Check) -> Result<(), Trouble> {
        loop {
            match session.group.poll(LOOK.min(self.options.commit_interval / 2))? {
                Some(GroupEvent::Assigned(partitions)) => {
                    self.take(session, &partitions)?;
                    ready.ready();
                }
                Some(GroupEvent::Revoked(partitions)) => self.release(session, &partitions)?,
                Some(GroupEvent::Lost(_)) => {
                    return Err(Trouble::Session("the group went on without this process".to_owned()));
                }
                None => {}
            }
            session.pool.poll()?;
            if self.around.shutdown.is_requested() {
                return self.finish(session, false);
            }
            if session.pool.is_pressed() || session.last_commit.elapsed() >= self.options.commit_interval {
                self.commit(session)?;
            }
            // A promotion is for all processes of the group or for none, and they cannot agree while they run: it waits for a start.
            observer.look(&mut session.pool, &self.base.store, None, &self.around.status)?;
            ready.beat();
            if self.options.until_end && self.reached(session, observer)? {
                return self.finish(session, true);
            }
        }
    }

    /// Whether all partitions are processed to where they ended: this process's own, and by the group's word those of others.
    fn reached(&self, session: &Session, observer: &Observer) -> Result<bool, Trouble> {
        if !session.assigned || !observer.reached(&self.targets) {
            return Ok(false);
        }
        let of_others: Vec<_> = (0..self.base.config.partitions)
            .map(PartitionId)
            .filter(|p| !session.owned.contains(p) && self.targets[p.0 as usize] > Offset::ZERO)
            .collect();
        if of_others.is_empty() {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(50));
        let committed = session.group.committed(&of_others)?;
        let done = |p: &PartitionId| {
            committed.iter().any(|c| c.partition == *p && c.next >= self.targets[p.0 as usize])
        };
        Ok(of_others.iter().all(done))
    }

    /// Takes partitions: each goes on from what the group knows, with the state that the store has.
    fn take(&self, session: &mut Session, partitions: &[PartitionId]) -> Result<(), Trouble> {
        let begun = Instant::now();
        let committed =
            if partitions.is_empty() { Vec::new() } else { session.group.committed(partitions)? };
        let (mut starts, mut tasks) = (Vec::new(), Vec::new());
        for partition in partitions {
            let known = committed.iter().find(|known| known.partition == *partition);
            let (task, from) = self.task(session, *partition, known)?;
            starts.push((*partition, from));
            tasks.push(task);
        }
        session.group.take(&starts)?;
        tasks.into_iter().for_each(|task| session.pool.own(task));
        session.owned.extend(partitions);
        session.assigned = true;
        self.paused(begun);
        tracing::info!(partitions = %listed(partitions), took = ?begun.elapsed(), "partitions came");
        Ok(())
    }

    fn task(
        &self,
        session: &Session,
        partition: PartitionId,
        known: Option<&GroupOffset>,
    ) -> Result<(PartitionTask, Offset), Trouble> {
        let topic = &self.options.topic;
        let users = self.base.store.partition::<UserState>(partition).map_err(ConsumerError::from)?;
        let bounds = self.log.bounds(topic, partition)?;
        let last = known.map(|known| place(topic, known)).transpose()?;
        let next = last.as_ref().map(|last| last.next_input);
        check_end(topic, partition, next.unwrap_or_default(), bounds)?;
        let stored = users.committed().map(|commit| commit.next_input);
        if stored > next {
            let (topic, store) = (topic.clone(), stored.unwrap_or_default());
            return Err(ConsumerError::StoreAheadOfGroup { topic, partition, store, group: next }.into());
        }
        if next.is_none() {
            self.check_unused(partition)?;
        }
        let from = if stored.is_some() { users.replay_from() } else { bounds.start };
        if stored.is_none() && next.is_some_and(|next| next > bounds.start) {
            tracing::warn!(%partition, from = %bounds.start, to = %next.unwrap_or_default(),
                "the store has nothing of this partition: its state is rebuilt from the topic");
            // Of what retention removed, state would be missing.
            check_start(topic, partition, Offset::ZERO, bounds)?;
        }
        check_start(topic, partition, from, bounds)?;
        let output = |name| session.group.output(name, partition).map(Output::Transaction);
        let outputs = Outputs {
            scores: output(SCORES)?,
            shadow_scores: output(SHADOW_SCORES)?,
            dead_letters: output(DEAD_LETTERS)?,
            control: if self.base.decides_ticks { Some(output(CONTROL)?) } else { None },
        };
        let reader = session.group.reader(partition, from)?;
        self.base.stats[partition.0 as usize].begin(from, next.unwrap_or(from));
        let (base, metrics) = (&self.base, &self.around.metrics);
        let schedule = Arc::clone(&self.schedule.read().unwrap_or_else(std::sync::PoisonError::into_inner));
        let commits = Commits::Together { last };
        let task = build(self.options, base, &schedule, metrics, partition, users, reader, outputs, commits);
        Ok((task, from))
    }

    /// A partition of which the group knows no offset was never scored: its outputs hold nothing. If they do, its offset was lost, or
    /// is not to be seen yet; to begin again would write everything twice.
    fn check_unused(&self, partition: PartitionId) -> Result<(), Trouble> {
        for topic in [SCORES, SHADOW_SCORES, DEAD_LETTERS] {
            let start = self.log.bounds(topic, partition)?.start;
            let mut found = RecordBuf::default();
            if self.log.reader(topic, partition, start)?.read(&mut found, 1)? > 0 {
                return Err(Trouble::Session(format!(
                    "{topic}-{partition} holds records, and the group knows no offset of the partition: was it reset, did it expire, or \
                     is this another group? To score all again, use another group and other output topics (kafka:BROKERS/PREFIX)"
                )));
            }
        }
        Ok(())
    }

    /// Gives partitions back: what was done with them is committed before anybody else may have them.
    fn release(&self, session: &mut Session, partitions: &[PartitionId]) -> Result<(), Trouble> {
        let begun = Instant::now();
        self.commit(session)?;
        if !partitions.is_empty() {
            session.pool.discard(partitions)?;
        }
        session.group.release(partitions)?;
        session.owned.retain(|owned| !partitions.contains(owned));
        partitions.iter().for_each(|partition| self.base.stats[partition.0 as usize].end());
        self.paused(begun);
        tracing::info!(partitions = %listed(partitions), took = ?begun.elapsed(), "partitions went");
        Ok(())
    }

    fn paused(&self, since: Instant) {
        let pause = self.around.metrics.histogram(telemetry::catalogue::REBALANCE_PAUSE, []);
        pause.observe_duration(since.elapsed());
    }

    fn commit(&self, session: &mut Session) -> Result<(), Trouble> {
        self.commit_and(session, None)
    }

    /// Commits what all partitions have done, in one transaction; `stop` ends the workers after it.
    fn commit_and(&self, session: &mut Session, stop: Option<bool>) -> Result<(), Trouble> {
        session.last_commit = Instant::now();
        let moved = session.pool.prepare()?;
        if !moved.is_empty() {
            let places: Vec<_> =
                moved.iter().map(|(partition, progress)| offset(*partition, progress)).collect();
            let stopping = std::cell::Cell::new(None);
            let give_up = || {
                if self.around.shutdown.is_requested() && stopping.get().is_none() {
                    stopping.set(Some(Instant::now()));
                }
                stopping.get().is_some_and(|since: Instant| since.elapsed() > LAST_COMMIT)
            };
            session
                .group
                .commit(&places, &give_up)
                .map_err(|error: NotCommitted| Trouble::Session(error.to_string()))?;
            session.commits += 1;
        }
        session.pool.committed(stop);
        Ok(())
    }

    /// The last commit, and with `snapshot` all state to the store.
    fn finish(&self, session: &mut Session, snapshot: bool) -> Result<(), Trouble> {
        match self.commit_and(session, Some(snapshot)) {
            Ok(()) => {
                // Others need not wait until all state is written here.
                session.group.leave();
                Ok(session.pool.wait()?)
            }
            Err(Trouble::Session(why)) => {
                tracing::warn!(
                    why,
                    "the last commit was not made; the next start goes on from the one before it"
                );
                Ok(())
            }
            Err(fatal) => Err(fatal),
        }
    }
}

fn listed(partitions: &[PartitionId]) -> String {
    let all: Vec<String> = partitions.iter().map(PartitionId::to_string).collect();
    all.join(" ")
}
