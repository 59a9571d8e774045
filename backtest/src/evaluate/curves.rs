//! What the report draws: points of curves, thinned so that a picture stays small.

use serde::Serialize;

use super::Judged;
use super::measure::bins;

/// Points of each curve, x and y, from left to right.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Curves {
    /// Share of those who stayed against share of the lost, by falling score.
    pub roc: Vec<[f64; 2]>,
    /// Share of the lost against the share of lost among those above.
    pub precision_recall: Vec<[f64; 2]>,
    /// Share of rows, the highest scores first, against share of the lost among them.
    pub gains: Vec<[f64; 2]>,
    /// Share of rows, the highest scores first, against their loss rate over that of all.
    pub lift: Vec<[f64; 2]>,
    /// Ten bins of equal weight, the lowest probabilities first.
    pub calibration: Vec<CalibrationBin>,
    /// Weight of rows in bins of probability of equal width from 0 to `histogram_to`: all, and those lost.
    pub histogram: Vec<[f64; 2]>,
    /// Where the histogram ends.
    pub histogram_to: f64,
}

/// Rows of like probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// The mean probability.
    pub promised: f64,
    /// The loss rate.
    pub lost: f64,
    /// The interval of 95 % of the loss rate (Wilson's).
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The rows' weight.
    pub weight: f64,
}

/// About so many points a curve.
const POINTS: f64 = 200.0;
const HISTOGRAM: usize = 40;

/// Makes the curves of scored rows; empty if one of the outcomes does not occur. O(n).
#[must_use]
pub fn curves(judged: &Judged) -> Curves {
    let (all, lost) = judged.weights();
    let stayed = all - lost;
    if !(lost > 0.0 && stayed > 0.0) {
        return Curves::default();
    }
    let mut curves = Curves { roc: vec![[0.0, 0.0]], gains: vec![[0.0, 0.0]], ..Curves::default() };
    let (mut above, mut caught, mut from, mut drawn) = (0.0, 0.0, 0, 0.0);
    for &end in &judged.ends {
        for row in from..end as usize {
            above += judged.weight[row];
            caught += if judged.lost[row] { judged.weight[row] } else { 0.0 };
        }
        from = end as usize;
        // A point where enough rows, or enough lost users, came since the last one.
        let progress = above / all + caught / lost;
        if progress - drawn < 2.0 / POINTS && from < judged.len() {
            continue;
        }
        drawn = progress;
        curves.roc.push([(above - caught) / stayed, caught / lost]);
        curves.precision_recall.push([caught / lost, caught / above]);
        curves.gains.push([above / all, caught / lost]);
        curves.lift.push([above / all, caught / above / (lost / all)]);
    }
    curves.calibration = calibration(judged);
    curves.histogram_to = histogram_end(judged);
    curves.histogram = vec![[0.0; 2]; HISTOGRAM];
    for row in 0..judged.len() {
        let at = (judged.probability[row] / curves.histogram_to * HISTOGRAM as f64) as usize;
        let bin = &mut curves.histogram[at.min(HISTOGRAM - 1)];
        bin[0] += judged.weight[row];
        bin[1] += if judged.lost[row] { judged.weight[row] } else { 0.0 };
    }
    curves
}

fn calibration(judged: &Judged) -> Vec<CalibrationBin> {
    let of = bins(&judged.weight);
    let mut sums = [[0.0_f64; 3]; 10];
    for row in 0..judged.len() {
        let sum = &mut sums[usize::from(of[row])];
        sum[0] += judged.weight[row];
        sum[1] += judged.weight[row] * judged.probability[row];
        sum[2] += if judged.lost[row] { judged.weight[row] } else { 0.0 };
    }
    // The sorted rows begin with the highest.
    let filled = sums.iter().rev().filter(|sum| sum[0] > 0.0);
    filled
        .map(|[weight, promised, lost]| {
            let (low, high) = wilson(lost / weight, *weight);
            CalibrationBin { promised: promised / weight, lost: lost / weight, low, high, weight: *weight }
        })
        .collect()
}

/// Wilson's interval of 95 % of a share among `n`.
pub(super) fn wilson(share: f64, n: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let z2n = Z * Z / n;
    let middle = (share + z2n / 2.0) / (1.0 + z2n);
    let half = Z / (1.0 + z2n) * (share * (1.0 - share) / n + z2n / (4.0 * n)).max(0.0).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// A round probability that few rows lie above: most models never come near 1.
fn histogram_end(judged: &Judged) -> f64 {
    let high = judged.probability.get(judged.len() / 200).copied().unwrap_or(1.0);
    [0.02, 0.05, 0.1, 0.2, 0.5].into_iter().find(|end| high <= *end).unwrap_or(1.0)
}
