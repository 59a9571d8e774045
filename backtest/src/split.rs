//! Which rows train and which test: apart in time, with every training label decided before the first test moment.

use types::{EventTime, Millis};

use crate::rows::LabelledRows;
use crate::{BacktestError, Labels};

/// Where the line between training and test lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitPlan {
    /// Training rows have their label decided at or before this moment; test rows lie at or after it.
    pub test_from: EventTime,
    /// The longest time from a row's moment to the decision of its label.
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

impl Split {
    /// The name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::Embargo => "embargo",
        }
    }
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
            return Err(BacktestError::NothingToLearn(rows.summary.why_empty(labels)));
        };
        let decided = rows.decided_at.iter().min().copied().unwrap_or(*first);
        let test_from = labels.test_from.unwrap_or_else(|| {
            // A third of the moments, but not so many that the embargo leaves nothing to train on.
            let third = moments[moments.len() - moments.len().div_ceil(3)];
            third.max(decided).min(*last)
        });
        let horizon = rows.as_of.iter().zip(&rows.decided_at).map(|(as_of, decided)| decided.since(*as_of));
        let plan = Self { test_from, horizon: horizon.max().unwrap_or(labels.span()) };
        let splits = (0..rows.len()).map(|row| plan.of_row(rows, row));
        let [trains, tests] = splits.fold([0, 0], |[trains, tests], split| {
            [trains + u32::from(split == Split::Train), tests + u32::from(split == Split::Test)]
        });
        if trains == 0 || tests == 0 {
            return Err(BacktestError::NothingToLearn(format!(
                "rows lie at {} to {} and labels look {} ahead: with the test beginning at {}, none is left to train or to test on. \
                 Give a longer log, a shorter horizon, or another `split.test_from`",
                first.written(),
                last.written(),
                labels.span(),
                test_from.written()
            )));
        }
        Ok(plan)
    }

    /// What a row at a moment is for, if its label takes as long to decide as any.
    #[must_use]
    pub fn of(&self, as_of: EventTime) -> Split {
        self.of_label(as_of, as_of.plus(self.horizon))
    }

    /// What a row is for, by its moment and that of its label's decision.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn of_row(&self, rows: &LabelledRows, row: usize) -> Split {
        self.of_label(rows.as_of[row], rows.decided_at[row])
    }

    fn of_label(&self, as_of: EventTime, decided_at: EventTime) -> Split {
        if as_of >= self.test_from {
            Split::Test
        } else if decided_at > self.test_from {
            Split::Embargo
        } else {
            Split::Train
        }
    }
}

/// Checks that every training label was decided before the first test moment, whoever made the split.
///
/// # Errors
/// [`BacktestError::Overlap`] names how many labels were not, and the worst.
pub fn check_split(rows: &LabelledRows, of: impl Fn(usize) -> Split) -> Result<(), BacktestError> {
    let tests = (0..rows.len()).filter(|row| of(*row) == Split::Test);
    let Some(first_test) = tests.map(|row| rows.as_of[row]).min() else { return Ok(()) };
    let late = (0..rows.len()).filter(|row| of(*row) == Split::Train && rows.decided_at[*row] > first_test);
    let (mut count, mut worst) = (0, EventTime::MIN);
    for row in late {
        count += 1;
        worst = worst.max(rows.decided_at[row]);
    }
    match count {
        0 => Ok(()),
        _ => Err(BacktestError::Overlap { rows: count, decided: worst, first_test }),
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

    #[test]
    fn an_overlapping_split_is_caught() {
        let rows = LabelledRows {
            lost: vec![false; 200],
            as_of: (0..200).map(EventTime).collect(),
            decided_at: (0..200).map(|at| EventTime(at + 30)).collect(),
            ..LabelledRows::default()
        };
        let plan = SplitPlan { test_from: EventTime(100), horizon: Millis(30) };
        check_split(&rows, |row| plan.of_row(&rows, row)).unwrap();
        // The usual mistake: split at a moment, and forget that labels look ahead.
        let error = check_split(&rows, |row| if row < 100 { Split::Train } else { Split::Test }).unwrap_err();
        let BacktestError::Overlap { rows: 29, decided: EventTime(129), first_test: EventTime(100) } = error
        else {
            panic!("{error}")
        };
    }
}
