//! `churnstream drift` and `churnstream models` on a small log, by the built program.

#![allow(clippy::unwrap_used)] // Helpers of a test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser as _;
use feature_store::Spec;
use partition_log::{LogOptions, TopicConfig, partition_for};
use scorer::{Bands, Baseline, Bundle, BundleParts, Calibration, Manifest, Training};
use types::{EventTime, Millis, PartitionId};

const SPEC: &str = r#"
version = 1
entity = "user"
[inputs.plays]
events = "play"
[[features]]
input = "plays"
ops = "count"
windows = ["7d", "30d"]
"#;

/// 2025-01-01.
const DAY_0: i64 = 1_735_689_600_000;
const DAY: i64 = 86_400_000;
const PARTITIONS: u32 = 2;

/// A log of users who play once to five times a week for four weeks, with a tick a day.
fn write_log(dir: &Path, users: u32) -> String {
    let place = format!("file:{}", dir.join(format!("log{users}")).display());
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config).unwrap();
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> = (0..PARTITIONS).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    for day in 0..28 {
        let midnight = DAY_0 + day * DAY;
        for writer in &mut writers {
            let tick = format!(r#"{{"v":1,"type":"$tick","ts":{midnight}}}"#);
            writer.append(EventTime(midnight), b"", tick.as_bytes(), &[]).unwrap();
        }
        for user in (0..users).filter(|user| day % 7 <= i64::from(user % 5)) {
            let (name, ts) = (format!("u{user}"), midnight + 1_000 + i64::from(user));
            let event =
                format!(r#"{{"v":1,"entity_type":"user","entity":"{name}","type":"play","ts":{ts}}}"#);
            let writer = &mut writers[partition_for(name.as_bytes(), PARTITIONS).0 as usize];
            writer.append(EventTime(ts), name.as_bytes(), event.as_bytes(), &[]).unwrap();
        }
    }
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
    place
}

/// A bundle with one split at two plays a week, trained on users who played so many times a week, an equal share each.
fn write_bundle(dir: &Path, name: &str, plays: &[f32], auc: f64, calibration_error: f64) -> PathBuf {
    let spec = Spec::from_toml(SPEC, Path::new("spec.toml")).unwrap();
    let json = r#"{"learner":{"feature_names":["plays_count_7d","plays_count_30d"],"gradient_booster":{"name":"gbtree","model":{
        "gbtree_model_param":{"num_trees":"1"},"tree_info":[0],"trees":[{"tree_param":{},"left_children":[1,-1,-1],
        "right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[2,1,-2],"default_left":[1,0,0],
        "sum_hessian":[4,1,3]}]}},"learner_model_param":{"base_score":"5E-1","num_feature":"2"},
        "objective":{"name":"binary:logistic"}}}"#;
    let mut counts = vec![0; 10];
    for &plays in plays {
        counts[plays as usize - 1] += 1_000;
    }
    let manifest = Manifest {
        spec_hash: spec.hash().to_string(),
        feature_names: spec.feature_names().to_vec(),
        horizon: Millis(30 * DAY),
        label: None,
        bands: Bands { medium: 0.3, high: 0.7 },
        training: Training {
            from: EventTime(0),
            to: EventTime(1),
            labels_decided: EventTime(2),
            rows: 5_000,
        },
        calibration: Calibration::Identity,
        metrics: [("auc", auc), ("calibration_error", calibration_error), ("brier_skill", 0.1)]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        meanings: [].into(),
        fitting: None,
        baselines: vec![Baseline {
            feature: "plays_count_7d".into(),
            borders: (2_u8..11).map(f32::from).collect(),
            counts,
            missing: 0,
            median: Some(3.0),
            users: None,
            ageing: false,
        }],
    };
    let folder = dir.join(name);
    Bundle::write(&folder, &BundleParts { model: json.as_bytes(), manifest, card: "# Card of a test\n" })
        .unwrap();
    folder
}

fn run<A: AsRef<std::ffi::OsStr>>(dir: &Path, arguments: &[A]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_churnstream")).current_dir(dir).args(arguments).output().unwrap()
}

