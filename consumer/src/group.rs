//! A consumer in a Kafka group: partitions come and go, and all that the process has are committed in one transaction.
//!
//! A *session* is one membership: joined, with its transaction open, until the process stops or something of it fails. Whatever fails
//! (an aborted transaction, a membership that was lost, brokers that do not answer), the session ends the same way: every partition's
//! state in memory is dropped as in a crash, and the next session begins from what the group knows to be committed.
//!
//! The group's offset is the truth, with the sweep under way noted beside it. The local store is behind it, never ahead: it hears of a
//! commit when the brokers have confirmed it.

mod commit;
mod orphans;
mod take;
mod tries;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use feature_store::Published;
use partition_log::backends::kafka::{GroupEvent, GroupOptions, KafkaGroup, KafkaLog};
use partition_log::{Log, LogError, TopicConfig};
use scorer::Schedule;
use telemetry::Check;
use types::{Offset, PartitionId};

use crate::member::member;
use crate::observe::Observer;
use crate::open::{Base, outputs};
use crate::output::SNAPSHOTS;
use crate::pool::{Pool, Routes};
use crate::run::{LOOK, Surroundings, pool_size, serve, targets};
use crate::worker::WorkerConfig;
use crate::{ConsumerError, ConsumerOptions, Status};

use self::orphans::Orphans;
use self::take::{Coming, Restoring, listed};
use self::tries::{Next, Outcome, Tries};

/// A session that had all that it was given for so long was no failure, even if nothing came that could be committed.
const SOUND: Duration = Duration::from_secs(60);
/// How often it is told how far a rebuild is.
const TELL: Duration = Duration::from_secs(5);
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
    /// Partitions of which the snapshot topic does not hold what it should, and what that is.
    lost: Mutex<BTreeMap<PartitionId, Published>>,
    /// Where the process says that it lives, and whether it works on all that it has.
    ready: Arc<Check>,
}

/// One membership.
struct Session {
    group: KafkaGroup,
    pool: Pool,
    owned: Vec<PartitionId>,
    /// Partitions that the group gave and that are not taken yet.
    coming: Vec<Coming>,
    /// Partitions that were taken and whose state is being restored.
    restoring: Vec<Restoring>,
    /// Whether the group has said what this process gets, if only nothing.
    assigned: bool,
    /// When the next commit is due.
    due: Instant,
    commits: u32,
    /// Since when it works on all that the group gave.
    whole: Option<Instant>,
    /// When it was last told how far a rebuild is, or there was none.
    told: Instant,
}

impl Session {
    /// Whether everything that the group gave is worked on.
    fn has_all(&self) -> bool {
        self.assigned && self.coming.is_empty() && self.restoring.is_empty()
    }
}

/// Why a session cannot go on.
enum Trouble {
    /// Another session may.
    Session(String),
    /// The group left partitions to nobody: it gives them when a member comes anew.
    Orphans(Vec<PartitionId>),
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
    ready: Arc<Check>,
) -> Result<Status, ConsumerError> {
    let joining = GroupOptions {
        group: options.group.clone().unwrap_or_else(|| kafka.usual_group(&options.topic)),
        member: member(&options.store)?,
        topic: options.topic.clone(),
        outputs: outputs(base.decides_ticks).chain([SNAPSHOTS]).map(str::to_owned).collect(),
        session_timeout: options.session_timeout,
        transaction_timeout: TRANSACTION_TIMEOUT.max(options.commit_interval * 5),
        give_up: {
            let (shutdown, ready) = (around.shutdown.clone(), Arc::clone(&ready));
            Arc::new(move || {
                // Who waits for brokers that are away lives.
                ready.beat();
                shutdown.is_requested()
            })
        },
    };
    let (first, most) = pool_size(options, base.config.partitions);
    // What a store remembers of the registry is its process's own, and all processes of a group must use the same entries: all of them.
    let all = Schedule::load(&options.model)?;
    all.check_spec(base.spec.hash().as_str(), base.spec.feature_names())?;
    let schedule = Arc::new(RwLock::new(Arc::new(all)));
    let routes = Routes::default();
    let server = serve(options, around, routes.clone(), base.config.partitions, &schedule)?;
    let mut observer = Observer::new(options, log, &base, &around.metrics, (first, most))?;
    let targets = targets(options, log.as_ref(), base.config.partitions)?;
    let lost = Mutex::default();
    let group = Group { options, log, kafka, around, base, schedule, routes, joining, targets, lost, ready };

    let mut tries = Tries::default();
    while !around.shutdown.is_requested() {
        observer.partitions_come(true);
        let ended = group.session(&mut observer)?;
        observer.partitions_come(true);
        group.ready.not_ready("joining the group");
        let Some((outcome, why)) = ended else { break };
        match tries.ended(outcome) {
            Next::GiveUp { times } => return Err(ConsumerError::GroupFailed { times, last: why }),
            Next::Again { after } => {
                if outcome != Outcome::Unanswered {
                    tracing::warn!(why, "what was not committed is dropped; joining the group again");
                } else {
                    tracing::warn!(why, "no broker answers: trying until one does");
                    group.ready.not_ready("no broker answers");
                }
                // The loop's condition asks again.
                let _ = around.shutdown.wait_timeout(after);
            }
        }
    }
    observer.last_look(&group.base.store, &around.status);
    drop(server);
    Ok(around.status.read())
}

