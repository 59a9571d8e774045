//! What can be turned when fitting.

use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

use crate::TrainError;

/// The number of values below which one thread is faster than several: XGBoost's threads wait for each other spinning.
const SMALL: usize = 1 << 20;

/// What can be turned when fitting. The defaults learn slowly and stop early: robust on a thousand users and on a million.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
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
    /// The share of users held out to stop and to calibrate; 0 to 0.5. With 0, all rounds are run and nothing is calibrated.
    pub held_out_share: f64,
    /// Chooses who is held out, and the rows and features of each tree.
    pub seed: u32,
    /// Threads at most. By default as many as there are processors, and one for little data.
    pub threads: Option<NonZeroUsize>,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            max_rounds: 500,
            patience: 30,
            learning_rate: 0.05,
            max_depth: 4,
            min_child_weight: 3.0,
            row_share: 0.7,
            feature_share: 0.5,
            lambda: 1.0,
            max_bin: 254,
            held_out_share: 0.2,
            seed: 1,
            threads: None,
        }
    }
}

impl Params {
    /// Checks the ranges.
    ///
    /// # Errors
    /// If a parameter is out of its range; names it.
    pub fn check(&self) -> Result<(), TrainError> {
        let share = |value: f32| value > 0.0 && value <= 1.0;
        let positive = "it must be at least 1";
        let share_rule = "it must be above 0 and at most 1";
        let penalty_rule = "it must be finite and not negative";
        let checks: [(&'static str, f64, bool, &'static str); 10] = [
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
            (
                "held_out_share",
                self.held_out_share,
                (0.0..=0.5).contains(&self.held_out_share),
                "it must be 0 to 0.5",
            ),
        ];
        match checks.into_iter().find(|(_, _, good, _)| !good) {
            Some((name, value, _, rule)) => Err(TrainError::Param { name, value, rule }),
            None => Ok(()),
        }
    }

    /// The number of threads for so many values (rows times features): never more than there are processors.
    pub(crate) fn threads_for(&self, values: usize) -> usize {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let wanted = self.threads.map_or(if values < SMALL { 1 } else { processors }, NonZeroUsize::get);
        wanted.min(processors)
    }

    /// Whether the user with this hash is held out. The hash is mixed again, so that neither the partition nor anything else
    /// made of it says who is.
    pub(crate) fn holds_out(&self, group: u64) -> bool {
        let mixed = mix(group ^ mix(u64::from(self.seed)));
        // The upper 53 bits as a number from 0 up to 1.
        ((mixed >> 11) as f64) < self.held_out_share * (1_u64 << 53) as f64
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
const fn mix(value: u64) -> u64 {
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
        Params::default().check().unwrap();
        let message = |params: Params| params.check().unwrap_err().to_string();
        assert_eq!(
            message(Params { max_bin: 256, ..Params::default() }),
            "`max_bin` is 256; it must be 2 to 254"
        );
        assert!(message(Params { row_share: f32::NAN, ..Params::default() }).starts_with("`row_share`"));
        assert!(message(Params { lambda: -1.0, ..Params::default() }).starts_with("`lambda`"));
        assert!(message(Params { max_depth: 9, ..Params::default() }).starts_with("`max_depth`"));
    }

    #[test]
    fn as_many_are_held_out_as_was_asked_for() {
        for share in [0.0, 0.1, 0.2, 0.5] {
            let params = Params { held_out_share: share, ..Params::default() };
            let held_out = (0..100_000).filter(|group| params.holds_out(*group)).count() as f64;
            assert!((held_out / 100_000.0 - share).abs() < 0.01, "{held_out} for {share}");
        }
    }

    #[test]
    fn another_seed_holds_out_others() {
        let other = Params { seed: 2, ..Params::default() };
        let both = (0..100_000).filter(|g| Params::default().holds_out(*g) && other.holds_out(*g)).count();
        assert!((3_500..4_500).contains(&both), "{both} of an expected 4,000");
    }

    #[test]
    fn threads_never_exceed_the_processors() {
        let processors = std::thread::available_parallelism().unwrap().get();
        let many = Params { threads: NonZeroUsize::new(1_000), ..Params::default() };
        assert_eq!(many.threads_for(10), processors);
        assert_eq!(Params::default().threads_for(10), 1);
        assert_eq!(Params::default().threads_for(SMALL), processors);
    }
}
