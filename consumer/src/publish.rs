//! From counters to metrics: what the workers counted, published once a second under the catalogue's names.

use telemetry::{Counter, Gauge, Metrics, catalogue};
use types::{Band, RejectReason};

use crate::Status;
use crate::stats::{PartitionStats, StatsSnapshot};

/// Publishes a consumer's counters.
pub(crate) struct Publisher {
    processed: Counter,
    rejected: Vec<Counter>,
    scores: Vec<Counter>,
    customers: Vec<Gauge>,
    snapshot_age: Gauge,
    store_bytes: Gauge,
    /// What was published of each partition already.
    before: Vec<StatsSnapshot>,
}

impl Publisher {
    pub(crate) fn new(metrics: &Metrics, stats: &[std::sync::Arc<PartitionStats>]) -> Self {
        Self {
            processed: metrics.counter(catalogue::EVENTS_PROCESSED, []),
            rejected: RejectReason::ALL
                .iter()
                .map(|reason| metrics.counter(catalogue::EVENTS_REJECTED, [reason.name()]))
                .collect(),
            scores: Band::ALL.iter().map(|band| metrics.counter(catalogue::SCORES, [band.name()])).collect(),
            customers: Band::ALL
                .iter()
                .map(|band| metrics.gauge(catalogue::CUSTOMERS, [band.name()]))
                .collect(),
            snapshot_age: metrics.gauge(catalogue::SNAPSHOT_AGE, []),
            store_bytes: metrics.gauge(catalogue::STORE_BYTES, []),
            before: stats.iter().map(|stats| stats.snapshot()).collect(),
        }
    }

    /// Publishes what has changed since the last call.
    pub(crate) fn publish(&mut self, now: &[StatsSnapshot], status: &Status) {
        for (before, now) in self.before.iter_mut().zip(now) {
            self.processed.add(now.processed - before.processed);
            for (counter, (new, old)) in self.rejected.iter().zip(now.rejects.iter().zip(&before.rejects)) {
                counter.add(new - old);
            }
            for (counter, (new, old)) in self.scores.iter().zip(now.scores.iter().zip(&before.scores)) {
                counter.add(new - old);
            }
            before.clone_from(now);
        }
        for (band, gauge) in self.customers.iter().enumerate() {
            gauge.set_known(status.customers.map(|customers| customers[band] as f64));
        }
        self.snapshot_age.set_known(status.snapshot_age_seconds);
        self.store_bytes.set_known(status.store_bytes.map(|bytes| bytes as f64));
    }
}
