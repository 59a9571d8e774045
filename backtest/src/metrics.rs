//! How good probabilities are: ranking (AUC, lift) and honesty (Brier score, log loss, calibration error).
//!
//! Pure functions of scores and outcomes, row by row in the same order. [`Quality`] knows weights; the single functions know none
//! unless they say so. Each is `None` where it is not defined
//! (no rows, or only one outcome where both are needed), so a report can say "unknown" instead of a made-up number.
//! Sums run in row order in f64, and logarithms come from `libm`: the same bits on every machine.

use serde::Serialize;

use crate::evaluate::{Judged, measure};

/// Everything at once.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Rows judged.
    pub rows: u64,
    /// Rows whose user was lost.
    pub lost: u64,
    /// [`auc`].
    pub auc: f64,
    /// [`lift`] among the 1 % with the highest scores.
    pub lift_1: f64,
    /// [`lift`] among the highest 5 %.
    pub lift_5: f64,
    /// [`lift`] among the highest 10 %.
    pub lift_10: f64,
    /// [`brier`].
    pub brier: f64,
    /// How much of the error of giving everybody these rows' own loss rate is avoided. 0 for none of it; below 0 is worse than that.
    pub brier_skill: f64,
    /// [`log_loss`], in nats.
    pub log_loss: f64,
    /// The mean distance between promise and outcome over ten bins of equal weight.
    pub calibration_error: f64,
}

impl Quality {
    /// Measures probabilities against outcomes, each row counting as much as its weight says; `weights` is empty if all count
    /// alike. `None` if one of the outcomes does not occur. The figures are those of [`crate::evaluate::measure`]. O(n log n).
    ///
    /// # Panics
    /// If the lengths differ.
    #[must_use]
    pub fn of(probabilities: &[f32], lost: &[bool], weights: &[f32]) -> Option<Self> {
        let all_alike = vec![1.0; if weights.is_empty() { lost.len() } else { 0 }];
        let weights = if weights.is_empty() { &all_alike } else { weights };
        // Whose the rows are matters to intervals only, and none is asked for.
        let judged = Judged::new(probabilities, lost, weights, &vec![0; lost.len()], 1);
        let found = measure(&judged, 0, 0);
        let of = |name: &str| found.iter().find(|metric| metric.name == name).map(|m| m.estimate.value);
        Some(Self {
            rows: lost.len() as u64,
            lost: judged.lost() as u64,
            auc: of("auc")?,
            lift_1: of("lift_1")?,
            lift_5: of("lift_5")?,
            lift_10: of("lift_10")?,
            brier: of("brier")?,
            brier_skill: of("brier_skill")?,
            log_loss: of("log_loss")?,
            calibration_error: of("calibration_error")?,
        })
    }
}

/// The calibration error that probabilities which are right show by chance alone, about: in each of ten bins of as many rows, by rank, the mean
/// distance of the outcomes' share from what it should be, sqrt(2 p (1 - p) / (pi n)), the mean of a half-normal distribution. n are
/// the bin's users (`users` names each row's; all are different if it is empty), since rows of one user are alike. `None` without rows.
/// O(n log n).
///
/// # Panics
/// If there is a user for some rows alone.
#[must_use]
pub fn calibration_by_chance(probabilities: &[f32], users: &[u64]) -> Option<f64> {
    assert!(users.is_empty() || users.len() == probabilities.len(), "users");
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let rows = order.len();
    let mut error = 0.0;
    for bin in 0..10 {
        let of = &order[bin * rows / 10..(bin + 1) * rows / 10];
        if of.is_empty() {
            continue;
        }
        let p = of.iter().map(|row| f64::from(probabilities[*row])).sum::<f64>() / of.len() as f64;
        let mut seen: Vec<u64> = of.iter().filter_map(|row| users.get(*row).copied()).collect();
        seen.sort_unstable();
        seen.dedup();
        let n = if users.is_empty() { of.len() } else { seen.len() };
        let distance = (2.0 * p * (1.0 - p) / (std::f64::consts::PI * n as f64)).sqrt();
        error += of.len() as f64 * distance;
    }
    (rows > 0).then(|| error / rows as f64)
}

