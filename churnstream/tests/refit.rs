//! `churnstream train --refit`: the bundle has learnt from the test rows too, and its card says whose figures it carries. By the built
//! program.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::path::Path;
use std::process::Command;

use scorer::Bundle;
use serde_json::Value;

fn train(dir: &Path, to: &str, more: &[&str]) -> (Value, Bundle, String) {
    let words =
        ["train", "--from", "file:log", "--features", "spec.toml", "--labels", "labels.toml", "--json"];
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(words)
        .args(["--algorithm", "logistic", "--no-baselines", "--to", to])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let card = std::fs::read_to_string(dir.join(to).join("MODEL_CARD.md")).unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), Bundle::load(&dir.join(to)).unwrap(), card)
}

#[test]
fn the_card_of_a_refit_says_whose_figures_it_carries() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    small::write(dir);
    let (judged, plain, plain_card) = train(dir, "plain", &[]);
    let (report, refitted, card) = train(dir, "refitted", &["--refit"]);

    // The same figures, of a model that knew less.
    assert_eq!(refitted.manifest().metrics, plain.manifest().metrics);
    assert!(refitted.manifest().metrics["auc"] > 0.8);
    let [plain_training, training] = [&plain, &refitted].map(|bundle| bundle.manifest().training);
    assert!(training.rows > plain_training.rows && training.labels_decided > plain_training.labels_decided);
    let test_from = jiff::Timestamp::from_millisecond(report["test_from"].as_i64().unwrap()).unwrap();
    let said = format!(
        "- the figures are of the same settings fitted on {} rows and judged on the {} rows from {test_from} on; this model was then fitted \
         on all rows, those of the test too, so nothing has judged it yet",
        plain_training.rows, report["test"]["rows"]
    );
    assert!(card.contains(&said), "{said} in\n{card}");
    assert!(!plain_card.contains("nothing has judged it yet"), "{plain_card}");

    // Who was held out is said, too: of all rows that each learnt from, every user once.
    for (bundle, report, card) in [(&plain, &judged, &plain_card), (&refitted, &report, &card)] {
        let held_out = bundle.manifest().fitting.as_ref().unwrap().held_out.unwrap();
        assert_eq!(
            (Some(held_out), held_out),
            (report["held_out_rows"].as_u64(), bundle.manifest().training.rows)
        );
        let said = format!(
            "on {held_out} rows of users held out: users hashed out of the same time as those learnt from"
        );
        assert!(card.contains(&said), "{said} in\n{card}");
    }
}
