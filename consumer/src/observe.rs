//! The supervisor's eyes and hands: what it sees once a second, shows, and does about the number of workers.

mod balance;
mod ends;
mod rate;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use autoscaler::{
    Action, DecisionLog, DecisionMetrics, History, LagAge, Limits, Observation, Policy, Sample,
    ThresholdPolicy, Tracker, decide,
};
use feature_store::Store;
use partition_log::Log;
use scorer::Schedule;
use types::{EventTime, Offset, PartitionId, RejectReason};

use crate::open::Base;
use crate::pool::Pool;
use crate::promotions::Judge;
use crate::publish::Publisher;
use crate::snapshot::progress;
use crate::stats::{PartitionStats, StatsSnapshot};
use crate::status::{LastDecision, PartitionStatus, Status, StatusBoard};
use crate::watch::SweepGauges;
use crate::{ConsumerError, ConsumerOptions};

use self::balance::Balance;
use self::ends::Ends;
use self::rate::Rate;

/// The file in the store's folder that holds every decision of the autoscaler.
const DECISIONS: &str = "decisions.jsonl";
/// How large it may grow before it is turned over.
const DECISIONS_BYTES: u64 = 4 << 20;

/// Watches one consumer.
pub(crate) struct Observer {
    options: ConsumerOptions,
    log: Arc<dyn Log>,
    /// The store's folder, links resolved.
    store: PathBuf,
    spec: String,
    features: Vec<String>,
    stats: Vec<Arc<PartitionStats>>,
    ends: Ends,
    /// Whether partitions come whose customers are counted by nobody meanwhile, or may come.
    partitions_come: bool,
    begun: Instant,
    last_look: Option<Instant>,
    tracker: Tracker,
    ages: Vec<LagAge>,
    scaling: Scaling,
    publisher: Publisher,
    sweeps: SweepGauges,
    metrics: telemetry::Metrics,
    rate: Rate,
    /// What was last said to be wrong with the registry.
    registry_trouble: Option<String>,
}

struct Scaling {
    policy: ThresholdPolicy,
    limits: Limits,
    history: History,
    log: Option<DecisionLog>,
    metrics: DecisionMetrics,
    desired: usize,
    last: Option<(Instant, usize, usize, String)>,
    balance: Balance,
}

impl Observer {
    pub(crate) fn new(
        options: &ConsumerOptions,
        log: &Arc<dyn Log>,
        base: &Base,
        metrics: &telemetry::Metrics,
        workers: (u32, u32),
    ) -> Result<Self, ConsumerError> {
        let (rules, spec, stats) = (options.scaling, &base.spec, base.stats.clone());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        #[expect(clippy::cast_possible_truncation, reason = "no machine has 2^32 processors")]
        let limits = Limits::in_process(workers.0, workers.1, cores as u32, rules.cooldown, rules.cooldown);
        let log_path = options.store.join(DECISIONS);
        let decision_log =
            matches!(options.workers, crate::Workers::Auto { .. }).then(|| open_decisions(&log_path));
        Ok(Self {
            options: options.clone(),
            store: options.store.canonicalize().unwrap_or_else(|_| options.store.clone()),
            log: Arc::clone(log),
            spec: spec.hash().to_string(),
            features: spec.feature_names().to_vec(),
            begun: Instant::now(),
            last_look: None,
            #[expect(clippy::cast_possible_truncation, reason = "there are at most u32::MAX partitions")]
            tracker: Tracker::new(stats.len() as u32, rules.every * 3),
            ages: stats.iter().map(|_| LagAge::default()).collect(),
            scaling: Scaling {
                policy: ThresholdPolicy {
                    high_events: rules.lag_up,
                    high_seconds: None,
                    low_share: rules.lag_down as f64 / rules.lag_up.max(1) as f64,
                    low_for: rules.calm,
                },
                limits,
                history: History::new(),
                log: decision_log.flatten(),
                metrics: DecisionMetrics::new(metrics),
                desired: workers.0 as usize,
                last: None,
                balance: Balance::new(stats.len(), rules.cooldown),
            },
            publisher: Publisher::new(metrics, &stats),
            sweeps: SweepGauges::new(metrics, base.prices.clone()),
            ends: Ends::of(log, &options.topic, &stats, rules.every)?,
            partitions_come: false,
            stats,
            metrics: metrics.clone(),
            rate: Rate::default(),
            registry_trouble: None,
        })
    }

    /// How far a partition is whose state is not yet that of its commit, so that reads of it are stale: the one that takes longest. None if
    /// there is none.
    pub(crate) fn rebuilding(&self) -> Option<String> {
        let all = self.stats.iter().enumerate();
        let all = all.filter_map(|(index, stats)| Some((stats.rebuilding()?, partition_id(index))));
        let ((done, took), partition) = all.min_by_key(|((done, _), _)| *done)?;
        Some(format!("rebuilding partition {partition}: {}", how_far(progress(done, took))))
    }

