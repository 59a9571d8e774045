//! What leaving costs, and what a retention campaign would have brought: a simulation over a backtest's rows.
//!
//! A campaign has rounds as far apart as labels look, so that no loss is counted twice. In each round the users with the highest
//! probabilities are contacted, as far as threshold, cap and budget go. Of those who would have left, `effectiveness` stay. That
//! share is an assumption, not a finding: only a trial with a control group measures it.

mod actions;
mod prices;
mod settings;
mod simulate;

#[cfg(test)]
mod tests;

pub use actions::{ActionRule, ActionRules, Suggestion, suggest};
pub use settings::{Condition, MoneySettings, Offer, Price};
pub use simulate::{AtRisk, Campaign, Money, Plan, ThresholdPoint, simulate};
