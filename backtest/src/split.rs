//! Which rows train and which test: apart in time, with every training label decided before the first test moment.

use types::{EventTime, Millis};

use crate::rows::LabelledRows;
use crate::{BacktestError, Labels};

/// Where the line between training and test lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitPlan {
    /// Training rows have their label decided at or before this moment; test rows lie at or after it.
    pub test_from: EventTime,
    /// How far ahead labels look.
    pub horizon: Millis,
}

/// What a row is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Fitting, choosing the number of rounds, calibrating.
    Train,
    /// Judging.
    Test,
    /// Nothing: its label was not decided when the test begins.
    Embargo,
}

impl SplitPlan {
    /// Takes the line that the labels file names, or puts it so that the last third of the labelled moments tests.
    ///
    /// # Errors
    /// If nothing is left to train or to test on.
    pub fn new(labels: &Labels, rows: &LabelledRows) -> Result<Self, BacktestError> {
        let mut moments: Vec<EventTime> = rows.as_of.clone();
        moments.sort_unstable();
        moments.dedup();
        let (Some(first), Some(last)) = (moments.first(), moments.last()) else {
            return Err(BacktestError::NothingToLearn(format!(
                "no row has a label that is decided: the log must reach more than {} beyond the first users' history",
                labels.horizon
            )));
        };
        let test_from = labels.test_from.unwrap_or_else(|| {
            // A third of the moments, but not so many that the embargo leaves nothing to train on.
            let third = moments[moments.len() - moments.len().div_ceil(3)];
            third.max(first.plus(labels.horizon)).min(*last)
        });
        let plan = Self { test_from, horizon: labels.horizon };
        if plan.of(*first) != Split::Train || plan.of(*last) != Split::Test {
            return Err(BacktestError::NothingToLearn(format!(
                "rows lie at {first} to {last} (ms) and labels look {} ahead: with the test beginning at {test_from}, none \
                 is left to train or to test on. Give a longer log, a shorter horizon, or another `split.test_from`",
                labels.horizon
            )));
        }
        Ok(plan)
    }

    /// What a row is for, by its moment.
    #[must_use]
    pub fn of(&self, as_of: EventTime) -> Split {
        if as_of >= self.test_from {
            Split::Test
        } else if as_of.plus(self.horizon) > self.test_from {
            Split::Embargo
        } else {
            Split::Train
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_training_label_is_decided_before_the_first_test_moment() {
        let plan = SplitPlan { test_from: EventTime(100), horizon: Millis(30) };
        for as_of in 0..200 {
            match plan.of(EventTime(as_of)) {
                Split::Train => assert!(as_of + 30 <= 100),
                Split::Test => assert!(as_of >= 100),
                Split::Embargo => assert!(as_of + 30 > 100 && as_of < 100),
            }
        }
    }
}
