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

#[test]
fn what_cannot_be_learnt_from_is_said_by_its_reason_and_misspelt_names_by_what_was_meant() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    small::write(dir);
    let run = |command: &[&str], spec: &str| {
        std::fs::write(dir.join("other.toml"), spec).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
            .current_dir(dir)
            .args(command)
            .args(["--features", "other.toml", "--labels", "labels.toml", "--to", "new"])
            .output()
            .unwrap();
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (rows, train) = (["rows", "export", "--from", "file:log"], ["train", "--from", "file:log"]);
    let of_accounts = small::SPEC.replace("entity = \"user\"", "entity = \"account\"");
    for command in [&rows[..], &train] {
        let (ok, said) = run(command, &of_accounts);
        assert!(!ok && said.contains("keyed by `user` and the spec is about `account`"), "{said}");
    }

    // A topic of users with events of accounts.
    let place = format!("file:{}", dir.join("accounts").display());
    let log = partition_log::open(&place, &partition_log::LogOptions::default()).unwrap();
    let config =
        partition_log::TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config).unwrap();
    let mut topic = log.writer("events").unwrap();
    let mut writer = topic.partition(types::PartitionId(0)).unwrap();
    for at in 0..7 {
        let ts = small::DAY_0 + at;
        let event = format!(r#"{{"v":1,"entity_type":"account","entity":"u","type":"play","ts":{ts}}}"#);
        writer.append(types::EventTime(ts), b"u", event.as_bytes(), &[]).unwrap();
    }
    writer.sync().unwrap();
    for command in [["rows", "export", "--from", &place].as_slice(), &["train", "--from", &place]] {
        let (ok, said) = run(command, small::SPEC);
        let why = said.find("7 of 7 records were rejected: 7 wrong_entity_type (");
        let error = said.find("there is no row, since every event was rejected");
        assert!(!ok && why.is_some() && why < error, "{said}");
    }

    let misspelt = small::SPEC
        .replace("\"cancel\"", "\"cancle\"")
        .replace("events = \"play\"", "events = \"plays\"\nvalue = \"n\"");
    let (ok, said) = run(&rows, &misspelt);
    assert!(ok, "{said}");
    for meant in [
        "`lifecycle.end` names events `cancle`, and the log has none that could be used: did you mean `cancel`?",
        "`inputs.plays.events` names events `plays`, and the log has none that could be used: did you mean `play`?",
    ] {
        assert!(said.contains(meant), "{said}");
    }
    assert_eq!(said.matches("mind: ").count(), 2, "{said}");
}
