//! How a consumer is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How many workers there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workers {
    /// This many, always, also beyond the processors there are; but no more than partitions.
    Fixed(u32),
    /// As many as the policy says, within these bounds.
    Auto {
        /// At least this many.
        min: u32,
        /// At most this many, and never more than there are processors or partitions.
        max: u32,
    },
}

/// How a consumer is set up. The defaults are those of the command line.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// The topic of events.
    pub topic: String,
    /// On Kafka, the group that shares the partitions; `churnstream-TOPIC` without one.
    pub group: Option<String>,
    /// On Kafka, after how long without a sign of life the group goes on without a process.
    pub session_timeout: Duration,
    /// The folder of the state.
    pub store: PathBuf,
    /// A model bundle or a registry of them.
    pub model: PathBuf,
    /// The feature spec.
    pub features: PathBuf,
    /// How many threads process partitions.
    pub workers: Workers,
    /// Whether to end at what was the log's end when it began.
    pub until_end: bool,
    /// How often outputs are synced and committed.
    pub commit_interval: Duration,
    /// On a topic that others write: how long nothing has come to a partition before its users are swept by the clock.
    pub tick_idle: Duration,
    /// How many records are processed between two looks at what else is to be done.
    pub batch_events: usize,
    /// Which scores say why. Part of what the outputs hold: change it only after a clean end.
    pub reasons: crate::pipeline::Reasons,
    /// A money file whose prices say what revenue is at risk; without one nothing is said of that.
    pub prices: Option<PathBuf>,
    /// How the store is set up.
    pub state: feature_store::StoreOptions,
    /// Whether to begin with what is left of a topic whose beginning retention has removed. On a topic that others write it always does.
    pub without_beginning: bool,
    /// Where metrics, health and reads are served; nowhere without one.
    pub http: Option<SocketAddr>,
    /// How the workers are scaled where they are.
    pub scaling: Scaling,
}

/// The simple rule for the number of workers.
#[derive(Debug, Clone, Copy)]
pub struct Scaling {
    /// More workers when more records than this wait.
    pub lag_up: u64,
    /// Fewer when fewer than this have waited for a while.
    pub lag_down: u64,
    /// No change for this long after one, neither of the number nor of which partition lies where.
    pub cooldown: Duration,
    /// How long the lag must stay low.
    pub calm: Duration,
    /// How often the rule looks.
    pub every: Duration,
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            lag_up: 20_000,
            lag_down: 1_000,
            cooldown: Duration::from_secs(10),
            calm: Duration::from_secs(20),
            every: Duration::from_secs(1),
        }
    }
}
