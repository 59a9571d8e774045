//! Replay, labels and point-in-time rows.
//!
//! A row is what was known of a user at a moment; its label is what happened after. Rows are made by replaying the log
//! through [`consumer::pipeline`], the code that also scores live, so a model is trained on what it will see.

mod error;
mod labels;
pub mod metrics;
mod replay;
mod rows;
mod split;
mod sweeps;

pub use error::BacktestError;
pub use labels::{Labels, Lost};
pub use replay::{AsOfRequest, features_as_of};
pub use rows::{LabelledRows, RowSummary, collect};
pub use split::{Split, SplitPlan};
pub use sweeps::sweeps;
