//! How good a model is on rows that it has not seen, and what is to be said of that.

use std::collections::BTreeMap;

use backtest::evaluate::Estimate;
use backtest::metrics::Quality;
use serde::Serialize;
use trainer::{Algorithm, Fitted, Found, Rows};
use types::Trigger;

use super::Paired;

/// A model and how good it is.
#[derive(Debug, Clone, Serialize)]
pub struct Judged {
    /// The kind.
    pub algorithm: Algorithm,
    /// Trees.
    pub trees: u32,
    /// Quality on the test rows; `None` if one of the outcomes does not occur there.
    pub test: Option<Quality>,
    /// Brier score of the same model without calibration.
    pub brier_uncalibrated: Option<f64>,
    /// How large a calibration error chance alone makes of so many users, about.
    pub calibration_by_chance: Option<f64>,
}

/// How good a model is on rows that it has not seen.
pub(crate) fn judge(fitted: &Fitted, test: &Rows) -> Judged {
    let margins = fitted.margins(test);
    let calibrated: Vec<f32> = margins.iter().map(|margin| fitted.calibration.apply(*margin)).collect();
    let raw: Vec<f32> = margins.iter().map(|margin| scorer::probability(*margin)).collect();
    Judged::of(fitted.algorithm, fitted.trees, [&calibrated, &raw], test)
}

impl Judged {
    /// How good probabilities of rows are, calibrated and not.
    pub(crate) fn of(algorithm: Algorithm, trees: u32, [calibrated, raw]: [&[f32]; 2], rows: &Rows) -> Self {
        Self {
            algorithm,
            trees,
            test: Quality::of(calibrated, &rows.lost, &rows.weights),
            brier_uncalibrated: backtest::metrics::brier(raw, &rows.lost, &rows.weights),
            calibration_by_chance: backtest::metrics::calibration_by_chance(calibrated, &rows.groups),
        }
    }
}

/// What the model card says besides the numbers.
pub(super) fn notes(model: &Judged, baselines: &[Judged], paired: &[Paired], found: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    if found.trials > 1 {
        notes.push(format!(
            "{} sets of parameters were tried on users held out; the loss went from {:.5} to {:.5} nats a row",
            found.trials, found.began, found.loss
        ));
    }
    let auc = |judged: &Judged| judged.test.as_ref().map(|quality| quality.auc);
    for other in baselines {
        if let (Some(ours), Some(theirs)) = (auc(model), auc(other)) {
            let pair = paired.iter().find(|pair| pair.algorithm == other.algorithm);
            let verdict = pair.map_or_else(String::new, |pair| {
                let Estimate { low, high, .. } = pair.auc.estimate;
                format!(" (95 % over users: {low:+.4} to {high:+.4}): {}", pair.verdict())
            });
            notes.push(format!(
                "beside it, {} on the same rows: AUC {theirs:.4}; this model has {:+.4} more{verdict}",
                other.algorithm.words(),
                ours - theirs
            ));
        }
    }
    notes
}

/// What speaks against using a model: it cannot be told from chance, or another kind is better on the same rows.
pub(super) fn cautions(
    model: &Judged,
    auc: Option<Estimate>,
    baselines: &[Judged],
    paired: &[Paired],
) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(Estimate { value, low, high }) = auc.filter(|auc| auc.low <= 0.5) {
        all.push(format!(
            "this model is not better than chance: its AUC is {value:.4} ({low:.4} to {high:.4}), and 0.5 is what a coin has"
        ));
    }
    for pair in paired.iter().filter(|pair| pair.auc.estimate.high < 0.0) {
        let other = baselines.iter().find(|other| other.algorithm == pair.algorithm);
        if let (Some(other), Some(ours)) = (other.and_then(|other| other.test), model.test) {
            all.push(format!(
                "{} ranks the same rows better: AUC {:.4} against {:.4} (train with --algorithm {})",
                pair.algorithm.words(),
                other.auc,
                ours.auc,
                pair.algorithm
            ));
        }
    }
    all
}

/// Fewer rows of an outcome say too little of a trigger for anything to be decided by it.
pub(super) const LEAST_OF_TRIGGER: u64 = 50;

/// How good a model is on rows of one cause each, where there are enough of both outcomes.
pub(super) fn by_trigger(
    fitted: &Fitted,
    test: &Rows,
    triggers: &[Trigger],
) -> BTreeMap<&'static str, Judged> {
    let enough = |judged: &Judged| {
        let of = |quality: &Quality| quality.lost.min(quality.rows - quality.lost);
        judged.test.as_ref().is_some_and(|quality| of(quality) >= LEAST_OF_TRIGGER)
    };
    [Trigger::Event, Trigger::Sweep]
        .into_iter()
        .map(|trigger| (trigger.name(), judge(fitted, &test.filter(|row| triggers[row] == trigger))))
        .filter(|(_, judged)| enough(judged))
        .collect()
}

/// What the bundle says of its quality, by name; figures of one trigger bear its name at the end.
pub(super) fn metrics_of(
    model: &Judged,
    by_trigger: &BTreeMap<&'static str, Judged>,
) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    let parts = by_trigger.iter().map(|(trigger, judged)| (format!("_{trigger}"), judged));
    for (end, judged) in std::iter::once((String::new(), model)).chain(parts) {
        let Some(quality) = &judged.test else { continue };
        let named = [
            ("auc", quality.auc),
            ("lift_1", quality.lift_1),
            ("lift_5", quality.lift_5),
            ("lift_10", quality.lift_10),
            ("brier", quality.brier),
            ("brier_skill", quality.brier_skill),
            ("log_loss", quality.log_loss),
            ("calibration_error", quality.calibration_error),
        ];
        let chance = judged.calibration_by_chance.map(|chance| ("calibration_by_chance", chance));
        all.extend(named.into_iter().chain(chance).map(|(name, value)| (format!("{name}{end}"), value)));
    }
    all
}

#[cfg(test)]
mod tests {
    use backtest::evaluate::Difference;

    use super::*;

    #[test]
    fn a_model_that_knows_nothing_is_cautioned_against_and_the_better_one_named() {
        let lost: Vec<bool> = (0..200).map(|row| row % 4 == 0).collect();
        let rows = Rows { lost: lost.clone(), ..Rows::default() };
        let good: Vec<f32> = lost.iter().map(|lost| if *lost { 0.8 } else { 0.1 }).collect();
        let coin = Judged::of(Algorithm::Xgboost, 1, [&[0.25; 200]; 2], &rows);
        let better = Judged::of(Algorithm::Logistic, 9, [&good; 2], &rows);
        let estimate = |value, low, high| Estimate { value, low, high };
        let pair = |algorithm, auc| Paired {
            algorithm,
            auc: Difference { name: "auc", estimate: auc, p_value: 0.01 },
        };
        let said = cautions(
            &coin,
            Some(estimate(0.5, 0.5, 0.5)),
            std::slice::from_ref(&better),
            &[pair(Algorithm::Logistic, estimate(-0.5, -0.6, -0.4))],
        );
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("not better than chance: its AUC is 0.5000"), "{said:?}");
        assert!(said[1].contains("AUC 1.0000 against 0.5000 (train with --algorithm logistic)"), "{said:?}");
        let others = [pair(Algorithm::Xgboost, estimate(0.0, -0.1, 0.1))];
        assert!(cautions(&better, Some(estimate(1.0, 0.9, 1.0)), &[coin], &others).is_empty());
    }
}
