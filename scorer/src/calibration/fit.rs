//! Logistic fits of calibrations: a few parameters, Newton's method, the same bits everywhere.

use super::{Calibration, ln_sigmoid, sigmoid};

/// Newton converges in about ten steps; this only stops what does not.
const MAX_STEPS: usize = 200;

/// Why nothing can be fitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FitError {
    /// No rows, or not as many margins as outcomes and weights.
    #[error("cannot calibrate on {margins} margins, {outcomes} outcomes and {weights} weights")]
    Count {
        /// Margins given.
        margins: usize,
        /// Outcomes given.
        outcomes: usize,
        /// Weights given.
        weights: usize,
    },
    /// A weight is not a positive number.
    #[error("cannot calibrate: the weight of row {0} is not positive and finite")]
    Weight(usize),
    /// A margin is infinite or not a number.
    #[error("cannot calibrate: the margin of row {0} is not finite")]
    Margin(usize),
    /// All users left, or none.
    #[error("cannot calibrate: all outcomes are the same")]
    OneOutcome,
}

pub(super) fn checked(margins: &[f32], left: &[bool], weights: &[f32]) -> Result<(), FitError> {
    if margins.is_empty() || margins.len() != left.len() || margins.len() != weights.len() {
        let (outcomes, weights) = (left.len(), weights.len());
        return Err(FitError::Count { margins: margins.len(), outcomes, weights });
    }
    if let Some(row) = weights.iter().position(|weight| !(weight.is_finite() && *weight > 0.0)) {
        return Err(FitError::Weight(row));
    }
    match margins.iter().position(|margin| !margin.is_finite()) {
        Some(row) => Err(FitError::Margin(row)),
        None => Ok(()),
    }
}

/// Fits Platt scaling to margins and whether each user left; a row of weight 2 is two rows.
///
/// Platt's own targets are used, (n1 + 1) / (n1 + 2) for who left and 1 / (n0 + 2) for who stayed, where n is the sum of weights: they
/// keep the fit finite where the classes separate. The slope is never negative. O(n) a step, about ten steps.
///
/// # Errors
/// If there is no row, the lengths differ, a margin is not finite, a weight not positive, or all outcomes are the same.
pub fn fit_platt(margins: &[f32], left: &[bool], weights: &[f32]) -> Result<Calibration, FitError> {
    let targets = platt_targets(margins, left, weights)?;
    let inputs: Vec<_> = margins.iter().map(|&m| [f64::from(m), 0.0]).collect();
    let [slope, _, intercept] = fit_non_negative(&inputs, &targets, [true, false]);
    Ok(Calibration::Platt { slope, intercept })
}

/// Fits beta calibration to margins and whether each user left.
///
/// Both factors are kept from falling below 0, so the result never falls; the targets are those of [`fit_platt`].
///
/// # Errors
/// As [`fit_platt`].
pub fn fit_beta(margins: &[f32], left: &[bool], weights: &[f32]) -> Result<Calibration, FitError> {
    let targets = platt_targets(margins, left, weights)?;
    let inputs: Vec<_> =
        margins.iter().map(|&m| [ln_sigmoid(f64::from(m)), -ln_sigmoid(-f64::from(m))]).collect();
    let [a, b, c] = fit_non_negative(&inputs, &targets, [true, true]);
    Ok(Calibration::Beta { a, b, c })
}

/// What the fit is drawn towards in a row.
struct Target {
    probability: f64,
    weight: f64,
}

fn platt_targets(margins: &[f32], left: &[bool], weights: &[f32]) -> Result<Vec<Target>, FitError> {
    checked(margins, left, weights)?;
    let rows = || left.iter().zip(weights).map(|(left, weight)| (*left, f64::from(*weight)));
    let of =
        |outcome: bool| rows().filter(|(left, _)| *left == outcome).map(|(_, weight)| weight).sum::<f64>();
    let (n_left, n_stayed) = (of(true), of(false));
    if n_left == 0.0 || n_stayed == 0.0 {
        return Err(FitError::OneOutcome);
    }
    let (high, low) = ((n_left + 1.0) / (n_left + 2.0), 1.0 / (n_stayed + 2.0));
    Ok(rows().map(|(left, weight)| Target { probability: if left { high } else { low }, weight }).collect())
}

