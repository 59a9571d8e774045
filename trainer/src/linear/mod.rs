//! Logistic regression that comes out as trees.
//!
//! The consumer scores trees, with the same bits live and in replay, and explains them. So that one evaluator serves all, a
//! linear model is fitted in a form that trees express exactly:
//!
//! 1. Each feature is cut into at most 64 steps ([`scale`]), and a value stands for its step: the mean of sign(x) ln(1 + |x|)
//!    of the rows there, less the mean of all rows, in standard deviations. A row without a value has its own weight instead.
//! 2. A weight for each feature, penalised by its square, is found by Newton's method ([`solve`]).
//! 3. Each feature becomes one tree with a leaf for each step, `weight x step`, and one more with a leaf for rows without a
//!    value ([`trees`]). The margin is the sum: the very model that was fitted, within rounding of each leaf to `f32`.
//!
//! A feature has a tree of its own, so its SHAP value is its own term less the mean of that term: what is usually called the
//! contribution in a linear model.

mod scale;
mod solve;
mod trees;

use scale::Scale;
pub(crate) use solve::Bound;
use solve::{Problem, Solution};

use crate::{Direction, Params, Rows, TrainError};

/// Penalties that are tried, strongest first: each is the square's weight in the mean loss of a row.
const PENALTIES: [f64; 6] = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 1e-4];

/// The most of rows x columns² that are worked on; with more rows, evenly spaced ones are taken.
const MOST_WORK: usize = 400_000_000;

/// A fitted linear model.
#[derive(Debug, Clone)]
pub(crate) struct Linear {
    /// XGBoost's JSON.
    pub(crate) json: Vec<u8>,
    /// Trees in it.
    pub(crate) trees: u32,
    /// The strength of the penalty that was chosen, a place in the list of those tried.
    pub(crate) penalty: usize,
}

/// Fits for a given penalty, or for the one that suits `judge` best: rows and a function from a margin for each to a loss.
///
/// O(rows x columns²) for each of about ten steps and each penalty.
pub(crate) fn fit(
    rows: &Rows,
    held_out: Option<&Rows>,
    penalty: Option<usize>,
    params: &Params,
    loss: impl Fn(&[f32], &Rows) -> f64,
) -> Result<Linear, TrainError> {
    let scale = Scale::of(rows);
    let width = scale.columns();
    let stride = (rows.len().saturating_mul(width * width)).div_ceil(MOST_WORK).max(1);
    let chosen: Vec<usize> = (0..rows.len()).step_by(stride).collect();
    let problem = Problem {
        inputs: scale.matrix(rows, &chosen),
        columns: width,
        lost: chosen.iter().map(|row| rows.lost[*row]).collect(),
        weights: chosen.iter().map(|row| f64::from(rows.weight(*row))).collect(),
        bounds: scale.bounds(|feature| params.direction(&rows.names[feature])),
    };
    let mut solution = Solution::start(&problem);
    let mut best: Option<(f64, usize, Solution)> = None;
    for (at, strength) in PENALTIES.into_iter().enumerate() {
        if penalty.is_some_and(|penalty| at > penalty) {
            break;
        }
        // Each starts from the one before: a few steps suffice.
        solution = problem.solve(solution, strength);
        let Some(judges) = held_out.filter(|_| penalty.is_none()) else {
            best = Some((0.0, at, solution.clone()));
            continue;
        };
        let margins: Vec<f32> =
            (0..judges.len()).map(|row| scale.margin(judges.row(row), &solution) as f32).collect();
        let loss = loss(&margins, judges);
        if best.as_ref().is_none_or(|(least, _, _)| loss < *least) {
            best = Some((loss, at, solution.clone()));
        }
    }
    // There is at least one penalty, so there is a best one.
    let (penalty, solution) = best.map_or((0, solution), |(_, at, solution)| (at, solution));
    let (json, trees) = trees::write(&rows.names, &scale, &solution);
    Ok(Linear { json, trees, penalty })
}

impl Direction {
    /// The bound that it sets on a weight.
    pub(crate) const fn bound(this: Option<Self>) -> Bound {
        match this {
            Some(Self::Rising) => Bound::NotNegative,
            Some(Self::Falling) => Bound::NotPositive,
            None => Bound::None,
        }
    }
}