impl Group<'_> {
    /// Runs a session to its end, and says what became of it and why; `None` if the process is to stop.
    fn session(&self, observer: &mut Observer) -> Result<Option<(Outcome, String)>, ConsumerError> {
        // Somebody may have deleted it: then it is filled again.
        let config = TopicConfig {
            partitions: self.base.config.partitions,
            key: "block".to_owned(),
            partitioner: "explicit".to_owned(),
        };
        match self.kafka.create_compacted(SNAPSHOTS, &config) {
            Ok(()) => {}
            Err(error @ LogError::Broker { .. }) => return Ok(Some((self.vain(), error.to_string()))),
            Err(error) => return Err(error.into()),
        }
        let joined = match self.kafka.join(&self.joining) {
            Ok(joined) => joined,
            Err(error @ LogError::Broker { .. }) => return Ok(Some((self.vain(), error.to_string()))),
            Err(error) => return Err(error.into()),
        };
        let (workers, _) = pool_size(self.options, self.base.config.partitions);
        let config = WorkerConfig { commit_interval: self.options.commit_interval, together: true };
        let partitions = self.base.config.partitions;
        let (health, routes) = (&self.around.health, self.routes.clone());
        let pool = Pool::start(config, health, workers, partitions, Vec::new(), routes)?;
        let mut session = Session {
            group: joined,
            pool,
            owned: Vec::new(),
            coming: Vec::new(),
            restoring: Vec::new(),
            assigned: false,
            due: Instant::now() + self.options.commit_interval,
            commits: 0,
            whole: None,
            told: Instant::now(),
        };
        let ended = match self.live(&mut session, observer) {
            Ok(()) => Ok(None),
            // It made a commit, or had all that it was given for a while.
            Err(Trouble::Session(why))
                if session.commits > 0 || session.whole.is_some_and(|since| since.elapsed() >= SOUND) =>
            {
                Ok(Some((Outcome::Worked, why)))
            }
            Err(Trouble::Session(why)) => Ok(Some((self.vain(), why))),
            Err(Trouble::Orphans(left)) => {
                Ok(Some((Outcome::Anew, format!("nobody has partitions {}", listed(&left)))))
            }
            Err(Trouble::Fatal(error)) => Err(error),
        };
        let Session { group, pool, owned, restoring, .. } = session;
        drop(restoring);
        // The states go first, so that what the next owner reads is not ours any more.
        let stopped = pool.abandon();
        owned.iter().for_each(|partition| self.base.stats[partition.0 as usize].end());
        // One that comes back under its name is given what it had, and what it owed to others would be nobody's: it comes as a new one.
        if matches!(ended, Ok(Some(_))) {
            group.leave();
        }
        drop(group);
        let ended = ended?;
        if let Err(error) = stopped {
            match Trouble::from(error) {
                Trouble::Session(_) | Trouble::Orphans(_) => {}
                Trouble::Fatal(error) => return Err(error),
            }
        }
        Ok(ended)
    }

    /// What became of a session that did nothing.
    fn vain(&self) -> Outcome {
        // To one who is to stop it is all the same.
        if self.around.shutdown.is_requested() {
            return Outcome::Unanswered;
        }
        if self.kafka.answers(&self.options.topic) { Outcome::Refused } else { Outcome::Unanswered }
    }

    fn live(&self, session: &mut Session, observer: &mut Observer) -> Result<(), Trouble> {
        let mut orphans = Orphans::new();
        loop {
            // No longer than until the next commit is due: what waits for it should not wait for this too.
            let due = session.due.saturating_duration_since(Instant::now());
            match session.group.poll(due.clamp(Duration::from_millis(1), LOOK))? {
                Some(GroupEvent::Assigned(partitions)) => {
                    self.check_partitions(&partitions)?;
                    session.assigned = true;
                    session.coming.push(Coming::new(partitions));
                }
                Some(GroupEvent::Revoked(partitions)) => self.release(session, &partitions)?,
                Some(GroupEvent::Lost(_)) => {
                    return Err(Trouble::Session("the group went on without this process".to_owned()));
                }
                None => {}
            }
            session.pool.poll()?;
            self.come(session)?;
            self.say_ready(session, observer);
            let left = orphans.look(&session.group, &self.joining.group, self.base.config.partitions);
            if !left.is_empty() {
                return Err(Trouble::Orphans(left));
            }
            if self.around.shutdown.is_requested() {
                return self.finish(session, false);
            }
            if session.pool.is_pressed() || session.due <= Instant::now() {
                self.commit(session)?;
            }
            // A promotion is for all processes of the group or for none, and they cannot agree while they run: it waits for a start.
            observer.look(&mut session.pool, &self.base.store, None, &self.around.status)?;
            self.ready.beat();
            if self.options.until_end && self.reached(session, observer)? {
                return self.finish(session, true);
            }
        }
    }

    /// Ready is who works on everything that the group gave, and has rebuilt its state.
    fn say_ready(&self, session: &mut Session, observer: &mut Observer) {
        let has_all = session.has_all();
        observer.partitions_come(!has_all);
        if !has_all {
            session.whole = None;
            return;
        }
        session.whole.get_or_insert_with(Instant::now);
        let Some(how_far) = observer.rebuilding() else {
            session.told = Instant::now();
            return self.ready.ready();
        };
        self.ready.not_ready(&how_far);
        if session.told.elapsed() >= TELL {
            session.told = Instant::now();
            tracing::info!("{how_far}");
        }
    }

    /// Whether all partitions are processed to where they ended: this process's own, and by the group's word those of others.
    fn reached(&self, session: &Session, observer: &Observer) -> Result<bool, Trouble> {
        if !session.has_all() || !observer.reached(&self.targets) {
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
        let Some(committed) = session.group.committed(&of_others)? else { return Ok(false) };
        let done = |p: &PartitionId| {
            committed.iter().any(|c| c.partition == *p && c.next >= self.targets[p.0 as usize])
        };
        Ok(of_others.iter().all(done))
    }
}
