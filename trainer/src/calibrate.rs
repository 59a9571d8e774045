//! Which calibration holds up on users that it was not fitted on.

use scorer::{Calibration, FitError, fit_beta, fit_isotonic, fit_platt};

use crate::{CalibrationKind, HeldOut};

/// Fits every kind of calibration to the held-out users and chooses the one that promises the lowest log loss on others.
///
/// A line through many points always fits best what it was drawn through, so each kind is judged on the half of the users that
/// its trial fit has not seen, once for each half; `half` says which half a row's user is in. The winner is fitted to all. Of
/// equals the plainer wins. Weights count in fitting and in judging. With `only`, there is no choice: that kind is fitted, and where
/// it cannot be, nothing is calibrated.
pub(crate) fn choose(held_out: &HeldOut, half: &[bool], only: Option<CalibrationKind>) -> Calibration {
    let whole = |fit: Fit| fit(&held_out.margins, &held_out.lost, &held_out.weights).unwrap_or_default();
    if let Some(kind) = only {
        return whole(fit_of(kind));
    }

    let first = held_out.filter(|row| !half[row]);
    let second = held_out.filter(|row| half[row]);
    let mut best = (f64::INFINITY, fit_of(CalibrationKind::Identity));
    for fit in CalibrationKind::ALL.map(fit_of) {
        // What cannot be fitted to a half, for want of one of the outcomes say, is not trusted with the whole.
        let trials = [(&first, &second), (&second, &first)].map(|(seen, unseen)| {
            let calibration = fit(&seen.margins, &seen.lost, &seen.weights).ok()?;
            Some(unseen.loss_under(&calibration))
        });
        let [Some(one), Some(other)] = trials else { continue };
        if one + other < best.0 {
            best = (one + other, fit);
        }
    }
    whole(best.1)
}

type Fit = fn(&[f32], &[bool], &[f32]) -> Result<Calibration, FitError>;

fn fit_of(kind: CalibrationKind) -> Fit {
    match kind {
        CalibrationKind::Identity => |_, _, _| Ok(Calibration::Identity),
        CalibrationKind::Platt => fit_platt,
        CalibrationKind::Beta => fit_beta,
        CalibrationKind::Isotonic => {
            |margins, lost, weights| fit_isotonic(margins, lost, weights).map(Calibration::Isotonic)
        }
    }
}

impl HeldOut {
    /// The rows that `keep` chooses by number.
    fn filter(&self, keep: impl Fn(usize) -> bool) -> Self {
        let rows: Vec<usize> = (0..self.lost.len()).filter(|row| keep(*row)).collect();
        Self {
            margins: rows.iter().map(|row| self.margins[*row]).collect(),
            lost: rows.iter().map(|row| self.lost[*row]).collect(),
            weights: rows.iter().map(|row| self.weights[*row]).collect(),
            groups: rows.iter().map(|row| self.groups[*row]).collect(),
        }
    }

    /// The sum of the rows' log losses, each by its weight.
    fn loss_under(&self, calibration: &Calibration) -> f64 {
        let rows = self.margins.iter().zip(&self.lost).zip(&self.weights);
        rows.map(|((margin, lost), weight)| f64::from(*weight) * log_loss(calibration.apply(*margin), *lost))
            .sum()
    }
}

/// -ln(the probability given to what happened), in nats; kept finite for a probability of 0.
fn log_loss(probability: f32, lost: bool) -> f64 {
    let given = f64::from(if lost { probability } else { 1.0 - probability });
    -libm::log(given.max(f64::EPSILON))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Margins from -4 to 4, each user lost with the probability that `truth` says.
    fn held_out(rows: usize, truth: impl Fn(f64) -> f64) -> (HeldOut, Vec<bool>) {
        let mut state = 3_u64;
        let mut share = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1_u64 << 24) as f64
        };
        let margins: Vec<f32> = (0..rows).map(|_| (share() * 8.0 - 4.0) as f32).collect();
        let lost = margins.iter().map(|margin| share() < truth(f64::from(*margin))).collect();
        let half = (0..rows).map(|row| row % 2 == 0).collect();
        (HeldOut { margins, lost, weights: vec![1.0; rows], groups: vec![0; rows] }, half)
    }

    fn sigmoid(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn honest_margins_are_left_nearly_alone() {
        let (rows, half) = held_out(20_000, sigmoid);
        let chosen = choose(&rows, &half, None);
        for margin in [-3.0, -1.0, 0.0, 1.0, 3.0] {
            assert!(
                (chosen.apply(margin) - scorer::probability(margin)).abs() < 0.02,
                "{chosen:?} at {margin}"
            );
        }
    }

    #[test]
    fn boasting_margins_are_toned_down() {
        let (rows, half) = held_out(20_000, |margin| sigmoid(0.4 * margin - 1.0));
        let chosen = choose(&rows, &half, None);
        assert_ne!(chosen, Calibration::Identity);
        for margin in [-3.0_f32, -1.0, 0.0, 1.0, 3.0] {
            let truth = sigmoid(0.4 * f64::from(margin) - 1.0) as f32;
            assert!((chosen.apply(margin) - truth).abs() < 0.04, "{chosen:?} at {margin}");
        }
    }

    #[test]
    fn a_kind_that_is_asked_for_is_not_chosen_again() {
        let (rows, half) = held_out(20_000, |margin| sigmoid(0.4 * margin - 1.0));
        for kind in CalibrationKind::ALL {
            let fitted = choose(&rows, &half, Some(kind));
            assert_eq!(CalibrationKind::named(fitted.kind()), Some(kind));
        }
    }

    #[test]
    fn steps_want_a_line_through_many_points() {
        let truth = |margin: f64| if margin < 1.0 { 0.1 } else { 0.7 };
        let (rows, half) = held_out(20_000, truth);
        let chosen = choose(&rows, &half, None);
        assert!(matches!(chosen, Calibration::Isotonic(_)), "{chosen:?}");
        assert!((chosen.apply(0.0) - 0.1).abs() < 0.05 && (chosen.apply(2.0) - 0.7).abs() < 0.05);
    }

    #[test]
    fn a_user_of_many_rows_counts_as_one() {
        // One user in ten has ten rows a day, a tenth of a row's weight each, and is never lost.
        let (mut rows, _) = held_out(20_000, sigmoid);
        for row in (0..20_000).filter(|row| row % 20 >= 10) {
            (rows.lost[row], rows.weights[row]) = (false, 0.1);
        }
        let half: Vec<bool> = (0..20_000).map(|row| row % 2 == 0).collect();
        let chosen = choose(&rows, &half, None);
        for margin in [-1.0_f32, 0.0, 1.0] {
            // A row weighs ten times as much among those who are lost as among those who are not.
            let truth = (sigmoid(f64::from(margin)) / 1.1) as f32;
            assert!((chosen.apply(margin) - truth).abs() < 0.03, "{chosen:?} at {margin}");
        }
    }

    #[test]
    fn one_outcome_in_a_half_leaves_the_margins_alone() {
        let rows = HeldOut {
            margins: vec![-1.0, 0.0, 1.0],
            lost: vec![false, false, true],
            weights: vec![1.0; 3],
            groups: vec![0; 3],
        };
        assert_eq!(choose(&rows, &[false, true, true], None), Calibration::Identity);
    }
}