/// The area under the ROC curve: how likely a lost user's score is above that of one who stayed, a tie counting half.
/// Exact: pairs are counted in integers. O(n log n). Scores may be margins or probabilities; NaN counts as above everything.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn auc(scores: &[f32], lost: &[bool]) -> Option<f64> {
    Ranking::new(scores, lost).auc()
}

/// How many times more often users are lost among the `share` (0 to 1) of rows with the highest scores than among all.
/// At least one row is taken; of rows tied at the border, each counts in part, so their order does not matter. O(n log n).
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn lift(scores: &[f32], lost: &[bool], share: f64) -> Option<f64> {
    Ranking::new(scores, lost).lift(share)
}

/// The mean of (probability - outcome)² over the weights, which are empty if all rows count alike. 0 is perfect; the loss rate `r`
/// for everybody gives `r (1 - r)`. `None` without rows that count.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn brier(probabilities: &[f32], lost: &[bool], weights: &[f32]) -> Option<f64> {
    assert_eq!(probabilities.len(), lost.len(), "one outcome for each probability");
    assert!(weights.is_empty() || weights.len() == lost.len(), "one weight for each probability");
    let (mut sum, mut all) = (0.0, 0.0);
    for (row, (p, lost)) in probabilities.iter().zip(lost).enumerate() {
        let weight = f64::from(weights.get(row).copied().unwrap_or(1.0));
        let off = f64::from(*p) - f64::from(u8::from(*lost));
        sum += weight * off * off;
        all += weight;
    }
    (all > 0.0).then(|| sum / all)
}

/// The mean of -ln(the probability given to what happened), in nats. Probabilities are kept 2⁻⁵² away from 0 and 1, so that one
/// certain mistake costs 36 and not infinity.
///
/// # Panics
/// If the lengths differ.
#[must_use]
pub fn log_loss(probabilities: &[f32], lost: &[bool]) -> Option<f64> {
    mean(probabilities, lost, |p, outcome| {
        let given = if outcome == 1.0 { p } else { 1.0 - p };
        -libm::log(given.clamp(f64::EPSILON, 1.0 - f64::EPSILON))
    })
}

fn mean(probabilities: &[f32], lost: &[bool], cost: impl Fn(f64, f64) -> f64) -> Option<f64> {
    assert_eq!(probabilities.len(), lost.len(), "one outcome for each probability");
    if lost.is_empty() {
        return None;
    }
    let sum: f64 =
        probabilities.iter().zip(lost).map(|(p, lost)| cost(f64::from(*p), f64::from(u8::from(*lost)))).sum();
    Some(sum / lost.len() as f64)
}

/// Rows grouped by score, highest score first.
struct Ranking {
    /// For each score that occurs: lost users, and all users.
    groups: Vec<(u64, u64)>,
    lost: u64,
    rows: u64,
}

impl Ranking {
    fn new(scores: &[f32], lost: &[bool]) -> Self {
        assert_eq!(scores.len(), lost.len(), "one outcome for each score");
        // Adding zero makes -0 and 0 one score.
        let mut rows: Vec<(f32, bool)> =
            scores.iter().map(|score| score + 0.0).zip(lost.iter().copied()).collect();
        rows.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let groups: Vec<(u64, u64)> = rows
            .chunk_by(|a, b| a.0.total_cmp(&b.0).is_eq())
            .map(|group| (group.iter().filter(|row| row.1).count() as u64, group.len() as u64))
            .collect();
        Self { lost: groups.iter().map(|group| group.0).sum(), rows: rows.len() as u64, groups }
    }

    fn auc(&self) -> Option<f64> {
        let pairs = u128::from(self.lost) * u128::from(self.rows - self.lost);
        if pairs == 0 {
            return None;
        }
        // Twice the pairs won, so that a tie is a whole number.
        let mut won = 0_u128;
        let mut lost_above = 0_u128;
        for (lost, all) in &self.groups {
            let (lost, stayed) = (u128::from(*lost), u128::from(all - lost));
            won += stayed * (2 * lost_above + lost);
            lost_above += lost;
        }
        Some(won as f64 / (2 * pairs) as f64)
    }

