use std::time::Duration;

use super::*;
use crate::catalogue::*;

#[track_caller]
fn check_lines(metrics: &Metrics, name: &str, expected: &[&str]) {
    let text = metrics.render();
    let found: Vec<_> =
        text.lines().filter(|line| !line.starts_with('#') && line.starts_with(name)).collect();
    assert_eq!(found, expected);
}

#[test]
fn lines_carry_labels_help_and_type() {
    let metrics = Metrics::new("1.2.3");
    let late = metrics.counter(EVENTS_REJECTED, ["late"]);
    late.add(3);
    late.clone().add(4);
    let _present_at_zero = metrics.counter(EVENTS_REJECTED, ["duplicate"]);
    check_lines(
        &metrics,
        "churn_events_rejected_total",
        &[
            r#"churn_events_rejected_total{reason="duplicate"} 0"#,
            r#"churn_events_rejected_total{reason="late"} 7"#,
        ],
    );
    let text = metrics.render();
    assert!(text.contains("# TYPE churn_events_rejected_total counter\n"), "{text}");
    assert!(text.contains("# HELP churn_events_rejected_total Records set aside"), "{text}");
    check_lines(&metrics, "churn_build_info", &[r#"churn_build_info{version="1.2.3"} 1"#]);
}

#[test]
fn labels_are_escaped() {
    let metrics = Metrics::new("0");
    metrics.gauge(CONSUMER_LAG_EVENTS, ["a\"b\\c\nd", "0"]).set(1.0);
    check_lines(
        &metrics,
        "churn_consumer_lag_events",
        &[r#"churn_consumer_lag_events{topic="a\"b\\c\nd",partition="0"} 1"#],
    );
}

#[test]
fn histograms_count_each_value_once() {
    let metrics = Metrics::new("0");
    let commits = metrics.histogram(COMMIT_DURATION, []);
    commits.observe_duration(Duration::from_millis(10)); // on a border: counts as at most that
    commits.observe(0.02);
    commits.observe(99.0);
    let text = metrics.render();
    for line in [
        r#"churn_commit_duration_seconds_bucket{le="0.0025"} 0"#,
        r#"churn_commit_duration_seconds_bucket{le="0.01"} 1"#,
        r#"churn_commit_duration_seconds_bucket{le="0.025"} 2"#,
        r#"churn_commit_duration_seconds_bucket{le="10"} 2"#,
        r#"churn_commit_duration_seconds_bucket{le="+Inf"} 3"#,
        "churn_commit_duration_seconds_sum 99.03",
        "churn_commit_duration_seconds_count 3",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}

#[test]
fn local_counts_show_when_flushed_and_are_not_lost_when_dropped() {
    let metrics = Metrics::new("0");
    let mut local = metrics.counter(EVENTS_PROCESSED, []).local();
    let mut local_latency = metrics.histogram(EVENT_TO_SCORE, []).local();
    let shows = |events: &str, values: &str, sum: &str| {
        check_lines(&metrics, "churn_events_processed_total ", &[events]);
        check_lines(&metrics, "churn_event_to_score_seconds_count ", &[values]);
        check_lines(&metrics, "churn_event_to_score_seconds_sum ", &[sum]);
    };
    for _ in 0..1000 {
        local.add(1);
        local_latency.observe(0.5);
    }
    let (events, count, sum) = (
        "churn_events_processed_total",
        "churn_event_to_score_seconds_count",
        "churn_event_to_score_seconds_sum",
    );
    shows(&format!("{events} 0"), &format!("{count} 0"), &format!("{sum} 0"));
    local.flush();
    local.flush();
    local_latency.flush();
    shows(&format!("{events} 1000"), &format!("{count} 1000"), &format!("{sum} 500"));
    for _ in 0..2000 {
        local_latency.observe(1.0); // more than it holds
    }
    local.add(5);
    drop((local, local_latency));
    shows(&format!("{events} 1005"), &format!("{count} 3000"), &format!("{sum} 2500"));
}

#[test]
fn threads_lose_nothing() {
    let metrics = Metrics::new("0");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut local = metrics.counter(SCORES, ["high"]).local();
                let mut probabilities = metrics.histogram(SCORE_PROBABILITY, []).local();
                for i in 0..10_000 {
                    local.add(1);
                    probabilities.observe(0.25);
                    if i % 64 == 0 {
                        local.flush();
                        probabilities.flush();
                    }
                    if i % 1000 == 0 {
                        drop(metrics.render());
                    }
                }
            });
        }
    });
    check_lines(&metrics, "churn_scores_total", &[r#"churn_scores_total{band="high"} 40000"#]);
    let name = "churn_score_probability_ratio_count";
    check_lines(&metrics, name, &[&format!("{name} 40000")]);
}

#[test]
fn a_gauge_that_is_not_measured_any_more_vanishes() {
    let metrics = Metrics::new("0");
    let lag = metrics.gauge(CONSUMER_LAG_SECONDS, ["events", "3"]);
    let line = r#"churn_consumer_lag_seconds{topic="events",partition="3"} 1.5"#;
    check_lines(&metrics, "churn_consumer_lag_seconds", &[]);
    lag.set(1.5);
    check_lines(&metrics, "churn_consumer_lag_seconds", &[line]);
    metrics.advance(Duration::from_secs(15));
    check_lines(&metrics, "churn_consumer_lag_seconds", &[line]);
    metrics.advance(Duration::from_secs(6));
    check_lines(&metrics, "churn_consumer_lag_seconds", &[]);
    lag.set(1.5);
    check_lines(&metrics, "churn_consumer_lag_seconds", &[line]);
    lag.set_known(None);
    check_lines(&metrics, "churn_consumer_lag_seconds", &[]);
    lag.set(f64::NAN);
    check_lines(&metrics, "churn_consumer_lag_seconds", &[]);
    check_lines(&metrics, "churn_build_info", &[r#"churn_build_info{version="0"} 1"#]);
}

#[test]
fn the_same_values_give_the_same_text() {
    let text = |order: &[&str]| {
        let metrics = Metrics::new("0");
        for partition in order {
            metrics.gauge(CONSUMER_LAG_EVENTS, ["events", partition]).set(2.0);
            metrics.counter(AUTOSCALER_DECISIONS, ["hold", partition]).add(1);
            metrics.histogram(STAGE_DURATION, [partition]).observe(0.5);
        }
        metrics.render()
    };
    assert_eq!(text(&["0", "1", "10", "2"]), text(&["10", "2", "0", "1"]));
}
