//! The dashboards ask for nothing that is never written, and show what is missing as unknown.

#![allow(clippy::unwrap_used)] // Helpers of a test.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use telemetry::catalogue::{self, CATALOGUE, Kind, Metric};

fn grafana() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards/grafana")
}

fn dashboards() -> Vec<(String, Value)> {
    let files = std::fs::read_dir(grafana().join("dashboards")).unwrap();
    let read = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        let json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path.file_name().unwrap().to_string_lossy().into_owned(), json)
    };
    let dashboards: Vec<_> = files.map(read).collect();
    assert!(!dashboards.is_empty());
    dashboards
}

/// Every panel that is not a row, with its dashboard's name.
fn panels() -> Vec<(String, Value)> {
    let mut panels = Vec::new();
    for (file, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            if panel["type"] != "row" {
                panels.push((format!("{file}: {}", panel["title"]), panel.clone()));
            }
        }
    }
    panels
}

fn targets(panel: &Value) -> Vec<(String, String)> {
    let text = |target: &Value, field: &str| target[field].as_str().unwrap().to_owned();
    panel["targets"].as_array().unwrap().iter().map(|t| (text(t, "expr"), text(t, "legendFormat"))).collect()
}

/// What a query names: metrics, and labels in selectors and after `by`.
#[derive(Default, Debug)]
struct Named {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

fn named(expr: &str) -> Named {
    let mut named = Named::default();
    // Odd pieces are within quotes.
    let bare: String = expr.split('"').step_by(2).collect::<Vec<_>>().join("\"\"");
    let mut rest = bare.as_str();
    let (mut in_selector, mut in_grouping) = (false, false);
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
        let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
        if word.is_empty() {
            match first {
                '{' => in_selector = true,
                '}' => in_selector = false,
                ')' => in_grouping = false,
                _ => {}
            }
            rest = &rest[first.len_utf8()..];
            continue;
        }
        rest = &rest[word.len()..];
        if in_selector || in_grouping {
            named.labels.insert(word.to_owned());
        } else if matches!(word, "by" | "without") {
            in_grouping = true;
        } else if word.starts_with("churn_") {
            named.metrics.insert(word.to_owned());
        }
    }
    named
}

/// The catalogue's metric behind a series name, and the labels that the series has beside `job` and `instance`.
fn find(series: &str) -> Option<(&'static Metric, Vec<&'static str>)> {
    CATALOGUE.iter().find_map(|metric| {
        let mut labels = metric.labels.to_vec();
        match metric.kind {
            Kind::Histogram { .. } => {
                let part = series.strip_prefix(metric.name)?;
                if part == "_bucket" {
                    labels.push("le");
                }
                matches!(part, "_bucket" | "_sum" | "_count").then_some((metric, labels))
            }
            _ => (series == metric.name).then_some((metric, labels)),
        }
    })
}

/// What is wrong with a query and its legend, if something is.
fn fault(expr: &str, legend: &str) -> Option<String> {
    let mut named = named(expr);
    named
        .labels
        .extend(legend.split("{{").skip(1).map(|piece| piece.split("}}").next().unwrap().trim().to_owned()));
    let mut known = BTreeSet::from(["job", "instance"]);
    for metric in &named.metrics {
        match find(metric) {
            Some((_, labels)) => known.extend(labels),
            None => return Some(format!("`{metric}` is not in the catalogue: {expr}")),
        }
    }
    let unknown = named.labels.iter().find(|label| !known.contains(label.as_str()))?;
    Some(format!("there is no label `{unknown}`: {expr} as {legend}"))
}

#[test]
fn every_query_stands_in_the_catalogue() {
    let mut asked = BTreeSet::new();
    for (panel, json) in panels() {
        for (expr, legend) in targets(&json) {
            assert_eq!(fault(&expr, &legend), None, "{panel}");
            asked.extend(named(&expr).metrics);
        }
    }
    for (file, dashboard) in dashboards() {
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            let Some(query) = variable["query"]["query"].as_str() else { continue };
            let inner = query.strip_prefix("label_values(").and_then(|q| q.strip_suffix(')')).unwrap();
            let (metric, label) = inner.split_once(", ").unwrap();
            assert!(find(metric).is_some_and(|(m, _)| m.labels.contains(&label)), "{file}: {query}");
        }
    }
    assert!(asked.len() >= 10, "the check found few metrics: {asked:?}");
}

