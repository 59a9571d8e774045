//! `churnstream models compare` on scores that a consumer wrote, by the built program.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use backtest::{Labels, Triggers};
use consumer::pipeline::Reasons;
use consumer::{ConsumerOptions, Scaling, Surroundings, Workers};
use feature_store::Spec;
use partition_log::{Log, LogOptions};
use scorer::Registry;
use small::{DAY, DAY_0};
use types::EventTime;

fn day(day: i64) -> EventTime {
    EventTime(DAY_0 + day * DAY)
}

/// Scores all of the log with the registry's bundles, challengers in the shadow.
fn consume(dir: &Path, log: &Arc<dyn Log>) {
    let options = ConsumerOptions {
        topic: "events".to_owned(),
        group: None,
        session_timeout: Duration::from_secs(10),
        store: dir.join("state"),
        model: dir.join("registry"),
        features: dir.join("spec.toml"),
        workers: Workers::Fixed(1),
        until_end: true,
        commit_interval: Duration::from_secs(1),
        tick_idle: Duration::from_mins(1),
        batch_events: 10_000,
        reasons: Reasons::Off,
        prices: None,
        without_beginning: false,
        state: feature_store::StoreOptions::default(),
        http: None,
        scaling: Scaling::default(),
    };
    consumer::run(&options, log, &Surroundings::new()).unwrap();
}

fn compare(dir: &Path, place: &str, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(["models", "compare", "--registry", "registry", "--from", place, "--features", "spec.toml"])
        .args(["--labels", "labels.toml"])
        .args(more)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn each_pair_is_compared_from_its_own_training_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let place = small::write(dir);
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    let registry = Registry::open(&dir.join("registry")).unwrap();
    // The first knows nothing and the second much; the third has it the wrong way round, and learnt from labels that were decided
    // when the first pair was history.
    let blunt = small::bundle(dir, "blunt", [-1.0, -1.0], 20);
    let sharp = small::bundle(dir, "sharp", [1.0, -3.0], 36);
    let turned = small::bundle(dir, "turned", [-3.0, 1.0], 57);
    registry.promote(&blunt, EventTime::MIN).unwrap();
    registry.challenge(&sharp, day(30)).unwrap();
    assert!(compare(dir, &place, &[]).starts_with("nothing to compare yet"), "nobody scored");
    registry.promote(&sharp, day(51)).unwrap();
    registry.challenge(&turned, day(51)).unwrap();
    consume(dir, &log);

    let said = compare(dir, &place, &["--json"]);
    let pairs: serde_json::Value = serde_json::from_str(&said).unwrap();
    let pair = |champion: &str| {
        pairs.as_array().unwrap().iter().find(|pair| pair["champion"] == champion).unwrap_or(&pairs)
    };
    let (first, second) = (pair(blunt.hash()), pair(sharp.hash()));
    assert_eq!((&first["challenger"], &second["challenger"]), (&sharp.hash().into(), &turned.hash().into()));

    // All users of the ticks that count, and no others.
    let spec = Arc::new(Spec::load(&dir.join("spec.toml")).unwrap());
    let labels = Labels { triggers: Triggers::Sweep, ..Labels::load(&dir.join("labels.toml")).unwrap() };
    let rows = backtest::collect(log.as_ref(), "events", &spec, &labels, |_| {}).unwrap();
    let between = |from: i64, to: i64| {
        let within = |row: &usize| (day(from)..day(to)).contains(&rows.as_of[*row]);
        let of: Vec<usize> = (0..rows.len()).filter(within).collect();
        (of.len() as u64, of.iter().filter(|row| rows.lost[**row]).count() as u64)
    };
    let counted = |pair: &serde_json::Value| (pair["rows"].as_u64().unwrap(), pair["lost"].as_u64().unwrap());
    assert_eq!((counted(first), counted(second)), (between(36, 51), between(57, i64::MAX / DAY / 2)));
    assert!(counted(first).0 > 1_000 && counted(second).0 > 1_000, "{said}");

    let gain = |pair: &serde_json::Value| {
        let low_high = ["low", "high"].map(|end| pair["auc_gain"][1][end].as_f64().unwrap());
        (pair["auc_gain"][0].as_f64().unwrap(), low_high)
    };
    let ((better, [low, _]), (worse, [_, high])) = (gain(first), gain(second));
    assert!(better > 0.2 && low > 0.0 && worse < -0.4 && high < 0.0, "{said}");
    assert_eq!(first["of_champion"]["auc"], 0.5, "who knows nothing");
    let text = compare(dir, &place, &[]);
    assert!(text.contains("the challenger is better") && text.contains("the challenger is worse"), "{text}");
}