#[track_caller]
fn works<A: AsRef<std::ffi::OsStr> + std::fmt::Debug>(dir: &Path, arguments: &[A]) -> String {
    let output = run(dir, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

/// What is said about wrong arguments.
#[track_caller]
fn refused<A: AsRef<std::ffi::OsStr> + std::fmt::Debug>(dir: &Path, arguments: &[A]) -> String {
    let output = run(dir, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[track_caller]
fn fails<A: AsRef<std::ffi::OsStr> + std::fmt::Debug>(dir: &Path, arguments: &[A]) -> String {
    let output = run(dir, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// As many plays a week as the log's users have.
const SAME: [f32; 5] = [1.0, 2.0, 3.0, 4.0, 5.0];
const OTHERS: [f32; 5] = [6.0, 7.0, 8.0, 9.0, 10.0];

#[test]
fn drift_tells_the_same_users_from_others_and_says_when_it_cannot() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("spec.toml"), SPEC).unwrap();
    let log = write_log(dir, 600);
    write_bundle(dir, "same", &SAME, 0.8, 0.01);
    write_bundle(dir, "others", &OTHERS, 0.8, 0.01);
    let with = |model: &str, more: &[&str]| {
        let all = ["drift", "--from", &log, "--features", "spec.toml", "--model", model];
        all.iter().chain(more).map(|&argument| argument.to_owned()).collect::<Vec<_>>()
    };

    let text = works(dir, &with("same", &["--check"]));
    assert!(text.contains("600 users at 2025-01-28 00:00"), "{text}");
    assert!(text.contains("0 moved, 0 unclear, 1 stable"), "{text}");
    assert!(text.contains("expected AUC"), "{text}");
    let text = works(dir, &with("others", &[]));
    assert!(text.contains("1 moved, 0 unclear, 0 stable"), "{text}");
    let error = fails(dir, &with("others", &["--check"]));
    assert!(error.contains("drift: 1 of 1 features and scores moved at 2025-01-28"), "{error}");

    let json = works(dir, &with("same", &["--json", "--since", "2025-01-27T00:00:00Z"]));
    let line = json.lines().find(|line| line.starts_with('{')).unwrap();
    let report: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(report["ticks"].as_array().unwrap().len(), 2);
    assert_eq!(report["ticks"][1]["features"][0]["verdict"], "stable");

    works(dir, &with("others", &["--metrics", "churn.prom"]));
    let metrics = std::fs::read_to_string(dir.join("churn.prom")).unwrap();
    let value = |series: &str| -> f64 {
        metrics.lines().find_map(|line| line.strip_prefix(series)).unwrap().trim().parse().unwrap()
    };
    assert!(value("churn_drift_psi_ratio{feature=\"plays_count_7d\"}") > 1.0, "{metrics}");
    assert!(value("churn_model_quality_ratio{metric=\"auc\",kind=\"expected\"}") > 0.5, "{metrics}");
    assert!(!metrics.contains("kind=\"realised\""), "nobody gave labels: {metrics}");

    let few = write_log(dir, 50);
    let text = works(dir, &["drift", "--from", &few, "--features", "spec.toml", "--model", "same"]);
    assert!(text.contains("not enough data: below 200 users"), "{text}");
}

#[test]
fn a_bundle_passes_the_gates_or_hears_which_failed() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("spec.toml"), SPEC).unwrap();
    let log = write_log(dir, 600);
    write_bundle(dir, "first", &SAME, 0.80, 0.01);
    write_bundle(dir, "weak", &SAME, 0.70, 0.09);
    write_bundle(dir, "good", &SAME, 0.82, 0.02);
    write_bundle(dir, "strange", &OTHERS, 0.83, 0.01);
    let hash = |name: &str| Bundle::load(&dir.join(name)).unwrap().hash().to_owned();
    let promote = |name: &'static str, more: &[&'static str]| {
        let all = ["models", "promote", name, "--registry", "registry"];
        all.into_iter().chain(more.iter().copied()).collect::<Vec<_>>()
    };
    let newest = |role: &str| works(dir, &["models", "show", role, "--registry", "registry"]);

    let error = fails(dir, &promote("first", &["--challenger"]));
    assert!(error.contains("no champion whose shadow"), "{error}");
    let error = refused(dir, &promote("first", &["--at", "2025-01-15"]));
    assert!(error.contains("holds from the beginning") && error.contains("leave --at out"), "{error}");
    let said = works(dir, &promote("first", &[]));
    assert!(said.contains("is champion from the beginning on"), "{said}");
    let error = refused(dir, &promote("good", &[]));
    assert!(error.contains("--at"), "{error}");
    let error = refused(dir, &promote("good", &["--at", "2025-02-01", "--from", "file:"]));
    assert!(error.contains("write file:DIR or kafka:HOST:PORT"), "{error}");
    assert!(works(dir, &["models", "show", "good"]).contains(&hash("good")));

    let at = ["--at", "2025-02-01T00:00:00Z", "--features", "spec.toml", "--from", &*log.clone().leak()];
    let odd = at.map(|word| word.replace("T00:00:00Z", "T05:30:00Z"));
    let promote_odd = [promote("good", &[]).into_iter().map(str::to_owned).collect(), odd.to_vec()].concat();
    let error = fails(dir, &promote_odd);
    assert!(error.contains("no tick of the spec: the next one is 2025-02-02T00:00:00Z"), "{error}");
    let error = fails(dir, &promote("weak", &at));
    assert!(error.contains("does not pass auc, calibration ("), "{error}");
    let error = fails(dir, &promote("strange", &at));
    assert!(error.contains("does not pass drift ("), "{error}");
    assert!(error.contains("plays_count_7d"), "{error}");
    // What was not looked at has not passed.
    let error = fails(dir, &promote("good", &at[..2]));
    assert!(error.contains("does not pass drift ("), "{error}");
    assert!(newest("champion").contains(&hash("first")));

    works(dir, &promote("good", &at));
    assert!(newest("champion").contains(&hash("good")));
    assert!(newest("champion").contains("# Card of a test"));
    let error = fails(dir, &promote("good", &at));
    assert!(error.contains("there is nothing to add"), "{error}");
    works(dir, &promote("weak", &["--challenger", "--at", "2025-02-02T00:00:00Z"]));
    assert!(newest("challenger").contains(&hash("weak")));
    works(dir, &promote("strange", &["--skip", "drift", "--at", "2025-02-03T00:00:00Z"]));

    let error = fails(dir, &["models", "rollback", "--registry", "registry", "--at", "2025-02-02T00:00:00Z"]);
    assert!(error.contains("the past is not rewritten"), "{error}");
    works(dir, &["models", "rollback", "--registry", "registry", "--at", "2025-02-04T00:00:00Z"]);
    assert!(newest("champion").contains(&hash("good")));
    let list = works(dir, &["models", "list", "--registry", "registry"]);
    let roles: Vec<_> = list.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(
        roles,
        ["role", "champion", "champion", "challenger", "champion", "champion", "the"],
        "{list}"
    );
    assert!(list.lines().nth(1).is_some_and(|line| line.contains("the beginning")), "{list}");
    assert!(
        list.lines().nth(5).is_some_and(|line| line.ends_with('*') && line.contains(&hash("good"))),
        "{list}"
    );
}

/// The log knows how far a consumer has scored when none runs; without it nobody does.
#[test]
fn a_moment_that_a_stopped_consumer_has_scored_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    std::fs::write(dir.join("spec.toml"), SPEC).unwrap();
    let place = write_log(dir, 20);
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    write_bundle(dir, "first", &SAME, 0.80, 0.01);
    write_bundle(dir, "good", &SAME, 0.82, 0.02);
    works(dir, &["models", "promote", "first", "--registry", "registry"]);
    let at = |name: &str| dir.join(name).display().to_string();
    let (state, registry, spec) = (at("state"), at("registry"), at("spec.toml"));
    let line = [
        "consumer",
        "--until-end",
        "--from",
        &place,
        "--store",
        &state,
        "--model",
        &registry,
        "--features",
        &spec,
    ];
    let options = consumer::cli::Arguments::try_parse_from(line).unwrap().options();
    consumer::run(&options, &log, &consumer::Surroundings::new()).unwrap();

    let promote = |more: &[&str]| {
        let all =
            ["models", "promote", "good", "--registry", "registry", "--store", "state", "--skip", "drift"];
        all.iter().chain(more).map(|&word| word.to_owned()).collect::<Vec<_>>()
    };
    let error = fails(dir, &promote(&["--at", "2025-01-20"]));
    assert!(error.contains("name its log with --from"), "{error}");
    let error = fails(dir, &promote(&["--at", "2025-01-20", "--from", &place]));
    assert!(error.contains("reach as far as 2025-01-20") && error.contains("later tick"), "{error}");
    let error = fails(dir, &promote(&["--at", "2025-02-01T05:30:00Z", "--from", &place]));
    assert!(error.contains("no tick of the spec"), "of the store's own: {error}");
    works(dir, &promote(&["--at", "2025-02-01", "--from", &place]));
}
