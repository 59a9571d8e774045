//! What is decided, why, and from which numbers.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::catalogue::{AUTOSCALER_DECISIONS, AUTOSCALER_WORKERS};
use telemetry::{Gauge, Metrics};

/// What an autoscaler decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When, on the clock of the observation; in JSON in whole milliseconds.
    #[serde(rename = "at_ms", with = "whole_millis")]
    pub at: Duration,
    /// How many workers there shall be from now on.
    pub desired: u32,
    /// What that means for the number desired before.
    pub action: Action,
    /// Why, from a closed list.
    pub reason: Reason,
    /// Why, in words with numbers.
    pub words: String,
    /// What led to it.
    pub numbers: Numbers,
}

/// What a decision does to the number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// More.
    Grow,
    /// Fewer.
    Shrink,
    /// As many.
    Hold,
}

impl Action {
    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grow => "grow",
            Self::Shrink => "shrink",
            Self::Hold => "hold",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a decision is what it is. A closed list: its names are label values of metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason { $($(#[$doc])* $variant,)* }

        impl Reason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in metrics and logs.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

reasons! {
    /// Too much waits.
    LagHigh = "lag_high",
    /// Little has waited for a while.
    LagLow = "lag_low",
    /// Neither much nor little waits, or little has not waited for long enough.
    Steady = "steady",
    /// The policy wants another number, but the last change is too recent.
    Cooldown = "cooldown",
    /// The policy wants another number, but the bounds do not allow it; or the number was outside them.
    Bounds = "bounds",
    /// The policy wants more, but more would not help: the partitions do not divide better.
    NoHelp = "no_help",
    /// What would have to be known is not.
    TelemetryMissing = "telemetry_missing",
    /// Every partition is stuck, which workers do not cure; or the policy wants fewer, but a partition is.
    Stuck = "stuck",
}

/// The numbers from which a decision was made; `None` is what was not known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Numbers {
    /// How many workers there were.
    pub workers: u32,
    /// How many were desired before.
    pub desired_before: u32,
    /// How many the policy wanted, before bounds, pace and division were applied.
    pub wished: u32,
    /// Records that wait, on partitions that are not stuck.
    pub lag_events: Option<u64>,
    /// Age of the oldest of them, in seconds.
    pub lag_seconds: Option<f64>,
    /// Records that arrive there a second.
    pub arrival_rate: Option<f64>,
    /// Records that are committed there a second.
    pub service_rate: Option<f64>,
    /// Partitions that are not stuck.
    pub partitions: u32,
    /// Partitions that are, and were left out.
    pub stuck: u32,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { desired, numbers: Numbers { desired_before, .. }, words, .. } = self;
        match self.action {
            Action::Hold => write!(f, "hold at {desired}: {words}"),
            action => write!(f, "{} from {desired_before} to {desired}: {words}", action.name()),
        }
    }
}

mod whole_millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(span.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// Shows decisions as metrics.
#[derive(Debug, Clone)]
pub struct DecisionMetrics {
    metrics: Metrics,
    desired: Gauge,
    actual: Gauge,
}

impl DecisionMetrics {
    /// Nothing shown yet.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        Self {
            metrics: metrics.clone(),
            desired: metrics.gauge(AUTOSCALER_WORKERS, ["desired"]),
            actual: metrics.gauge(AUTOSCALER_WORKERS, ["actual"]),
        }
    }

    /// Counts a decision and shows the workers that it is about; `actual` is how many there are, if that is known.
    pub fn record(&self, decision: &Decision, actual: Option<u32>) {
        self.desired.set(f64::from(decision.desired));
        self.actual.set_known(actual.map(f64::from));
        self.metrics.counter(AUTOSCALER_DECISIONS, [decision.action.name(), decision.reason.name()]).add(1);
    }
}
