//! The demo from start to end.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use backtest::Labels;
use consumer::pipeline::Reasons;
use consumer::{ConsumerOptions, Scaling, Status, Surroundings, Workers};
use feature_store::Spec;
use partition_log::{Log, LogOptions};
use producer::rate::Rate;
use producer::simulate::Setting;
use producer::simulate::truth::HORIZON_DAYS;
use telemetry::Shutdown;
use trainer::Params;
use types::EventTime;

use super::feed::{self, Wave};
use super::judge::{Verdict, judge};
use super::risk::RiskBoard;
use super::stage::Stage;
use super::summary::{Scaled, Summary};
use super::view::{Lag, LastDecision, Screen};
use crate::training::{self, TrainReport, Training};

/// The spec and labels of the simulator, as they stand in `examples/simulator`.
const SPEC: &str = include_str!("../../../examples/simulator/spec.toml");
const LABELS: &str = include_str!("../../../examples/simulator/labels.toml");

/// What the demo is told.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// Where everything is put; what an earlier demo left there is replaced.
    pub dir: PathBuf,
    /// Users who ever sign up.
    pub users: u32,
    /// Days of history before the stream begins.
    pub history_days: u32,
    /// Days that are streamed.
    pub stream_days: u32,
    /// Of the simulation and the training.
    pub seed: u64,
    /// Lines instead of a screen.
    pub plain: bool,
}

/// Runs the demo. Ctrl-C ends it in order, wherever it is.
///
/// # Errors
/// If a part fails, or the folder cannot be used.
pub fn run(options: &DemoOptions) -> anyhow::Result<Summary> {
    let around = Surroundings::new();
    around.shutdown.listen(Screen::give_back)?;
    let mut stage = Stage::open(options.plain, around.shutdown.clone())?;
    let outcome = Demo::new(options)?.play(&mut stage, &around);
    drop(stage);
    outcome
}

struct Demo<'a> {
    options: &'a DemoOptions,
    setting: Setting,
    log: Arc<dyn Log>,
    log_dir: PathBuf,
}

impl<'a> Demo<'a> {
    fn new(options: &'a DemoOptions) -> anyhow::Result<Self> {
        let dir = &options.dir;
        let mark = dir.join("demo");
        if dir.exists() {
            anyhow::ensure!(
                mark.exists(),
                "{} is not a folder of an earlier demo: choose another --dir",
                dir.display()
            );
            std::fs::remove_dir_all(dir).with_context(|| format!("clear {}", dir.display()))?;
        }
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        std::fs::write(mark, "made by `churnstream demo`; replaced by the next one\n")?;
        std::fs::write(dir.join("spec.toml"), SPEC)?;
        std::fs::write(dir.join("labels.toml"), LABELS)?;
        let log_dir = dir.join("log");
        let log = partition_log::open(&format!("file:{}", log_dir.display()), &LogOptions::default())?;
        let setting = Setting {
            users: options.users,
            days: options.history_days + options.stream_days,
            seed: options.seed,
            start: jiff::civil::date(2025, 1, 1),
        };
        Ok(Self { options, setting, log, log_dir })
    }

    fn play(&self, stage: &mut Stage, around: &Surroundings) -> anyhow::Result<Summary> {
        let shutdown = &around.shutdown;
        stage.phase(1, "simulating a history")?;
        let history = Wave { until_day: self.options.history_days, rate: Rate::Max };
        stage.state.events = feed::write(self.log.as_ref(), &self.log_dir, self.setting, history, shutdown)?;
        stop_here(shutdown)?;

        let trained = self.train(stage)?;
        stop_here(shutdown)?;

        stage.phase(3, "streaming new days")?;
        let (status, scaled) = self.stream(stage, around)?;

        stage.phase(4, "comparing with what came true")?;
        let verdict = self.verdict()?;
        Ok(Summary::new(self.options, stage.elapsed(), &status, &trained, verdict, scaled))
    }

