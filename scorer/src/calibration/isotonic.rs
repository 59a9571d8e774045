//! Isotonic regression: the best non-decreasing fit.

use serde::{Deserialize, Serialize};

use super::fit::{FitError, checked};

/// A non-decreasing line: straight between its points, level outside of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Points", into = "Points")]
pub struct Isotonic {
    margins: Vec<f64>,
    probabilities: Vec<f64>,
}

/// As it stands in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Points {
    margins: Vec<f64>,
    probabilities: Vec<f64>,
}

/// Why points make no non-decreasing line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IsotonicError {
    /// There is none, or not as many margins as probabilities.
    #[error("{margins} margins and {probabilities} probabilities make no line")]
    Count {
        /// Margins given.
        margins: usize,
        /// Probabilities given.
        probabilities: usize,
    },
    /// Margins must rise, probabilities must not fall and lie from 0 to 1.
    #[error("point {0} is out of order, or no probability")]
    Point(usize),
}

impl Isotonic {
    /// Makes a line of points with rising margins and non-falling probabilities.
    ///
    /// # Errors
    /// If they are not so.
    pub fn new(margins: Vec<f64>, probabilities: Vec<f64>) -> Result<Self, IsotonicError> {
        if margins.is_empty() || margins.len() != probabilities.len() {
            return Err(IsotonicError::Count { margins: margins.len(), probabilities: probabilities.len() });
        }
        for at in 0..margins.len() {
            let in_range = margins[at].is_finite() && (0.0..=1.0).contains(&probabilities[at]);
            let in_order =
                at == 0 || (margins[at - 1] < margins[at] && probabilities[at - 1] <= probabilities[at]);
            if !(in_range && in_order) {
                return Err(IsotonicError::Point(at));
            }
        }
        Ok(Self { margins, probabilities })
    }

    /// The points: margin and probability.
    pub fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        self.margins.iter().copied().zip(self.probabilities.iter().copied())
    }

    /// The probability of a margin; O(log points).
    pub(super) fn at(&self, margin: f64) -> f64 {
        let after = self.margins.partition_point(|&m| m <= margin);
        let Some(before) = after.checked_sub(1) else { return self.probabilities[0] };
        if after == self.margins.len() {
            return self.probabilities[before];
        }
        let part = (margin - self.margins[before]) / (self.margins[after] - self.margins[before]);
        let (low, high) = (self.probabilities[before], self.probabilities[after]);
        // Rounding must not lift it over the next point.
        (low + part * (high - low)).min(high)
    }
}

impl TryFrom<Points> for Isotonic {
    type Error = IsotonicError;

    fn try_from(points: Points) -> Result<Self, IsotonicError> {
        Self::new(points.margins, points.probabilities)
    }
}

impl From<Isotonic> for Points {
    fn from(line: Isotonic) -> Self {
        Self { margins: line.margins, probabilities: line.probabilities }
    }
}

/// Rows of neighbouring margins with one common rate.
struct Block {
    first: f64,
    last: f64,
    rows: f64,
    left: f64,
}

/// Fits a non-decreasing line to margins and whether each user left, by pooling adjacent violators; O(n log n). A row of weight 2 is two
/// rows.
///
/// Rates are kept off 0 and 1 by half a row, `1 / 2n`, where n is the sum of weights: a stretch without leavers in a finite sample is no proof that nobody
/// leaves, and a single leaver there would otherwise cost an infinite log loss. The order of the rows does not matter.
///
/// Source: Ayer et al., "An empirical distribution function for sampling with incomplete information" (1955).
///
/// # Errors
/// If there is no row, the lengths differ, a margin is not finite, or a weight not positive.
pub fn fit_isotonic(margins: &[f32], left: &[bool], weights: &[f32]) -> Result<Isotonic, FitError> {
    checked(margins, left, weights)?;
    let mut rows: Vec<_> = (0..margins.len())
        .map(|row| (f64::from(margins[row]), f64::from(u8::from(left[row])), f64::from(weights[row])))
        .collect();
    // Sums of weights round, so the order in a sum counts: it is that of the values alone.
    rows.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2)));
    let all: f64 = rows.iter().map(|(_, _, weight)| weight).sum();

    let mut blocks: Vec<Block> = Vec::new();
    for (margin, left, weight) in rows {
        match blocks.last_mut() {
            // Equal margins are one point, whatever their order (`==`: -0 and 0 are one margin).
            Some(block) if block.first == block.last && block.last == margin => {
                block.rows += weight;
                block.left += left * weight;
            }
            _ => blocks.push(Block { first: margin, last: margin, rows: weight, left: left * weight }),
        }
    }
    let mut pooled: Vec<Block> = Vec::new();
    for mut block in blocks {
        // Compared crosswise, for whole weights without rounding: is the rate before at least this one's?
        while let Some(before) = pooled.pop_if(|before| before.left * block.rows >= block.left * before.rows)
        {
            block = Block {
                first: before.first,
                last: block.last,
                rows: before.rows + block.rows,
                left: before.left + block.left,
            };
        }
        pooled.push(block);
    }

    // Of less than a row there is no telling.
    let least = 0.5 / all.max(1.0);
    let (mut at, mut rates) = (Vec::new(), Vec::new());
    for block in pooled {
        let rate = (block.left / block.rows).clamp(least, 1.0 - least);
        at.push(block.first);
        rates.push(rate);
        if block.last > block.first {
            at.push(block.last);
            rates.push(rate);
        }
    }
    Ok(Isotonic { margins: at, probabilities: rates })
}
