//! Gauges whose values grow old: what was not measured lately is not shown.
//!
//! The exporter keeps a gauge's last value for ever. So values and the moments at which they were set lie in cells here, and
//! are handed to the exporter each time before it renders: as what they are, or as [`UNKNOWN`], whose lines are left out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::catalogue::Metric;
use crate::exporter::Exporter;

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
pub(crate) struct GaugeFamily {
    metric: &'static Metric,
    lasts: Option<Duration>,
    clock: Clock,
    series: Mutex<BTreeMap<Vec<String>, Series>>,
}

struct Series {
    cell: Arc<Cell>,
    /// The exporter's gauge, from the first time on that there was a value to show.
    shown: Option<::metrics::Gauge>,
}

#[derive(Debug)]
struct Cell {
    /// The bits of an f64.
    value: AtomicU64,
    /// When it was set, on the family's clock; `NEVER` if it is not known.
    set_at: AtomicU64,
}

const NEVER: u64 = u64::MAX;

/// Stands in the exporter for a value that is not known; [`Gauge::set`] lets it in nowhere else.
const UNKNOWN: f64 = f64::NAN;

impl GaugeFamily {
    pub(crate) fn new(metric: &'static Metric, lasts: Option<Duration>) -> Self {
        Self { metric, lasts, clock: Clock::new(), series: Mutex::default() }
    }

    pub(crate) fn get(&self, labels: &[&str]) -> Gauge {
        let key = labels.iter().map(|l| (*l).to_owned()).collect();
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        let Series { cell, .. } = series.entry(key).or_insert_with(|| Series {
            cell: Arc::new(Cell { value: AtomicU64::new(0), set_at: AtomicU64::new(NEVER) }),
            shown: None,
        });
        Gauge { cell: Arc::clone(cell), clock: self.clock.clone() }
    }

    /// Hands the values that are known to the exporter, and takes back those that are not any more. The exporter must not
    /// render meanwhile: a gauge that it is only just told of is 0 there.
    pub(crate) fn show(&self, exporter: &Exporter) {
        let mut all = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, series) in all.iter_mut() {
            match (self.fresh(&series.cell), &mut series.shown) {
                (Some(value), shown) => {
                    shown.get_or_insert_with(|| exporter.gauge(self.metric, labels)).set(value);
                }
                (None, Some(shown)) => shown.set(UNKNOWN),
                (None, None) => {}
            }
        }
    }

    /// The cell's value if it is known and not older than the family allows.
    fn fresh(&self, cell: &Cell) -> Option<f64> {
        let set_at = cell.set_at.load(Ordering::Acquire);
        if set_at == NEVER {
            return None;
        }
        let age = Duration::from_millis(self.clock.now().saturating_sub(set_at));
        let too_old = self.lasts.is_some_and(|lasts| age > lasts);
        (!too_old).then(|| f64::from_bits(cell.value.load(Ordering::Relaxed)))
    }

    #[cfg(test)]
    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
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
