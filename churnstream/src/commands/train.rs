//! `churnstream train`: fits a model bundle from a log, or from a customer table.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use backtest::Labels;
use clap::Args;
use feature_store::Spec;
use scorer::Bundle;
use trainer::{Algorithm, Direction, Params};

use super::fitting::Bar;
use super::train_table::TableArgs;
use crate::commands::through::Replayed;
use crate::mlflow;
use crate::training::{self, Judged, TrainReport, Training};

/// Fits a model bundle.
///
/// From a log: replays it through the live pipeline, labels what was known with what came after, splits in time, fits and
/// calibrates on users held out, and judges on the later part, with the other kinds of model beside it.
///
/// From a customer table (CSV, Excel or Parquet, a row a customer): finds out what the columns are and says so, suspects those
/// that know too much, judges by cross-validation, and fits on all rows.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream train --from file:log --features spec.toml \\
      --labels labels.toml --to model
  churnstream train --from file:log --features spec.toml \\
      --labels labels.toml --to model --algorithm logistic
  churnstream train --from file:log --features spec.toml \\
      --labels labels.toml --to model --search 30 --refit
  churnstream train --from file:log --features spec.toml \\
      --labels labels.toml --to model --params params.toml
  churnstream train --table customers.csv --label churned --id customer \\
      --to model
  churnstream train --table customers.xlsx --label status --lost closed \\
      --drop end_date --search 20 --to model")]
pub(crate) struct Train {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place, required_unless_present = "table", conflicts_with = "table")]
    from: Option<String>,
    /// The topic of events.
    #[arg(long, default_value = "events", conflicts_with = "table")]
    topic: String,
    #[command(flatten)]
    through: Replayed,
    /// The feature spec.
    #[arg(long, value_name = "SPEC.toml", required_unless_present = "table", conflicts_with = "table")]
    features: Option<PathBuf>,
    /// When a user counts as lost.
    #[arg(long, value_name = "LABELS.toml", required_unless_present = "table", conflicts_with = "table")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    table: TableArgs,
    /// The bundle's folder; must not exist yet.
    #[arg(long, value_name = "BUNDLE")]
    to: PathBuf,
    #[command(flatten)]
    model: ModelArgs,
    /// Once it is known how good the model is, fit it again on all rows with a decided label, those of the test too. The bundle's
    /// figures stay those of the model that was judged, and its card says so. (A table's model always learns from all rows.)
    #[arg(long, conflicts_with = "table")]
    refit: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What to fit and how.
#[derive(Args)]
pub(crate) struct ModelArgs {
    /// The kind of model: xgboost, logistic or forest. All of them are scored by the same evaluator.
    #[arg(long, default_value = "xgboost", value_name = "KIND")]
    algorithm: Algorithm,
    /// Parameters other than the usual: a TOML file with any of max_rounds, patience, learning_rate, max_depth, min_child_weight,
    /// row_share, feature_share, lambda, max_bin, forest_trees, folds, threads, calibration and [monotone].
    #[arg(long, value_name = "PARAMS.toml")]
    params: Option<PathBuf>,
    /// Try so many sets of parameters on users held out, the usual ones or those of --params first, and take the best.
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1000))]
    search: u32,
    /// The probability must never fall when this feature rises. Can be given several times.
    #[arg(long, value_name = "FEATURE")]
    rising: Vec<String>,
    /// The probability must never rise when this feature rises. Can be given several times.
    #[arg(long, value_name = "FEATURE")]
    falling: Vec<String>,
    /// Fit no other kinds of model for comparison: faster.
    #[arg(long)]
    no_baselines: bool,
    /// Chooses who is held out, what each tree sees, and what a search tries.
    #[arg(long, default_value_t = 1)]
    seed: u32,
}

impl ModelArgs {
    /// The training that is asked for.
    pub(crate) fn training(&self, refit: bool) -> anyhow::Result<Training> {
        let usual = Params { seed: self.seed, ..Params::of(self.algorithm) };
        let mut params = match &self.params {
            None => usual,
            Some(path) => other(&usual, path)?,
        };
        let bound = self.rising.iter().map(|name| (name, Direction::Rising));
        for (name, direction) in bound.chain(self.falling.iter().map(|name| (name, Direction::Falling))) {
            let before = params.monotone.insert(name.clone(), direction);
            anyhow::ensure!(
                before.is_none_or(|before| before == direction),
                "`{name}` cannot be both --rising and --falling"
            );
        }
        let mut training = Training { search: self.search, refit, ..Training::new(params) };
        if self.no_baselines {
            training.baselines.clear();
        }
        Ok(training)
    }
}

/// The usual parameters with what a file says instead.
fn other(usual: &Params, path: &Path) -> anyhow::Result<Params> {
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let said: toml::Table = toml::from_str(&text).with_context(|| path.display().to_string())?;
    for key in ["algorithm", "seed"] {
        anyhow::ensure!(!said.contains_key(key), "{}: `{key}` is said by --{key}", path.display());
    }
    let mut all = toml::Table::try_from(usual)?;
    all.extend(said);
    let params: Params = all.try_into().with_context(|| path.display().to_string())?;
    Ok(params)
}