    /// Says whether partitions may come.
    pub(crate) fn partitions_come(&mut self, come: bool) {
        self.partitions_come = come;
    }

    /// Whether every partition that this process has was processed up to its target.
    pub(crate) fn reached(&self, targets: &[Offset]) -> bool {
        self.stats.iter().zip(targets).all(|(stats, target)| !stats.is_owned() || stats.position() >= *target)
    }

    /// Looks, if it is time to: lag, rates, status, metrics; the registry; the number of workers.
    pub(crate) fn look(
        &mut self,
        pool: &mut Pool,
        store: &Store,
        schedule: Option<&RwLock<Arc<Schedule>>>,
        board: &StatusBoard,
    ) -> Result<(), ConsumerError> {
        if self.last_look.is_some_and(|last| last.elapsed() < self.options.scaling.every) {
            return Ok(());
        }
        self.last_look = Some(Instant::now());
        if let Some(schedule) = schedule {
            self.reload_registry(pool, schedule)?;
        }
        let at = self.begun.elapsed();
        self.sample_all(at);
        self.scale(pool, at)?;
        self.show(Some(pool), store, board);
        Ok(())
    }

    /// The numbers after everything has ended.
    pub(crate) fn last_look(&mut self, store: &Store, board: &StatusBoard) {
        let at = self.begun.elapsed();
        self.sample_all(at);
        self.show(None, store, board);
    }

    fn sample_all(&mut self, at: Duration) {
        let ends = self.ends.now(&self.stats);
        for (index, end) in ends.into_iter().enumerate() {
            let sample = self.sample(index, at, end);
            self.tracker.sample(partition_id(index), at, sample);
        }
    }

    /// By where a partition ended a while ago; an end that is not told is unknown, not zero.
    fn sample(&mut self, index: usize, at: Duration, end: Option<(Offset, Duration)>) -> Sample {
        if !self.stats[index].is_owned() {
            // What comes back has waited for as long as nobody here knows.
            self.ages[index] = LagAge::default();
            return Sample::default();
        }
        let stats = self.stats[index].snapshot();
        // Since the end was asked for, more may have come and be committed.
        let end = end.map(|(end, ago)| (end.max(stats.committed), ago));
        Sample {
            end: end.map(|(end, _)| end),
            committed: Some(stats.committed),
            lag_seconds: end.and_then(|end| self.ages[index].seconds(at, end, stats.committed)),
            commits: Some(stats.commits),
            position: Some(stats.position),
        }
    }

    fn scale(&mut self, pool: &mut Pool, at: Duration) -> Result<(), ConsumerError> {
        let workers = u32::try_from(pool.len()).unwrap_or(u32::MAX);
        let seen = self.tracker.observe(at, workers);
        seen.record(&self.options.topic, &self.metrics);
        self.scaling.balance.see(&seen);
        if matches!(self.options.workers, crate::Workers::Auto { .. }) {
            self.scaling.resize(pool, at, &seen)?;
        }
        let balance = &mut self.scaling.balance;
        let is_ours = |index: usize| self.stats[index].is_owned();
        if pool.settled()
            && let Some(placement) = balance.due(at, pool.placement(), pool.len(), is_ours)
        {
            tracing::info!(?placement, "partitions are placed by load");
            pool.rescale(pool.len(), &placement)?;
        }
        Ok(())
    }

