//! Random models of valid structure, in XGBoost's JSON.

use std::path::Path;

use feature_store::Spec;
use scorer::{Bands, Baseline, Bundle, BundleParts, Calibration, Manifest, Meaning, Training};
use serde_json::json;
use types::{EventTime, Millis};

use super::random::Random;

const TREES: usize = 24;
/// Splits of a full tree of depth 3; one more leaf.
const SPLITS: usize = 7;

/// Writes a bundle of random trees over the spec's features. Its scores fall into every band.
pub(crate) fn write(folder: &Path, spec: &Spec, random: &mut Random) -> Bundle {
    let names = spec.feature_names();
    let trees: Vec<_> = (0..TREES).map(|_| tree(names.len(), random)).collect();
    let model = json!({"learner": {
        "feature_names": names,
        "gradient_booster": {"name": "gbtree", "model": {
            "gbtree_model_param": {"num_trees": TREES.to_string()},
            "tree_info": vec![0; TREES],
            "trees": trees,
        }},
        "learner_model_param": {"base_score": "5E-1", "num_feature": names.len().to_string()},
        "objective": {"name": "binary:logistic"},
    }});
    let manifest = Manifest {
        spec_hash: spec.hash().to_string(),
        feature_names: names.to_vec(),
        horizon: Millis(30 * Millis::DAY.0),
        label: None,
        bands: Bands { medium: 0.45, high: 0.55 },
        training: Training { from: EventTime(0), to: EventTime(1), labels_decided: EventTime(2), rows: 3 },
        calibration: Calibration::Platt { slope: 0.9, intercept: -0.1 },
        metrics: [].into(),
        meanings: [(names[0].clone(), Meaning::Texts { field: "\"kind\"".to_owned() })].into(),
        fitting: None,
        baselines: vec![
            baseline(&names[0], &[0.5, 2.0, 7.0]),
            baseline(&names[names.len() - 1], &[0.5, 2.0, 7.0]),
            baseline(Baseline::SCORE, &[0.4, 0.45, 0.5, 0.55]),
        ],
    };
    let model = model.to_string();
    Bundle::write(folder, &BundleParts { model: model.as_bytes(), manifest, card: "# Random\n" }).unwrap()
}

fn baseline(feature: &str, borders: &[f32]) -> Baseline {
    let counts = vec![1_000; borders.len() + 1];
    Baseline {
        feature: feature.to_owned(),
        borders: borders.to_vec(),
        counts,
        missing: 500,
        median: None,
        users: None,
        ageing: false,
    }
}

fn tree(features: usize, random: &mut Random) -> serde_json::Value {
    let nodes = 2 * SPLITS + 1;
    let child = |i: usize, side: usize| if i < SPLITS { (2 * i + side) as i64 } else { -1 };
    let conditions: Vec<f64> = (0..nodes)
        .map(|i| {
            if i < SPLITS {
                *random.pick(&[0.0, 0.5, 1.0, 2.0, 3.5, 7.0, 20.0, 60.0, 300.0, 1500.0])
            } else {
                random.between(-800, 800) as f64 / 1024.0
            }
        })
        .collect();
    json!({
        "tree_param": {},
        "left_children": (0..nodes).map(|i| child(i, 1)).collect::<Vec<_>>(),
        "right_children": (0..nodes).map(|i| child(i, 2)).collect::<Vec<_>>(),
        "split_indices": (0..nodes).map(|_| random.below(features as u64)).collect::<Vec<_>>(),
        "split_conditions": conditions,
        "default_left": (0..nodes).map(|_| random.below(2)).collect::<Vec<_>>(),
        "sum_hessian": (0..nodes).map(|i| if i < SPLITS { 8.0 } else { 1.0 + i as f64 }).collect::<Vec<_>>(),
    })
}
