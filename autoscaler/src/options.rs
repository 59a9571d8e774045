//! How an autoscaler of processes is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::{Limits, ProcessCommand, ThresholdPolicy};

/// How an autoscaler of processes is set up.
#[derive(Debug, Clone)]
pub struct AutoscalerOptions {
    /// The topic that the processes read.
    pub topic: String,
    /// The group that they form; the topic's usual one without one.
    pub group: Option<String>,
    /// How one of them is started; without it, it is only said how many there should be.
    pub command: Option<ProcessCommand>,
    /// When there shall be more or fewer.
    pub policy: ThresholdPolicy,
    /// How many there may be, and how often that may change.
    pub limits: Limits,
    /// How often the brokers are asked and it is decided.
    pub every: Duration,
    /// Where metrics, health and targets are served; nowhere without one.
    pub http: Option<SocketAddr>,
    /// The file that decisions go to, as [`DecisionLog`](crate::DecisionLog) writes them.
    pub log: Option<PathBuf>,
}
