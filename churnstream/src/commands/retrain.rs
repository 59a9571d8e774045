//! `churnstream retrain`: a new model on the newest labels, promoted if it passes the gates; once, on a schedule, or on drift.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use backtest::Labels;
use clap::Args;
use feature_store::Spec;
use partition_log::Log;
use producer::map::moment;
use scorer::{Bundle, Registry, SameRows};
use types::{EventTime, Millis};

use super::fitting::Bar;
use super::models::gates::{self, GateArgs};
use super::models::{champion, check_ahead, date, from_when};
use super::running;
use super::train::ModelArgs;
use crate::commands::through::Replayed;
use crate::mlflow;
use crate::training::{self, Training};

/// Trains a model on the newest rows whose labels are decided, and makes it the champion from the next tick on if it passes the gates
/// of `churnstream models promote`: spec, AUC and calibration (together and by trigger), drift.
///
/// Without --every and --on-drift it does so once. With --on-drift it does so when the champion's `drift` gate does not hold for the
/// users of the newest tick; it looks again as often as --look says, and at each tick once. A model that does not pass is thrown away
/// (or kept, with --keep), and the champion goes on.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream retrain --from file:log --features spec.toml \\
      --labels labels.toml --registry registry
  churnstream retrain --from file:log --features spec.toml \\
      --labels labels.toml --registry registry --store state --every 7d
  churnstream retrain --from file:log --features spec.toml \\
      --labels labels.toml --registry registry --store state --on-drift
  churnstream retrain --from file:log --features spec.toml \\
      --labels labels.toml --registry registry --on-drift --once")]
pub(crate) struct Retrain {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    #[command(flatten)]
    through: Replayed,
    /// The feature spec.
    #[arg(long, value_name = "SPEC.toml")]
    features: PathBuf,
    /// When a user counts as lost.
    #[arg(long, value_name = "LABELS.toml")]
    labels: PathBuf,
    /// The registry; made if it is not there.
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The consumer's store: the model holds from a tick that the running consumer has not reached.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The first as-of time for which the model holds; the tick after the newest one unless given.
    #[arg(long, value_name = "TIME", value_parser = moment, conflicts_with = "every")]
    at: Option<EventTime>,
    /// Train again so often, by the clock, until interrupted.
    #[arg(long, value_name = "SPAN", conflicts_with = "on_drift")]
    every: Option<Millis>,
    /// Train when the users have moved away from the champion's training.
    #[arg(long)]
    on_drift: bool,
    /// How often to look for drift, by the clock.
    #[arg(long, value_name = "SPAN", default_value = "1h", requires = "on_drift")]
    look: Millis,
    /// With --on-drift: look once, train if it is due, and end.
    #[arg(long)]
    once: bool,
    /// Keep the bundles of models that do not pass in this folder.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    gates: GateArgs,
}

/// What a round works on.
struct Task {
    log: Arc<dyn Log>,
    spec: Arc<Spec>,
    labels: Labels,
    training: Training,
    registry: Registry,
}

