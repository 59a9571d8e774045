//! A backtest: a bundle judged on rows that lie after the last label it was made with.

use std::sync::Arc;

use feature_store::Spec;
use partition_log::Log;
use scorer::{Bundle, EffectSummary, Shap, Signals};
use serde::Serialize;
use types::{EventTime, Millis};

use crate::audit::{Audit, Suspect, audit, suspects};
use crate::baseline::{OneColumn, simple_columns};
use crate::evaluate::{Curves, Difference, Judged, Metric, Slices, compare, curves, measure, number_users};
use crate::evaluate::{resamples_for, slices};
use crate::{BacktestError, LabelledRows, Labels, RowSummary};

/// Seeds the draws of users.
const SEED: u64 = 1;
/// Rows that are made again to see whether they know the future.
const AUDITED: usize = 100;
/// Rows whose effects are added up.
const EXPLAINED: usize = 2_000;
/// Features whose effects are shown row by row, and for at most how many rows.
const SWARMS: usize = 10;
const POINTS: usize = 300;

/// What a backtest found.
#[derive(Debug, Clone, Serialize)]
pub struct Backtest {
    /// The bundle's hash.
    pub bundle: String,
    /// The spec's hash.
    pub spec: String,
    /// How far ahead labels look, after the lead.
    pub horizon: Millis,
    /// The time before that.
    pub lead: Millis,
    /// What is not certain about the question that the bundles answer; see [`Labels::check`].
    pub doubts: Vec<String>,
    /// When the last label that the bundle was made with was decided: nothing before is judged.
    pub labels_decided: EventTime,
    /// Rows of users held out of the training's own time, to stop and to calibrate; `None` if there were none, or it is not known.
    pub held_out: Option<u64>,
    /// What was counted while rows were made.
    pub replay: RowSummary,
    /// The rows judged.
    pub test: Period,
    /// The rows before, which the model may know: in no metric.
    pub in_sample: Option<Period>,
    /// Metrics with intervals, on the rows judged.
    pub metrics: Vec<Metric>,
    /// What it is compared with.
    pub baselines: Vec<Compared>,
    /// Parts of the rows judged.
    pub slices: Vec<Slices>,
    /// Curves of the rows judged.
    pub curves: Curves,
    /// What signals and features do to the margins of the rows judged.
    pub effects: EffectSummary,
    /// What guards against leakage found.
    pub leakage: Leakage,
}

/// Rows of a stretch of time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Period {
    /// The first moment.
    pub from: EventTime,
    /// The last moment.
    pub to: EventTime,
    /// Rows.
    pub rows: usize,
    /// Users.
    pub users: usize,
    /// Rows of users who were lost.
    pub lost: usize,
    /// Users who were lost at any of their rows.
    pub leavers: usize,
    /// The loss rate by weight.
    pub rate: f64,
    /// AUC; of rows in the sample it says how well the model knows its own.
    pub auc: Option<f64>,
}

/// A baseline and how far the model is from it.
#[derive(Debug, Clone, Serialize)]
pub struct Compared {
    /// What it is.
    pub name: String,
    /// Its own metrics.
    pub metrics: Vec<Metric>,
    /// The model's less its own, the same users drawn for both.
    pub differences: Vec<Difference>,
}

/// What guards against leakage found.
#[derive(Debug, Clone, Serialize)]
pub struct Leakage {
    /// Rows made again from what lay before them.
    pub audit: Audit,
    /// Columns that tell the label too well.
    pub suspects: Vec<Suspect>,
    /// Types of events that give the label away.
    pub implying: Vec<String>,
    /// Columns that read them: training leaves them out.
    pub excluded: Vec<String>,
    /// Of these, what this bundle looks at all the same.
    pub used: Vec<String>,
}

/// Scores and outcomes of the rows judged.
#[derive(Debug)]
pub struct Scored {
    /// The rows judged.
    pub rows: LabelledRows,
    /// The probability of each.
    pub probability: Vec<f32>,
}

/// A bundle's probabilities of rows, as a consumer would give them.
#[must_use]
pub fn probabilities(bundle: &Bundle, rows: &LabelledRows) -> Vec<f32> {
    let mut margins = vec![0.0; rows.len()];
    bundle.predictor().margins(&rows.values, &mut margins, &mut bundle.predictor().scratch());
    margins.into_iter().map(|margin| bundle.probability(margin)).collect()
}

