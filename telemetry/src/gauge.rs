//! Gauges whose values grow old: what was not measured lately is not shown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto;

/// A number that goes up and down. Clones are the same gauge.
#[derive(Debug, Clone)]
pub struct Gauge {
    cell: Arc<Cell>,
    clock: Clock,
}

impl Gauge {
    /// Says what was measured just now. A value that is not finite counts as not measured.
    pub fn set(&self, value: f64) {
        if !value.is_finite() {
            return self.unset();
        }
        self.cell.value.store(value.to_bits(), Ordering::Relaxed);
        // Release, so that whoever sees the new time sees the new value too.
        self.cell.set_at.store(self.clock.now(), Ordering::Release);
    }

    /// Says what was measured just now, or that nothing could be.
    pub fn set_known(&self, value: Option<f64>) {
        match value {
            Some(value) => self.set(value),
            None => self.unset(),
        }
    }

    /// Says that the value is not known: the series is left out until it is set again.
    pub fn unset(&self) {
        self.cell.set_at.store(NEVER, Ordering::Release);
    }
}

/// All gauges of one name.
#[derive(Clone)]
pub(crate) struct GaugeFamily(Arc<Inner>);

struct Inner {
    desc: Desc,
    lasts: Option<Duration>,
    clock: Clock,
    cells: Mutex<BTreeMap<Vec<String>, Arc<Cell>>>,
}

#[derive(Debug)]
struct Cell {
    /// The bits of an f64.
    value: AtomicU64,
    /// When it was set, on the family's clock; `NEVER` if it is not known.
    set_at: AtomicU64,
}

const NEVER: u64 = u64::MAX;

impl GaugeFamily {
    pub(crate) fn new(desc: Desc, lasts: Option<Duration>) -> Self {
        Self(Arc::new(Inner { desc, lasts, clock: Clock::new(), cells: Mutex::default() }))
    }

    pub(crate) fn get(&self, labels: &[&str]) -> Gauge {
        let key = labels.iter().map(|l| (*l).to_owned()).collect();
        let mut cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells
            .entry(key)
            .or_insert_with(|| Arc::new(Cell { value: AtomicU64::new(0), set_at: AtomicU64::new(NEVER) }));
        Gauge { cell: Arc::clone(cell), clock: self.0.clock.clone() }
    }

    /// The cell's value if it is known and not older than the family allows.
    fn fresh(&self, cell: &Cell) -> Option<f64> {
        let set_at = cell.set_at.load(Ordering::Acquire);
        if set_at == NEVER {
            return None;
        }
        let age = Duration::from_millis(self.0.clock.now().saturating_sub(set_at));
        let too_old = self.0.lasts.is_some_and(|lasts| age > lasts);
        (!too_old).then(|| f64::from_bits(cell.value.load(Ordering::Relaxed)))
    }

    #[cfg(test)]
    pub(crate) fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
    }
}

impl Collector for GaugeFamily {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let cells = self.0.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let names = &self.0.desc.variable_labels;
        let metrics: Vec<_> = cells
            .iter()
            .filter_map(|(values, cell)| {
                let mut gauge = proto::Gauge::default();
                gauge.set_value(self.fresh(cell)?);
                let mut metric = proto::Metric::from_gauge(gauge);
                metric.set_label(names.iter().zip(values).map(|(n, v)| label(n, v)).collect());
                Some(metric)
            })
            .collect();
        let mut family = proto::MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(proto::MetricType::GAUGE);
        family.set_metric(metrics);
        vec![family]
    }
}

fn label(name: &str, value: &str) -> proto::LabelPair {
    let mut pair = proto::LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}

/// Milliseconds since the family was made, by the monotonic clock.
#[derive(Debug, Clone)]
struct Clock {
    start: Instant,
    #[cfg(test)]
    ahead: Arc<AtomicU64>,
}

impl Clock {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            #[cfg(test)]
            ahead: Arc::default(),
        }
    }

    fn now(&self) -> u64 {
        let ms = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NEVER - 1);
        #[cfg(test)]
        let ms = ms + self.ahead.load(Ordering::Relaxed);
        ms
    }

    #[cfg(test)]
    fn advance(&self, by: Duration) {
        self.ahead.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}
