//! Whether features and scores are still distributed as in training, and what quality can be expected where labels are not
//! known yet.
//!
//! A [`Counts`] holds how many values fell into the bins of a [`Baseline`]; [`Counts::drift`] compares the two, by the
//! population stability index and the Jensen-Shannon divergence, each with an interval. The interval is what makes the number
//! usable: few rows make large indices by chance alone.
//!
//! A [`Watch`] compares the mix and the volume of events of days with those before, and needs no model.
//!
//! [`expected`] estimates the AUC from probabilities alone, as far as they are calibrated.

mod cbpe;
mod divergence;
mod rates;

#[cfg(test)]
mod tests;

pub use cbpe::{Expected, expected};
pub use divergence::{Drift, Interval, MIN_ROWS, Verdict};
pub use rates::{Alarm, DayCounts, Watch};

use serde::{Deserialize, Serialize};

use crate::Baseline;

/// How many values fell into each bin of a baseline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    counts: Vec<u64>,
    missing: u64,
}

impl Counts {
    /// None yet, for the bins of a baseline.
    #[must_use]
    pub fn new(baseline: &Baseline) -> Self {
        Self { counts: vec![0; baseline.counts.len()], missing: 0 }
    }

    /// Counts a value, NaN where there is none; O(log bins).
    ///
    /// # Panics
    /// If the baseline has more bins than the one that this was made for.
    pub fn add(&mut self, baseline: &Baseline, value: f32) {
        if value.is_nan() {
            self.missing += 1;
        } else {
            self.counts[baseline.borders.partition_point(|border| *border <= value)] += 1;
        }
    }

    /// Adds the counts of other rows, of the same baseline.
    pub fn merge(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.missing += other.missing;
    }

    /// How many values were counted, missing ones included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.missing
    }

    /// How far these rows are from the baseline's. The rows should be of different users: several of one user tell less than
    /// as many of different ones, and the interval would be too narrow. Of the baseline's rows it is known how many users they
    /// are worth ([`Baseline::users`]).
    ///
    /// The same result for the same counts, always: the interval is drawn with a fixed seed.
    ///
    /// # Errors
    /// The number of rows or users, if it is below [`MIN_ROWS`], here or in the baseline: then nothing can be said.
    pub fn drift(&self, baseline: &Baseline) -> Result<Drift, u64> {
        let with_missing = |counts: &[u64], missing: u64| {
            counts.iter().chain([&missing]).map(|&count| count as f64).collect::<Vec<_>>()
        };
        let now = with_missing(&self.counts, self.missing);
        let mut then = with_missing(&baseline.counts, baseline.missing);
        if let Some(users) = baseline.users {
            let worth = users as f64 / then.iter().sum::<f64>().max(1.0);
            then.iter_mut().for_each(|count| *count *= worth.min(1.0));
        }
        let rows = now.iter().sum::<f64>().min(then.iter().sum());
        if rows < MIN_ROWS as f64 {
            return Err(rows as u64);
        }
        Ok(divergence::compare(&now, &then))
    }
}
