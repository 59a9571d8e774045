//! `churnstream models compare`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::commands::through::Replayed;
use backtest::{Comparison, Labels, Triggers};
use clap::Args;
use feature_store::Spec;
use scorer::Schedule;

/// Compares the scores that a challenger wrote in the shadow with the champion's on the same users and ticks, as far as outcomes
/// are known by now, and after both of the pair were trained.
///
/// The gain has a 95 % interval from a paired bootstrap over users: where it lies above 0, the challenger is better.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream models compare --registry registry --from file:log \\
      --features spec.toml --labels labels.toml")]
pub(crate) struct Compare {
    /// The registry.
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// The log, with its scores: file:DIR or kafka:BROKERS.
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
    /// Print one JSON list.
    #[arg(long)]
    json: bool,
}

impl Compare {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = self.through.open(&self.from, &self.topic)?;
        let spec = Arc::new(Spec::load(&self.features)?);
        // Scores of sweeps alone: at a tick everybody is scored, by both.
        let labels = Labels { triggers: Triggers::Sweep, ..Labels::load(&self.labels)? };
        let schedule = Schedule::load(&self.registry)?;
        for bundle in schedule.bundles() {
            if let Some(doubt) = labels.check(bundle)? {
                eprintln!("mind: {doubt}");
            }
        }
        let decided = |hash: &str| {
            let bundle = schedule.bundles().find(|bundle| bundle.hash() == hash)?;
            Some(bundle.manifest().training.labels_decided)
        };
        let rows = backtest::collect(log.as_ref(), &self.topic, &spec, &labels, |_| {})?;
        let compared = backtest::compare(log.as_ref(), &rows, decided)?;
        if self.json {
            println!("{}", serde_json::to_string(&compared)?);
        } else if compared.is_empty() {
            println!(
                "nothing to compare yet: no user has scores of a champion and a challenger and a known outcome at a tick after both \
                 were trained"
            );
        } else {
            compared.iter().for_each(print);
        }
        Ok(())
    }
}

fn print(compared: &Comparison) {
    let known = |auc: Option<f64>| auc.map_or_else(|| "unknown".to_owned(), |auc| format!("{auc:.4}"));
    println!("{} rows of {} users, {} of them lost", compared.rows, compared.users, compared.lost);
    for (role, bundle, scored) in [
        ("champion", &compared.champion, &compared.of_champion),
        ("challenger", &compared.challenger, &compared.of_challenger),
    ] {
        println!("{role:<10}  {bundle}  AUC {}, Brier score {:.4}", known(scored.auc), scored.brier);
    }
    match &compared.auc_gain {
        None => println!("gain        unknown: only one outcome occurs"),
        Some((gain, interval)) => {
            let verdict = if interval.low > 0.0 {
                "the challenger is better"
            } else if interval.high < 0.0 {
                "the challenger is worse"
            } else {
                "they cannot be told apart yet"
            };
            println!("gain        {gain:+.4} AUC ({:+.4} to {:+.4}): {verdict}", interval.low, interval.high);
        }
    }
}
