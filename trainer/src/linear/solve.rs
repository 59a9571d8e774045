//! Penalised logistic regression: Newton's method, each step a small quadratic problem solved weight by weight, so that weights
//! can be kept on one side of zero. Plain sums in a fixed order: the same bits everywhere.
//!
//! Source: Friedman, Hastie, Tibshirani, "Regularization paths for generalized linear models via coordinate descent" (2010).

/// Newton's method takes about six steps; this only stops what does not converge.
const MOST_STEPS: usize = 50;
/// Rounds over the weights within a step.
const MOST_ROUNDS: usize = 500;

/// Where a weight may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    None,
    NotNegative,
    NotPositive,
}

/// What is to be fitted.
#[derive(Debug)]
pub(super) struct Problem {
    /// Row after row.
    pub(super) inputs: Vec<f64>,
    pub(super) columns: usize,
    pub(super) lost: Vec<bool>,
    pub(super) weights: Vec<f64>,
    /// One for each column.
    pub(super) bounds: Vec<Bound>,
}

/// Weights and intercept, in log-odds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Solution {
    pub(super) weights: Vec<f64>,
    pub(super) intercept: f64,
}

/// The loss's second-order shape at a solution: curvature (columns and the intercept last, row after row) and slope.
struct Shape {
    curvature: Vec<f64>,
    slope: Vec<f64>,
}

impl Bound {
    const fn keep(self, weight: f64) -> f64 {
        match self {
            Self::None => weight,
            Self::NotNegative => weight.max(0.0),
            Self::NotPositive => weight.min(0.0),
        }
    }
}

impl Solution {
    /// No weights, and the intercept that fits without them.
    pub(super) fn start(problem: &Problem) -> Self {
        let (mut lost, mut all) = (0.0, 0.0);
        for (outcome, weight) in problem.lost.iter().zip(&problem.weights) {
            all += weight;
            lost += if *outcome { *weight } else { 0.0 };
        }
        let rate = (lost / all).clamp(1e-6, 1.0 - 1e-6);
        Self { weights: vec![0.0; problem.columns], intercept: libm::log(rate / (1.0 - rate)) }
    }
}

impl Problem {
    /// Minimises the mean log loss plus half of `strength` times the sum of squared weights, from a solution on.
    pub(super) fn solve(&self, from: Solution, strength: f64) -> Solution {
        let mut now = from;
        let mut cost = self.cost(&now, strength);
        for _ in 0..MOST_STEPS {
            let target = self.newton(&now, strength);
            // The full step, or as much of it as lowers the cost.
            let mut share = 1.0;
            let gained = loop {
                let candidate = now.towards(&target, share);
                let lower = self.cost(&candidate, strength);
                if lower < cost {
                    let gained = cost - lower;
                    (now, cost) = (candidate, lower);
                    break gained;
                }
                share *= 0.5;
                if share < 1e-4 {
                    return now;
                }
            };
            if gained <= 1e-9 * cost {
                break;
            }
        }
        now
    }

    fn rows(&self) -> impl Iterator<Item = (&[f64], f64, f64)> {
        let of = |row: usize| &self.inputs[row * self.columns..][..self.columns];
        (0..self.lost.len()).map(move |row| (of(row), f64::from(u8::from(self.lost[row])), self.weights[row]))
    }

    fn cost(&self, at: &Solution, strength: f64) -> f64 {
        let (mut sum, mut all) = (0.0, 0.0);
        for (inputs, outcome, weight) in self.rows() {
            let margin = at.margin(inputs);
            let against = if outcome == 1.0 { -margin } else { margin };
            sum += weight * (against.max(0.0) + libm::log1p(libm::exp(-against.abs())));
            all += weight;
        }
        sum / all + 0.5 * strength * at.weights.iter().map(|w| w * w).sum::<f64>()
    }

    /// Where the quadratic that touches the cost at `at` has its lowest point within the bounds.
    fn newton(&self, at: &Solution, strength: f64) -> Solution {
        let columns = self.columns;
        let width = columns + 1;
        let Shape { mut curvature, mut slope } = self.shape(at);
        for column in 0..columns {
            curvature[column * width + column] += strength;
            slope[column] += strength * at.weights[column];
        }
        let mut next: Vec<f64> = at.weights.iter().copied().chain([at.intercept]).collect();
        for _ in 0..MOST_ROUNDS {
            let mut moved = 0.0_f64;
            for column in 0..width {
                let steep = curvature[column * width + column];
                if steep <= 1e-12 {
                    continue;
                }
                let wanted = next[column] - slope[column] / steep;
                let kept = self.bounds.get(column).map_or(wanted, |bound| bound.keep(wanted));
                let by = kept - next[column];
                if by != 0.0 {
                    next[column] = kept;
                    let row = &curvature[column * width..][..width];
                    slope.iter_mut().zip(row).for_each(|(slope, curve)| *slope += by * curve);
                    moved = moved.max(by * by * steep);
                }
            }
            if moved < 1e-12 {
                break;
            }
        }
        let intercept = next.pop().unwrap_or_default();
        Solution { weights: next, intercept }
    }

