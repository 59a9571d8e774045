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
    /// A part for each refit; its name is the day of it.
    pub folds: Slices,
    /// Metrics over all folds' rows together.
    pub metrics: Vec<crate::evaluate::Metric>,
}

impl Report {
    /// The page.
    #[must_use]
    pub fn html(&self, title: &str, labels: &Labels) -> String {
        page::html(self, title, labels)
    }
}
