//! Drives XGBoost round by round.
//!
//! The binding's own training loop prints every round and cannot stop early, so rounds are driven here.

use xgb::parameters::BoosterParameters;
use xgb::{Booster, DMatrix};

use crate::{Algorithm, Direction, Params, Rows, TrainError};

/// What is known after a round, for showing progress.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Round {
    /// Which of the fits this is, from 1: one for each part held out, then the one that ships.
    pub fit: u32,
    /// Fits in all.
    pub fits: u32,
    /// This round, from 1.
    pub number: u32,
    /// The last round that there can be.
    pub of: u32,
    /// The loss on held-out users after this round, in nats a row; `None` if nobody is held out.
    pub loss: Option<f64>,
    /// The round with the lowest loss so far.
    pub best: u32,
}

/// A boosted model.
pub(crate) struct Boosted {
    /// XGBoost's JSON.
    pub(crate) json: Vec<u8>,
    /// Rounds in it.
    pub(crate) rounds: u32,
}

/// Boosts on `rows`: `fixed` rounds, or with `held_out` until its loss has not fallen for `patience` rounds, and keeps the best
/// number of rounds. A forest is one round of many trees.
pub(crate) fn boost(
    rows: &Rows,
    held_out: Option<&Rows>,
    fixed: Option<u32>,
    params: &Params,
    progress: &mut dyn FnMut(Round),
) -> Result<Boosted, TrainError> {
    let training = matrix(rows)?;
    let held_out = held_out.filter(|_| fixed.is_none());
    let judging = held_out.map(matrix).transpose()?;
    // Matrices that the booster knows keep their margins between rounds, so each round costs one tree and not all of them.
    let known: Vec<&DMatrix> = std::iter::once(&training).chain(&judging).collect();
    let mut booster = Booster::new_with_cached_dmats(&BoosterParameters::default(), &known)?;
    for (name, value) in settings(rows, params) {
        booster.set_param(name, &value)?;
    }
    booster.set_feature_info("feature_name", &rows.names.iter().map(String::as_str).collect())?;

    let last = match params.algorithm {
        Algorithm::Forest => 1,
        _ => fixed.unwrap_or(params.max_rounds),
    };
    let (mut best, mut least) = (0, f64::INFINITY);
    for number in 1..=last {
        // Numbers of rounds are small: `max_rounds` trees must fit in memory.
        booster.update(&training, number as i32 - 1)?;
        let loss = match (&judging, held_out) {
            (Some(matrix), Some(rows)) => Some(mean_loss(&booster.predict_margin(matrix)?, rows)),
            _ => None,
        };
        if loss.is_none_or(|loss| loss < least) {
            (best, least) = (number, loss.unwrap_or(least));
        }
        // A loss that is not a number never improves; one tree is the least that a model has.
        best = best.max(1);
        progress(Round { fit: 1, fits: 1, number, of: last, loss, best });
        if loss.is_some() && number - best >= params.patience {
            break;
        }
    }
    let json = booster.slice(0, best as i32)?.save_buffer(false)?;
    Ok(Boosted { json, rounds: best })
}

/// XGBoost's parameters, which follow the binding's defaults and so win over them. Names: XGBoost's documentation.
fn settings(rows: &Rows, params: &Params) -> Vec<(&'static str, String)> {
    // XGBoost refuses 0 and 1; rows are checked to hold both outcomes.
    let rate = rows.loss_rate().unwrap_or(0.5).clamp(1e-6, 1.0 - 1e-6) as f32;
    let mut settings = vec![
        ("verbosity", "0".to_owned()),
        ("nthread", params.threads_of_a_fit(rows.values.len()).to_string()),
        ("objective", "binary:logistic".to_owned()),
        ("base_score", rate.to_string()),
        ("tree_method", "hist".to_owned()),
        ("max_bin", params.max_bin.to_string()),
        ("max_depth", params.max_depth.to_string()),
        ("min_child_weight", params.min_child_weight.to_string()),
        ("subsample", params.row_share.to_string()),
        ("lambda", params.lambda.to_string()),
        ("seed", params.seed.to_string()),
        // Otherwise the choice of rows depends on what else this process has trained.
        ("seed_per_iteration", "1".to_owned()),
    ];
    if params.algorithm == Algorithm::Forest {
        // Breiman's forest: at each split the root of the number of features to choose from, and the mean of all trees.
        let share = 1.0 / (rows.names.len().max(1) as f64).sqrt();
        settings.extend([
            ("num_parallel_tree", params.forest_trees.to_string()),
            ("eta", "1".to_owned()),
            ("colsample_bynode", share.to_string()),
        ]);
    } else {
        settings.extend([
            ("eta", params.learning_rate.to_string()),
            ("colsample_bytree", params.feature_share.to_string()),
        ]);
    }
    if !params.monotone.is_empty() {
        let of = |name: &String| match params.direction(name) {
            Some(Direction::Rising) => "1",
            Some(Direction::Falling) => "-1",
            None => "0",
        };
        let list: Vec<&str> = rows.names.iter().map(of).collect();
        settings.push(("monotone_constraints", format!("({})", list.join(","))));
    }
    settings
}

fn matrix(rows: &Rows) -> Result<DMatrix, TrainError> {
    let mut matrix = DMatrix::from_dense(&rows.values, rows.len())?;
    let labels: Vec<f32> = rows.lost.iter().map(|lost| f32::from(u8::from(*lost))).collect();
    matrix.set_labels(&labels)?;
    if !rows.weights.is_empty() {
        matrix.set_weights(&rows.weights)?;
    }
    Ok(matrix)
}

/// The mean log loss over the weights, of probabilities that are not calibrated.
pub(crate) fn mean_loss(margins: &[f32], rows: &Rows) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for (row, margin) in margins.iter().enumerate() {
        let weight = f64::from(rows.weight(row));
        // Margins rather than probabilities: they do not run out of digits.
        let against = f64::from(if rows.lost[row] { -margin } else { *margin });
        sum += weight * (against.max(0.0) + libm::log1p(libm::exp(-against.abs())));
        all += weight;
    }
    sum / all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_log_loss() {
        let rows = Rows { lost: vec![true, false], weights: vec![3.0, 1.0], ..Rows::default() };
        let expected =
            (3.0 * -(1.0 / (1.0 + (-0.5_f64).exp())).ln() - (1.0 - 1.0 / (1.0 + 2.0_f64.exp())).ln()) / 4.0;
        assert!((mean_loss(&[0.5, -2.0], &rows) - expected).abs() < 1e-12);
        let far = mean_loss(&[-1_000.0, 1_000.0], &rows);
        assert!((far - 1_000.0).abs() < 1e-9, "{far}");
    }
}
