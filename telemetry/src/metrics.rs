//! Recording what the catalogue defines, and writing it in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::catalogue::{self, CATALOGUE, CounterName, GaugeName, HistogramName, Kind, Metric};
use crate::exporter::Exporter;
use crate::gauge::{Gauge, GaugeFamily};
use crate::histogram::Histogram;

/// All metrics of one process, or of one part of it in a test. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    exporter: Arc<Exporter>,
    gauges: BTreeMap<&'static str, GaugeFamily>,
    /// One rendering at a time; see [`GaugeFamily::show`].
    rendering: Mutex<()>,
}

impl Metrics {
    /// No values yet, beside which version runs.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let gauges = CATALOGUE.iter().filter_map(|metric| match metric.kind {
            Kind::Gauge { lasts } => Some((metric.name, GaugeFamily::new(metric, lasts))),
            Kind::Counter | Kind::Histogram { .. } => None,
        });
        let metrics = Self(Arc::new(Inner {
            exporter: Arc::new(Exporter::new(CATALOGUE)),
            gauges: gauges.collect(),
            rendering: Mutex::new(()),
        }));
        metrics.gauge(catalogue::BUILD_INFO, [version]).set(1.0);
        metrics
    }

    /// The counter with these values of its labels, from now on in `/metrics` with at least 0. Keep the handle: finding it
    /// costs a lock and a search, using it two atomic additions.
    #[must_use]
    pub fn counter<const N: usize>(&self, name: CounterName<N>, labels: [&str; N]) -> Counter {
        Counter(self.0.exporter.counter(defined(name.0), &labels))
    }

    /// The gauge with these values of its labels; in `/metrics` once it is set.
    #[must_use]
    pub fn gauge<const N: usize>(&self, name: GaugeName<N>, labels: [&str; N]) -> Gauge {
        self.0.gauges[name.0].get(&labels)
    }

    /// The histogram with these values of its labels, from now on in `/metrics`. Keep the handle, as a counter's.
    #[must_use]
    pub fn histogram<const N: usize>(&self, name: HistogramName<N>, labels: [&str; N]) -> Histogram {
        Histogram::new(&self.0.exporter, self.0.exporter.histogram(defined(name.0), &labels))
    }

    /// Everything in Prometheus' text format 0.0.4, sorted by name and labels; the same values give the same text.
    /// O(s log s) for s series.
    #[must_use]
    pub fn render(&self) -> String {
        let _one_at_a_time = self.0.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        for gauges in self.0.gauges.values() {
            gauges.show(&self.0.exporter);
        }
        self.0.exporter.render()
    }

    #[cfg(test)]
    pub(crate) fn advance(&self, by: std::time::Duration) {
        self.0.gauges.values().for_each(|gauges| gauges.advance(by));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics({} of them)", CATALOGUE.len())
    }
}

#[allow(clippy::expect_used)] // Only the catalogue makes names, and each with its definition.
fn defined(name: &str) -> &'static Metric {
    CATALOGUE.iter().find(|metric| metric.name == name).expect("a name of the catalogue")
}

/// A number that only grows. Clones count the same thing.
#[derive(Debug, Clone)]
pub struct Counter(::metrics::Counter);

impl Counter {
    /// Adds to it: two atomic additions, seen by every thread.
    pub fn add(&self, n: u64) {
        self.0.increment(n);
    }

    /// A counter of one thread, for adding within a loop over events.
    #[must_use]
    pub fn local(&self) -> LocalCounter {
        LocalCounter { shared: self.clone(), pending: 0 }
    }
}

/// A counter that one thread adds to without touching shared memory. What it holds is shown when it is flushed, once a
/// batch; dropping it flushes.
#[derive(Debug)]
pub struct LocalCounter {
    shared: Counter,
    pending: u64,
}

impl LocalCounter {
    /// Adds to it: one plain addition.
    pub fn add(&mut self, n: u64) {
        self.pending += n;
    }

    /// Shows what was added since the last flush.
    pub fn flush(&mut self) {
        if self.pending > 0 {
            self.shared.add(std::mem::take(&mut self.pending));
        }
    }
}

impl Drop for LocalCounter {
    fn drop(&mut self) {
        self.flush();
    }
}

#[cfg(test)]
mod tests;
