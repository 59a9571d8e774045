//! Recording what the catalogue defines, and writing it in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

use crate::catalogue::{self, CATALOGUE, CounterName, GaugeName, HistogramName, Kind, Metric};
use crate::gauge::{Gauge, GaugeFamily};

/// All metrics of one process, or of one part of it in a test. Clones are the same metrics.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    families: BTreeMap<&'static str, Family>,
}

#[derive(Clone)]
enum Family {
    Counter(IntCounterVec),
    Gauge(GaugeFamily),
    Histogram(HistogramVec),
}

impl Metrics {
    /// No values yet, beside which version runs.
    #[must_use]
    pub fn new(version: &str) -> Self {
        let registry = Registry::new();
        let mut families = BTreeMap::new();
        for metric in CATALOGUE {
            let family = Family::new(metric);
            let registered = registry.register(family.collector());
            assert!(registered.is_ok(), "`{}` stands twice in the catalogue", metric.name);
            families.insert(metric.name, family);
        }
        let metrics = Self(Arc::new(Inner { registry, families }));
        metrics.gauge(catalogue::BUILD_INFO, [version]).set(1.0);
        metrics
    }

    /// The counter with these values of its labels, from now on in `/metrics` with at least 0. Keep the handle: finding it
    /// costs a lock and a search, using it an atomic addition.
    #[must_use]
    pub fn counter<const N: usize>(&self, name: CounterName<N>, labels: [&str; N]) -> Counter {
        match self.family(name.0) {
            Family::Counter(vec) => Counter(vec.with_label_values(&labels)),
            _ => unreachable!("the catalogue makes a CounterName of counters only"),
        }
    }

    /// The gauge with these values of its labels; in `/metrics` once it is set.
    #[must_use]
    pub fn gauge<const N: usize>(&self, name: GaugeName<N>, labels: [&str; N]) -> Gauge {
        match self.family(name.0) {
            Family::Gauge(family) => family.get(&labels),
            _ => unreachable!("the catalogue makes a GaugeName of gauges only"),
        }
    }

    /// The histogram with these values of its labels.
    #[must_use]
    pub fn histogram<const N: usize>(&self, name: HistogramName<N>, labels: [&str; N]) -> Histogram {
        match self.family(name.0) {
            Family::Histogram(vec) => Histogram(vec.with_label_values(&labels)),
            _ => unreachable!("the catalogue makes a HistogramName of histograms only"),
        }
    }

    /// Everything in Prometheus' text format 0.0.4, sorted by name and labels; the same values give the same text.
    /// O(number of series).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Only inconsistent families are refused, and the catalogue's are made consistent above.
        if let Err(error) = TextEncoder::new().encode_utf8(&self.0.registry.gather(), &mut text) {
            tracing::error!(%error, "metrics cannot be written");
        }
        text
    }

    fn family(&self, name: &'static str) -> &Family {
        &self.0.families[name]
    }

    #[cfg(test)]
    pub(crate) fn advance(&self, by: std::time::Duration) {
        for family in self.0.families.values() {
            if let Family::Gauge(gauges) = family {
                gauges.advance(by);
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metrics({} of them)", self.0.families.len())
    }
}

impl Family {
    #[allow(clippy::expect_used)] // The catalogue is constant: whatever would fail here fails in every test.
    fn new(metric: &Metric) -> Self {
        let Metric { name, kind, help, labels, .. } = *metric;
        match kind {
            Kind::Counter => {
                Self::Counter(IntCounterVec::new(Opts::new(name, help), labels).expect("a valid counter"))
            }
            Kind::Histogram { buckets } => {
                let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
                Self::Histogram(HistogramVec::new(opts, labels).expect("a valid histogram"))
            }
            Kind::Gauge { lasts } => {
                let names = labels.iter().map(|l| (*l).to_owned()).collect();
                let desc =
                    Desc::new(name.to_owned(), help.to_owned(), names, std::collections::HashMap::new());
                Self::Gauge(GaugeFamily::new(desc.expect("a valid gauge"), lasts))
            }
        }
    }

    fn collector(&self) -> Box<dyn Collector> {
        match self.clone() {
            Self::Counter(vec) => Box::new(vec),
            Self::Gauge(family) => Box::new(family),
            Self::Histogram(vec) => Box::new(vec),
        }
    }
}

/// A number that only grows. Clones count the same thing.
#[derive(Debug, Clone)]
pub struct Counter(prometheus::IntCounter);

impl Counter {
    /// Adds to it: one atomic addition, seen by every thread.
    pub fn add(&self, n: u64) {
        self.0.inc_by(n);
    }

    /// What it has counted.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.get()
    }

    /// A counter of one thread, for adding within a loop over events.
    #[must_use]
    pub fn local(&self) -> LocalCounter {
        LocalCounter { shared: self.clone(), pending: 0 }
    }
}

/// How often values of each size occurred. Clones observe into the same one.
#[derive(Debug, Clone)]
pub struct Histogram(prometheus::Histogram);

impl Histogram {
    /// Counts a value: a search over at most 16 borders and three atomic additions.
    pub fn observe(&self, value: f64) {
        self.0.observe(value);
    }

    /// Counts a span in seconds.
    pub fn observe_duration(&self, span: std::time::Duration) {
        self.0.observe(span.as_secs_f64());
    }

    /// How many values it has counted, and their sum.
    #[must_use]
    pub fn count_and_sum(&self) -> (u64, f64) {
        (self.0.get_sample_count(), self.0.get_sample_sum())
    }

    /// A histogram of one thread, for observing within a loop over events.
    #[must_use]
    pub fn local(&self) -> LocalHistogram {
        LocalHistogram(self.0.local())
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

/// A histogram that one thread observes into without touching shared memory; allocates only when it is made. What it
/// holds is shown when it is flushed, once a batch; dropping it flushes.
#[derive(Debug)]
pub struct LocalHistogram(prometheus::local::LocalHistogram);

impl LocalHistogram {
    /// Counts a value: a search over at most 16 borders and plain additions.
    pub fn observe(&mut self, value: f64) {
        self.0.observe(value);
    }

    /// Shows what was observed since the last flush.
    pub fn flush(&mut self) {
        self.0.flush();
    }
}

#[cfg(test)]
mod tests;
