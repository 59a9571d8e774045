//! Replay, labels and point-in-time rows.

pub mod metrics;