impl Train {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        anyhow::ensure!(
            !self.to.exists(),
            "{} exists already: a bundle is never overwritten",
            self.to.display()
        );
        let training = self.model.training(self.refit)?;
        match self.table.request(&training, &self.to) {
            Some(request) => super::train_table::run(&request, &self.to, self.json),
            None => self.run_on_log(&training),
        }
    }

    fn run_on_log(&self, training: &Training) -> anyhow::Result<()> {
        // The parser has seen to these.
        let from = self.from.as_deref().context("--from is missing")?;
        let log = self.through.open(from, &self.topic)?;
        let spec = Arc::new(Spec::load(self.features.as_deref().context("--features is missing")?)?);
        let labels = Labels::load(self.labels.as_deref().context("--labels is missing")?)?;
        let bar = Bar::new(training::records(log.as_ref(), &self.topic)?, training);
        let report =
            training::train(log.as_ref(), &self.topic, &spec, &labels, training, &self.to, |stage| {
                bar.show(&stage);
            });
        bar.clear();
        let report = report?;
        if mlflow::is_named() {
            mlflow::log_bundle(&Bundle::load(&self.to)?, &training.settings());
        }
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            self.print(&report);
        }
        for caution in &report.cautions {
            eprintln!("mind: {caution}");
        }
        Ok(())
    }

    fn print(&self, report: &TrainReport) {
        let replay = &report.replay;
        let [lost, users] = report.training_lost;
        println!(
            "replayed   {} records of {} users, {} rejected",
            replay.records, replay.users, replay.rejected
        );
        println!(
            "rows       {} to train on ({lost} of {users} users who were lost), {} in the embargo, {} not decided yet, {} of users too new",
            report.training_rows, report.embargo_rows, replay.undecided, replay.too_new
        );
        let left_out: Vec<String> = [
            (replay.left_within_lead, "of users who left within the lead"),
            (replay.unknown, "of which the outcome table says nothing"),
            (replay.gone_unseen, "of users who had left, as the log said later"),
            (replay.erased, "of users who were erased since"),
        ]
        .into_iter()
        .filter(|(rows, _)| *rows > 0)
        .map(|(rows, what)| format!("{rows} {what}"))
        .collect();
        if !left_out.is_empty() {
            println!("left out   {}", left_out.join(", "));
        }
        if !report.left_out_columns.is_empty() {
            println!(
                "left out   columns whose events give the label away: {}",
                report.left_out_columns.join(", ")
            );
        }
        if let Some(rows) = report.held_out_rows {
            println!(
                "held out   {rows} rows, of some users in turn, chose when to stop and how to calibrate; they are of the same time"
            );
        }
        if report.trials > 0 {
            println!("search     {} sets of parameters tried", report.trials);
        }
        print_quality(report);
        let of =
            |judged: &Judged| judged.test.as_ref().map(|quality| (quality.auc, quality.calibration_error));
        let parts: Vec<String> = (report.by_trigger.iter())
            .filter_map(|(trigger, judged)| Some((trigger, of(judged)?)))
            .map(|(trigger, (auc, error))| format!("{trigger} AUC {auc:.4}, calibration error {error:.4}"))
            .collect();
        if !parts.is_empty() {
            println!("by cause   {}", parts.join("; "));
        }
        if self.refit {
            println!(
                "refit      on {} rows: the figures are of the model before that, fitted on {}",
                report.fitted_rows, report.training_rows
            );
        }
        println!(
            "bundle     {} ({}, {} trees) in {}",
            report.bundle,
            report.model.algorithm,
            report.fitted_trees,
            self.to.display()
        );
    }
}

/// Prints how good a model is, and what others beside it are.
fn print_quality(report: &TrainReport) {
    let TrainReport { model, baselines, .. } = report;
    let Some(q) = &model.test else {
        println!("test       only one outcome occurs there: quality is unknown");
        return;
    };
    println!("test       {} rows, {} lost ({:.1} %)", q.rows, q.lost, 100.0 * q.lost as f64 / q.rows as f64);
    let interval = report.auc_interval.map(|e| format!("   {:.4} to {:.4}", e.low, e.high));
    println!("AUC        {:.4}{}", q.auc, interval.unwrap_or_default());
    println!("lift       {:.2} at 1 %, {:.2} at 5 %, {:.2} at 10 %", q.lift_1, q.lift_5, q.lift_10);
    println!(
        "honesty    Brier score {:.4} (skill {:.3}), calibration error {:.4}",
        q.brier, q.brier_skill, q.calibration_error
    );
    let others: Vec<String> = baselines
        .iter()
        .filter_map(|other| {
            let quality = other.test.as_ref()?;
            let pair = report.paired.iter().find(|pair| pair.algorithm == other.algorithm);
            let verdict = pair.map(|pair| format!(" ({})", pair.verdict()));
            Some(format!(
                "{} AUC {:.4}, Brier score {:.4}{}",
                other.algorithm,
                quality.auc,
                quality.brier,
                verdict.unwrap_or_default()
            ))
        })
        .collect();
    if !others.is_empty() {
        println!("beside it  {}", others.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_is_other_than_usual() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("params.toml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            other(&Params { seed: 7, ..Params::of(Algorithm::Forest) }, &path)
        };
        let params =
            read("min_child_weight = 100\nlambda = 30.5\n[monotone]\ntickets = \"rising\"\n").unwrap();
        let monotone = [("tickets".to_owned(), Direction::Rising)].into();
        let usual = Params { seed: 7, ..Params::of(Algorithm::Forest) };
        assert_eq!(params, Params { min_child_weight: 100.0, lambda: 30.5, monotone, ..usual.clone() });
        assert_eq!(read("").unwrap(), usual);
        for (text, word) in [
            ("min_child = 1", "min_child"),
            ("lambda = \"x\"", "lambda"),
            ("seed = 3", "--seed"),
            ("x", "params.toml"),
        ] {
            let error = format!("{:#}", read(text).unwrap_err());
            assert!(error.contains(word) && error.contains("params.toml"), "{error}");
        }
    }
}