    fn train(&self, stage: &mut Stage) -> anyhow::Result<TrainReport> {
        stage.phase(2, "training on it")?;
        let dir = &self.options.dir;
        let spec = Arc::new(Spec::load(&dir.join("spec.toml"))?);
        let labels = Labels::load(&dir.join("labels.toml"))?;
        // Two parts instead of five and no other models beside it: the demo is to be watched, not waited for.
        let params =
            Params { seed: self.options.seed as u32, max_rounds: 300, folds: 2, ..Params::default() };
        let training = Training { baselines: Vec::new(), ..Training::new(params) };
        let total = training::records(self.log.as_ref(), "events")?.max(1);
        // Replay takes about as long as boosting.
        let report = training::train(
            self.log.as_ref(),
            "events",
            &spec,
            &labels,
            &training,
            &dir.join("model"),
            |done| {
                stage.progress(match done {
                    training::Stage::Replayed(records) => 0.5 * records as f64 / total as f64,
                    training::Stage::Round(_, round) => {
                        let within = f64::from(round.number) / f64::from(round.of);
                        0.5 + 0.5 * (f64::from(round.fit - 1) + within) / f64::from(round.fits)
                    }
                    training::Stage::Trying(_)
                    | training::Stage::Tried(_)
                    | training::Stage::Fold { .. }
                    | training::Stage::Collected(_) => return,
                });
                // A view that cannot be drawn is no reason to stop training; the next drawing says so.
                let _ = stage.show();
            },
        )?;
        Ok(report)
    }

    /// Runs producer and consumer side by side until all days are through.
    fn stream(&self, stage: &mut Stage, around: &Surroundings) -> anyhow::Result<(Status, Vec<Scaled>)> {
        let all_produced = AtomicBool::new(false);
        let consumer_stop = Surroundings { shutdown: Shutdown::new(), ..around.clone() };
        // Nobody watches the producer longer than the consumer: it must not wait for one that has failed.
        let producer_stop = Shutdown::new();
        let (log, options) = (&self.log, self.consumer_options());
        std::thread::scope(|scope| {
            let consumer = scope.spawn(|| consumer::run(&options, log, &consumer_stop));
            let producer = scope.spawn(|| {
                let produced = self.produce(around, &producer_stop);
                all_produced.store(true, Ordering::Release);
                produced
            });
            let watched = self.watch(stage, around, &all_produced, || consumer.is_finished());
            consumer_stop.shutdown.request("the demo's days are through");
            producer_stop.request("nobody watches any more");
            let status = consumer.join().map_err(|_| anyhow::anyhow!("the consumer's thread panicked"))?;
            let produced = producer.join().map_err(|_| anyhow::anyhow!("the producer's thread panicked"))?;
            let status = status?;
            produced?;
            Ok((status, watched?))
        })
    }

    fn consumer_options(&self) -> ConsumerOptions {
        let dir = &self.options.dir;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        ConsumerOptions {
            topic: "events".to_owned(),
            group: None,
            session_timeout: Duration::from_secs(10),
            store: dir.join("state"),
            model: dir.join("model"),
            features: dir.join("spec.toml"),
            workers: Workers::Auto { min: 1, max: u32::try_from(cores).unwrap_or(1) },
            until_end: false,
            commit_interval: Duration::from_millis(500),
            tick_idle: Duration::from_secs(60),
            batch_events: 10_000,
            reasons: Reasons::Risen,
            prices: None,
            without_beginning: false,
            state: feature_store::StoreOptions::default(),
            http: Some(std::net::SocketAddr::from(([127, 0, 0, 1], 0))),
            // Minutes become seconds: the rule is the same, its patience is not.
            scaling: Scaling {
                lag_up: 20_000,
                lag_down: 6_000,
                cooldown: Duration::from_secs(4),
                calm: Duration::from_secs(3),
                every: Duration::from_millis(500),
            },
        }
    }

    /// Streams the new days: a calm stretch, a rush, calm again. Each stretch is one write: going on where the log ends means
    /// living through all days before it once more.
    fn produce(&self, around: &Surroundings, shutdown: &Shutdown) -> anyhow::Result<()> {
        // The pool works off the history first: what it does about the new days is then seen apart.
        while !caught_up(&around.status.read()) && !shutdown.wait_timeout(Duration::from_millis(100)) {}
        let (first, days) = (self.options.history_days, self.options.stream_days);
        let day = |share: f64| first + (f64::from(days) * share).round() as u32;
        // So that a calm day takes about three seconds.
        let calm = Rate::PerSecond((f64::from(self.options.users) * 1.1).max(500.0));
        for (until_day, rate) in [(day(0.35), calm), (day(0.75), Rate::Max), (day(1.0), calm)] {
            feed::write(self.log.as_ref(), &self.log_dir, self.setting, Wave { until_day, rate }, shutdown)?;
            if shutdown.is_requested() {
                break;
            }
        }
        Ok(())
    }

