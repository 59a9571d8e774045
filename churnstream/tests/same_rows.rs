//! The AUC gate of `churnstream models promote` and `retrain`: candidate and champion on the same rows, by the built program.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::path::Path;
use std::process::Command;

use scorer::{Bundle, BundleParts, Manifest, Registry};
use types::EventTime;

fn churnstream(dir: &Path, words: &str) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(words.split_whitespace())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A bundle as [`small::bundle`] makes it, which says that its own test gave it this AUC.
fn bundle(dir: &Path, name: &str, leaves: [f32; 2], decided: i64, auc: f64) -> Bundle {
    let plain = small::bundle(dir, &format!("{name}-plain"), leaves, decided);
    let mut manifest: Manifest = plain.manifest().clone();
    manifest.metrics = [("auc", auc), ("calibration_error", 0.01), ("brier_skill", 0.1)]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
    let json = std::fs::read(plain.path().join("model.json")).unwrap();
    Bundle::write(&dir.join(name), &BundleParts { model: &json, manifest, card: "" }).unwrap()
}

/// The line of the AUC gate.
#[track_caller]
fn gate(said: &str) -> &str {
    said.lines().find(|line| line.starts_with("gate auc ")).unwrap_or_else(|| panic!("{said}"))
}

#[test]
fn a_worse_model_with_an_easier_test_is_not_promoted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = small::write(dir);
    // Who did not play for a week leaves. The second knows nothing of that, but had an easy test; so had the third, which is as good.
    let sharp = bundle(dir, "sharp", [1.0, -3.0], 30, 0.75);
    bundle(dir, "blunt", [-1.0, -1.0], 40, 0.95);
    bundle(dir, "equal", [0.5, -2.0], 40, 0.60);
    bundle(dir, "late", [0.5, -2.0], 70, 0.76);
    Registry::open(&dir.join("registry")).unwrap().promote(&sharp, EventTime::MIN).unwrap();

    let promote = |name: &str, more: &str| {
        let at = "--registry registry --at 2025-04-01T00:00:00Z --skip drift";
        churnstream(dir, &format!("models promote {name} {at} {more}"))
    };
    let rows = format!("--from {log} --features spec.toml --labels labels.toml");
    let (done, said) = promote("blunt", &rows);
    assert!(!done && said.contains("does not pass auc ("), "{said}");
    assert!(gate(&said).contains("AUC 0.5000, the champion's 0.7889: -0.2889 "), "{said}");
    // Day 40 of the log, on which the later of both learnt its last label, or the round after.
    assert!(gate(&said).contains(", from 2025-02-1") && gate(&said).contains("both on the same "), "{said}");

    // Without the rows nobody can know, and it is said.
    let (_, said) = promote("equal", "");
    assert!(
        gate(&said).contains("cannot be compared on the same rows: give --from, --features and --labels"),
        "{said}"
    );
    assert!(gate(&said).contains("FAILED"), "{said}");
    let (done, said) = promote("equal", &rows);
    assert!(done, "{said}");
    assert!(gate(&said).contains(": +0.0000 (+0.0000 to +0.0000)"), "{said}");
    // One that has learnt nearly all labels there are, against the new champion.
    let (_, said) = promote("late", &rows);
    assert!(gate(&said).contains("50 of each are needed"), "{said}");
    assert!(gate(&said).contains("AUC 0.7600, the champion's 0.6000"), "{said}");
}

#[test]
fn a_retrained_model_is_compared_on_its_own_test_rows() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = small::write(dir);
    // It says that it was very good once; on the rows of now it is as bad as can be.
    let turned = bundle(dir, "turned", [-3.0, 1.0], 30, 0.999);
    Registry::open(&dir.join("registry")).unwrap().promote(&turned, EventTime::MIN).unwrap();
    let words = format!(
        "retrain --from {log} --features spec.toml --labels labels.toml --registry registry --algorithm logistic --no-baselines --skip drift"
    );
    let (done, said) = churnstream(dir, &words);
    assert!(done, "{said}");
    assert!(
        gate(&said).contains("the champion's 0.2") && gate(&said).contains("before it was fitted again"),
        "{said}"
    );
    // What has just learnt all labels there are cannot be compared with by them.
    let (done, said) = churnstream(dir, &words.replace("logistic", "forest"));
    assert!(done, "{said}");
    assert!(
        gate(&said).contains("each on its own test, since they cannot be compared on the same rows"),
        "{said}"
    );
    assert!(
        gate(&said).contains(": 0 rows of users who were lost and 0 of others are known from 2025-"),
        "{said}"
    );
}
