//! What can be turned when fitting.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::{Algorithm, CalibrationKind, Rows, TrainError};

/// The number of values beyond which one part of the users is held out once, instead of each part in turn, and the threads work on
/// one fit together, instead of each on its own.
const LARGE: usize = 1 << 25;

/// Which way a probability may go when a feature's value rises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Never down.
    Rising,
    /// Never up.
    Falling,
}

/// What can be turned when fitting. The defaults learn slowly and stop early: robust on a thousand users and on a million.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The kind of model. What follows and is not about it is not looked at: logistic regression takes `monotone`, `folds`, `seed`.
    pub algorithm: Algorithm,
    /// Boosting rounds at most, one tree each; from 1.
    pub max_rounds: u32,
    /// Rounds without a better loss on held-out users before fitting stops; from 1.
    pub patience: u32,
    /// How much of each tree's answer is taken; above 0, at most 1.
    pub learning_rate: f32,
    /// Splits on the way from root to leaf at most; 1 to 8, which the fast evaluators take.
    pub max_depth: u32,
    /// The least sum of second derivatives in a leaf (each row has `p (1 - p)` of it, at most a quarter); from 0.
    pub min_child_weight: f32,
    /// The share of rows that each tree sees; above 0, at most 1.
    pub row_share: f32,
    /// The share of features that each tree sees; above 0, at most 1.
    pub feature_share: f32,
    /// The L2 penalty on leaves; from 0.
    pub lambda: f32,
    /// Bins that each feature is cut into at most; 2 to 254.
    pub max_bin: u32,
    /// Trees in a forest; from 1.
    pub forest_trees: u32,
    /// For features by name, the only way that the probability may go when the value rises.
    pub monotone: BTreeMap<String, Direction>,
    /// Parts that users are cut into; each is held out once, to stop and to calibrate; 1 to 20. With 1 nobody is held out: all
    /// rounds are run and nothing is calibrated. With very many rows only the first part is held out.
    pub folds: u32,
    /// Chooses who is in which part, and the rows and features of each tree.
    pub seed: u32,
    /// Threads at most, and never more than there are processors; as many by default. They change no byte of a model, but where
    /// the data is so large that all work on one fit.
    pub threads: Option<NonZeroUsize>,
    /// How probabilities are calibrated on users held out; by default in the way that holds up best on other users.
    pub calibration: Option<CalibrationKind>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::default(),
            max_rounds: 500,
            patience: 30,
            learning_rate: 0.05,
            max_depth: 4,
            min_child_weight: 3.0,
            row_share: 0.7,
            feature_share: 0.5,
            lambda: 1.0,
            max_bin: 254,
            forest_trees: 300,
            monotone: BTreeMap::new(),
            folds: 5,
            seed: 1,
            threads: None,
            calibration: None,
        }
    }
}