    /// Takes up what was added to the registry, while nothing is being scored: an entry either holds for every partition or
    /// came too late for all.
    fn reload_registry(
        &mut self,
        pool: &mut Pool,
        schedule: &RwLock<Arc<Schedule>>,
    ) -> Result<(), ConsumerError> {
        // A partition on its way between two workers would be told by neither.
        if !pool.settled() {
            return Ok(());
        }
        let current = Arc::clone(&schedule.read().unwrap_or_else(PoisonError::into_inner));
        let extended = match current.reload() {
            Ok(Some(extended)) => extended,
            Ok(None) => return Ok(()),
            Err(error) => {
                // The champion goes on; whoever mends the registry need not start anything again.
                let words = error.to_string();
                if self.registry_trouble.as_ref() != Some(&words) {
                    tracing::error!(
                        error = words,
                        "the registry cannot be read: its newest entries are not used"
                    );
                    self.registry_trouble = Some(words);
                }
                return Ok(());
            }
        };
        self.registry_trouble = None;
        let halted = pool.halt()?;
        let judge =
            Judge { store: &self.options.store, log: self.log.as_ref(), spec: (&self.spec, &self.features) };
        let extended = Arc::new(judge.decide(extended, current.entries().len())?);
        *schedule.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&extended);
        halted.go_on(&extended);
        tracing::info!(refused = extended.refused().len(), "the registry was extended");
        Ok(())
    }

    fn show(&mut self, pool: Option<&Pool>, store: &Store, board: &StatusBoard) {
        let all: Vec<StatsSnapshot> = self.stats.iter().map(|stats| stats.snapshot()).collect();
        let at = self.begun.elapsed();
        let seen = self.tracker.observe(at, 0);
        let processed = all.iter().map(|s| s.processed).sum();
        let partitions = all
            .iter()
            .zip(&seen.partitions)
            .enumerate()
            .filter(|(index, _)| self.stats[*index].is_owned())
            .map(|(index, (stats, seen))| PartitionStatus {
                partition: seen.partition,
                position: stats.position,
                committed: stats.committed,
                end: seen.lag_events.map(|lag| Offset(stats.committed.0 + lag)),
                lag: seen.lag_events,
                lag_seconds: seen.lag_seconds,
                needed: self.stats[index].needed(),
                worker: pool.map_or(0, |pool| pool.placement()[index]),
            });
        let rejected = RejectReason::ALL.iter().enumerate().filter_map(|(index, reason)| {
            let count: u64 = all.iter().map(|s| s.rejects[index]).sum();
            (count > 0).then(|| (reason.name().to_owned(), count))
        });
        let owned: Vec<&StatsSnapshot> =
            all.iter().zip(&self.stats).filter(|(_, stats)| stats.is_owned()).map(|(all, _)| all).collect();
        // A process that has no partition has no customers; while one comes, nobody knows how many.
        let swept = !self.partitions_come && owned.iter().all(|s| s.sweeps > 0);
        let newest = all.iter().map(|s| s.newest_as_of).max().filter(|newest| *newest > i64::MIN);
        let status = Status {
            topic: self.options.topic.clone(),
            store: self.store.clone(),
            spec: self.spec.clone(),
            uptime_seconds: at.as_secs_f64(),
            partitions: partitions.collect(),
            workers: pool.map_or(0, Pool::len),
            desired_workers: self.scaling.desired,
            last_decision: self.scaling.last.as_ref().map(|(when, from, to, reason)| LastDecision {
                age_seconds: when.elapsed().as_secs_f64(),
                from: *from,
                to: *to,
                reason: reason.clone(),
            }),
            records_per_second: self.rate.over(at, processed),
            processed,
            scores: all.iter().map(|s| s.scores.iter().sum::<u64>()).sum(),
            rejected: rejected.collect(),
            commit_age_seconds: self
                .stats
                .iter()
                .filter_map(|s| s.commit_age())
                .map(|age| age.as_secs_f64())
                .reduce(f64::max),
            snapshot_age_seconds: owned.iter().map(|s| s.snapshot_age.as_secs_f64()).reduce(f64::max),
            store_bytes: store.disk_bytes().ok(),
            customers: swept
                .then(|| std::array::from_fn(|band| owned.iter().map(|s| s.customers[band]).sum())),
            newest_as_of: newest.map(EventTime),
        };
        self.publisher.publish(&all, &status);
        self.sweeps.look(&self.stats);
        board.put(status);
    }
}

impl Scaling {
    /// Has as many workers as the policy says.
    fn resize(&mut self, pool: &mut Pool, at: Duration, seen: &Observation) -> Result<(), ConsumerError> {
        let decision = decide(&self.policy, &self.limits, &mut self.history, seen);
        self.metrics.record(&decision, Some(decision.numbers.workers));
        if let Some(Err(error)) =
            self.log.as_mut().map(|log| log.append(wall_time(), self.policy.name(), &decision))
        {
            // A decision that cannot be written is still a decision.
            tracing::warn!(%error, "cannot write the decision log");
        }
        debug_assert!(
            decision.action == Action::Hold || decision.desired > 0,
            "limits keep at least one worker"
        );
        self.desired = decision.desired as usize;
        if pool.len() != self.desired && pool.settled() {
            let placement = self.balance.placement(pool.placement(), decision.desired);
            tracing::info!(from = pool.len(), to = self.desired, why = decision.words, "workers");
            self.last = Some((Instant::now(), pool.len(), self.desired, decision.words));
            pool.rescale(self.desired, &placement)?;
            self.balance.moved(at);
        }
        Ok(())
    }
}

/// Percent that are done, and the time that is left, in words.
pub(crate) fn how_far((percent, left): (u64, Option<Duration>)) -> String {
    let left = left.map_or(String::new(), |left| format!(", about {} s left", left.as_secs()));
    format!("{percent} %{left}")
}

fn open_decisions(path: &Path) -> Option<DecisionLog> {
    DecisionLog::open(path, DECISIONS_BYTES)
        .map_err(|error| tracing::warn!(%error, "decisions are not logged"))
        .ok()
}

/// The wall clock's time, for the log's readers only.
fn wall_time() -> EventTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn partition_id(index: usize) -> PartitionId {
    #[expect(clippy::cast_possible_truncation, reason = "there are at most u32::MAX partitions")]
    PartitionId(index as u32)
}