impl Retrain {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        ensure!(self.every.is_none_or(|every| every.0 > 0), "--every must be longer than nothing");
        ensure!(self.look.0 > 0, "--look must be longer than nothing");
        let task = Task {
            log: self.through.open(&self.from, &self.topic)?,
            spec: Arc::new(Spec::load(&self.features)?),
            labels: Labels::load(&self.labels)?,
            // The newest labels too: those of the rows that judged the settings.
            training: self.model.training(true)?,
            registry: Registry::open(&self.registry)?,
        };
        match (self.every, self.on_drift) {
            (Some(every), _) if !self.once => loop {
                let begun = SystemTime::now();
                // The next round has other rows: one that failed does not end the schedule.
                if let Err(error) = self.round(&task) {
                    eprintln!("churnstream: {}", telemetry::in_words(error.as_ref()));
                }
                sleep_until(begun, every);
            },
            (_, true) if !self.once => {
                let mut seen = None;
                loop {
                    let begun = SystemTime::now();
                    if let Err(error) = self.look(&task, &mut seen) {
                        eprintln!("churnstream: {}", telemetry::in_words(error.as_ref()));
                    }
                    sleep_until(begun, self.look);
                }
            }
            (_, true) => self.look(&task, &mut None),
            _ => self.round(&task),
        }
    }

    /// Trains if the users of the newest tick have moved; `seen` is the tick that was looked at last.
    fn look(&self, task: &Task, seen: &mut Option<EventTime>) -> anyhow::Result<()> {
        let Some(champion) = champion(&task.registry, &self.registry)? else {
            eprintln!("there is no champion yet: a first one is trained");
            return self.round(task);
        };
        self.through.check(task.log.as_ref(), &self.topic)?;
        let bar = super::progress::bar(training::records(task.log.as_ref(), &self.topic)?, "replay");
        let tick = gates::newest_tick(task.log.as_ref(), &self.topic, &task.spec, &champion, |at| {
            bar.set_position(at);
        });
        bar.finish_and_clear();
        let Some(tick) = tick?.filter(|tick| *seen != Some(tick.as_of)) else { return Ok(()) };
        *seen = Some(tick.as_of);
        let drift = gates::drift(Some(&tick));
        // Too few users say nothing, so they are no reason either.
        if drift.passed || tick.is_unknown() {
            eprintln!("no drift: {}", drift.detail);
            return Ok(());
        }
        eprintln!("drift: {}", drift.detail);
        self.round(task)
    }

    /// Trains a model and promotes it, unless it is the champion already, or says which gate it does not pass.
    fn round(&self, task: &Task) -> anyhow::Result<()> {
        let Task { log, spec, labels, training, .. } = task;
        // A log may lose its beginning while a schedule goes on.
        self.through.check(log.as_ref(), &self.topic)?;
        let candidates = tempfile::Builder::new()
            .prefix(".retrain-")
            .tempdir_in(&self.registry)
            .with_context(|| format!("make a folder in {}", self.registry.display()))?;
        let folder = candidates.path().join("bundle");
        let bar = Bar::new(training::records(log.as_ref(), &self.topic)?, training);
        let champion = champion(&task.registry, &self.registry)?;
        if self.at.is_some() {
            from_when(self.at, champion.is_some())?;
        }
        let training = &Training { champion: champion.clone(), ..training.clone() };
        let report =
            training::train(log.as_ref(), &self.topic, spec, labels, training, &folder, |s| bar.show(&s));
        bar.clear();
        let report = report?;
        let bundle = Bundle::load(&folder)?;
        eprintln!(
            "bundle {} learnt from {} rows, with labels decided up to {}",
            bundle.hash(),
            report.fitted_rows,
            date(bundle.manifest().training.labels_decided)
        );
        mlflow::log_bundle(&bundle, &training.settings());
        let promoted = self.promote(task, &bundle, champion.as_deref(), report.contest);
        if let (Err(_), Some(keep)) = (&promoted, &self.keep) {
            let kept = keep.join(bundle.hash());
            if !kept.exists() {
                bundle.copy_to(&kept)?;
            }
            eprintln!("kept in {}", kept.display());
        }
        let Some(at) = promoted? else {
            eprintln!("the bundle {} is the champion already: no label was decided since", bundle.hash());
            return Ok(());
        };
        eprintln!("bundle {} is champion from {} on", bundle.hash(), date(at));
        mlflow::log_alias(&bundle, "champion");
        Ok(())
    }

    /// From when the bundle holds; `None` if it is the champion already.
    fn promote(
        &self,
        task: &Task,
        bundle: &Bundle,
        before: Option<&Bundle>,
        contest: Result<SameRows, String>,
    ) -> anyhow::Result<Option<EventTime>> {
        let Task { log, spec, registry, .. } = task;
        // Training takes its time, and somebody else may have promoted one.
        let champion = champion(registry, &self.registry)?;
        let is_same = champion.as_ref().map(|now| now.hash()) == before.map(Bundle::hash);
        let contest = match is_same {
            true => contest,
            false => Err("another champion was promoted while this one was trained".to_owned()),
        };
        if champion.as_ref().is_some_and(|champion| champion.hash() == bundle.hash()) {
            return Ok(None);
        }
        let newest = gates::newest_tick(log.as_ref(), &self.topic, spec, bundle, |_| {})?;
        let drift = match &champion {
            Some(_) => gates::drift(newest.as_ref()),
            None => gates::not_looked_at(),
        };
        self.gates.pass(
            bundle,
            champion.as_deref(),
            contest.as_ref().map_err(String::as_str),
            drift,
            false,
        )?;
        let at = match (self.at, &champion) {
            (None, Some(_)) => {
                let scored = self.store.as_ref().and_then(|store| running::status(store)?.newest_as_of);
                let entry = registry.entries()?.last().map(|entry| entry.from);
                let past = [newest.map(|tick| tick.as_of), scored, entry].into_iter().flatten().max();
                let mut tick = spec.tick().next_after(past.unwrap_or_default());
                while self.store.is_some() && consumer::has_scored(log.as_ref(), tick)? {
                    tick = spec.tick().next_after(tick);
                }
                tick
            }
            (at, _) => from_when(at, champion.is_some())?,
        };
        if champion.is_some() {
            check_ahead(self.store.as_ref(), Some(log.as_ref()), Some(spec), at)?;
        }
        registry.promote(bundle, at)?;
        Ok(Some(at))
    }
}

/// Sleeps until a span after a moment; not at all if that is past.
fn sleep_until(begun: SystemTime, span: Millis) {
    let span = Duration::from_millis(span.0.unsigned_abs());
    let due = begun.checked_add(span).unwrap_or(UNIX_EPOCH);
    std::thread::sleep(due.duration_since(SystemTime::now()).unwrap_or_default());
}