impl Params {
    /// What is usual for a kind of model: the trees of a forest are deep, since no other mends what they miss.
    #[must_use]
    pub fn of(algorithm: Algorithm) -> Self {
        let usual = Self { algorithm, ..Self::default() };
        match algorithm {
            Algorithm::Xgboost | Algorithm::Logistic => usual,
            Algorithm::Forest => {
                Self { max_depth: 8, min_child_weight: 1.0, lambda: 0.0, row_share: 0.632, ..usual }
            }
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// If a parameter is out of its range, or a feature that is bound is none of `features`; names it.
    pub fn check(&self, features: &[String]) -> Result<(), TrainError> {
        let share = |value: f32| value > 0.0 && value <= 1.0;
        let positive = "it must be at least 1";
        let share_rule = "it must be above 0 and at most 1";
        let penalty_rule = "it must be finite and not negative";
        let checks: [(&'static str, f64, bool, &'static str); 11] = [
            ("max_rounds", self.max_rounds.into(), self.max_rounds > 0, positive),
            ("patience", self.patience.into(), self.patience > 0, positive),
            ("learning_rate", self.learning_rate.into(), share(self.learning_rate), share_rule),
            ("max_depth", self.max_depth.into(), (1..=8).contains(&self.max_depth), "it must be 1 to 8"),
            (
                "min_child_weight",
                self.min_child_weight.into(),
                is_penalty(self.min_child_weight),
                penalty_rule,
            ),
            ("row_share", self.row_share.into(), share(self.row_share), share_rule),
            ("feature_share", self.feature_share.into(), share(self.feature_share), share_rule),
            ("lambda", self.lambda.into(), is_penalty(self.lambda), penalty_rule),
            ("max_bin", self.max_bin.into(), (2..=254).contains(&self.max_bin), "it must be 2 to 254"),
            ("forest_trees", self.forest_trees.into(), self.forest_trees > 0, positive),
            ("folds", self.folds.into(), (1..=20).contains(&self.folds), "it must be 1 to 20"),
        ];
        match checks.into_iter().find(|(_, _, good, _)| !good) {
            Some((name, value, _, rule)) => Err(TrainError::Param { name, value, rule }),
            None => match self.monotone.keys().find(|name| !features.contains(name)) {
                Some(name) => Err(TrainError::NoFeature { name: name.clone() }),
                None => Ok(()),
            },
        }
    }

    /// How many parts are fitted at once, each by a thread of its own: XGBoost's threads wait for each other spinning, which on a
    /// busy machine costs many times the work.
    pub(crate) fn fits_at_once(&self, rows: &Rows) -> u32 {
        if rows.values.len() > LARGE { 1 } else { u32::try_from(self.threads()).unwrap_or(u32::MAX) }
    }

    /// How many threads work on one fit of so many values (rows times features).
    pub(crate) fn threads_of_a_fit(&self, values: usize) -> usize {
        if values > LARGE { self.threads() } else { 1 }
    }

    fn threads(&self) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.map_or(processors, NonZeroUsize::get).min(processors)
    }

    /// The part, from 0 and below `folds`, that the user with this hash is in. The hash is mixed again, so that neither the
    /// partition nor anything else made of it says which.
    #[must_use]
    pub fn part_of(&self, group: u64) -> u32 {
        let mixed = mix(group ^ mix(u64::from(self.seed)));
        // Less than `folds`: the upper half of the product.
        ((u128::from(mixed) * u128::from(self.folds)) >> 64) as u32
    }

    /// How many of the parts are held out, one after the other.
    pub(crate) fn parts_held_out(&self, rows: &Rows) -> u32 {
        match self.folds {
            1 => 0,
            _ if rows.values.len() > LARGE => 1,
            folds => folds,
        }
    }

    /// Which way a feature is bound to, if it is.
    pub(crate) fn direction(&self, feature: &str) -> Option<Direction> {
        self.monotone.get(feature).copied()
    }
}

/// Cuts the users held out into halves that have nothing to do with who is held out.
pub(crate) fn half_of(group: u64) -> bool {
    mix(!group) & 1 == 1
}

fn is_penalty(value: f32) -> bool {
    value.is_finite() && value >= 0.0
}

/// The finisher of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half the bits of the output.
pub(crate) const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_pass_and_what_is_out_of_range_is_named() {
        Params::default().check(&[]).unwrap();
        let message = |params: Params| params.check(&[]).unwrap_err().to_string();
        assert_eq!(
            message(Params { max_bin: 256, ..Params::default() }),
            "`max_bin` is 256; it must be 2 to 254"
        );
        assert!(message(Params { row_share: f32::NAN, ..Params::default() }).starts_with("`row_share`"));
        assert!(message(Params { lambda: -1.0, ..Params::default() }).starts_with("`lambda`"));
        let bound =
            Params { monotone: [("price".to_owned(), Direction::Rising)].into(), ..Params::default() };
        assert_eq!(message(bound.clone()), "there is no feature `price` to bind the probability to");
        bound.check(&["price".to_owned()]).unwrap();
        assert!(message(Params { max_depth: 9, ..Params::default() }).starts_with("`max_depth`"));
    }

    #[test]
    fn parts_are_of_one_size_and_another_seed_cuts_otherwise() {
        let (params, other) = (Params::default(), Params { seed: 2, ..Params::default() });
        let mut sizes = [0; 5];
        let mut same = 0;
        for group in 0..100_000 {
            sizes[params.part_of(group) as usize] += 1;
            same += u32::from(params.part_of(group) == other.part_of(group));
        }
        assert!(sizes.iter().all(|size| (19_500..20_500).contains(size)), "{sizes:?}");
        assert!((19_500..20_500).contains(&same), "{same} of an expected 20,000");
    }

    #[test]
    fn threads_never_exceed_the_processors() {
        let processors = std::thread::available_parallelism().unwrap().get();
        let many = Params { threads: NonZeroUsize::new(1_000), ..Params::default() };
        assert_eq!(many.fits_at_once(&Rows::default()) as usize, processors);
        assert_eq!(many.threads_of_a_fit(LARGE), 1, "each fit has a thread of its own");
        assert_eq!(many.threads_of_a_fit(LARGE + 1), processors);
        let one = Params { threads: NonZeroUsize::new(1), ..Params::default() };
        assert_eq!((one.fits_at_once(&Rows::default()), one.threads_of_a_fit(LARGE + 1)), (1, 1));
    }
}