/// The best coefficients of two inputs, none negative, and the intercept.
///
/// With two inputs there are four sets of them that may be 0. The loss is convex, so the best fit over the sets whose
/// coefficients come out non-negative is the best of all.
fn fit_non_negative(inputs: &[[f64; 2]], targets: &[Target], used: [bool; 2]) -> [f64; 3] {
    let mut best: Option<(f64, [f64; 3])> = None;
    for set in [[true, true], [true, false], [false, true], [false, false]] {
        if (set[0] && !used[0]) || (set[1] && !used[1]) {
            continue;
        }
        let coefficients = newton(inputs, targets, set);
        let loss = loss(inputs, targets, &coefficients);
        let valid = coefficients[0] >= 0.0 && coefficients[1] >= 0.0 && loss.is_finite();
        if valid && best.is_none_or(|(least, _)| loss < least) {
            best = Some((loss, coefficients));
        }
    }
    // The empty set has no coefficient that could be negative.
    best.map_or([0.0; 3], |(_, coefficients)| coefficients)
}

fn loss(inputs: &[[f64; 2]], targets: &[Target], w: &[f64; 3]) -> f64 {
    let row = |(x, target): (&[f64; 2], &Target)| {
        let score = w[0] * x[0] + w[1] * x[1] + w[2];
        let t = target.probability;
        target.weight * (-t * ln_sigmoid(score) - (1.0 - t) * ln_sigmoid(-score))
    };
    inputs.iter().zip(targets).map(row).sum()
}

/// Logistic regression by Newton's method with halved steps, over the inputs in `set`.
fn newton(inputs: &[[f64; 2]], targets: &[Target], set: [bool; 2]) -> [f64; 3] {
    let sum = |of: fn(&Target) -> f64| targets.iter().map(of).sum::<f64>();
    let mean = sum(|target| target.weight * target.probability) / sum(|target| target.weight);
    let mut w = [0.0, 0.0, libm::log(mean / (1.0 - mean))];
    let mut now = loss(inputs, targets, &w);
    for _ in 0..MAX_STEPS {
        let (mut gradient, mut hessian) = ([0.0; 3], [[0.0; 3]; 3]);
        for (x, Target { probability: t, weight }) in inputs.iter().zip(targets) {
            let x = [x[0], x[1], 1.0];
            let p = sigmoid(w[0] * x[0] + w[1] * x[1] + w[2]);
            for i in 0..3 {
                gradient[i] += weight * (p - t) * x[i];
                for j in 0..3 {
                    hessian[i][j] += weight * p * (1.0 - p) * x[i] * x[j];
                }
            }
        }
        for i in 0..2 {
            if !set[i] {
                gradient[i] = 0.0;
                (0..3).for_each(|j| (hessian[i][j], hessian[j][i]) = (0.0, 0.0));
            }
        }
        // Keeps it solvable where inputs depend on each other (or are left out).
        let ridge = 1e-12 * (hessian[0][0] + hessian[1][1] + hessian[2][2]) + f64::MIN_POSITIVE;
        (0..3).for_each(|i| hessian[i][i] += ridge);
        let step = solve(hessian, gradient);

        let mut scale = 1.0;
        let next = loop {
            let candidate = [w[0] - scale * step[0], w[1] - scale * step[1], w[2] - scale * step[2]];
            let next = loss(inputs, targets, &candidate);
            if next < now {
                w = candidate;
                break next;
            }
            scale *= 0.5;
            if scale < 1e-6 {
                return w;
            }
        };
        let gained = now - next;
        now = next;
        if gained <= 1e-13 * now.abs() {
            break;
        }
    }
    w
}

/// Solves a symmetric positive definite system by elimination.
fn solve(mut m: [[f64; 3]; 3], mut v: [f64; 3]) -> [f64; 3] {
    for i in 0..3 {
        let (pivot, known) = (m[i], v[i]);
        for below in i + 1..3 {
            let factor = m[below][i] / pivot[i];
            m[below].iter_mut().zip(pivot).for_each(|(value, pivot)| *value -= factor * pivot);
            v[below] -= factor * known;
        }
    }
    let mut x = [0.0; 3];
    for i in (0..3).rev() {
        let known: f64 = (i + 1..3).map(|j| m[i][j] * x[j]).sum();
        x[i] = (v[i] - known) / m[i][i];
    }
    x
}
