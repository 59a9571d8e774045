//! How often values of each size occurred, for all threads and for one.

use std::sync::Arc;
use std::time::Duration;

use crate::exporter::Exporter;

/// How many values a local histogram holds at most before it flushes itself: 8 KiB.
const LOCAL: usize = 1024;

/// How often values of each size occurred. Clones observe into the same one.
#[derive(Debug, Clone)]
pub struct Histogram {
    exporter: Arc<Exporter>,
    samples: ::metrics::Histogram,
}

impl Histogram {
    pub(crate) fn new(exporter: &Arc<Exporter>, samples: ::metrics::Histogram) -> Self {
        Self { exporter: Arc::clone(exporter), samples }
    }

    /// Counts a value: a shared lock, and a few atomic additions. Values are put into their buckets when `/metrics` is
    /// asked for or many of them wait, by the thread that brings the last of these.
    pub fn observe(&self, value: f64) {
        self.exporter.record(&self.samples, &[value]);
    }

    /// Counts a span in seconds.
    pub fn observe_duration(&self, span: Duration) {
        self.observe(span.as_secs_f64());
    }

    /// A histogram of one thread, for observing within a loop over events.
    #[must_use]
    pub fn local(&self) -> LocalHistogram {
        LocalHistogram { shared: self.clone(), pending: Vec::new() }
    }
}

/// A histogram that one thread observes into without touching shared memory. What it holds is shown when it is flushed,
/// once a batch, or when it holds 1024 values; dropping it flushes.
#[derive(Debug)]
pub struct LocalHistogram {
    shared: Histogram,
    pending: Vec<f64>,
}

impl LocalHistogram {
    /// Counts a value: a plain write, beside the flush of every 1024th. Allocates only until it has once been as full as it
    /// gets.
    pub fn observe(&mut self, value: f64) {
        if self.pending.len() == LOCAL {
            self.flush();
        }
        self.pending.push(value);
    }

    /// Shows what was observed since the last flush.
    pub fn flush(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        self.shared.exporter.record(&self.shared.samples, &self.pending);
        self.pending.clear();
    }
}

impl Drop for LocalHistogram {
    fn drop(&mut self) {
        self.flush();
    }
}
