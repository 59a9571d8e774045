//! `churnstream drift`: whether the users are still those that the model was trained on, and what quality to expect.

mod realised;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::ensure;
use backtest::{Labels, Ticks, Triggers, Watched};
use clap::Args;
use feature_store::Spec;
use producer::map::moment;
use scorer::drift::{MIN_ROWS, Verdict};
use scorer::{Baseline, Bundle, Schedule};
use serde::Serialize;
use telemetry::catalogue;
use types::EventTime;

use self::realised::{Realised, realised};
use super::models::gates;
use crate::commands::through::Replayed;

/// Compares the living users of a tick with those that the model was trained on, feature by feature and by score: population
/// stability index (PSI) and Jensen-Shannon divergence, each with a 95 % interval.
///
/// Below 200 users nothing is said. A feature has `moved` if the whole interval of its index lies at 0.2 or above, is
/// `stable` if it lies below, and `unclear` otherwise: then more users would be needed to tell. What reads a user's whole life, or
/// reached back beyond the log's begin in training, `ages with the log`: it is shown and not counted.
///
/// The expected AUC needs no labels: it is what the calibrated probabilities say of themselves. It is right where the users
/// changed, and blind where what leads to their loss changed; only the realised AUC (--labels), once outcomes are known,
/// shows that. Each tick is judged with the champion that held then, on no label that it learnt from.
///
/// One feature that moved is no drift yet: of dozens one moves with every price list or new plan, and the model reads many. It is drift
/// when the scores moved, or more than one feature in ten; --check fails then.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream drift --from file:log --features spec.toml --model model
  churnstream drift --from file:log --features spec.toml --model registry \\
      --at 2025-06-01T00:00:00Z --all
  churnstream drift --from file:log --features spec.toml --model model \\
      --since 2025-05-01T00:00:00Z
  churnstream drift --from file:log --features spec.toml --model model \\
      --labels labels.toml
  churnstream drift --from file:log --features spec.toml --model registry \\
      --labels labels.toml --metrics /var/lib/node_exporter/churn.prom
  churnstream drift --from file:log --features spec.toml --model model \\
      --check || echo call somebody")]
