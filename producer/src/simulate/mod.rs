//! A simulated subscription streaming service whose true churn risk is known exactly.
//!
//! [`model`] holds the hidden chain and all its numbers; [`user`] lets one user live through a day by it; [`happening`] turns
//! the day's numbers into events; [`service`] does so for all users and hands events on as they arrive; [`run`](fn@run)
//! writes them to a log. [`forecast`] and [`filter`] say what is true and what an observer could know; [`truth`] puts both
//! beside what then happened.
//!
//! The same setting gives the same events, and more days go on where fewer ended.

mod args;
pub mod catalogue;
pub mod draws;
pub mod encode;
pub mod filter;
pub mod forecast;
pub mod happening;
pub mod model;
mod run;
pub mod service;
pub mod tables;
pub mod truth;
pub mod user;

pub use args::SimulateArgs;
pub use run::{SimulateError, Summary, run, write};
pub use service::Setting;

#[cfg(test)]
mod tests;
