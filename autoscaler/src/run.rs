//! An autoscaler of consumer processes, from start to end: follow the group, decide, keep the processes, stop.

use std::time::{Duration, Instant};

use partition_log::Log;
use telemetry::{Check, Health, Metrics, Server, Shutdown};
use types::EventTime;

use crate::group_lag::Follower;
use crate::http::router;
use crate::processes::{Pace, Processes};
use crate::{
    Action, AutoscalerError, AutoscalerOptions, Decision, DecisionLog, DecisionMetrics, History, Policy,
    Reason, bound, decide,
};

/// How often processes are looked after.
const LOOK: Duration = Duration::from_millis(100);
/// An autoscaler that gives no sign of life for so long counts as dead.
const SILENCE: Duration = Duration::from_secs(60);
/// How large the decision log may grow before it is turned over.
const DECISIONS_BYTES: u64 = 4 << 20;

/// What an autoscaler is run with, beside its options.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where numbers go.
    pub metrics: Metrics,
    /// Where it says whether it is ready.
    pub health: Health,
    /// What stops it.
    pub shutdown: Shutdown,
}

impl Surroundings {
    /// New ones, for a process that runs one autoscaler.
    #[must_use]
    pub fn new() -> Self {
        Self {
            metrics: Metrics::new(env!("CARGO_PKG_VERSION")),
            health: Health::new(),
            shutdown: Shutdown::new(),
        }
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs an autoscaler until it is told to stop, and then stops its processes. The first signal of the system tells it; a second one kills
/// the processes and ends this one. Blocks. Call it on the main thread: where that ends, the processes are told to stop.
///
/// # Errors
/// If the log is no Kafka, something cannot be set up, or a process refuses its arguments. All processes have ended then too.
pub fn run(options: &AutoscalerOptions, log: &dyn Log, around: &Surroundings) -> Result<(), AutoscalerError> {
    let Some(kafka) = log.as_kafka() else {
        return Err(AutoscalerError::NotKafka { place: log.place() });
    };
    let group = options.group.clone().unwrap_or_else(|| kafka.usual_group(&options.topic));
    let view = kafka.view_group(&options.topic, &group)?;
    let decisions =
        options.log.as_deref().map(|path| DecisionLog::open(path, DECISIONS_BYTES)).transpose()?;
    let processes = options
        .command
        .as_ref()
        .map(|command| Processes::new(command, bound::prefix(), Pace::default(), &around.metrics));
    let at_once = processes.clone();
    around
        .shutdown
        .listen(move || at_once.iter().for_each(Processes::kill))
        .map_err(|source| AutoscalerError::Io { action: "listen to signals", source })?;
    let serve = |address| Server::start(address, router(around, processes.clone()), around.shutdown.clone());
    let server = options
        .http
        .map(serve)
        .transpose()
        .map_err(|source| AutoscalerError::Io { action: "start the HTTP server", source })?;
    if let Some(server) = &server {
        tracing::info!(bound = %server.address(), "metrics, health and targets");
    }
    let follower = Follower::start(view, options.every, processes.is_none())
        .map_err(|source| AutoscalerError::Io { action: "start a thread", source })?;
    let doing = if processes.is_some() { "keeping processes" } else { "only saying what should be" };
    tracing::info!(
        topic = options.topic,
        group,
        min = options.limits.min(),
        max = options.limits.max(),
        "{doing}"
    );
    let mut scaler = Scaler {
        options,
        follower,
        processes,
        history: History::new(),
        decisions,
        metrics: DecisionMetrics::new(&around.metrics),
        said: None,
        ready: around.health.check_beating("autoscaler", "asking the brokers", SILENCE),
    };
    let ended = scaler.keep_on(&around.shutdown);
    scaler.ready.not_ready("stopping");
    scaler.processes.iter().for_each(Processes::stop);
    drop(server);
    ended
}

struct Scaler<'o> {
    options: &'o AutoscalerOptions,
    follower: Follower,
    processes: Option<Processes>,
    history: History,
    decisions: Option<DecisionLog>,
    metrics: DecisionMetrics,
    /// The reason of the last decision that was told.
    said: Option<Reason>,
    ready: Check,
}

impl Scaler<'_> {
    fn keep_on(&mut self, shutdown: &Shutdown) -> Result<(), AutoscalerError> {
        let look = LOOK.min(self.options.every);
        let mut decided: Option<Instant> = None;
        loop {
            if decided.is_none_or(|last| last.elapsed() >= self.options.every) {
                decided = Some(Instant::now());
                self.decide();
            }
            self.processes.iter().try_for_each(Processes::look)?;
            if shutdown.wait_timeout(look) {
                return Ok(());
            }
        }
    }

    fn decide(&mut self) {
        // Without processes of its own it says what the group should be, whose members it counts.
        let mut seen = self.follower.observe(0);
        let running = self.processes.as_ref().map(Processes::running).or_else(|| self.follower.members());
        seen.workers = running.unwrap_or(0);
        let policy = &self.options.policy;
        let decision = decide(policy, &self.options.limits, &mut self.history, &seen);
        self.metrics.record(&decision, running);
        if let Some(Err(error)) =
            self.decisions.as_mut().map(|log| log.append(wall_time(), policy.name(), &decision))
        {
            // A decision that cannot be written is still a decision.
            tracing::warn!(%error, "cannot write the decision log");
        }
        self.tell(&decision);
        if let Some(processes) = &self.processes {
            processes.desire(decision.desired);
        }
    }

    fn tell(&mut self, decision: &Decision) {
        match self.follower.trouble() {
            Some(why) => self.ready.not_ready(&format!("the lag is unknown: {why}")),
            None => self.ready.ready(),
        }
        if decision.action != Action::Hold || self.said != Some(decision.reason) {
            let would = if self.processes.is_some() { "" } else { "would " };
            tracing::info!(reason = decision.reason.name(), "{would}{decision}");
            self.said = Some(decision.reason);
        }
    }
}

/// The wall clock's time, for the log's readers only.
fn wall_time() -> EventTime {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    EventTime(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
