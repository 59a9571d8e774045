//! How far a feature has moved, as metrics: of the newest sweep by a consumer, and of any tick by whoever looks.

use scorer::drift::Drift;
use telemetry::{Metrics, catalogue};

/// Shows a feature's drift; `None` where too few users say nothing, or the feature is no longer watched: then it is absent.
pub fn show_drift(metrics: &Metrics, feature: &str, drift: Option<&Drift>) {
    metrics.gauge(catalogue::DRIFT_PSI, [feature]).set_known(drift.map(|drift| drift.psi));
    metrics.gauge(catalogue::DRIFT_JS, [feature]).set_known(drift.map(|drift| drift.js));
    for (index, interval) in [("psi", drift.map(|d| d.psi_interval)), ("js", drift.map(|d| d.js_interval))] {
        for (end, value) in [("low", interval.map(|i| i.low)), ("high", interval.map(|i| i.high))] {
            metrics.gauge(catalogue::DRIFT_BOUND, [feature, index, end]).set_known(value);
        }
    }
}
