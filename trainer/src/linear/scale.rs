//! From feature values to the columns that weights belong to.

use super::{Bound, Solution};
use crate::{Direction, Rows};

/// Steps that a feature is cut into at most: six levels of a tree, which the fastest evaluators take.
const STEPS: usize = 64;

/// How each feature becomes columns.
#[derive(Debug, Clone)]
pub(super) struct Scale {
    pub(super) features: Vec<Feature>,
    columns: usize,
}

/// One feature's steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Feature {
    /// Where a step ends and the next begins: a value below the border is below it. Rising.
    pub(super) borders: Vec<f32>,
    /// What a value stands for, one more than there are borders; mean 0, deviation 1 over the rows with a value.
    pub(super) levels: Vec<f64>,
    /// Rows in each step, by weight.
    pub(super) cover: Vec<f64>,
    /// Rows without a value, by weight.
    pub(super) missing: f64,
    /// The column of its weight; `None` if all its values are alike.
    pub(super) column: Option<usize>,
    /// The column of its weight for rows without a value; `None` if all rows have one, or none has.
    pub(super) missing_column: Option<usize>,
}

impl Scale {
    /// Learns steps and levels. O(rows log rows) a feature.
    pub(super) fn of(rows: &Rows) -> Self {
        let mut columns = 0;
        let mut next = || {
            columns += 1;
            Some(columns - 1)
        };
        let features = (0..rows.names.len())
            .map(|at| {
                let mut feature = Feature::of(rows, at);
                feature.column = if feature.levels.len() > 1 { next() } else { None };
                let with_value: f64 = feature.cover.iter().sum();
                feature.missing_column =
                    if feature.missing > 0.0 && with_value > 0.0 { next() } else { None };
                feature
            })
            .collect();
        Self { features, columns }
    }

    /// How many weights there are besides the intercept.
    pub(super) const fn columns(&self) -> usize {
        self.columns
    }

    /// The columns of the chosen rows, row after row.
    pub(super) fn matrix(&self, rows: &Rows, chosen: &[usize]) -> Vec<f64> {
        let mut matrix = vec![0.0; chosen.len() * self.columns];
        for (out, row) in matrix.chunks_exact_mut(self.columns.max(1)).zip(chosen) {
            for (feature, value) in self.features.iter().zip(rows.row(*row)) {
                match (value.is_nan(), feature.column, feature.missing_column) {
                    (false, Some(column), _) => out[column] = feature.levels[feature.step(*value)],
                    (true, _, Some(column)) => out[column] = 1.0,
                    _ => {}
                }
            }
        }
        matrix
    }

    /// What the solution says of a row, in log-odds.
    pub(super) fn margin(&self, row: &[f32], solution: &Solution) -> f64 {
        let terms = self.features.iter().zip(row).map(|(feature, value)| {
            match (value.is_nan(), feature.column, feature.missing_column) {
                (false, Some(column), _) => feature.levels[feature.step(*value)] * solution.weights[column],
                (true, _, Some(column)) => solution.weights[column],
                _ => 0.0,
            }
        });
        terms.sum::<f64>() + solution.intercept
    }

    /// The bound of each column's weight. Rows without a value are free.
    pub(super) fn bounds(&self, direction: impl Fn(usize) -> Option<Direction>) -> Vec<Bound> {
        let mut bounds = vec![Bound::None; self.columns];
        for (at, feature) in self.features.iter().enumerate() {
            if let Some(column) = feature.column {
                bounds[column] = Direction::bound(direction(at));
            }
        }
        bounds
    }
}

impl Feature {
    fn of(rows: &Rows, at: usize) -> Self {
        let mut values: Vec<(f32, f64)> = (0..rows.len())
            .map(|row| (rows.row(row)[at], f64::from(rows.weight(row))))
            .filter(|(value, weight)| !value.is_nan() && *weight > 0.0)
            .collect();
        let all: f64 = (0..rows.len()).map(|row| f64::from(rows.weight(row))).sum();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut feature = Self { borders: borders(&values), ..Self::default() };
        let steps = feature.borders.len() + 1;
        let (mut sums, mut cover) = (vec![0.0; steps], vec![0.0; steps]);
        for (value, weight) in &values {
            let step = feature.step(*value);
            sums[step] += weight * stretched(*value);
            cover[step] += weight;
        }
        let with_value: f64 = cover.iter().sum();
        feature.missing = (all - with_value).max(0.0);
        let mut levels: Vec<f64> =
            sums.iter().zip(&cover).map(|(sum, cover)| sum / cover.max(1e-300)).collect();
        let mean = sums.iter().sum::<f64>() / with_value.max(1e-300);
        let spread: f64 =
            levels.iter().zip(&cover).map(|(level, cover)| cover * (level - mean) * (level - mean)).sum();
        let deviation = (spread / with_value.max(1e-300)).sqrt();
        if deviation > 0.0 && deviation.is_finite() {
            levels.iter_mut().for_each(|level| *level = (*level - mean) / deviation);
            feature.levels = levels;
        } else {
            feature.levels = vec![0.0];
            feature.borders.clear();
            cover = vec![with_value];
        }
        feature.cover = cover;
        feature
    }