pub(crate) struct DriftCommand {
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
    /// The bundle, or a registry: then its newest champion.
    #[arg(long, value_name = "BUNDLE|REGISTRY")]
    model: PathBuf,
    /// Look at the last tick up to this moment; without it, at the newest of the log.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<EventTime>,
    /// Look at every tick from this moment on: a line each.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<EventTime>,
    /// When a user counts as lost: also show expected and realised AUC of the ticks whose outcomes are known, each with the champion
    /// that held then.
    #[arg(long, value_name = "LABELS.toml")]
    labels: Option<PathBuf>,
    /// Show all features, not the ten that moved most.
    #[arg(long)]
    all: bool,
    /// Fail on drift: if the scores have moved, or more than one feature in ten. For a schedule; `retrain --on-drift` and the gate of
    /// promotions go by the same rule.
    #[arg(long)]
    check: bool,
    /// Also write the figures of the newest tick, and realised ones of the newest whose outcomes are known, to this file in
    /// Prometheus' text format, for the node exporter's textfile collector.
    #[arg(long, value_name = "FILE.prom")]
    metrics: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What was found.
#[derive(Serialize)]
struct Report {
    model: String,
    ticks: Vec<Watched>,
    realised: Vec<Realised>,
}

impl Report {
    /// The figures under the catalogue's names; what is not known is absent.
    fn metrics(&self) -> String {
        let metrics = telemetry::Metrics::new(env!("CARGO_PKG_VERSION"));
        let quality = |metric: &str, kind: &str, value: Option<f64>| {
            metrics.gauge(catalogue::MODEL_QUALITY, [metric, kind]).set_known(value);
        };
        if let Some(tick) = self.ticks.last() {
            for feature in &tick.features {
                consumer::show_drift(&metrics, &feature.name, feature.drift.as_ref());
            }
            let expected = tick.expected.filter(|_| tick.users >= MIN_ROWS);
            quality("auc", "expected", expected.map(|expected| expected.auc));
            quality("brier", "expected", expected.map(|expected| expected.brier));
            quality("loss_rate", "expected", expected.map(|expected| expected.loss_rate));
        }
        if let Some(tick) = self.realised.last().filter(|tick| tick.users as u64 >= MIN_ROWS) {
            quality("auc", "realised", tick.auc);
            quality("brier", "realised", tick.brier);
            quality("loss_rate", "realised", Some(tick.lost as f64 / tick.users as f64));
        }
        metrics.render()
    }
}

/// How many features are shown.
const SHOWN: usize = 10;

impl DriftCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = self.through.open(&self.from, &self.topic)?;
        let spec = Arc::new(Spec::load(&self.features)?);
        let schedule = Schedule::load(&self.model)?;
        let bundle = schedule.champion(EventTime(i64::MAX));
        bundle.check_spec(&spec.hash().to_string(), spec.feature_names())?;
        ensure!(
            !bundle.manifest().baselines.is_empty(),
            "the bundle {} holds no baselines to compare with: train it anew with `churnstream train`",
            bundle.hash()
        );
        let end = self.at.map_or(EventTime(i64::MAX), |at| at.plus(types::Millis(1)));
        let ticks = self.since.map_or(Ticks::LastBefore(end), |since| Ticks::Between(since, end));
        let total = crate::training::records(log.as_ref(), &self.topic)?;
        let bar = super::progress::bar(total, "replay");
        let watched =
            backtest::watch(log.as_ref(), &self.topic, &spec, bundle, ticks, |n| bar.set_position(n));
        let realised = self.labels.as_ref().map(|path| {
            let labels = Labels { triggers: Triggers::Sweep, ..Labels::load(path)? };
            realised(log.as_ref(), &self.topic, &spec, &schedule, &labels, |n| bar.set_position(n))
        });
        bar.finish_and_clear();
        let report = Report {
            model: bundle.hash().to_owned(),
            ticks: watched?,
            realised: realised.transpose()?.unwrap_or_default(),
        };
        ensure!(
            !report.ticks.is_empty(),
            "no tick with a living user there: `churnstream log stat {}/{}` shows what the log holds",
            self.from,
            self.topic
        );
        if let Some(path) = &self.metrics {
            super::backtest::write(path, report.metrics().as_bytes())?;
        }
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            self.print(&report, bundle);
        }
        // Too few users say nothing: what is printed says so, and nobody is called for it.
        if let Some(tick) = report.ticks.last().filter(|tick| self.check && !tick.is_unknown()) {
            let gate = gates::drift(Some(tick));
            ensure!(gate.passed, "drift: {}", gate.detail);
        }
        Ok(())
    }

    fn print(&self, report: &Report, bundle: &Bundle) {
        if self.since.is_some() {
            println!(
                "{:<20} {:>8} {:>6} {:>8} {:>7} {:>12}  moved most",
                "tick", "users", "moved", "unclear", "stable", "expected AUC"
            );
            for tick in &report.ticks {
                print_tick(tick);
            }
        } else if let Some(tick) = report.ticks.last() {
            self.print_features(tick, bundle);
        }
        if self.labels.is_some() {
            realised::print(&report.realised);
        }
    }

    fn print_features(&self, tick: &Watched, bundle: &Bundle) {
        println!(
            "{} users at {} against the {} rows that the bundle {} was trained on",
            tick.users,
            date(tick.as_of),
            bundle.manifest().training.rows,
            bundle.hash()
        );
        if tick.is_unknown() {
            println!(
                "not enough data: below {MIN_ROWS} users, now or in training, chance alone moves everything"
            );
            return;
        }
        println!("\n{:<32} {:>6}  {:<16} {:>6}  {:<16} verdict", "feature", "PSI", "95 %", "JS", "95 %");
        let mut features: Vec<_> =
            tick.features.iter().filter_map(|f| Some((f, f.drift?, f.verdict?))).collect();
        features.sort_by(|(_, a, _), (_, b, _)| b.psi.total_cmp(&a.psi));
        let shown = if self.all { features.len() } else { SHOWN };
        for (feature, drift, verdict) in features.iter().take(shown) {
            let name = if feature.name == Baseline::SCORE { "the scores" } else { &feature.name };
            println!(
                "{name:<32} {:>6.3}  {:<16} {:>6.3}  {:<16} {}",
                drift.psi,
                format!("{:.3} to {:.3}", drift.psi_interval.low, drift.psi_interval.high),
                drift.js,
                format!("{:.3} to {:.3}", drift.js_interval.low, drift.js_interval.high),
                if feature.ageing { "ages with the log" } else { verdict.name() }
            );
        }
        let count = |verdict| tick.count(Some(verdict));
        println!(
            "\n{} moved, {} unclear, {} stable{}",
            count(Verdict::Moved),
            count(Verdict::Unclear),
            count(Verdict::Stable),
            if features.len() > shown { "; --all shows them all" } else { "" }
        );
        match &tick.expected {
            Some(expected) => println!(
                "expected AUC {:.4} and loss rate {:.2} %, if what leads to loss is as in training",
                expected.auc,
                100.0 * expected.loss_rate
            ),
            None => println!("expected AUC unknown: the probabilities expect only one outcome"),
        }
        if let Some(auc) = bundle.manifest().metrics.get("auc") {
            println!("AUC on the test after training {auc:.4}");
        }
    }
}

fn print_tick(tick: &Watched) {
    let count = |verdict| tick.count(Some(verdict));
    let most =
        tick.deciding().filter_map(|f| Some((f, f.drift?))).max_by(|(_, a), (_, b)| a.psi.total_cmp(&b.psi));
    println!(
        "{:<20} {:>8} {:>6} {:>8} {:>7} {:>12}  {}",
        date(tick.as_of),
        tick.users,
        count(Verdict::Moved),
        count(Verdict::Unclear),
        count(Verdict::Stable),
        known(tick.expected.map(|expected| expected.auc)),
        most.map_or_else(
            || "not enough data".to_owned(),
            |(feature, drift)| format!("{} ({:.3})", feature.name, drift.psi)
        )
    );
}

fn known(number: Option<f64>) -> String {
    number.map_or_else(|| "unknown".to_owned(), |number| format!("{number:.4}"))
}

fn date(moment: EventTime) -> String {
    jiff::Timestamp::from_millisecond(moment.0)
        .map_or_else(|_| format!("{moment} ms"), |time| time.strftime("%Y-%m-%d %H:%M").to_string())
}