/// Judges a bundle on the rows after its last label, and others' bundles (`rivals`, by name) on the same rows.
///
/// # Errors
/// If there is no such row, one of the outcomes does not occur among them, or the log cannot be read for the audit.
pub fn backtest(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    labels: &Labels,
    rows: &LabelledRows,
    bundle: &Bundle,
    rivals: &[(String, Bundle)],
) -> Result<(Backtest, Scored), BacktestError> {
    let mut doubts: Vec<String> = rows.summary.doubt().into_iter().collect();
    for of in std::iter::once(bundle).chain(rivals.iter().map(|(_, rival)| rival)) {
        doubts.extend(labels.check(of)?);
    }
    let decided = rivals
        .iter()
        .map(|(_, rival)| rival.manifest().training.labels_decided)
        .fold(bundle.manifest().training.labels_decided, EventTime::max);
    let after = rows.filter(|row| rows.as_of[row] >= decided);
    let before = rows.filter(|row| rows.as_of[row] < decided);
    let nothing = |why: &str| {
        BacktestError::NothingToJudge(format!(
            "the bundle's last label was decided at {}, and {why}. Wait until labels of later rows are decided, or train on an \
             earlier part of the log (`split.test_from`)",
            crate::evaluate::day(decided)
        ))
    };
    if after.is_empty() {
        return Err(nothing("no row after that has a label that is decided"));
    }
    let (user, users) = number_users(&after.entities);
    let judge = |p: &[f32]| Judged::new(p, &after.lost, &after.weight, &user, users);
    let probability = probabilities(bundle, &after);
    let judged = judge(&probability);
    let resamples = resamples_for(after.len());
    let metrics = measure(&judged, resamples, SEED);
    if metrics.is_empty() {
        return Err(nothing("the rows after that have one outcome only"));
    }
    let mut others: Vec<(String, Vec<f32>)> =
        rivals.iter().map(|(name, rival)| (name.clone(), probabilities(rival, &after))).collect();
    for (name, column) in simple_columns(&rows.names) {
        let table = OneColumn::fit(&before.filter(|row| before.decided_at[row] <= decided), column);
        others.extend(table.map(|table| (name.to_owned(), table.probabilities(&after))));
    }
    let compared = ["auc", "pr_auc", "lift_10", "brier", "log_loss"];
    let baselines = others.iter().map(|(name, p)| {
        let theirs = judge(p);
        Compared {
            name: name.clone(),
            metrics: measure(&theirs, resamples.min(100), SEED),
            differences: compare(&judged, &theirs, &compared, resamples, SEED),
        }
    });
    let effects = effects(bundle, &after);
    let used = |name: &&str| effects.features.iter().any(|bar| bar.name == **name && bar.mean_size > 0.0);
    let report = Backtest {
        bundle: bundle.hash().to_owned(),
        spec: spec.hash().to_string(),
        horizon: labels.horizon,
        lead: labels.lead,
        doubts,
        labels_decided: decided,
        held_out: bundle.manifest().fitting.as_ref().and_then(|fitting| fitting.held_out),
        replay: rows.summary.clone(),
        test: period(&after, &probability).ok_or_else(|| nothing("there is no row"))?,
        in_sample: period(&before, &probabilities(bundle, &before)),
        metrics,
        baselines: baselines.collect(),
        slices: slices(&after, &probability, spec, resamples.min(200), SEED),
        curves: curves(&judged),
        leakage: Leakage {
            audit: audit(log, topic, spec, rows, AUDITED)?,
            suspects: suspects(rows),
            implying: labels.implying.clone(),
            excluded: rows.excluded_names().map(str::to_owned).collect(),
            used: rows.excluded_names().filter(used).map(str::to_owned).collect(),
        },
        effects,
    };
    Ok((report, Scored { rows: after, probability }))
}

fn period(rows: &LabelledRows, probability: &[f32]) -> Option<Period> {
    let (user, users) = number_users(&rows.entities);
    let judged = Judged::new(probability, &rows.lost, &rows.weight, &user, users);
    let (all, lost) = judged.weights();
    let mut has_left = vec![false; users];
    user.iter().zip(&rows.lost).for_each(|(user, lost)| has_left[*user as usize] |= lost);
    Some(Period {
        from: *rows.as_of.iter().min()?,
        to: *rows.as_of.iter().max()?,
        rows: rows.len(),
        users,
        lost: judged.lost(),
        leavers: has_left.iter().filter(|left| **left).count(),
        rate: lost / all,
        auc: measure(&judged, 0, SEED).first().map(|metric| metric.estimate.value),
    })
}

/// Effects over evenly spread rows.
fn effects(bundle: &Bundle, rows: &LabelledRows) -> EffectSummary {
    let step = rows.len().div_ceil(EXPLAINED).max(1);
    let values: Vec<f32> = (0..rows.len()).step_by(step).flat_map(|row| rows.row(row)).copied().collect();
    EffectSummary::of(&Shap::new(bundle.model()), &Signals::of(bundle), &values, SWARMS, POINTS)
}
