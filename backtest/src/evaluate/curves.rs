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
    /// The interval of 95 % of the loss rate (Wilson's, over users).
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
    let of = bins(judged);
    let mut of_user = vec![0.0; judged.users];
    let mut all = Vec::new();
    let mut from = 0;
    while from < judged.len() {
        let to = from + of[from..].iter().take_while(|bin| **bin == of[from]).count();
        let (mut weight, mut promised, mut lost) = (0.0, 0.0, 0.0);
        for row in from..to {
            weight += judged.weight[row];
            promised += judged.weight[row] * judged.probability[row];
            lost += if judged.lost[row] { judged.weight[row] } else { 0.0 };
            of_user[judged.user[row] as usize] += judged.weight[row];
        }
        // Rows of one user say the same thing again: so many users of equal weight would say as much (Kish 1965).
        let squares: f64 = (from..to)
            .map(|row| std::mem::take(&mut of_user[judged.user[row] as usize]))
            .map(|sum| sum * sum)
            .sum();
        if weight > 0.0 {
            let (low, high) = wilson(lost / weight, weight * weight / squares);
            all.push(CalibrationBin { promised: promised / weight, lost: lost / weight, low, high, weight });
        }
        from = to;
    }
    // The sorted rows begin with the highest.
    all.reverse();
    all
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
