//! The exporter for Prometheus behind [`Metrics`](crate::Metrics), which each of them has for itself: none is installed
//! for the whole process, so tests can run side by side.
//!
//! Three things are added to it. Samples of histograms, which it keeps one by one until somebody asks it to count them, are
//! counted before they grow many. Gauges without a value are left out. And its text, whose order is chance, is sorted.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

use ::metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::catalogue::{Kind, Metric};

/// After so many samples of histograms they are counted into their buckets, even if nobody looks at `/metrics`. A sample
/// takes 16 bytes, so about 256 KiB wait at most; counting them takes a fraction of a millisecond.
const FOLD_AT: usize = 16 * 1024;

pub(crate) struct Exporter {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    /// Samples that were recorded since they were last counted.
    waiting: AtomicUsize,
    /// Held shared while samples are recorded and alone while they are counted: the exporter loses samples that are recorded
    /// while it empties its buckets.
    counting: RwLock<()>,
}

impl Exporter {
    pub(crate) fn new(catalogue: &'static [Metric]) -> Self {
        let mut builder = PrometheusBuilder::new();
        for metric in catalogue {
            if let Kind::Histogram { buckets } = metric.kind {
                builder = with_buckets(builder, metric.name, buckets);
            }
        }
        let recorder = builder.build_recorder();
        for &Metric { name, kind, help, .. } in catalogue {
            // Names carry their units already.
            match kind {
                Kind::Counter => recorder.describe_counter(name.into(), None, help.into()),
                Kind::Gauge { .. } => recorder.describe_gauge(name.into(), None, help.into()),
                Kind::Histogram { .. } => recorder.describe_histogram(name.into(), None, help.into()),
            }
        }
        let handle = recorder.handle();
        Self { recorder, handle, waiting: AtomicUsize::new(0), counting: RwLock::new(()) }
    }

    pub(crate) fn counter(&self, metric: &'static Metric, labels: &[&str]) -> Counter {
        self.recorder.register_counter(&key(metric, labels), &METADATA)
    }

    pub(crate) fn gauge(&self, metric: &'static Metric, labels: &[String]) -> Gauge {
        self.recorder.register_gauge(&key(metric, labels), &METADATA)
    }

    pub(crate) fn histogram(&self, metric: &'static Metric, labels: &[&str]) -> Histogram {
        self.recorder.register_histogram(&key(metric, labels), &METADATA)
    }

    /// Records samples, and has them counted if many wait.
    pub(crate) fn record(&self, histogram: &Histogram, samples: &[f64]) {
        {
            let _recording = self.counting.read().unwrap_or_else(PoisonError::into_inner);
            samples.iter().for_each(|sample| histogram.record(*sample));
        }
        let waiting = self.waiting.fetch_add(samples.len(), Ordering::Relaxed) + samples.len();
        // Of several threads that come here at once, the one that takes the number does the work.
        if waiting >= FOLD_AT && self.waiting.swap(0, Ordering::Relaxed) >= FOLD_AT {
            let _counting = self.counting.write().unwrap_or_else(PoisonError::into_inner);
            self.handle.run_upkeep();
        }
    }

    /// What the exporter holds, sorted and without gauges that are not known. Counts all samples.
    pub(crate) fn render(&self) -> String {
        self.waiting.store(0, Ordering::Relaxed);
        let _counting = self.counting.write().unwrap_or_else(PoisonError::into_inner);
        tidy(&self.handle.render())
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter").finish_non_exhaustive()
    }
}

/// The exporter uses nothing of it.
static METADATA: Metadata<'static> = Metadata::new("telemetry", Level::INFO, None);

#[allow(clippy::expect_used)] // The catalogue is constant: whatever would fail here fails in every test.
fn with_buckets(builder: PrometheusBuilder, name: &str, buckets: &[f64]) -> PrometheusBuilder {
    builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), buckets).expect("a histogram has buckets")
}

