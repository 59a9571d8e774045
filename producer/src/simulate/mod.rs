//! A simulated subscription streaming service whose true churn risk is known exactly.

mod args;
pub mod catalogue;
pub mod draws;
pub mod filter;
pub mod forecast;
pub mod model;
pub mod tables;
pub mod user;

pub use args::SimulateArgs;