#[test]
fn the_check_finds_what_is_wrong() {
    assert_eq!(fault("sum by (band) (rate(churn_scores_total[5m]))", "{{band}}"), None);
    assert!(fault("sum(churn_scores)", "").unwrap().contains("`churn_scores` is not"));
    assert!(
        fault("churn_commit_duration_seconds", "").is_some(),
        "a histogram has no series of its bare name"
    );
    assert!(fault(r#"churn_scores_total{user="7"}"#, "").unwrap().contains("no label `user`"));
    assert!(fault("sum by (partition) (churn_scores_total)", "").unwrap().contains("no label `partition`"));
    assert!(fault("churn_scores_total", "{{topic}}").unwrap().contains("no label `topic`"));
    assert!(fault("sum by (le) (churn_commit_duration_seconds_sum)", "").is_some());
}

#[test]
fn panels_are_explained_and_show_missing_values_as_unknown() {
    for (panel, json) in panels() {
        for field in ["title", "description"] {
            assert!(json[field].as_str().is_some_and(|text| !text.is_empty()), "{panel}: no {field}");
        }
        let defaults = &json["fieldConfig"]["defaults"];
        assert!(defaults["unit"].as_str().is_some_and(|unit| !unit.is_empty()), "{panel}: no unit");
        assert_eq!(defaults["noValue"], "unknown", "{panel}");
        if json["type"] == "stat" {
            // A range would show its last value long after the telemetry was lost.
            for target in json["targets"].as_array().unwrap() {
                assert_eq!(
                    (&target["instant"], &target["range"]),
                    (&Value::Bool(true), &Value::Bool(false)),
                    "{panel}"
                );
            }
        } else {
            assert_eq!(defaults["custom"]["spanNulls"], false, "{panel}: a gap must be seen");
        }
    }
}

#[test]
fn panels_lie_side_by_side() {
    for (file, dashboard) in dashboards() {
        let mut taken = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().unwrap() {
            assert!(ids.insert(panel["id"].as_u64().unwrap()), "{file}: two panels of one id");
            let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
            assert!(side("x") + side("w") <= 24, "{file}: {} is too wide", panel["title"]);
            for x in side("x")..side("x") + side("w") {
                for y in side("y")..side("y") + side("h") {
                    assert!(taken.insert((x, y)), "{file}: {} lies on another", panel["title"]);
                }
            }
        }
    }
}

#[test]
fn prometheus_accepts_queries_configuration_and_metrics() {
    // `scripts/setup prometheus` puts it there.
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/prometheus/promtool");
    let promtool = if ours.exists() { ours } else { PathBuf::from("promtool") };
    if Command::new(&promtool).arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no promtool to test with");
        println!("SKIPPED: there is no promtool to test with");
        return;
    }
    let check = |arguments: &[&str], input: &str| {
        let mut tool = Command::new(&promtool)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        tool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = tool.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}\n{input}", String::from_utf8_lossy(&said));
    };

    check(&["check", "config", grafana().join("prometheus/prometheus.yml").to_str().unwrap()], "");

    // promtool reads queries only as rules.
    let mut rules = "groups:\n- name: dashboards\n  rules:\n".to_owned();
    for (panel, json) in panels() {
        for (number, (expr, _)) in targets(&json).into_iter().enumerate() {
            let expr = expr.replace("$__rate_interval", "1m").replace("$topic", ".*");
            let (expr, panel) = (Value::from(expr), Value::from(panel.clone()));
            rules += &format!(
                "  - record: q\n    expr: {expr}\n    labels: {{panel: {panel}, number: '{number}'}}\n"
            );
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("rules.yml");
    std::fs::write(&file, rules).unwrap();
    check(&["check", "rules", file.to_str().unwrap()], "");

    let metrics = telemetry::Metrics::new("1.2.3");
    metrics.counter(catalogue::EVENTS_PROCESSED, []).add(3);
    metrics.counter(catalogue::EVENTS_REJECTED, ["late"]).add(1);
    metrics.gauge(catalogue::CONSUMER_LAG_SECONDS, ["events", "0"]).set(0.25);
    metrics.gauge(catalogue::CONSUMER_STATUS, ["events", "0"]).set(1.0);
    metrics.histogram(catalogue::STAGE_DURATION, ["score"]).observe(0.004);
    metrics.histogram(catalogue::EVENT_TO_SCORE, []).observe(0.2);
    check(&["check", "metrics"], &metrics.render());
}
