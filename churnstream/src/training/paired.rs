//! Whether a model is better than the others beside it, or only looks so on these users.

use std::collections::BTreeMap;

use backtest::evaluate::{self, Difference, Estimate, resamples_for};
use serde::Serialize;
use trainer::{Algorithm, Rows};

/// Seeds the draws of users.
const SEED: u64 = 1;

/// A kind of model, and its probabilities of the test rows.
pub(crate) type Other = (Algorithm, Vec<f32>);

/// A model against another kind, on the same test rows and with the same draws of users.
#[derive(Debug, Clone, Serialize)]
pub struct Paired {
    /// The other kind.
    pub algorithm: Algorithm,
    /// How much more AUC the model has, with an interval of 95 % over users.
    pub auc: Difference,
}

impl Paired {
    /// What the interval says.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        match self.auc.estimate {
            Estimate { low, .. } if low > 0.0 => "this model is better",
            Estimate { high, .. } if high < 0.0 => "this model is worse",
            _ => "not told apart",
        }
    }
}

/// The model's AUC with its interval, and how it stands against the others by their probabilities; nothing where one of the outcomes
/// does not occur.
pub(crate) fn pair(test: &Rows, ours: &[f32], others: &[Other]) -> (Option<Estimate>, Vec<Paired>) {
    let mut numbers = BTreeMap::new();
    let number = |group: &u64| {
        let next = numbers.len() as u32;
        *numbers.entry(*group).or_insert(next)
    };
    let user: Vec<u32> = test.groups.iter().map(number).collect();
    let weights: Vec<f32> = (0..test.len()).map(|row| test.weight(row)).collect();
    let judged = |p: &[f32]| evaluate::Judged::new(p, &test.lost, &weights, &user, numbers.len());
    let (ours, resamples) = (judged(ours), resamples_for(test.len()));
    let auc = evaluate::measure(&ours, resamples, SEED).into_iter().find(|metric| metric.name == "auc");
    let against = |(algorithm, theirs): &Other| {
        let auc = evaluate::compare(&ours, &judged(theirs), &["auc"], resamples, SEED).pop()?;
        Some(Paired { algorithm: *algorithm, auc })
    };
    (auc.map(|metric| metric.estimate), others.iter().filter_map(against).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_by_chance_is_no_difference() {
        // Three rows of each of 200 users, of whom every fifth is lost.
        let users: Vec<u64> = (0..600).map(|row| row / 3).collect();
        let lost: Vec<bool> = users.iter().map(|user| user % 5 == 0).collect();
        let test = Rows { lost: lost.clone(), groups: users.clone(), ..Rows::default() };
        let noisy = |seed: u64, noise: f32| -> Vec<f32> {
            let random = |user: &u64| (user.wrapping_mul(seed) % 1_009) as f32 / 1_009.0;
            users.iter().zip(&lost).map(|(u, lost)| f32::from(u8::from(*lost)) + noise * random(u)).collect()
        };
        let (good, alike, bad) = (noisy(7_919, 2.0), noisy(104_729, 2.0), noisy(15_485_863, 40.0));
        let others = [(Algorithm::Logistic, alike), (Algorithm::Forest, bad)];
        let (auc, paired) = pair(&test, &good, &others);
        let auc = auc.unwrap();
        assert!(auc.low < auc.value && auc.value < auc.high && auc.low > 0.6, "{auc:?}");
        let verdicts: Vec<_> = paired.iter().map(|paired| (paired.algorithm, paired.verdict())).collect();
        let expected = [(Algorithm::Logistic, "not told apart"), (Algorithm::Forest, "this model is better")];
        assert_eq!(verdicts, expected, "{paired:?}");
        let (_, turned) = pair(&test, &others[1].1, &[(Algorithm::Xgboost, good)]);
        assert_eq!(turned[0].verdict(), "this model is worse");
        let one_outcome = Rows { lost: vec![false; 600], ..test };
        assert!(matches!(pair(&one_outcome, &others[0].1, &others), (None, paired) if paired.is_empty()));
    }
}
