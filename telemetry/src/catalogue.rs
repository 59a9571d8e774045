//! Every metric that churnstream has: its name, kind, unit, meaning and labels, and nowhere else.
//!
//! A metric can only be recorded through a definition from here, and a definition fixes how many labels it takes, so a
//! dashboard or an alert that is checked against [`CATALOGUE`] cannot ask for something that is never written.
//!
//! Names follow Prometheus: `churn_` first, base units, `_total` on counters. No label holds a user's id; the values of
//! every label come from a closed list or are names of topics, partitions and features, so the number of series is bounded.

use std::time::Duration;

/// What a metric measures in. The name of a metric that has a unit carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// A share, 0 to 1.
    Ratio,
    /// A code whose meaning stands in the help text.
    Code,
}

/// How a metric behaves over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge {
        /// How long a value counts as measured. One that was not set again for longer is left out of `/metrics`: a
        /// missing series is shown as unknown, an old one would be shown as the truth. `None` for facts that hold
        /// while the process lives.
        lasts: Option<Duration>,
    },
    /// Counts of values at most as large as each border, with their sum.
    Histogram {
        /// The borders, ascending; the one at infinity is added.
        buckets: &'static [f64],
    },
}

/// A metric's definition.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// The whole name, as in `/metrics`.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What it measures in.
    pub unit: Unit,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// The names of its labels, in the order in which their values are given.
    pub labels: &'static [&'static str],
}

/// A counter with `N` labels.
#[derive(Debug, Clone, Copy)]
pub struct CounterName<const N: usize>(pub(crate) &'static str);

/// A gauge with `N` labels.
#[derive(Debug, Clone, Copy)]
pub struct GaugeName<const N: usize>(pub(crate) &'static str);

/// A histogram with `N` labels.
#[derive(Debug, Clone, Copy)]
pub struct HistogramName<const N: usize>(pub(crate) &'static str);

/// For durations of a batch's stages, commits and waiting: a factor of about 2.5 from 10 microseconds (a stage of a
/// small batch) to 10 s. At 5 s a drain breaks its promise, so there is a border exactly there. The ends are open enough
/// that a quantile read from them is never made up of the last bucket alone.
const DURATION_BUCKETS: &[f64] = &[
    0.000_01, 0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// For the time from an event's arrival to its score: a batch on an idle machine takes about a millisecond, a commit
/// interval is one second, and behind a backlog it is minutes.
const LATENCY_BUCKETS: &[f64] =
    &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0];

/// For probabilities: fine near 0, where most users are, and even above, so that a shift of the whole distribution
/// shows.
const PROBABILITY_BUCKETS: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];

/// Gauges that a running process sets every few seconds: four missed rounds of five seconds.
const LIVE: Option<Duration> = Some(Duration::from_secs(20));

macro_rules! catalogue {
    (@kind Counter $label_count:expr, $name:literal) => { CounterName<{ $label_count }> };
    (@kind Gauge $label_count:expr, $name:literal) => { GaugeName<{ $label_count }> };
    (@kind Histogram $label_count:expr, $name:literal) => { HistogramName<{ $label_count }> };
    (@make Counter $name:literal) => { CounterName($name) };
    (@make Gauge $name:literal) => { GaugeName($name) };
    (@make Histogram $name:literal) => { HistogramName($name) };
    ($($id:ident = $name:literal, $kind:ident $({ $($setting:tt)* })?, $unit:ident, [$($label:literal),*], $help:literal;)*) => {
        $(
            #[doc = $help]
            pub const $id: catalogue!(@kind $kind { const LABELS: &[&str] = &[$($label),*]; LABELS.len() }, $name) =
                catalogue!(@make $kind $name);
        )*

        /// Every metric, in the order in which they stand here.
        pub const CATALOGUE: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind $({ $($setting)* })?,
            unit: Unit::$unit,
            help: $help,
            labels: &[$($label),*],
        },)*];
    };
}

