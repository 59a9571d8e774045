//! From a log to a model bundle: rows by replay, split in time, fit, calibrate, judge, write.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use backtest::metrics::Quality;
use backtest::{Labels, RowSummary, Split, SplitPlan};
use feature_store::Spec;
use partition_log::Log;
use serde::Serialize;
use trainer::{Params, Purpose, Round, Rows};
use types::EventTime;
use xxhash_rust::xxh3::xxh3_64;

/// What a training came to.
#[derive(Debug, Clone, Serialize)]
pub struct TrainReport {
    /// The bundle's hash.
    pub bundle: String,
    /// What was counted while rows were made.
    pub replay: RowSummary,
    /// Rows fitted, stopped and calibrated on.
    pub training_rows: usize,
    /// Rows left out because their label was not decided when the test begins.
    pub embargo_rows: usize,
    /// The first moment of the test.
    pub test_from: EventTime,
    /// Trees.
    pub trees: u32,
    /// Quality on the test rows; `None` if one of the outcomes does not occur there.
    pub test: Option<Quality>,
}

/// What is going on, for showing progress.
pub enum Stage<'a> {
    /// So many records were replayed.
    Replayed(u64),
    /// A round of boosting is done.
    Boosted(&'a Round),
}

/// Trains a bundle from a topic and writes it to a new folder.
///
/// # Errors
/// If the log cannot be read, leaves nothing to learn from, or the folder exists.
pub fn train(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    labels: &Labels,
    params: &Params,
    to: &Path,
    mut progress: impl FnMut(Stage<'_>),
) -> anyhow::Result<TrainReport> {
    let mut all = backtest::collect(log, topic, spec, labels, |records| progress(Stage::Replayed(records)))?;
    all.exclude();
    let plan = SplitPlan::new(labels, &all)?;
    backtest::check_split(&all, |row| plan.of_row(&all, row))?;
    let rows = Rows {
        names: all.names.clone(),
        values: all.values.clone(),
        lost: all.lost.clone(),
        weights: all.weight.clone(),
        groups: all.entities.iter().map(|entity| xxh3_64(entity.as_bytes())).collect(),
        as_of: all.as_of.clone(),
    };
    let training = rows.filter(|row| plan.of_row(&all, row) == Split::Train);
    let test = rows.filter(|row| plan.of_row(&all, row) == Split::Test);
    let embargo_rows = rows.len() - training.len() - test.len();
    drop(rows);

    let fitted = trainer::fit(&training, params, |round| progress(Stage::Boosted(round)))?;
    let quality = Quality::of(&fitted.probabilities(&test), &test.lost);
    let purpose = Purpose {
        spec_hash: spec.hash().to_string(),
        horizon: labels.horizon,
        bands: None,
        metrics: quality.as_ref().map(metrics_of).unwrap_or_default(),
    };
    let bundle = fitted.write(to, &purpose)?;
    bundle.attach_spec(spec.text())?;
    Ok(TrainReport {
        bundle: bundle.hash().to_owned(),
        replay: all.summary,
        training_rows: training.len(),
        embargo_rows,
        test_from: plan.test_from,
        trees: fitted.rounds,
        test: quality,
    })
}

fn metrics_of(quality: &Quality) -> BTreeMap<String, f64> {
    [
        ("auc", quality.auc),
        ("lift_1", quality.lift_1),
        ("lift_5", quality.lift_5),
        ("lift_10", quality.lift_10),
        ("brier", quality.brier),
        ("log_loss", quality.log_loss),
        ("calibration_error", quality.calibration_error),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// How many records a topic holds.
///
/// # Errors
/// If there is no such topic.
pub fn records(log: &dyn Log, topic: &str) -> anyhow::Result<u64> {
    let config =
        log.topic(topic)?.with_context(|| format!("there is no topic `{topic}` in {}", log.place()))?;
    let mut total = 0;
    for partition in (0..config.partitions).map(types::PartitionId) {
        let bounds = log.bounds(topic, partition)?;
        total += bounds.end.since(bounds.start);
    }
    Ok(total)
}