    fn shape(&self, at: &Solution) -> Shape {
        let width = self.columns + 1;
        let (mut curvature, mut slope) = (vec![0.0; width * width], vec![0.0; width]);
        let mut all = 0.0;
        for (inputs, outcome, weight) in self.rows() {
            let p = sigmoid(at.margin(inputs));
            let (residual, curve) = (weight * (p - outcome), weight * p * (1.0 - p));
            all += weight;
            for (column, value) in inputs.iter().enumerate() {
                // Most of an indicator is zero.
                if *value == 0.0 {
                    continue;
                }
                slope[column] += residual * value;
                let by = curve * value;
                let line = &mut curvature[column * width..][..column + 1];
                line.iter_mut().zip(inputs).for_each(|(sum, other)| *sum += by * other);
                curvature[self.columns * width + column] += by;
            }
            slope[self.columns] += residual;
            curvature[self.columns * width + self.columns] += curve;
        }
        for row in 0..width {
            for column in 0..=row {
                let value = curvature[row * width + column] / all;
                curvature[row * width + column] = value;
                curvature[column * width + row] = value;
            }
        }
        slope.iter_mut().for_each(|value| *value /= all);
        Shape { curvature, slope }
    }
}

impl Solution {
    fn margin(&self, inputs: &[f64]) -> f64 {
        inputs.iter().zip(&self.weights).map(|(input, weight)| input * weight).sum::<f64>() + self.intercept
    }

    fn towards(&self, target: &Self, share: f64) -> Self {
        let between = |from: f64, to: f64| from + share * (to - from);
        Self {
            weights: self.weights.iter().zip(&target.weights).map(|(from, to)| between(*from, *to)).collect(),
            intercept: between(self.intercept, target.intercept),
        }
    }
}

fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of two inputs and a constant truth: log-odds 1.5 a - 0.7 b - 1.
    fn problem(bounds: [Bound; 2]) -> Problem {
        let mut state = 11_u64;
        let mut share = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1_u64 << 24) as f64
        };
        let (mut inputs, mut lost) = (Vec::new(), Vec::new());
        for _ in 0..40_000 {
            let (a, b) = (share() * 4.0 - 2.0, share() * 4.0 - 2.0);
            inputs.extend([a, b]);
            lost.push(share() < sigmoid(1.5 * a - 0.7 * b - 1.0));
        }
        let weights = vec![1.0; lost.len()];
        Problem { inputs, columns: 2, lost, weights, bounds: bounds.to_vec() }
    }

    #[test]
    fn it_finds_the_truth() {
        let problem = problem([Bound::None, Bound::None]);
        let found = problem.solve(Solution::start(&problem), 1e-9);
        for (found, truth) in found.weights.iter().chain([&found.intercept]).zip([1.5, -0.7, -1.0]) {
            assert!((found - truth).abs() < 0.05, "{found} for {truth}");
        }
        // At the lowest point the slope is nothing.
        assert!(problem.shape(&found).slope.iter().all(|slope| slope.abs() < 1e-6));
    }

    #[test]
    fn a_penalty_shrinks_and_a_bound_holds() {
        let free = problem([Bound::None, Bound::None]);
        let shrunk = free.solve(Solution::start(&free), 0.1);
        assert!(shrunk.weights[0] > 0.5 && shrunk.weights[0] < 1.4, "{shrunk:?}");
        let bound = problem([Bound::NotPositive, Bound::NotPositive]);
        let found = bound.solve(Solution::start(&bound), 1e-9);
        assert_eq!(found.weights[0], 0.0);
        assert!((-0.7..-0.3).contains(&found.weights[1]), "{found:?}");
    }

    #[test]
    fn separable_rows_and_columns_that_repeat_end_too() {
        let lost: Vec<bool> = (0..100).map(|row| row >= 50).collect();
        let inputs = (0..100).flat_map(|row| [f64::from(row) - 49.5, f64::from(row) - 49.5]).collect();
        let problem =
            Problem { inputs, columns: 2, lost, weights: vec![1.0; 100], bounds: vec![Bound::None; 2] };
        let found = problem.solve(Solution::start(&problem), 1e-3);
        assert!(found.weights.iter().all(|w| w.is_finite() && *w > 0.0), "{found:?}");
    }
}