    /// The step that a value belongs to.
    pub(super) fn step(&self, value: f32) -> usize {
        self.borders.partition_point(|border| *border <= value)
    }
}

/// Counts and amounts of money spread over orders of magnitude; their logarithms do not.
fn stretched(value: f32) -> f64 {
    let value = f64::from(value);
    libm::log1p(value.abs()).copysign(value)
}

/// Borders half way between neighbouring values, so that steps hold about as many rows each; all of them if they are few.
fn borders(sorted: &[(f32, f64)]) -> Vec<f32> {
    let distinct: Vec<(f32, usize)> =
        sorted.chunk_by(|a, b| a.0 == b.0).map(|run| (run[0].0, run.len())).collect();
    let between = |low: f32, high: f32| {
        let middle = low / 2.0 + high / 2.0;
        if middle > low { middle } else { high }
    };
    if distinct.len() <= STEPS {
        return distinct.windows(2).map(|pair| between(pair[0].0, pair[1].0)).collect();
    }
    let mut borders = Vec::with_capacity(STEPS - 1);
    let (mut below, mut next) = (0, 1);
    for pair in distinct.windows(2) {
        below += pair[0].1;
        if below * STEPS >= next * sorted.len() {
            borders.push(between(pair[0].0, pair[1].0));
            // A value that fills several steps uses them up.
            next = below * STEPS / sorted.len() + 1;
        }
        if borders.len() == STEPS - 1 {
            break;
        }
    }
    borders
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[f32]) -> Rows {
        Rows {
            names: vec!["x".to_owned()],
            values: values.to_vec(),
            lost: vec![false; values.len()],
            ..Rows::default()
        }
    }

    #[test]
    fn levels_have_mean_0_and_deviation_1_and_rise() {
        let scale = Scale::of(&rows(&(0..10_000_u16).map(f32::from).collect::<Vec<_>>()));
        let feature = &scale.features[0];
        assert_eq!((feature.borders.len(), feature.levels.len()), (STEPS - 1, STEPS));
        assert!(feature.levels.windows(2).all(|pair| pair[0] < pair[1]));
        let mean: f64 = feature.levels.iter().zip(&feature.cover).map(|(l, c)| l * c).sum::<f64>() / 10_000.0;
        let square: f64 =
            feature.levels.iter().zip(&feature.cover).map(|(l, c)| l * l * c).sum::<f64>() / 10_000.0;
        assert!(mean.abs() < 1e-9 && (square - 1.0).abs() < 1e-9, "{mean} and {square}");
        assert!(feature.cover.iter().all(|cover| (150.0..164.0).contains(cover)), "{:?}", feature.cover);
    }

    #[test]
    fn few_values_have_a_step_each_and_a_common_one_uses_up_its_share() {
        let scale = Scale::of(&rows(&[1.0, 1.0, 2.0, 5.0, f32::NAN]));
        assert_eq!(scale.features[0].borders, [1.5, 3.5]);
        assert_eq!((scale.features[0].missing, scale.columns()), (1.0, 2));
        let mostly_zero: Vec<f32> = (0..10_000_u16).map(|n| f32::from(n.saturating_sub(9_000))).collect();
        let feature = &Scale::of(&rows(&mostly_zero)).features[0];
        assert_eq!(feature.borders[0], 0.5);
        assert!((5..=8).contains(&feature.borders.len()), "{:?}", feature.borders);
    }

    #[test]
    fn what_never_changes_has_no_weight() {
        assert_eq!(Scale::of(&rows(&[3.0, 3.0])).columns(), 0);
        assert_eq!(Scale::of(&rows(&[f32::NAN, f32::NAN])).columns(), 0);
        let sometimes = Scale::of(&rows(&[3.0, f32::NAN]));
        assert_eq!((sometimes.columns(), sometimes.features[0].missing_column), (1, Some(0)));
    }
}