    fn lift(&self, share: f64) -> Option<f64> {
        if self.lost == 0 {
            return None;
        }
        let top = (share * self.rows as f64).clamp(1.0, self.rows as f64);
        let (mut left, mut caught) = (top, 0.0);
        for (lost, all) in &self.groups {
            let taken = left.min(*all as f64);
            caught += *lost as f64 * taken / *all as f64;
            left -= taken;
            if left <= 0.0 {
                break;
            }
        }
        Some(caught / top / (self.lost as f64 / self.rows as f64))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, pair by pair.
    fn auc_by_pairs(scores: &[f32], lost: &[bool]) -> Option<f64> {
        let (mut won, mut pairs) = (0.0, 0.0);
        for (a, a_lost) in scores.iter().zip(lost) {
            for (b, b_lost) in scores.iter().zip(lost) {
                if *a_lost && !*b_lost {
                    pairs += 1.0;
                    won += if a > b {
                        1.0
                    } else if a == b {
                        0.5
                    } else {
                        0.0
                    };
                }
            }
        }
        (pairs > 0.0).then_some(won / pairs)
    }

    proptest! {
        #[test]
        fn auc_is_the_share_of_pairs_won(rows in prop::collection::vec((-3_i8..3, any::<bool>()), 0..60)) {
            let scores: Vec<f32> = rows.iter().map(|row| f32::from(row.0) * 0.5).collect();
            let lost: Vec<bool> = rows.iter().map(|row| row.1).collect();
            prop_assert_eq!(auc(&scores, &lost), auc_by_pairs(&scores, &lost));
        }

        #[test]
        fn the_order_of_rows_does_not_matter(rows in prop::collection::vec((0_u8..4, any::<bool>()), 1..60), share in 0.0..1.0) {
            let split = |rows: &[(u8, bool)]| -> (Vec<f32>, Vec<bool>) { rows.iter().map(|row| (f32::from(row.0), row.1)).unzip() };
            let (scores, lost) = split(&rows);
            let mut turned = rows;
            turned.reverse();
            let (turned_scores, turned_lost) = split(&turned);
            prop_assert_eq!(auc(&scores, &lost), auc(&turned_scores, &turned_lost));
            prop_assert_eq!(lift(&scores, &lost, share), lift(&turned_scores, &turned_lost, share));
        }
    }

    #[test]
    fn the_ends_of_the_range() {
        let lost = [true, true, false, false];
        assert_eq!(auc(&[0.9, 0.8, 0.2, 0.1], &lost), Some(1.0));
        assert_eq!(auc(&[0.1, 0.2, 0.8, 0.9], &lost), Some(0.0));
        assert_eq!(auc(&[0.5; 4], &lost), Some(0.5));
        assert_eq!(auc(&[-0.0, 0.0, 0.0, -0.0], &lost), Some(0.5));
        assert_eq!(auc(&[0.5; 2], &[true; 2]), None);
        assert_eq!(auc(&[], &[]), None);
    }

    #[test]
    fn lift_takes_ties_in_part() {
        let lost = [true, false, true, false, false, false, false, false, false, false];
        let scores = [0.9, 0.8, 0.7, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1];
        assert_eq!(lift(&scores, &lost, 0.1), Some(5.0));
        assert_eq!(lift(&scores, &lost, 0.2), Some(2.5));
        assert_eq!(lift(&[0.5; 10], &lost, 0.1), Some(1.0));
        assert_eq!(lift(&scores, &lost, 0.0), Some(5.0), "at least one row");
        assert_eq!(lift(&scores, &[false; 10], 0.1), None);
    }

    #[test]
    fn honesty_is_measured() {
        let lost = [true, false, false, false];
        let rate = [0.25; 4];
        assert_eq!(brier(&rate, &lost, &[]), Some(0.1875));
        assert_eq!(brier(&rate, &lost, &[3.0, 0.0, 0.0, 1.0]), Some((3.0 * 0.5625 + 0.0625) / 4.0));
        let entropy = log_loss(&rate, &lost).unwrap();
        assert!((entropy - 0.562_335_144_618_808_4).abs() < 1e-15, "{entropy}");
        let certain_mistake = log_loss(&[0.0], &[true]).unwrap();
        assert!((certain_mistake - 36.04).abs() < 0.01, "{certain_mistake}");
        assert_eq!(brier(&[], &[], &[]), None);
    }

    #[test]
    fn all_at_once_agrees_with_each() {
        let scores = [0.1, 0.4, 0.35, 0.8];
        let lost = [false, false, true, true];
        let all = Quality::of(&scores, &lost, &[]).unwrap();
        assert_eq!((all.rows, all.lost, all.auc), (4, 2, 0.75));
        assert_eq!(Some(all.lift_10), lift(&scores, &lost, 0.1));
        assert_eq!(Quality::of(&scores, &[false; 4], &[]), None);
    }

    #[test]
    fn skill_is_against_the_loss_rate_of_the_rows_that_are_judged() {
        let (scores, lost, weights) =
            ([0.1, 0.4, 0.35, 0.8], [false, false, true, true], [1.0, 2.0, 1.0, 1.0]);
        let all = Quality::of(&scores, &lost, &weights).unwrap();
        assert!((all.brier_skill - (1.0 - all.brier / (0.4 * 0.6))).abs() < 1e-9, "{all:?}");
        let everybody = Quality::of(&[0.4; 4], &lost, &weights).unwrap();
        assert!(everybody.brier_skill.abs() < 1e-6, "{everybody:?}");
    }

    #[test]
    fn a_row_that_counts_thrice_is_three_rows() {
        let (scores, lost) = ([0.1, 0.4, 0.35, 0.8, 0.2], [false, false, true, true, true]);
        let weights = [1.0, 3.0, 2.0, 1.0, 2.0];
        let times = |row: usize| weights[row] as usize;
        let rows: Vec<usize> = (0..5).flat_map(|row| vec![row; times(row)]).collect();
        let repeated = |of: &dyn Fn(usize) -> f32| rows.iter().map(|row| of(*row)).collect::<Vec<_>>();
        let outcomes: Vec<bool> = rows.iter().map(|row| lost[*row]).collect();
        let whole = Quality::of(&repeated(&|row| scores[row]), &outcomes, &[]).unwrap();
        let weighted = Quality::of(&scores, &lost, &weights).unwrap();
        for (a, b) in [
            (weighted.auc, whole.auc),
            (weighted.brier, whole.brier),
            (weighted.log_loss, whole.log_loss),
            (weighted.lift_10, whole.lift_10),
            (weighted.calibration_error, whole.calibration_error),
        ] {
            assert!((a - b).abs() < 1e-12, "{weighted:?} {whole:?}");
        }
        assert_ne!(weighted.auc, Quality::of(&scores, &lost, &[]).unwrap().auc);
    }

    #[test]
    fn by_chance_honest_probabilities_are_as_wrong_as_is_expected() {
        let mut state = 5_u64;
        let mut share = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1_u64 << 24) as f64
        };
        for rows in [200, 2_000] {
            let (mut found, mut expected) = (0.0, 0.0);
            for _ in 0..50 {
                let p: Vec<f32> = (0..rows).map(|_| (0.6 * share()) as f32).collect();
                let lost: Vec<bool> = p.iter().map(|p| share() < f64::from(*p)).collect();
                found += Quality::of(&p, &lost, &[]).unwrap().calibration_error / 50.0;
                expected += calibration_by_chance(&p, &[]).unwrap() / 50.0;
            }
            assert!((found / expected - 1.0).abs() < 0.15, "{rows}: {found} {expected}");
        }
        let p: Vec<f32> = (0..200).map(|row| (row / 2) as f32 / 250.0).collect();
        let pairs: Vec<u64> = (0..200).map(|row| row / 2).collect();
        let each = calibration_by_chance(&p, &[]).unwrap();
        let ratio = calibration_by_chance(&p, &pairs).unwrap() / each;
        assert!((ratio - 2_f64.sqrt()).abs() < 1e-9, "rows of one user say the same: {ratio}");
        assert_eq!(calibration_by_chance(&[], &[]), None);
    }

    #[test]
    fn a_constant_of_zero_is_as_wrong_as_many_are_lost() {
        let lost: Vec<bool> = (0..1_000).map(|row| row % 25 == 0).collect();
        let nobody = Quality::of(&vec![0.0; 1_000], &lost, &[]).unwrap();
        assert!((nobody.calibration_error - 0.04).abs() < 1e-9, "{nobody:?}");
        // Ten bins of equal width would put all of these into the first and find nothing wrong.
        let turned: Vec<f32> = lost.iter().map(|lost| if *lost { 0.0 } else { 0.041_667 }).collect();
        let turned = Quality::of(&turned, &lost, &[]).unwrap();
        assert!(turned.calibration_error > 0.06, "{turned:?}");
    }
}
