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
//! Whoever owns the workers acts on the decision. A consumer does so for its threads; for the processes of a Kafka group [`run()`] does, which
//! the program `autoscaler` calls. Only its modules speak to brokers and start processes: `group_lag`, `processes`, `bound` and `http`.

mod bound;
pub mod cli;
mod command;
mod decision;
mod decision_log;
mod error;
mod group_lag;
mod http;
mod lag_age;
mod limits;
mod observation;
mod options;
mod placement;
mod policy;
mod processes;
mod run;
mod threshold;
mod tracker;

pub use bound::become_command;
pub use command::{CommandError, ProcessCommand};
pub use decision::{Action, Decision, DecisionMetrics, Numbers, Reason};
pub use decision_log::{DecisionLog, DecisionLogError};
pub use error::AutoscalerError;
pub use lag_age::LagAge;
pub use limits::Limits;
pub use observation::{Observation, PartitionObservation, PartitionStatus};
pub use options::AutoscalerOptions;
pub use placement::place;
pub use policy::{History, Past, Policy, Wish, decide};
pub use run::{Surroundings, run};
pub use threshold::ThresholdPolicy;
pub use tracker::{Sample, Tracker, WINDOW};
