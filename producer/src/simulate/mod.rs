//! A simulated subscription streaming service whose true churn risk is known exactly.

mod args;

pub use args::SimulateArgs;
