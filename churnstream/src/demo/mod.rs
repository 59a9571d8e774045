//! The demo: everything on this machine, from nothing, to be watched.
//!
//! A history is simulated, a model trained on it, then new days are streamed through a pool that the autoscaler grows and
//! shrinks. The parts are the product's own; only the order and the watching are the demo's.

mod feed;
mod judge;
mod risk;
mod run;
mod stage;
mod summary;
pub mod view;

pub use run::{DemoOptions, run};