fn key<S: AsRef<str>>(metric: &'static Metric, values: &[S]) -> Key {
    let label = |(name, value): (&&'static str, &S)| Label::new(*name, value.as_ref().to_owned());
    Key::from_parts(metric.name, metric.labels.iter().zip(values).map(label).collect::<Vec<_>>())
}

/// Sorts the exporter's text by name and labels, and drops gauges that are not a number, which is how
/// [`gauge`](crate::gauge) marks them as unknown. A blank line ends each metric in the exporter's text.
fn tidy(text: &str) -> String {
    let mut metrics: Vec<&str> = text.split("\n\n").filter(|metric| !metric.is_empty()).collect();
    metrics.sort_unstable(); // Each begins with its name: `# HELP name ...`.
    let mut tidied = String::with_capacity(text.len());
    for metric in metrics {
        let (head, mut lines): (Vec<&str>, Vec<&str>) =
            metric.lines().partition(|line| line.starts_with('#'));
        let is = |kind| head.last().is_some_and(|line| line.ends_with(kind));
        if is(" gauge") {
            lines.retain(|line| !line.ends_with(" NaN"));
        }
        // A histogram's series is several lines, whose order has a meaning and whose last one is the count.
        let histogram = is(" histogram");
        let ends_series = |line: &&str| {
            !histogram || line.split(['{', ' ']).next().is_some_and(|name| name.ends_with("_count"))
        };
        let mut series: Vec<&[&str]> = lines.split_inclusive(ends_series).collect();
        series.sort_unstable();
        if !series.is_empty() {
            for line in head.iter().chain(series.into_iter().flatten()) {
                tidied.push_str(line);
                tidied.push('\n');
            }
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{CATALOGUE, STAGE_DURATION};

    #[test]
    fn text_is_sorted_and_holds_no_unknown_gauge() {
        let text = "# HELP b_total B.\n# TYPE b_total counter\nb_total{x=\"10\"} 1\nb_total{x=\"1\"} 2\n\n\
            # HELP a_gauge A.\n# TYPE a_gauge gauge\na_gauge{x=\"2\"} NaN\na_gauge{x=\"1\"} -1\n\n\
            # HELP d Nothing is known.\n# TYPE d gauge\nd NaN\n\n\
            # HELP c C.\n# TYPE c histogram\n\
            c_bucket{x=\"b\",le=\"5\"} 1\nc_bucket{x=\"b\",le=\"10\"} 2\nc_sum{x=\"b\"} NaN\nc_count{x=\"b\"} 2\n\
            c_bucket{x=\"a\",le=\"5\"} 3\nc_bucket{x=\"a\",le=\"10\"} 4\nc_sum{x=\"a\"} 5\nc_count{x=\"a\"} 4\n\n";
        let expected = "# HELP a_gauge A.\n# TYPE a_gauge gauge\na_gauge{x=\"1\"} -1\n\
            # HELP b_total B.\n# TYPE b_total counter\nb_total{x=\"1\"} 2\nb_total{x=\"10\"} 1\n\
            # HELP c C.\n# TYPE c histogram\n\
            c_bucket{x=\"a\",le=\"5\"} 3\nc_bucket{x=\"a\",le=\"10\"} 4\nc_sum{x=\"a\"} 5\nc_count{x=\"a\"} 4\n\
            c_bucket{x=\"b\",le=\"5\"} 1\nc_bucket{x=\"b\",le=\"10\"} 2\nc_sum{x=\"b\"} NaN\nc_count{x=\"b\"} 2\n";
        assert_eq!(tidy(text), expected);
        assert_eq!(tidy(""), "");
    }

    #[test]
    fn samples_do_not_pile_up_when_nobody_renders() {
        let exporter = Exporter::new(CATALOGUE);
        let metric = CATALOGUE.iter().find(|metric| metric.name == STAGE_DURATION.0).unwrap();
        let histogram = exporter.histogram(metric, &["score"]);
        let total = 3 * FOLD_AT + 7;
        for _ in 0..total {
            exporter.record(&histogram, &[0.5]);
        }
        // Rendering would count them all; only the exporter's description for debugging shows what is counted already.
        let inside = format!("{:?}", exporter.handle);
        assert!(inside.contains(&format!("Histogram {{ count: {}, ", 3 * FOLD_AT)), "{inside}");
        let count = format!("churn_stage_duration_seconds_count{{stage=\"score\"}} {total}\n");
        assert!(exporter.render().contains(&count));
    }
}
