//! What leaving costs, and what a retention campaign would have brought: a simulation over a backtest's rows.
//!
//! A campaign has rounds as far apart as labels look, so that no loss is counted twice. In each round the users with the highest
//! probabilities are contacted, as far as threshold, cap and budget go. Of those who would have left, `effectiveness` stay. That
//! share is an assumption, not a finding: only a trial with a control group measures it.
//!
//! # Where a plainer sum differs
//!
//! A usual sum takes the tenth with the highest scores, counts the leavers in it times the effectiveness times a month's price, and calls
//! that saved. The simulator gives the same where it is told to (`share = 0.1`, no costs, `taken_by_stayers = 0`). Otherwise it differs:
//!
//! - Users who have left already are not there to be contacted. Where they are left in the table, they take up contacts, because they look
//!   like leavers, and make the ranking look worse than it is for those who can still be kept.
//! - Contacts and offers cost, and those who would have stayed take the offer too. This alone can turn a saving into a loss.
//! - Who is kept pays for longer than a month (`kept_for`).
//! - Luck and other users give other sums: there are intervals.
//!
//! `churnstream/tests/published_scenario.rs` checks both on data made to the description of a published system.

mod actions;
mod settings;
mod simulate;

#[cfg(test)]
mod tests;

pub use actions::{ActionRule, ActionRules, Suggestion, suggest};
pub use settings::{MoneySettings, Offer};
pub use simulate::{AtRisk, Campaign, Money, Plan, ThresholdPoint, simulate};
