//! The Kafka backend on a real broker.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use partition_log::conformance::{Differences, broker, run_with};
use partition_log::{KafkaLog, LogOptions, SharedLog};

/// A name that no other run has used, for brokers that outlive one.
fn fresh(name: &str) -> String {
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    format!("{name}-{nanos}")
}

#[test]
fn it_does_what_every_backend_must() {
    let Some(brokers) = broker::shared() else { return };
    let log: SharedLog = Arc::new(KafkaLog::new(&brokers.bootstrap, &LogOptions::default()).unwrap());
    let differences =
        Differences { shows_flushed: true, single_records: true, no_sizes: true, no_time_zero: true };
    run_with(&log, &fresh("conformance"), differences);
}
