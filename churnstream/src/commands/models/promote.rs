//! `churnstream models promote` and `rollback`.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use backtest::Ticks;
use clap::{Args, ValueEnum};
use feature_store::Spec;
use partition_log::LogOptions;
use scorer::drift::Verdict;
use scorer::{Baseline, Bundle, Gate, Registry, Rules, gates};
use types::EventTime;

use super::{champion, champions, check_ahead, date, load};
use crate::commands::features::parse_moment;

/// Makes a bundle champion from a tick on, if it passes the gates; or a challenger, which scores in the champion's shadow and
/// needs to pass `spec` only.
///
/// The gates: `spec` (the same spec, horizon and kind of loss as the champion), `auc` (not much less than the champion's, each on its own test),
/// `calibration` (the error on its test, and better than the loss rate alone), and `drift` (the users of the newest tick are those that the bundle was trained on: the
/// scores have not moved, and at most one feature in ten has). A gate that fails is named, and nothing is promoted. AUC and
/// calibration are judged on the rows of the test together, on those of events, and on those of sweeps.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream models promote model --registry registry
  churnstream models promote new --registry registry --challenger --at 2025-06-02T00:00:00Z
  churnstream models promote new --registry registry --at 2025-06-09T00:00:00Z --from file:log --features spec.toml
  churnstream models promote new --registry registry --at 2025-06-09T00:00:00Z --skip drift")]
pub(crate) struct Promote {
    /// The bundle.
    bundle: PathBuf,
    /// The registry; made if it is not there.
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The first as-of time for which it holds: a tick ahead of everything that the consumer has scored, since what was said is
    /// not said anew. The beginning of time for the first champion.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: Option<EventTime>,
    /// Score in the shadow beside the champion.
    #[arg(long)]
    challenger: bool,
    /// The consumer's store: refuses a moment that the running consumer has passed.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The log, for the drift gate: file:DIR.
    #[arg(long, value_name = "PLACE", requires = "features")]
    from: Option<String>,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    /// The feature spec, for the drift gate.
    #[arg(long, value_name = "SPEC.toml")]
    features: Option<PathBuf>,
    /// How much AUC it may have less than the champion.
    #[arg(long, default_value_t = Rules::default().auc_loss, value_name = "N")]
    max_auc_loss: f64,
    /// The largest calibration error allowed.
    #[arg(long, default_value_t = Rules::default().calibration_error, value_name = "N")]
    max_calibration_error: f64,
    /// Pass over a gate; can be given more than once.
    #[arg(long, value_name = "GATE")]
    skip: Vec<GateName>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum GateName {
    Auc,
    Calibration,
    Drift,
}

/// Makes the champion before the present one champion again, from a tick on. What was scored stays as it is.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream models rollback --registry registry --at 2025-06-10T00:00:00Z --store state")]
pub(crate) struct Rollback {
    /// The registry.
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The first as-of time for which it holds: a tick ahead of everything that the consumer has scored.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    at: EventTime,
    /// The consumer's store: refuses a moment that the running consumer has passed.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
}

impl Promote {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = load(&self.bundle)?;
        let registry = Registry::open(&self.registry)?;
        let champion = champion(&registry, &self.registry)?;
        let at = match (self.at, &champion) {
            (Some(at), _) => at,
            (None, None) => EventTime::MIN,
            (None, Some(_)) => bail!("say from when it holds with --at, at a tick ahead of the stream"),
        };
        check_ahead(self.store.as_ref(), at)?;
        ensure!(
            !self.challenger || champion.is_some(),
            "there is no champion whose shadow it could score in: promote one first"
        );
        self.pass(&bundle, champion.as_deref())?;
        if self.challenger {
            registry.challenge(&bundle, at)?;
        } else {
            registry.promote(&bundle, at)?;
        }
        let role = if self.challenger { "challenger" } else { "champion" };
        eprintln!("bundle {} is {role} from {} on", bundle.hash(), date(at));
        Ok(())
    }

