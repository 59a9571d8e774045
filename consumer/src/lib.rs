//! The pure pipeline from records to scores, and the workers, commits and reads around it.
//!
//! [`pipeline`] computes; everything else here moves bytes, threads and promises around it. [`run`] is the whole consumer.

mod api;
pub mod cli;
mod drifted;
mod error;
mod files;
mod group;
mod last;
mod measure;
mod member;
mod observe;
mod open;
mod options;
mod output;
pub mod pipeline;
mod pool;
mod prices;
mod promotions;
mod publish;
mod query;
mod run;
mod snapshot;
mod stats;
mod status;
mod store_read;
mod swept;
mod task;
mod watch;
mod worker;

pub use api::{ADDRESS_FILE, ScoreReading, Told, address_of};
pub use drifted::show_drift;
pub use error::ConsumerError;
pub use last::{LastCommit, end_without_brokers};
pub use open::{check_key, decides_ticks};
pub use options::{ConsumerOptions, Scaling, Workers};
pub use output::{CONTROL, DEAD_LETTERS, SCORES, SHADOW_SCORES, SNAPSHOTS};
pub use prices::{Condition, Price, Prices, When};
pub use promotions::has_scored;
pub use query::{FeatureReading, ReadStatus};
pub use run::{Surroundings, run};
pub use stats::{PartitionStats, StatsSnapshot};
pub use status::{LastDecision, Needed, PartitionStatus, Status, StatusBoard};
pub use store_read::{check_ended, needed, read_store, spec_of};
