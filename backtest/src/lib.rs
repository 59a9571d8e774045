//! Replay, labels and point-in-time rows.
//!
//! A row is what was known of a user at a moment; its label is what happened after. Rows are made by replaying the log
//! through [`consumer::pipeline`], the code that also scores live, so a model is trained on what it will see.

mod as_of;
mod audit;
mod backtest;
mod baseline;
mod compare;
mod decided;
mod error;
pub mod evaluate;
mod incidents;
mod labels;
pub mod metrics;
pub mod money;
mod names;
mod replay;
pub mod report;
mod rows;
mod split;
mod sweeps;
mod watch;

pub use as_of::{AsOfRequest, features_as_of};
pub use audit::{Audit, Peek, Suspect, audit, suspects};
pub use backtest::{Backtest, Compared, Leakage, Period, Scored, backtest, probabilities};
pub use baseline::{OneColumn, simple_columns};
pub use compare::{Comparison, Measured, compare};
pub use error::BacktestError;
pub use incidents::{Counted, count_days};
pub use labels::{Decision, Labels, Lost, Outcome, OutcomeTable, Triggers, Verdict};
pub use replay::{Rejects, RejectsOfReason, Removed, removed};
pub use rows::{LabelledRows, RowSummary, Swept, collect, current};
pub use split::{Split, SplitPlan, check_split};
pub use sweeps::sweeps;
pub use watch::{Feature, Ticks, Watched, watch};