    /// Says how each gate decided.
    fn pass(&self, bundle: &Bundle, champion: Option<&Bundle>) -> anyhow::Result<()> {
        let rules = Rules { auc_loss: self.max_auc_loss, calibration_error: self.max_calibration_error };
        let mut all = gates(bundle, champion, &rules);
        all.push(self.drift(bundle, champion)?);
        let mut failed = Vec::new();
        for gate in all {
            let skipped = gate.name != "spec"
                && (self.challenger || self.skip.iter().any(|skip| skip.word() == gate.name));
            let outcome = match (gate.passed, skipped) {
                (true, _) => "passed",
                (false, true) => "skipped",
                (false, false) => "FAILED",
            };
            eprintln!("gate {:<12} {outcome:<8} {}", gate.name, gate.detail);
            if !gate.passed && !skipped {
                failed.push(gate.name);
            }
        }
        ensure!(
            failed.is_empty(),
            "not promoted: the bundle {} does not pass {} (--skip passes over a gate, except spec)",
            bundle.hash(),
            failed.join(", ")
        );
        Ok(())
    }

    fn drift(&self, bundle: &Bundle, champion: Option<&Bundle>) -> anyhow::Result<Gate> {
        let gate = |passed: bool, detail: String| Ok(Gate { name: "drift", passed, detail });
        let (Some(from), Some(features)) = (&self.from, &self.features) else {
            return match champion {
                None => {
                    gate(true, "not looked at: the first champion; --from and --features look".to_owned())
                }
                Some(_) => gate(
                    false,
                    "not known: give --from and --features, and the newest tick is looked at".to_owned(),
                ),
            };
        };
        let log = partition_log::open(from, &LogOptions::default())?;
        let spec = Arc::new(Spec::load(features)?);
        bundle.check_spec(&spec.hash().to_string(), spec.feature_names())?;
        let newest = Ticks::LastBefore(EventTime(i64::MAX));
        let watched = backtest::watch(log.as_ref(), &self.topic, &spec, bundle, newest, |_| {})?;
        let Some(tick) = watched.last() else {
            return gate(false, format!("no tick with a living user in {from}"));
        };
        let known = tick.features.len() - tick.count(None);
        if known == 0 {
            return gate(false, format!("not enough data: {} users at {}", tick.users, date(tick.as_of)));
        }
        let moved: Vec<_> = tick
            .features
            .iter()
            .filter(|f| f.verdict == Some(Verdict::Moved))
            .map(|f| f.name.as_str())
            .collect();
        let scores = moved.contains(&Baseline::SCORE);
        let detail = format!(
            "{} of {known} features and scores moved at {}{}{}",
            moved.len(),
            date(tick.as_of),
            if moved.is_empty() { "" } else { ": " },
            moved.iter().take(3).copied().collect::<Vec<_>>().join(", ")
        );
        gate(!scores && moved.len() * 10 <= known, detail)
    }
}

impl GateName {
    const fn word(self) -> &'static str {
        match self {
            Self::Auc => "auc",
            Self::Calibration => "calibration",
            Self::Drift => "drift",
        }
    }
}

impl Rollback {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let registry = Registry::open(&self.registry)?;
        let entries = registry.entries()?;
        let present = champions(&entries).next_back().context("the registry has no champion")?;
        // A champion that was rolled back from once does not come back by the next rollback.
        let first = champions(&entries).position(|entry| entry.bundle == present.bundle).unwrap_or_default();
        let before = champions(&entries)
            .take(first)
            .last()
            .with_context(|| format!("there was no other champion before {}", present.bundle))?;
        check_ahead(self.store.as_ref(), self.at)?;
        let bundle = load(&self.registry.join("bundles").join(&before.bundle))?;
        registry.promote(&bundle, self.at)?;
        eprintln!(
            "bundle {} is champion again from {} on, instead of {}",
            bundle.hash(),
            date(self.at),
            present.bundle
        );
        Ok(())
    }
}
