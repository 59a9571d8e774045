//! The pure pipeline: records in, feature rows and rejects out, rows in, scores out.
//!
//! Plain synchronous code with no I/O of its own and no clock. Training, backtests, reads as of a past moment and the
//! live consumer all call it, so what one of them computes is what all of them compute.

mod advance;
mod encode;
mod rows;
mod scoring;

pub use advance::{Pipeline, PipelineError, Place, Reject, Stop, Witness, Work};
pub use rows::{Row, Rows};
pub use scoring::{Reasons, ScoreRecord, Scoring, Shadow};

/// The users of one partition and their state.
pub type UserStore = feature_store::PartitionStore<feature_store::UserState>;
