//! `churnstream models promote` and `rollback`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use backtest::Labels;
use clap::Args;
use feature_store::Spec;
use partition_log::LogOptions;
use producer::map::moment;
use scorer::{Bundle, Gate, Registry, SameRows};
use types::EventTime;

use super::gates::{self, GateArgs};
use super::{champion, champions, check_ahead, date, load};
use crate::commands::through::Replayed;
use crate::commands::wrong_arguments;
use crate::{mlflow, training};

/// Makes a bundle champion from a tick on, if it passes the gates; or a challenger, which scores in the champion's shadow and
/// needs to pass `spec` only.
///
/// The gates: `spec` (the same spec, horizon and kind of loss as the champion), `auc` (not much less than the champion's, on
/// the rows after both had learnt their last label; they need --labels, and without such rows each bundle's own test stands in), `calibration` (the error on its test, and better than the loss rate alone), and `drift` (the users of the newest tick are those that the bundle was trained on: the
/// scores have not moved, and at most one feature in ten has; what grows with the log, as tenure does, is left out). A gate that fails is named, and nothing is promoted. AUC and
/// calibration are judged on the rows of the test together, on those of events, and on those of sweeps.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream models promote model --registry registry
  churnstream models promote new --registry registry --challenger \\
      --at 2025-06-02T00:00:00Z
  churnstream models promote new --registry registry \\
      --at 2025-06-09T00:00:00Z --from file:log --features spec.toml \\
      --labels labels.toml
  churnstream models promote new --registry registry \\
      --at 2025-06-09T00:00:00Z --skip drift")]
pub(crate) struct Promote {
    /// The bundle.
    bundle: PathBuf,
    /// The registry; made if it is not there.
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The first as-of time for which it holds: a tick ahead of everything that the consumer has scored, since what was said is
    /// not said anew. The first champion holds from the beginning, as nothing held before: it takes none.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: Option<EventTime>,
    /// Score in the shadow beside the champion.
    #[arg(long)]
    challenger: bool,
    /// The consumer's store: refuses a moment as of which it has scored. If no consumer runs, --from is needed too.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The log, for the gates drift and AUC, and with --store for how far its scores reach: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: Option<String>,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    #[command(flatten)]
    through: Replayed,
    /// The feature spec, for the gates drift and AUC.
    #[arg(long, value_name = "SPEC.toml")]
    features: Option<PathBuf>,
    /// When a user counts as lost: bundle and champion are compared on the same rows, for the AUC gate.
    #[arg(long, value_name = "LABELS.toml", requires = "from", requires = "features")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    gates: GateArgs,
}

/// Makes the champion before the present one champion again, from a tick on. What was scored stays as it is.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream models rollback --registry registry --at 2025-06-10T00:00:00Z \\
      --store state")]
pub(crate) struct Rollback {
    /// The registry.
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The first as-of time for which it holds: a tick ahead of everything that the consumer has scored.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    at: EventTime,
    /// The consumer's store: refuses a moment as of which it has scored. If no consumer runs, --from is needed too.
    #[arg(long, value_name = "DIR")]
    store: Option<PathBuf>,
    /// The log, with --store for how far its scores reach: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", requires = "store", value_parser = partition_log::parse_place)]
    from: Option<String>,
}

/// From when a bundle is to hold: the first champion from the beginning, every other one from the moment that was given.
pub(crate) fn from_when(at: Option<EventTime>, has_champion: bool) -> anyhow::Result<EventTime> {
    match (at, has_champion) {
        (Some(at), true) => Ok(at),
        (None, false) => Ok(EventTime::MIN),
        (Some(_), false) => Err(wrong_arguments(
            "the first champion holds from the beginning, as nothing held before: leave --at out",
        )),
        (None, true) => Err(wrong_arguments(
            "say from when it holds with --at, at a tick ahead of everything that was scored",
        )),
    }
}