    fn watch(
        &self,
        stage: &mut Stage,
        around: &Surroundings,
        all_produced: &AtomicBool,
        consumer_ended: impl Fn() -> bool,
    ) -> anyhow::Result<Vec<Scaled>> {
        let mut board = None;
        let mut scaled: Vec<Scaled> = Vec::new();
        loop {
            let stopping = stage.wait();
            let status = around.status.read();
            if board.is_none() {
                board = RiskBoard::open(self.log.as_ref())?;
            }
            if let Some(board) = &mut board {
                board.look()?;
                stage.state.at_risk = board.top(5);
            }
            note_decision(&status, &mut scaled, stage.elapsed());
            fill(stage, &status, board.as_ref().and_then(RiskBoard::newest));
            stage.state.metrics = consumer::address_of(&self.options.dir.join("state"))
                .map(|address| format!("{}/metrics", address.trim_end_matches('/')));
            stage.progress(self.share_done(board.as_ref().and_then(RiskBoard::newest)));
            stage.show()?;
            let through = all_produced.load(Ordering::Acquire) && caught_up(&status);
            if stopping || through || consumer_ended() {
                stage.state.metrics = None;
                return Ok(scaled);
            }
        }
    }

    /// How much of the stream is through, by the newest sweep.
    fn share_done(&self, newest: Option<EventTime>) -> f64 {
        let begin = self.setting.midnight(self.options.history_days);
        let days = newest.map_or(0.0, |newest| newest.since(begin).0 as f64 / types::Millis::DAY.0 as f64);
        days.max(0.0) / f64::from(self.options.stream_days.max(1))
    }

    fn verdict(&self) -> anyhow::Result<Option<Verdict>> {
        let (first, days) = (self.options.history_days, self.options.stream_days);
        // A few days of the stream, a week apart; outcomes need the days after them, which nobody has streamed.
        let moments: Vec<u32> = (first + 1..=first + days).step_by(7).collect();
        let known = Setting { days: first + days + HORIZON_DAYS + 1, ..self.setting };
        judge(self.log.as_ref(), known, &moments)
    }
}

/// Whether everything on the log is committed.
fn caught_up(status: &Status) -> bool {
    !status.partitions.is_empty() && status.partitions.iter().all(|p| p.lag == Some(0))
}

fn stop_here(shutdown: &Shutdown) -> anyhow::Result<()> {
    anyhow::ensure!(!shutdown.is_requested(), "stopped; run the demo again to see all of it");
    Ok(())
}

/// Remembers each change of the number of workers once.
fn note_decision(status: &Status, scaled: &mut Vec<Scaled>, elapsed: Duration) {
    let Some(last) = &status.last_decision else { return };
    let at = elapsed.saturating_sub(Duration::from_secs_f64(last.age_seconds));
    let is_new = scaled.last().is_none_or(|known| (known.from, known.to) != (last.from, last.to));
    if is_new {
        scaled.push(Scaled { at, from: last.from, to: last.to, reason: last.reason.clone() });
    }
}

fn fill(stage: &mut Stage, status: &Status, newest: Option<EventTime>) {
    let state = &mut stage.state;
    state.events_per_second = Some(status.records_per_second);
    state.throughput.push(status.records_per_second.max(0.0) as u64);
    state.stream_at = newest.and_then(|time| {
        let time = jiff::Timestamp::from_millisecond(time.0).ok()?;
        Some(time.strftime("%Y-%m-%d").to_string())
    });
    state.lag = status
        .partitions
        .iter()
        .map(|p| Lag { partition: p.partition.0, events: p.lag, worker: u32::try_from(p.worker).ok() })
        .collect();
    state.lag_seconds = status.partitions.iter().filter_map(|p| p.lag_seconds).reduce(f64::max);
    let known = !status.partitions.is_empty();
    state.workers = known.then(|| u32::try_from(status.workers).unwrap_or(u32::MAX));
    state.workers_desired = known.then(|| u32::try_from(status.desired_workers).unwrap_or(u32::MAX));
    state.workers_max =
        u32::try_from(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)).unwrap_or(1);
    state.decision = status.last_decision.as_ref().map(|last| LastDecision {
        ago: Duration::from_secs_f64(last.age_seconds),
        words: last.reason.clone(),
    });
    state.commit_age = status.commit_age_seconds.map(Duration::from_secs_f64);
    state.snapshot_age = status.snapshot_age_seconds.map(Duration::from_secs_f64);
    state.events = status.processed;
    state.users = status.customers.map(|customers| customers.iter().sum());
    state.scores = status.scores;
    state.rejected = status.rejected.iter().map(|(_, n)| n).sum();
}

/// The folder's place as other commands take it.
pub(super) fn place(dir: &Path) -> String {
    format!("file:{}", dir.join("log").display())
}
