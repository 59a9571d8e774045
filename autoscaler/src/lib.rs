//! How many workers a consumer needs, who reads which partition, and a record of why.
//!
//! ```text
//! samples (log end, committed, age) -> Tracker -> Observation -> decide(policy, limits, history) -> Decision
//!                                                                                                  |-> DecisionLog
//!                                              loads, owners -> place() -> who owns what           |-> metrics
//! ```
//!
//! Nothing that decides reads a clock or draws lots: time comes in with the observation, what a policy remembers lies in a
//! [`History`] that the caller holds. So a simulation runs the very code that runs live, and the same observations give the
//! same decisions.
//!
//! This crate starts and stops nothing: whoever owns the workers acts on the decision.

mod decision;
mod decision_log;
mod limits;
mod observation;
mod placement;
mod policy;
mod threshold;
mod tracker;

pub use decision::{Action, Decision, DecisionMetrics, Numbers, Reason};
pub use decision_log::{DecisionLog, DecisionLogError};
pub use limits::Limits;
pub use observation::{Observation, PartitionObservation, PartitionStatus};
pub use placement::place;
pub use policy::{History, Past, Policy, Wish, decide};
pub use threshold::ThresholdPolicy;
pub use tracker::{Sample, Tracker, WINDOW};