catalogue! {
    BUILD_INFO = "churn_build_info", Gauge { lasts: None }, Count, ["version"],
        "Always 1; which version runs stands in the label.";
    EVENTS_PRODUCED = "churn_events_produced_total", Counter, Count, ["topic"],
        "Records that this producer has brought durably to the log, ticks aside: events, and rows of imports that are to become dead letters. What the log held already is not counted.";
    EVENTS_PROCESSED = "churn_events_processed_total", Counter, Count, [],
        "Records taken from the log: events, ticks, rejected ones, and those replayed to rebuild state.";
    EVENTS_REJECTED = "churn_events_rejected_total", Counter, Count, ["reason"],
        "Records set aside in the dead-letter log, by reason.";
    CONSUMER_LAG_EVENTS = "churn_consumer_lag_events", Gauge { lasts: LIVE }, Count, ["topic", "partition"],
        "Records between the log's end and the committed position.";
    CONSUMER_LAG_SECONDS = "churn_consumer_lag_seconds", Gauge { lasts: LIVE }, Seconds, ["topic", "partition"],
        "Age of the oldest record that is not committed; 0 if all are.";
    CONSUMER_STATUS = "churn_consumer_status", Gauge { lasts: LIVE }, Code, ["topic", "partition"],
        "How a partition is being consumed: 0 unknown, 1 ok, 2 warn (falling behind), 3 stall (not moving while records wait), 4 stop (no commit any more), 5 rewind (position went back).";
    STAGE_DURATION = "churn_stage_duration_seconds", Histogram { buckets: DURATION_BUCKETS }, Seconds, ["stage"],
        "Time that a batch spends in a stage of the consumer.";
    EVENT_TO_SCORE = "churn_event_to_score_seconds", Histogram { buckets: LATENCY_BUCKETS }, Seconds, [],
        "Time from a record's arrival on the log until its score can be read; not measured while history is replayed.";
    SCORES = "churn_scores_total", Counter, Count, ["band"],
        "Scores written, by band.";
    SCORE_PROBABILITY = "churn_score_probability_ratio", Histogram { buckets: PROBABILITY_BUCKETS }, Ratio, [],
        "The probabilities of the scores written.";
    CUSTOMERS = "churn_customers", Gauge { lasts: None }, Count, ["band"],
        "Living users by band as of the last complete sweep, of the partitions that this process has. Absent until each of them was swept here.";
    USERS_APPROXIMATE = "churn_users_approximate", Gauge { lasts: None }, Count, [],
        "Living users whose old events are kept in panes, because there are too many of them, as of the newest complete sweep. Absent until then.";
    REVENUE_AT_RISK = "churn_revenue_at_risk", Gauge { lasts: None }, Count, ["currency"],
        "What users would pay within the model's horizon, each times the probability that they leave, summed over the living users of the newest complete sweep. Absent until then, and where the consumer has no prices.";
    DRIFT_PSI = "churn_drift_psi_ratio", Gauge { lasts: None }, Ratio, ["feature"],
        "Population stability index of a feature, or of the scores (`$score`), between the users of the newest complete sweep and the champion's training, less what chance adds; from 0.2 on it has moved. Absent below 200 users.";
    DRIFT_JS = "churn_drift_js_ratio", Gauge { lasts: None }, Ratio, ["feature"],
        "Jensen-Shannon divergence of the same distributions, in bits: 0 for equal ones, 1 for those that share nothing; less what chance adds. Absent below 200 users.";
    DRIFT_BOUND = "churn_drift_bound_ratio", Gauge { lasts: None }, Ratio, ["feature", "index", "end"],
        "Where the two figures of drift (index `psi` or `js`) lie with 95 % confidence: the end `low` or `high`. Absent below 200 users.";
    MODEL_QUALITY = "churn_model_quality_ratio", Gauge { lasts: None }, Ratio, ["metric", "kind"],
        "Quality of the champion: expected, by what its probabilities say of the users of the newest complete sweep, or realised, once outcomes are known. Metrics are auc, brier and loss_rate. Absent where there is not enough data.";
    COMMIT_DURATION = "churn_commit_duration_seconds", Histogram { buckets: DURATION_BUCKETS }, Seconds, [],
        "Time that a commit takes, outputs' sync included.";
    REBALANCE_PAUSE = "churn_rebalance_pause_seconds", Histogram { buckets: DURATION_BUCKETS }, Seconds, [],
        "On Kafka, how long each partition that moves stands still: in the process that gives it away until its last commit is made, and in the one that gets it until its last owner's transaction has ended and its state is there.";
    SNAPSHOT_AGE = "churn_snapshot_age_seconds", Gauge { lasts: LIVE }, Seconds, [],
        "Age of the oldest change of state that is not in the store's blocks yet; what a restart has to replay.";
    STORE_BYTES = "churn_store_bytes", Gauge { lasts: LIVE }, Bytes, [],
        "Size of the state store on disk.";
    SCHEMA_REQUESTS = "churn_schema_requests_total", Counter, Count, ["outcome"],
        "Writers' schemas asked for at the schema registry: answered, unknown (it has none of that number: the value is a dead letter) or failed (it did not answer: records wait).";
    SCHEMA_REGISTRY_DOWN = "churn_schema_registry_down", Gauge { lasts: None }, Code, [],
        "1 while records wait for a schema registry that does not answer, 0 otherwise. Absent where none is asked.";
    AUTOSCALER_WORKERS = "churn_autoscaler_workers", Gauge { lasts: LIVE }, Count, ["state"],
        "Workers: how many the policy wants (desired) and how many there are (actual).";
    AUTOSCALER_DECISIONS = "churn_autoscaler_decisions_total", Counter, Count, ["action", "reason"],
        "Decisions of the autoscaler, by what it did and why.";
    AUTOSCALER_DEATHS = "churn_autoscaler_process_deaths_total", Counter, Count, [],
        "Consumer processes of the autoscaler that ended without being told to, or could not be started; each is started again.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        let mut names: Vec<_> = CATALOGUE.iter().map(|m| m.name).collect();
        for metric in CATALOGUE {
            let name = metric.name;
            assert!(name.starts_with("churn_"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Kind::Counter, "{name}");
            assert_eq!(name.ends_with("_seconds"), metric.unit == Unit::Seconds, "{name}");
            assert_eq!(name.ends_with("_bytes"), metric.unit == Unit::Bytes, "{name}");
            assert_eq!(name.ends_with("_ratio"), metric.unit == Unit::Ratio, "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}");
            assert!(!metric.labels.iter().any(|l| l.contains("user") || l.contains("entity")), "{name}");
            if let Kind::Histogram { buckets } = metric.kind {
                assert!(buckets.is_sorted() && buckets.iter().all(|b| b.is_finite()), "{name}");
            }
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CATALOGUE.len(), "a name stands twice");
    }
}