/// The spec that was named, or that of a store.
fn spec_at_hand(features: Option<&Path>, store: Option<&Path>) -> anyhow::Result<Option<Spec>> {
    let kept = store.map(consumer::spec_of).filter(|kept| kept.exists());
    Ok(features.map(Path::to_owned).or(kept).map(|path| Spec::load(&path)).transpose()?)
}

impl Promote {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = load(&self.bundle)?;
        let registry = Registry::open(&self.registry)?;
        let champion = champion(&registry, &self.registry)?;
        ensure!(
            !self.challenger || champion.is_some(),
            "there is no champion whose shadow it could score in: promote one first"
        );
        let at = from_when(self.at, champion.is_some())?;
        if champion.is_some() {
            let log = self
                .from
                .as_ref()
                .map(|from| partition_log::open(from, &LogOptions::default()))
                .transpose()?;
            let spec = spec_at_hand(self.features.as_deref(), self.store.as_deref())?;
            check_ahead(self.store.as_ref(), log.as_deref(), spec.as_ref(), at)?;
        }
        let drift = self.drift(&bundle, champion.is_some())?;
        let same_rows = self.same_rows(&bundle, champion.as_deref())?;
        let same_rows = same_rows.as_ref().map_err(String::as_str);
        self.gates.pass(&bundle, champion.as_deref(), same_rows, drift, self.challenger)?;
        if self.challenger {
            registry.challenge(&bundle, at)?;
        } else {
            registry.promote(&bundle, at)?;
        }
        let role = if self.challenger { "challenger" } else { "champion" };
        eprintln!("bundle {} is {role} from {} on", bundle.hash(), date(at));
        mlflow::log_alias(&bundle, role);
        Ok(())
    }

    /// Bundle and champion on the same rows, or why there are none.
    fn same_rows(
        &self,
        bundle: &Bundle,
        champion: Option<&Bundle>,
    ) -> anyhow::Result<Result<SameRows, String>> {
        let (Some(from), Some(features), Some(labels)) = (&self.from, &self.features, &self.labels) else {
            return Ok(Err("give --from, --features and --labels".to_owned()));
        };
        let Some(champion) = champion.filter(|_| !self.challenger) else {
            return Ok(Err("not looked at".to_owned()));
        };
        let spec = Arc::new(Spec::load(features)?);
        bundle.check_spec(spec.hash().as_str(), spec.feature_names())?;
        let labels = Labels::load(labels)?;
        if let Some(doubt) = labels.check(bundle)? {
            eprintln!("mind: {doubt}");
        }
        let log = self.through.open(from, &self.topic)?;
        let rows = backtest::collect(log.as_ref(), &self.topic, &spec, &labels, |_| {})?;
        Ok(training::contest::of_bundles(bundle, champion, &rows))
    }

    fn drift(&self, bundle: &Bundle, has_champion: bool) -> anyhow::Result<Gate> {
        let (Some(from), Some(features)) = (&self.from, &self.features) else {
            let detail = "not known: give --from and --features, and the newest tick is looked at".to_owned();
            return Ok(match has_champion {
                false => gates::not_looked_at(),
                true => Gate { name: "drift", passed: false, detail },
            });
        };
        let log = self.through.open(from, &self.topic)?;
        let spec = Arc::new(Spec::load(features)?);
        let newest = gates::newest_tick(log.as_ref(), &self.topic, &spec, bundle, |_| {})?;
        Ok(gates::drift(newest.as_ref()))
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
        let log =
            self.from.as_ref().map(|from| partition_log::open(from, &LogOptions::default())).transpose()?;
        let spec = spec_at_hand(None, self.store.as_deref())?;
        check_ahead(self.store.as_ref(), log.as_deref(), spec.as_ref(), self.at)?;
        let bundle = load(&self.registry.join("bundles").join(&before.bundle))?;
        registry.promote(&bundle, self.at)?;
        eprintln!(
            "bundle {} is champion again from {} on, instead of {}",
            bundle.hash(),
            date(self.at),
            present.bundle
        );
        mlflow::log_alias(&bundle, "champion");
        Ok(())
    }
}
