//! Cross-validation: how good models are on customers that they have not seen, the search for parameters included.

use backtest::metrics::{Quality, auc, brier};
use serde::Serialize;
use trainer::{Algorithm, Params, Rows};

use crate::training::{Judged, Stage, Training, find};

/// How customers are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Folds {
    /// Parts that customers are cut into; each is judged by a model fitted on the others.
    pub folds: u32,
    /// How often, each time cut otherwise; figures are means over all.
    pub repeats: u32,
    /// Decides who is in which part.
    pub seed: u32,
}

/// How good a kind of model is.
#[derive(Debug, Clone, Serialize)]
pub struct CrossReport {
    /// The kind.
    pub algorithm: Algorithm,
    /// The mean of the folds' AUCs.
    pub auc: f64,
    /// The AUC of each fold, repeat after repeat.
    pub folds: Vec<f64>,
    /// Measured on all customers at once, each with the mean probability of the models that had not seen it.
    pub pooled: Judged,
}

/// Judges a kind of model by cross-validation. Search, stopping and calibration happen within each fold, on the customers that
/// its model may know.
///
/// # Errors
/// If a fold has one outcome only, or a fit fails.
pub(super) fn validate(
    rows: &Rows,
    training: &Training,
    folds: Folds,
    progress: &mut impl FnMut(Stage<'_>),
) -> anyhow::Result<CrossReport> {
    let algorithm = training.params.algorithm;
    let mut aucs = Vec::new();
    let mut sums = vec![0.0_f64; rows.len()];
    let mut raw = vec![0.0_f64; rows.len()];
    let mut trees = 0;
    for repeat in 0..folds.repeats {
        // A cut of its own: who is held out within a fold must not follow from it.
        let cut =
            Params { folds: folds.folds, seed: folds.seed ^ (0x5EED << 8) ^ repeat, ..Params::default() };
        let part: Vec<u32> = rows.groups.iter().map(|group| cut.part_of(*group)).collect();
        for fold in 0..folds.folds {
            progress(Stage::Fold {
                algorithm,
                number: repeat * folds.folds + fold + 1,
                of: folds.folds * folds.repeats,
            });
            let known = rows.filter(|row| part[row] != fold);
            let unseen: Vec<usize> = (0..rows.len()).filter(|row| part[*row] == fold).collect();
            let judged = rows.filter(|row| part[row] == fold);
            let found = find(&known, training, progress)?;
            let fitted =
                trainer::fit(&known, &found.params, |round| progress(Stage::Round(algorithm, round)))?;
            let margins = fitted.margins(&judged);
            let probabilities: Vec<f32> =
                margins.iter().map(|margin| fitted.calibration.apply(*margin)).collect();
            let auc = auc(&margins, &judged.lost).ok_or_else(|| {
                anyhow::anyhow!("a fold of {} rows has one outcome only: use fewer folds", judged.len())
            })?;
            aucs.push(auc);
            for (at, row) in unseen.iter().enumerate() {
                sums[*row] += f64::from(probabilities[at]);
                raw[*row] += f64::from(scorer::probability(margins[at]));
            }
            trees = trees.max(fitted.trees);
        }
    }
    let mean = |sums: &[f64]| -> Vec<f32> {
        sums.iter().map(|sum| (sum / f64::from(folds.repeats)) as f32).collect()
    };
    let (calibrated, raw) = (mean(&sums), mean(&raw));
    let brier = |probabilities: &[f32]| brier(probabilities, &rows.lost, &rows.weights);
    let constant = vec![rows.loss_rate().unwrap_or_default() as f32; rows.len()];
    let brier_skill = match (brier(&calibrated), brier(&constant)) {
        (Some(ours), Some(theirs)) if theirs > 0.0 => Some(1.0 - ours / theirs),
        _ => None,
    };
    Ok(CrossReport {
        algorithm,
        auc: aucs.iter().sum::<f64>() / aucs.len() as f64,
        folds: aucs,
        pooled: Judged {
            algorithm,
            trees,
            test: Quality::of(&calibrated, &rows.lost, &rows.weights),
            brier_skill,
            brier_uncalibrated: brier(&raw),
        },
    })
}
