//! The command `churnstream`: demo, init, train, features, scores and the rest.
//!
//! Thin: each command parses, calls the crate that does the work, and prints. What two commands share stands here.

mod cli;
pub mod commands;
pub mod demo;
mod mlflow;
pub mod tables;
pub mod training;
pub mod walk;

pub use cli::main;
