//! `churnstream retrain` on a small log, by the built program.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use feature_store::Spec;
use scorer::{
    Bands, Baseline, Bundle, BundleParts, Calibration, Manifest, Registry, Role, Schedule, Training,
};
use small::{DAY, DAY_0, DAYS, SPEC};
use types::{EventTime, Millis};

/// A champion that knows nothing, of users who played far more.
fn strange_champion(dir: &Path) {
    let spec = Spec::from_toml(SPEC, Path::new("spec.toml")).unwrap();
    let json = r#"{"learner":{"feature_names":["plays_count_7d","plays_count_14d"],"gradient_booster":{"name":"gbtree","model":{
        "gbtree_model_param":{"num_trees":"1"},"tree_info":[0],"trees":[{"tree_param":{},"left_children":[-1],
        "right_children":[-1],"split_indices":[0],"split_conditions":[0.1],"default_left":[0],
        "sum_hessian":[4]}]}},"learner_model_param":{"base_score":"5E-1","num_feature":"2"},
        "objective":{"name":"binary:logistic"}}}"#;
    let manifest = Manifest {
        spec_hash: spec.hash().to_string(),
        feature_names: spec.feature_names().to_vec(),
        horizon: Millis(7 * DAY),
        label: None,
        bands: Bands { medium: 0.3, high: 0.7 },
        training: Training {
            from: EventTime(0),
            to: EventTime(1),
            labels_decided: EventTime(2),
            rows: 5_000,
        },
        calibration: Calibration::Identity,
        metrics: [("auc".to_owned(), 0.5)].into(),
        meanings: [].into(),
        fitting: None,
        baselines: vec![Baseline {
            feature: "plays_count_7d".into(),
            borders: vec![10.0, 20.0],
            counts: vec![10, 2_500, 2_500],
            missing: 0,
            median: Some(20.0),
            users: None,
            ageing: false,
        }],
    };
    let folder = dir.join("strange");
    let bundle = Bundle::write(&folder, &BundleParts { model: json.as_bytes(), manifest, card: "" }).unwrap();
    Registry::open(&dir.join("registry")).unwrap().promote(&bundle, EventTime(0)).unwrap();
}

fn arguments(log: &str, more: &[&str]) -> Vec<String> {
    let all = ["retrain", "--from", log, "--features", "spec.toml", "--labels", "labels.toml"];
    let rest = ["--registry", "registry", "--algorithm", "logistic", "--no-baselines"];
    all.iter().chain(&rest).chain(more).map(|&argument| argument.to_owned()).collect()
}

fn retrain(dir: &Path, log: &str, more: &[&str]) -> (Output, String) {
    let program = env!("CARGO_BIN_EXE_churnstream");
    let output = Command::new(program).current_dir(dir).args(arguments(log, more)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

fn entries(dir: &Path) -> Vec<scorer::Entry> {
    Registry::open(&dir.join("registry")).unwrap().entries().unwrap()
}

#[test]
fn a_model_is_trained_when_it_is_due_and_promoted_if_it_passes() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = small::write(dir);
    strange_champion(dir);

    // The users are others than the champion knows; but what is asked of the new model cannot be had.
    let (output, said) =
        retrain(dir, &log, &["--on-drift", "--once", "--max-auc-loss=-0.6", "--keep", "refused"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("drift: 1 of 1 features and scores moved"), "{said}");
    assert!(said.contains("does not pass auc ("), "{said}");
    assert_eq!((entries(dir).len(), std::fs::read_dir(dir.join("refused")).unwrap().count()), (1, 1));

    let (output, said) = retrain(dir, &log, &["--on-drift", "--once"]);
    assert!(output.status.success(), "{said}");
    let all = entries(dir);
    // The newest tick is that of the last day; the model holds from the next.
    assert_eq!((all.len(), all[1].role, all[1].from), (2, Role::Champion, EventTime(DAY_0 + DAYS * DAY)));
    let schedule = Schedule::load(&dir.join("registry")).unwrap();
    let manifest = schedule.champion(EventTime(i64::MAX)).manifest().clone();
    assert!(manifest.metrics["auc"] > 0.8 && manifest.metrics["auc_sweep"] > 0.8, "{manifest:?}");
    // It learnt from the newest labels that are decided, those of the test too.
    assert!(manifest.training.labels_decided.0 > DAY_0 + (DAYS - 5) * DAY, "{manifest:?}");

    // These users are its own.
    let (output, said) = retrain(dir, &log, &["--on-drift", "--once"]);
    assert!(output.status.success() && said.contains("no drift: 0 of 3"), "{said}");
    // Nothing new is no failure.
    let (output, said) = retrain(dir, &log, &[]);
    assert!(output.status.success() && said.contains("is the champion already: no label was"), "{said}");
    assert_eq!(entries(dir).len(), 2);
    let left: Vec<_> = std::fs::read_dir(dir.join("registry"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with('.'))
        .collect();
    assert!(left.is_empty(), "nothing temporary is left: {left:?}");
    on_a_schedule(dir, &log);
}

/// It comes back, and a round that brings nothing new ends nothing.
fn on_a_schedule(dir: &Path, log: &str) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(arguments(log, &["--every", "1s"]))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).for_each(|line| _ = send.send(line));
    });
    let (begun, mut rounds, mut said) = (Instant::now(), 0, String::new());
    while rounds < 2 && begun.elapsed() < Duration::from_secs(120) {
        let Ok(line) = receive.recv_timeout(Duration::from_secs(120)) else { break };
        rounds += u32::from(line.contains("is the champion already: no label was decided since"));
        said += &(line + "\n");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(rounds, 2, "{said}");
    assert_eq!(entries(dir).len(), 2);
}
