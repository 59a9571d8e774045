//! What is known of a consumer at a moment. What is not known is `None`, never zero.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry::catalogue::{CONSUMER_LAG_EVENTS, CONSUMER_LAG_SECONDS, CONSUMER_STATUS};
use types::PartitionId;

/// A consumer at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When, by a monotonic clock that began anywhere; never less than in the observation before.
    pub at: Duration,
    /// How many workers there are.
    pub workers: u32,
    /// Every partition of the topic, in order.
    pub partitions: Vec<PartitionObservation>,
}

/// One partition at that moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartitionObservation {
    /// Which.
    pub partition: PartitionId,
    /// Records that are not committed.
    pub lag_events: Option<u64>,
    /// Age of the oldest of them in seconds; 0 if there are none.
    pub lag_seconds: Option<f64>,
    /// Records that arrive a second.
    pub arrival_rate: Option<f64>,
    /// Records that are committed a second. As fast as the workers can only while there is lag.
    pub service_rate: Option<f64>,
    /// How it is being consumed.
    pub status: PartitionStatus,
}

/// How a partition is being consumed, by Burrow's rules; see [`Tracker`](crate::Tracker).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartitionStatus {
    /// Too little is known.
    Unknown,
    /// Keeping up, or catching up.
    Ok,
    /// Moving, but falling behind all the time.
    Warn,
    /// Commits go on while the position stays although records wait.
    Stall,
    /// There are no commits any more although records wait.
    Stop,
    /// The position went back.
    Rewind,
}

impl PartitionStatus {
    /// Its value in the metric `churn_consumer_status`.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Ok => 1,
            Self::Warn => 2,
            Self::Stall => 3,
            Self::Stop => 4,
            Self::Rewind => 5,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Stall => "stall",
            Self::Stop => "stop",
            Self::Rewind => "rewind",
        }
    }

    /// Whether more workers cannot help: something is wrong with the partition or what it writes to.
    #[must_use]
    pub const fn is_stuck(self) -> bool {
        matches!(self, Self::Stall | Self::Stop)
    }
}

impl Observation {
    /// All partitions' lag in events; `None` unless it is known of each.
    #[must_use]
    pub fn lag_events(&self) -> Option<u64> {
        // Saturating: a total beyond u64 is a lag beyond every threshold.
        self.partitions.iter().try_fold(0_u64, |sum, p| Some(sum.saturating_add(p.lag_events?)))
    }

    /// The greatest lag in seconds; `None` unless it is known of each, or if there are none.
    #[must_use]
    pub fn lag_seconds(&self) -> Option<f64> {
        self.partitions
            .iter()
            .map(|p| p.lag_seconds.filter(|s| s.is_finite()))
            .reduce(|a, b| Some(a?.max(b?)))
            .flatten()
    }

    /// Records that arrive a second; `None` unless it is known of each partition.
    #[must_use]
    pub fn arrival_rate(&self) -> Option<f64> {
        self.partitions.iter().map(|p| p.arrival_rate).sum()
    }

    /// Records that are committed a second; `None` unless it is known of each partition.
    #[must_use]
    pub fn service_rate(&self) -> Option<f64> {
        self.partitions.iter().map(|p| p.service_rate).sum()
    }

    /// The same without its stuck partitions, and how many those were.
    pub(crate) fn without_stuck(&self) -> (Self, u32) {
        let (stuck, live): (Vec<_>, Vec<_>) = self.partitions.iter().partition(|p| p.status.is_stuck());
        (Self { partitions: live, ..*self }, u32::try_from(stuck.len()).unwrap_or(u32::MAX))
    }

    /// Shows lag and status of every partition of `topic` as metrics. What is unknown is left out, and its status is 0.
    /// Allocates: call it once an observation.
    pub fn record(&self, topic: &str, metrics: &telemetry::Metrics) {
        for p in &self.partitions {
            let partition = p.partition.to_string();
            let labels = [topic, partition.as_str()];
            // Counts below 2^53 are exact as f64.
            metrics.gauge(CONSUMER_LAG_EVENTS, labels).set_known(p.lag_events.map(|n| n as f64));
            metrics.gauge(CONSUMER_LAG_SECONDS, labels).set_known(p.lag_seconds);
            metrics.gauge(CONSUMER_STATUS, labels).set(f64::from(p.status.code()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(n: u32, lag_events: Option<u64>, status: PartitionStatus) -> PartitionObservation {
        PartitionObservation {
            partition: PartitionId(n),
            lag_events,
            lag_seconds: lag_events.map(|n| n as f64 / 100.0),
            arrival_rate: None,
            service_rate: Some(2.0),
            status,
        }
    }

    #[test]
    fn one_unknown_makes_the_whole_unknown() {
        let mut seen = Observation {
            at: Duration::ZERO,
            workers: 1,
            partitions: vec![
                partition(0, Some(150), PartitionStatus::Ok),
                partition(1, Some(50), PartitionStatus::Stall),
            ],
        };
        assert_eq!((seen.lag_events(), seen.lag_seconds()), (Some(200), Some(1.5)));
        assert_eq!((seen.arrival_rate(), seen.service_rate()), (None, Some(4.0)));
        assert_eq!(seen.without_stuck().0.lag_events(), Some(150));
        seen.partitions.push(partition(2, None, PartitionStatus::Unknown));
        assert_eq!((seen.lag_events(), seen.lag_seconds()), (None, None));
        assert_eq!(seen.without_stuck().1, 1);
    }

    #[test]
    fn metrics_leave_out_what_is_unknown_and_say_so() {
        let metrics = telemetry::Metrics::new("0");
        let seen = |lag| Observation {
            at: Duration::ZERO,
            workers: 1,
            partitions: vec![partition(
                7,
                lag,
                if lag.is_some() { PartitionStatus::Stop } else { PartitionStatus::Unknown },
            )],
        };
        seen(Some(300)).record("events", &metrics);
        let text = metrics.render();
        for line in [
            r#"churn_consumer_lag_events{topic="events",partition="7"} 300"#,
            r#"churn_consumer_lag_seconds{topic="events",partition="7"} 3"#,
            r#"churn_consumer_status{topic="events",partition="7"} 4"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        seen(None).record("events", &metrics);
        let text = metrics.render();
        assert!(!text.contains("churn_consumer_lag_"), "{text}");
        assert!(text.contains(r#"churn_consumer_status{topic="events",partition="7"} 0"#), "{text}");
    }

    #[test]
    fn codes_are_those_that_the_catalogue_explains() {
        use PartitionStatus::*;
        let metric =
            telemetry::catalogue::CATALOGUE.iter().find(|m| m.name == "churn_consumer_status").unwrap();
        for status in [Unknown, Ok, Warn, Stall, Stop, Rewind] {
            let said = format!("{} {}", status.code(), status.name());
            assert!(metric.help.contains(&said), "{said}");
        }
    }
}
