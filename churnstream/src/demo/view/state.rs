//! What there is to show.

use std::time::Duration;

use types::Band;

/// The demo at a moment. `None` is what was not measured.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DemoState {
    /// What is being done.
    pub phase: Phase,
    /// Time since the demo began.
    pub elapsed: Duration,
    /// Events that go through a second, now.
    pub events_per_second: Option<f64>,
    /// The same lately, one value per draw or second, oldest first. The newest that fit are shown.
    pub throughput: Vec<u64>,
    /// Up to which moment of its time the stream has come, as text for people (`2026-03-02 14:00`).
    pub stream_at: Option<String>,
    /// Each partition, in order.
    pub lag: Vec<Lag>,
    /// How long the oldest event waits, in seconds.
    pub lag_seconds: Option<f64>,
    /// Workers there are.
    pub workers: Option<u32>,
    /// Workers that the autoscaler wants.
    pub workers_desired: Option<u32>,
    /// The most workers that there may be; 0 if there is no pool yet.
    pub workers_max: u32,
    /// What the autoscaler decided last; `None` if nothing yet.
    pub decision: Option<LastDecision>,
    /// How old the last commit is.
    pub commit_age: Option<Duration>,
    /// How old the oldest change is that is not in the store's blocks.
    pub snapshot_age: Option<Duration>,
    /// Where the pool's metrics can be seen while it runs.
    pub metrics: Option<String>,
    /// Events handled so far.
    pub events: u64,
    /// Users known.
    pub users: Option<u64>,
    /// Scores written so far.
    pub scores: u64,
    /// Records set aside so far.
    pub rejected: u64,
    /// Who is most at risk, highest probability first.
    pub at_risk: Vec<AtRisk>,
}

/// A step of the demo.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Phase {
    /// Its name, in lower case (`streaming new days`).
    pub name: String,
    /// Its number, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// How much of it is done, 0 to 1.
    pub progress: Option<f64>,
    /// How long the rest of it will take.
    pub eta: Option<Duration>,
}

/// How far a partition is behind.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lag {
    /// Which partition.
    pub partition: u32,
    /// Events that wait.
    pub events: Option<u64>,
    /// The worker that has it, from 0.
    pub worker: Option<u32>,
}

/// A decision of the autoscaler that changed something or said why not.
#[derive(Debug, Clone, PartialEq)]
pub struct LastDecision {
    /// How long ago.
    pub ago: Duration,
    /// What and why, in words (`grow from 1 to 2: 24310 events wait, over 10000`).
    pub words: String,
}

/// A user who may leave.
#[derive(Debug, Clone, PartialEq)]
pub struct AtRisk {
    /// The user's id.
    pub user: String,
    /// The probability of leaving within the horizon, 0 to 1.
    pub probability: f32,
    /// The band that it falls in.
    pub band: Band,
    /// Why, in words, strongest first.
    pub reasons: Vec<String>,
}
