//! `churnstream train`: fits a model bundle from a log.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::training::{self, Stage, TrainReport};
use backtest::Labels;
use clap::Args;
use feature_store::Spec;
use indicatif::{ProgressBar, ProgressStyle};
use partition_log::LogOptions;
use trainer::Params;

/// Fits a model bundle from a log: replays it through the live pipeline, labels what was known with what came after, splits in
/// time, boosts trees, calibrates on users held out, and judges on the later part.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream train --from file:log --features spec.toml --labels labels.toml --to model")]
pub(crate) struct Train {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE")]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    /// The feature spec.
    #[arg(long, value_name = "SPEC.toml")]
    features: PathBuf,
    /// When a user counts as lost.
    #[arg(long, value_name = "LABELS.toml")]
    labels: PathBuf,
    /// The bundle's folder; must not exist yet.
    #[arg(long, value_name = "BUNDLE")]
    to: PathBuf,
    /// Chooses who is held out and what each tree sees.
    #[arg(long, default_value_t = 1)]
    seed: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let log = partition_log::open(&self.from, &LogOptions::default())?;
        let spec = Arc::new(Spec::load(&self.features)?);
        let labels = Labels::load(&self.labels)?;
        anyhow::ensure!(
            !self.to.exists(),
            "{} exists already: a bundle is never overwritten",
            self.to.display()
        );
        let total = training::records(log.as_ref(), &self.topic)?;
        let bar = ProgressBar::new(total).with_style(
            ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {per_sec} ETA {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message("replay");
        bar.enable_steady_tick(Duration::from_millis(200));
        let params = Params { seed: self.seed, ..Params::default() };
        let report =
            training::train(
                log.as_ref(),
                &self.topic,
                &spec,
                &labels,
                &params,
                &self.to,
                |stage| match stage {
                    Stage::Replayed(records) => bar.set_position(records),
                    Stage::Boosted(round) => {
                        bar.set_message("boost");
                        bar.set_length(u64::from(round.of));
                        bar.set_position(u64::from(round.number));
                    }
                },
            );
        bar.finish_and_clear();
        let report = report?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            self.print(&report);
        }
        Ok(())
    }

    fn print(&self, report: &TrainReport) {
        let replay = &report.replay;
        println!(
            "replayed   {} records of {} users, {} rejected",
            replay.records, replay.users, replay.rejected
        );
        println!(
            "rows       {} to train on, {} in the embargo, {} not decided yet, {} of users too new",
            report.training_rows, report.embargo_rows, replay.undecided, replay.too_new
        );
        match &report.test {
            Some(q) => {
                println!(
                    "test       {} rows, {} lost ({:.1} %)",
                    q.rows,
                    q.lost,
                    100.0 * q.lost as f64 / q.rows as f64
                );
                println!("AUC        {:.4}", q.auc);
                println!(
                    "lift       {:.2} at 1 %, {:.2} at 5 %, {:.2} at 10 %",
                    q.lift_1, q.lift_5, q.lift_10
                );
                println!(
                    "honesty    Brier score {:.4}, calibration error {:.4}",
                    q.brier, q.calibration_error
                );
            }
            None => println!("test       only one outcome occurs there: quality is unknown"),
        }
        println!("bundle     {} ({} trees) in {}", report.bundle, report.trees, self.to.display());
    }
}
