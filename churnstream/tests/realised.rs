//! `churnstream drift --labels` on a registry whose champions change before outcomes are known, by the built program.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::path::Path;
use std::process::Command;

use scorer::Registry;
use small::{DAY, DAY_0, DAYS};
use types::EventTime;

fn day(day: i64) -> EventTime {
    EventTime(DAY_0 + day * DAY)
}

fn drift(dir: &Path, log: &str, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(["drift", "--from", log, "--features", "spec.toml", "--model", "registry"])
        .args(["--labels", "labels.toml"])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_tick_is_judged_with_the_champion_that_held_then() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = small::write(dir);
    let registry = Registry::open(&dir.join("registry")).unwrap();
    // The first is right; the second has it the wrong way round, and learnt from labels that were decided after it became champion.
    let first = small::bundle(dir, "first", [1.0, -3.0], 30);
    let second = small::bundle(dir, "second", [-3.0, 1.0], 54);
    registry.promote(&first, EventTime::MIN).unwrap();
    registry.promote(&second, day(48)).unwrap();

    let ticks = |said: &str| -> Vec<(EventTime, String, f64)> {
        let report: serde_json::Value = serde_json::from_str(said).unwrap();
        let tick = |tick: &serde_json::Value| {
            let as_of = EventTime(tick["as_of"].as_i64().unwrap());
            (as_of, tick["model"].as_str().unwrap().to_owned(), tick["auc"].as_f64().unwrap())
        };
        report["realised"].as_array().unwrap().iter().map(tick).collect()
    };
    let before = ticks(&drift(dir, &log, &["--json"]));
    assert!(before.len() >= 8, "{before:?}");
    for (as_of, model, auc) in &before {
        let of_first = *as_of < day(48);
        assert_eq!(model, if of_first { first.hash() } else { second.hash() }, "{before:?}");
        assert!(*as_of >= day(if of_first { 30 } else { 54 }), "it learnt from that: {before:?}");
        assert!(if of_first { *auc > 0.7 } else { *auc < 0.3 }, "{before:?}");
    }
    assert!(before.iter().any(|(_, model, _)| model == first.hash()), "{before:?}");
    assert!(before.iter().any(|(_, model, _)| model == second.hash()), "{before:?}");

    // A refit on the newest labels, of whose own scores no outcome can be known yet: what was known of the others still is.
    let third = small::bundle(dir, "third", [0.5, -3.0], DAYS - 2);
    registry.promote(&third, day(DAYS)).unwrap();
    assert_eq!(ticks(&drift(dir, &log, &["--json"])), before);
    let said = drift(dir, &log, &["--metrics", "churn.prom"]);
    assert!(said.lines().filter(|line| line.ends_with(second.hash())).count() >= 3, "{said}");
    let metrics = std::fs::read_to_string(dir.join("churn.prom")).unwrap();
    let realised = metrics
        .lines()
        .find_map(|line| line.strip_prefix("churn_model_quality_ratio{metric=\"auc\",kind=\"realised\"} "))
        .unwrap_or_else(|| panic!("{metrics}"));
    let newest = before.last().unwrap().2;
    assert!((realised.parse::<f64>().unwrap() - newest).abs() < 1e-9, "{realised} is not {newest}");

    // One bundle alone is judged as before: from its own last label on.
    let alone = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(["drift", "--from", &log, "--features", "spec.toml", "--labels", "labels.toml"])
        .args(["--json", "--model", "third"])
        .output()
        .unwrap();
    assert!(ticks(&String::from_utf8(alone.stdout).unwrap()).is_empty());
}
