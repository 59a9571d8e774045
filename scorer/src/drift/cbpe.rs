//! The quality to be expected of calibrated probabilities, without labels.

use serde::Serialize;

/// What calibrated probabilities say of themselves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Expected {
    /// How many rows.
    pub rows: usize,
    /// The share of rows expected to be lost.
    pub loss_rate: f64,
    /// The expected area under the ROC curve.
    pub auc: f64,
    /// The expected Brier score.
    pub brier: f64,
}

/// Estimates quality from probabilities alone (confidence-based performance estimation; NannyML's CBPE): if a row with the
/// probability `p` is lost with just this probability, the expected numbers of right and wrong orders follow.
///
/// It is right where the users changed but what leads to their loss did not (a covariate shift), and blind where that
/// changed: then the probabilities are no longer those of the outcome, and nothing in them shows it. `None` without rows, or
/// if no pair of different outcomes is to be expected. O(n log n).
#[must_use]
pub fn expected(probabilities: &[f32]) -> Option<Expected> {
    let mut sorted: Vec<f64> = probabilities.iter().map(|&p| f64::from(p)).collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let lost: f64 = sorted.iter().sum();
    let kept: f64 = sorted.iter().map(|p| 1.0 - p).sum();
    // A row is not a pair with itself.
    let itself: f64 = sorted.iter().map(|p| p * (1.0 - p)).sum();
    let pairs = lost * kept - itself;
    if sorted.is_empty() || pairs <= 0.0 {
        return None;
    }
    let (mut right, mut kept_below) = (0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a == b) {
        let (lost_here, kept_here): (f64, f64) =
            ties.iter().fold((0.0, 0.0), |(lost, kept), p| (lost + p, kept + (1.0 - p)));
        let itself: f64 = ties.iter().map(|p| p * (1.0 - p)).sum();
        right += lost_here * kept_below + (lost_here * kept_here - itself) / 2.0;
        kept_below += kept_here;
    }
    let rows = sorted.len();
    Some(Expected { rows, loss_rate: lost / rows as f64, auc: right / pairs, brier: itself / rows as f64 })
}
