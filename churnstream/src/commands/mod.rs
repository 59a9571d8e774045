//! One module for each command: its arguments, and the calls that it consists of.

pub(crate) mod actions;
pub(crate) mod backtest;
pub(crate) mod demo;
pub mod doctor;
pub(crate) mod drift;
pub(crate) mod features;
pub(crate) mod fitting;
pub(crate) mod forget;
pub(crate) mod incidents;
pub mod init;
pub mod log;
pub(crate) mod models;
pub(crate) mod progress;
pub(crate) mod rebuild;
pub(crate) mod retrain;
pub(crate) mod rows;
mod running;
pub(crate) mod score;
pub(crate) mod scores;
mod through;
pub(crate) mod train;
mod train_table;

/// What is wrong with arguments that each are right: the program ends with exit code 2, as for any wrong argument.
pub(crate) fn wrong_arguments(what: impl std::fmt::Display) -> anyhow::Error {
    clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{what}\n")).into()
}
