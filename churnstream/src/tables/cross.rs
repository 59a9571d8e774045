//! Cross-validation: how good models are on customers that they have not seen, the search for parameters included.

use backtest::metrics::{Quality, auc};
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

impl Folds {
    /// The part that each row is in, in one of the repeats. A cut of its own: who is held out within a fold must not follow from it.
    fn parts(self, rows: &Rows, repeat: u32) -> Vec<u32> {
        let cut = Params { folds: self.folds, seed: self.seed ^ (0x5EED << 8) ^ repeat, ..Params::default() };
        rows.groups.iter().map(|group| cut.part_of(*group)).collect()
    }
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
    /// The mean of the repeats' figures, each measured on all customers, every one by the one model that had not seen it: what a model
    /// like the one that ships is worth.
    pub mean: Judged,
    /// Measured once, on the mean probability that the repeats' models give a customer: what as many models together are worth, which
    /// is more. With one repeat it is the same.
    pub pooled: Judged,
    /// What each customer was given the first time, for intervals.
    #[serde(skip)]
    pub(super) first: Vec<f32>,
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
    let (mut sums, mut raw_sums) = (vec![0.0_f64; rows.len()], vec![0.0_f64; rows.len()]);
    let (mut repeats, mut first) = (Vec::new(), Vec::new());
    let mut trees = 0;
    for repeat in 0..folds.repeats {
        let part = folds.parts(rows, repeat);
        let (mut calibrated, mut raw) = (vec![0.0_f32; rows.len()], vec![0.0_f32; rows.len()]);
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
            let auc = auc(&margins, &judged.lost).ok_or_else(|| {
                anyhow::anyhow!("a fold of {} rows has one outcome only: use fewer folds", judged.len())
            })?;
            aucs.push(auc);
            for (row, margin) in unseen.into_iter().zip(margins) {
                calibrated[row] = fitted.calibration.apply(margin);
                raw[row] = scorer::probability(margin);
            }
            trees = trees.max(fitted.trees);
        }
        for (sums, of_repeat) in [(&mut sums, &calibrated), (&mut raw_sums, &raw)] {
            sums.iter_mut().zip(of_repeat).for_each(|(sum, p)| *sum += f64::from(*p));
        }
        repeats.push(Judged::of(algorithm, trees, [&calibrated, &raw], rows));
        if repeat == 0 {
            first = calibrated;
        }
    }
    let mean = |sums: &[f64]| -> Vec<f32> {
        sums.iter().map(|sum| (sum / f64::from(folds.repeats)) as f32).collect()
    };
    Ok(CrossReport {
        algorithm,
        auc: aucs.iter().sum::<f64>() / aucs.len() as f64,
        folds: aucs,
        mean: mean_of(&repeats, algorithm, trees),
        pooled: Judged::of(algorithm, trees, [&mean(&sums), &mean(&raw_sums)], rows),
        first,
    })
}

/// The mean of each figure over the repeats; of one that a repeat does not have, nothing.
fn mean_of(repeats: &[Judged], algorithm: Algorithm, trees: u32) -> Judged {
    let mean = |of: &dyn Fn(&Judged) -> Option<f64>| -> Option<f64> {
        let sum: Option<f64> = repeats.iter().map(of).sum();
        sum.map(|sum| sum / repeats.len() as f64)
    };
    let quality = |of: fn(&Quality) -> f64| mean(&|judged| judged.test.as_ref().map(of));
    let test = || {
        let first = repeats.first()?.test.as_ref()?;
        Some(Quality {
            rows: first.rows,
            lost: first.lost,
            auc: quality(|q| q.auc)?,
            lift_1: quality(|q| q.lift_1)?,
            lift_5: quality(|q| q.lift_5)?,
            lift_10: quality(|q| q.lift_10)?,
            brier: quality(|q| q.brier)?,
            brier_skill: quality(|q| q.brier_skill)?,
            log_loss: quality(|q| q.log_loss)?,
            calibration_error: quality(|q| q.calibration_error)?,
        })
    };
    Judged {
        algorithm,
        trees,
        test: test(),
        brier_uncalibrated: mean(&|judged| judged.brier_uncalibrated),
        calibration_by_chance: mean(&|judged| judged.calibration_by_chance),
    }
}

#[cfg(test)]
mod tests {
    use types::EventTime;

    use super::*;

    /// Customers of whom those are lost who use little; half of what is known of them says nothing.
    fn customers(number: u64) -> Rows {
        let mut state = 11_u64;
        let mut share = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1_u64 << 24) as f32
        };
        let mut rows =
            Rows { names: ["use", "age", "noise", "more"].map(str::to_owned).to_vec(), ..Rows::default() };
        for customer in 0..number {
            let values: [f32; 4] = std::array::from_fn(|_| share());
            rows.lost.push(share() < if values[0] < 0.4 { 0.5 } else { 0.15 } + 0.2 * values[1] * values[2]);
            rows.values.extend(values);
            rows.groups.push(customer);
            rows.as_of.push(EventTime(0));
        }
        rows
    }

    #[test]
    fn nothing_about_a_fold_is_chosen_by_its_own_customers() {
        let rows = customers(500);
        let folds = Folds { folds: 3, repeats: 1, seed: 4 };
        let params = Params { max_rounds: 30, folds: 2, ..Params::default() };
        let training = Training { search: 8, ..Training::new(params) };
        let aucs = |rows: &Rows| validate(rows, &training, folds, &mut |_| {}).unwrap().folds;
        let before = aucs(&rows);
        let part = folds.parts(&rows, 0);
        for fold in 0..folds.folds as usize {
            // Were any label of the fold known to the search, the stopping or the calibration, another model would come out. The same
            // one has all pairs the other way round.
            let mut turned = rows.clone();
            for (lost, part) in turned.lost.iter_mut().zip(&part) {
                *lost ^= *part as usize == fold;
            }
            let after = aucs(&turned);
            assert!((before[fold] + after[fold] - 1.0).abs() < 1e-12, "{fold}: {before:?}, {after:?}");
            assert!(
                (0..after.len()).filter(|other| *other != fold).all(|other| after[other] != before[other])
            );
        }
    }
}
