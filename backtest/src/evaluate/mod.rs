//! How good scores were on rows that the model had no part in: metrics with intervals, curves, parts, comparisons.

mod bootstrap;
mod cohorts;
mod curves;
mod judged;
mod measure;
mod slices;

#[cfg(test)]
mod tests;

pub use bootstrap::{Difference, Estimate, Metric, compare, measure, resamples_for};
pub use curves::{CalibrationBin, Curves, curves};
pub use judged::{Judged, number_users};
pub use measure::{COUNT, NAMES};
pub use slices::{Slice, Slices, day, part, slices};

pub(crate) use bootstrap::draw;
