//! The report for people: one HTML page that needs no network, reads in light and dark, and prints.
//!
//! It leads with what to do and what that is worth, then how far to trust it, then the evidence.

mod charts;
mod evidence;
mod lead;
mod page;
mod svg;
mod swarm;
mod tables;
mod text;

#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::evaluate::Slices;
use crate::money::Money;
use crate::{Backtest, Labels};

/// Everything that a report shows; also what `--json` prints.
#[derive(Debug, Serialize)]
pub struct Report {
    /// What the backtest found.
    #[serde(flatten)]
    pub backtest: Backtest,
    /// What it is worth; `None` without a money file.
    pub money: Option<Money>,
    /// Refits in time, if they were asked for.
    pub walk_forward: Option<WalkForward>,
}

/// Models refitted as time went on, each judged on what came next.
#[derive(Debug, Clone, Serialize)]
pub struct WalkForward {
    /// The time from one refit to the next.
    pub every: types::Millis,
    /// How each of them was fitted.
    pub refitted: Refitted,
    /// A part for each refit; its name is the day of it.
    pub folds: Slices,
    /// Metrics over all folds' rows together.
    pub metrics: Vec<crate::evaluate::Metric>,
}

/// How the models of a [`WalkForward`] were fitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Refitted {
    /// The kind of model and its parameters.
    pub fitting: scorer::Fitting,
    /// The kind of calibration; `None` if each chose its own.
    pub calibration: Option<String>,
    /// When the last label was decided by which the bundle's settings may have been chosen; `None` if the bundle does not say how it
    /// was fitted, so that the usual settings stand in.
    pub chosen_until: Option<types::EventTime>,
}

impl std::fmt::Display for Refitted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { fitting, calibration, chosen_until } = self;
        let calibration = calibration.as_deref().unwrap_or("chosen anew");
        match chosen_until {
            None => write!(
                f,
                "The bundle does not say how it was fitted, so these are models with the usual settings ({fitting}; calibration: \
                 {calibration}), and no other versions of the bundle's."
            ),
            Some(until) => write!(
                f,
                "Fitted as the bundle was ({fitting}; calibration: {calibration}). These settings are of the bundle's training, up to \
                 {}: earlier models have them from their own future.",
                crate::evaluate::day(*until)
            ),
        }
    }
}

impl Report {
    /// The page.
    #[must_use]
    pub fn html(&self, title: &str, labels: &Labels) -> String {
        page::html(self, title, labels)
    }
}
