//! `churnstream backtest --walk-forward`: the models that are fitted as time goes on are like the bundle's, by the built program.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use backtest::{LabelledRows, Labels};
use feature_store::Spec;
use serde_json::Value;
use trainer::{Algorithm, Direction, Params, Reference, Rows};
use types::EventTime;
use xxhash_rust::xxh3::xxh3_64;

fn churnstream(dir: &Path, words: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(words.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The walk of a bundle; every fold's day and AUC.
fn walked(dir: &Path, bundle: &str) -> (Value, Vec<(String, f64)>) {
    let words = format!(
        "backtest --from file:log --model {bundle} --labels labels.toml --report {bundle}-report --walk-forward 14d --json"
    );
    let report: Value = serde_json::from_str(&churnstream(dir, &words)).unwrap();
    let walk = report["walk_forward"].clone();
    let fold = |part: &Value| {
        let auc = part["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == "auc")?;
        Some((part["name"].as_str().unwrap().to_owned(), auc["value"].as_f64()?))
    };
    let folds = walk["folds"]["parts"].as_array().unwrap().iter().filter_map(fold).collect();
    (walk, folds)
}

/// The AUC of one fold by what stands in `trainer` alone: fitted on rows whose label was decided by then, judged on two weeks.
fn by_hand(all: &LabelledRows, day: &str, params: &Params) -> f64 {
    let midnight = format!("{day}T00:00:00Z").parse::<jiff::Timestamp>().unwrap().as_millisecond();
    // The first fold begins when the twentieth loss is decided, and the others at that time of the day.
    let mut losses: Vec<EventTime> =
        (0..all.len()).filter(|row| all.lost[*row]).map(|row| all.decided_at[row]).collect();
    losses.sort_unstable();
    let from = EventTime(midnight + losses[19].0.rem_euclid(small::DAY));
    let rows = |keep: &dyn Fn(usize) -> bool| {
        let kept = all.filter(keep);
        Rows {
            names: kept.names.clone(),
            lost: kept.lost.clone(),
            weights: kept.weight.clone(),
            groups: kept.entities.iter().map(|entity| xxh3_64(entity.as_bytes())).collect(),
            as_of: kept.as_of.clone(),
            values: kept.values,
            reference: Reference::default(),
        }
    };
    let past = rows(&|row| all.as_of[row] < from && all.decided_at[row] <= from);
    let next = rows(&|row| (from.0..from.0 + 14 * small::DAY).contains(&all.as_of[row].0));
    let fitted = trainer::fit(&past, params, |_| {}).unwrap();
    backtest::metrics::Quality::of(&fitted.probabilities(&next), &next.lost, &next.weights).unwrap().auc
}

#[test]
fn folds_are_of_the_bundles_kind_with_its_settings() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = small::write(dir);
    let spec = Arc::new(Spec::load(&dir.join("spec.toml")).unwrap());
    let labels = Labels::load(&dir.join("labels.toml")).unwrap();
    let opened = partition_log::open(&log, &partition_log::LogOptions::default()).unwrap();
    let rows = backtest::collect(opened.as_ref(), "events", &spec, &labels, |_| {}).unwrap();

    let train = "train --from file:log --features spec.toml --labels labels.toml --no-baselines --to";
    churnstream(dir, &format!("{train} line --algorithm logistic --rising plays_count_14d --seed 3"));
    churnstream(dir, &format!("{train} trees --algorithm forest --search 4"));
    let of_bundle = |name: &str| {
        let bundle = scorer::Bundle::load(&dir.join(name)).unwrap();
        Params::of_bundle(bundle.manifest()).unwrap().unwrap()
    };
    let (line, trees) = (of_bundle("line"), of_bundle("trees"));
    assert_eq!((line.algorithm, line.seed), (Algorithm::Logistic, 3));
    assert_eq!(line.monotone, [("plays_count_14d".to_owned(), Direction::Rising)].into());
    assert_eq!(trees.algorithm, Algorithm::Forest);
    let usual = Params { calibration: trees.calibration, ..Params::of(Algorithm::Forest) };
    assert_ne!(trees, usual, "a search found others");

    let mut found = Vec::new();
    for (name, params) in [("line", &line), ("trees", &trees)] {
        let (walk, folds) = walked(dir, name);
        let fitting = &walk["refitted"]["fitting"];
        assert_eq!(fitting, &serde_json::to_value(params.fitting()).unwrap());
        assert!(walk["refitted"]["chosen_until"].is_i64() && walk["refitted"]["calibration"].is_string());
        assert!(folds.len() >= 2, "{walk}");
        for (day, auc) in &folds {
            let expected = by_hand(&rows, day, params);
            assert!((auc - expected).abs() < 1e-12, "{name} {day}: {auc} and {expected}");
        }
        let page = std::fs::read_to_string(dir.join(format!("{name}-report/index.html"))).unwrap();
        let said = format!("Fitted as the bundle was ({}", params.algorithm);
        assert!(page.contains(&said), "the page does not say: {said}");
        found.push(folds);
    }
    let text = churnstream(
        dir,
        "backtest --from file:log --model line --labels labels.toml --report r --walk-forward 14d",
    );
    assert!(
        text.contains("Fitted as the bundle was (logistic: folds 5, seed 3, `plays_count_14d` only rising;"),
        "{text}"
    );

    // One that does not say how it was fitted.
    let manifest = dir.join("line/bundle.toml");
    let told = std::fs::read_to_string(&manifest).unwrap();
    let mut older: toml::Table = told.parse().unwrap();
    older["manifest"].as_table_mut().unwrap().remove("fitting").unwrap();
    std::fs::write(&manifest, toml::to_string(&older).unwrap()).unwrap();
    let (walk, folds) = walked(dir, "line");
    assert_eq!(walk["refitted"]["fitting"]["algorithm"], "xgboost");
    assert!(walk["refitted"]["chosen_until"].is_null());
    assert_ne!(folds, found[0]);
    let page = std::fs::read_to_string(dir.join("line-report/index.html")).unwrap();
    assert!(page.contains("The bundle does not say how it was fitted"), "the page does not say it");
}
