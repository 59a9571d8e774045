//! A small log on which a model learns something in a moment.

#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests, each of which uses its part")]

use std::path::Path;

use feature_store::Spec;
use partition_log::{LogOptions, TopicConfig, partition_for};
use scorer::{Bands, Baseline, Bundle, BundleParts, Calibration, Manifest, Training};
use types::{EventTime, Millis, PartitionId};

pub(crate) const SPEC: &str = r#"
version = 1
entity = "user"
[lifecycle]
end = ["cancel"]
[inputs.plays]
events = "play"
[[features]]
input = "plays"
ops = "count"
windows = ["7d", "14d"]
"#;

const LABELS: &str = r#"
horizon = "7d"
[lost]
events = ["cancel"]
[rows]
every = "3d"
triggers = "sweep"
min_history = "15d"
"#;

/// 2025-01-01.
pub(crate) const DAY_0: i64 = 1_735_689_600_000;
pub(crate) const DAY: i64 = 86_400_000;
pub(crate) const DAYS: i64 = 75;
const PARTITIONS: u32 = 2;

/// Writes `spec.toml`, `labels.toml` and a log of users who play every other day: every day some cancel who mostly did not play in the week before, and as many new ones come.
/// Returns the log's place.
pub(crate) fn write(dir: &Path) -> String {
    std::fs::write(dir.join("spec.toml"), SPEC).unwrap();
    std::fs::write(dir.join("labels.toml"), LABELS).unwrap();
    let place = format!("file:{}", dir.join("log").display());
    let log = partition_log::open(&place, &LogOptions::default()).unwrap();
    let config = TopicConfig { partitions: PARTITIONS, key: "user".into(), partitioner: "murmur2".into() };
    log.create_topic("events", &config).unwrap();
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> = (0..PARTITIONS).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    for day in 0..DAYS {
        let midnight = DAY_0 + day * DAY;
        for writer in &mut writers {
            let tick = format!(r#"{{"v":1,"type":"$tick","ts":{midnight}}}"#);
            writer.append(EventTime(midnight), b"", tick.as_bytes(), &[]).unwrap();
        }
        // A user's number says when they came and when they leave: ten come and ten leave each day.
        for user in 0..(DAYS + 60) * 10 {
            let (came, leaves) = (user / 10 - 60, user / 10 - 60 + 60 + user % 7);
            let warned = leaves - day <= 10 && user % 10 != 0;
            let kind = match day {
                day if day == leaves => "cancel",
                day if came <= day && day < leaves && (day + user) % 2 == 0 && !warned => "play",
                _ => continue,
            };
            let (name, ts) = (format!("u{user}"), midnight + 1_000 + user);
            let event =
                format!(r#"{{"v":1,"entity_type":"user","entity":"{name}","type":"{kind}","ts":{ts}}}"#);
            let writer = &mut writers[partition_for(name.as_bytes(), PARTITIONS).0 as usize];
            writer.append(EventTime(ts), name.as_bytes(), event.as_bytes(), &[]).unwrap();
        }
    }
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
    place
}

/// A bundle of the log's spec that was trained until a day: who did not play for a week has the log-odds `silent`, all
/// `others` theirs.
pub(crate) fn bundle(dir: &Path, name: &str, log_odds: [f32; 2], decided: i64) -> Bundle {
    bundle_of(SPEC, dir, name, log_odds, decided)
}

/// The same of a spec with the same features.
pub(crate) fn bundle_of(
    spec: &str,
    dir: &Path,
    name: &str,
    [silent, others]: [f32; 2],
    decided: i64,
) -> Bundle {
    let spec = Spec::from_toml(spec, Path::new("spec.toml")).unwrap();
    let json = format!(
        r#"{{"learner":{{"feature_names":["plays_count_7d","plays_count_14d"],"gradient_booster":{{"name":"gbtree","model":{{
        "gbtree_model_param":{{"num_trees":"1"}},"tree_info":[0],"trees":[{{"tree_param":{{}},"left_children":[1,-1,-1],
        "right_children":[2,-1,-1],"split_indices":[0,0,0],"split_conditions":[1,{silent:?},{others:?}],"default_left":[1,0,0],
        "sum_hessian":[4,1,3]}}]}}}},"learner_model_param":{{"base_score":"5E-1","num_feature":"2"}},
        "objective":{{"name":"binary:logistic"}}}}}}"#
    );
    let day = |day: i64| EventTime(DAY_0 + day * DAY);
    let manifest = Manifest {
        spec_hash: spec.hash().to_string(),
        feature_names: spec.feature_names().to_vec(),
        horizon: Millis(7 * DAY),
        label: None,
        bands: Bands { medium: 0.3, high: 0.7 },
        training: Training { from: day(0), to: day(decided), labels_decided: day(decided), rows: 5_000 },
        calibration: Calibration::Identity,
        metrics: [("auc".to_owned(), 0.8)].into(),
        meanings: [].into(),
        fitting: None,
        baselines: vec![Baseline {
            feature: "plays_count_7d".into(),
            borders: vec![1.0, 3.0],
            counts: vec![500, 500, 4_000],
            missing: 0,
            median: Some(3.0),
            users: None,
            ageing: false,
        }],
    };
    Bundle::write(&dir.join(name), &BundleParts { model: json.as_bytes(), manifest, card: "" }).unwrap()
}
