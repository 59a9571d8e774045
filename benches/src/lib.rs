//! Benchmarks, and what they share: random models.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use feature_store::Spec;
use scorer::{Bands, Bundle, BundleParts, Calibration, Manifest, Training};
use types::{EventTime, Millis};

/// How deep the trees of a random model are.
pub const DEPTH: u32 = 6;
/// A feature's thresholds in a random model: as many as `max_bin` allows in training are rarely all used.
const CUTS: u64 = 120;

/// A congruential generator: the same numbers in every run.
pub struct Random(pub u64);

impl Random {
    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Writes a feature spec to `spec.toml` in a folder, and a bundle of 100 random trees for it to `model`.
///
/// # Errors
/// If the spec is wrong or the folder cannot be written to.
pub fn write_bundle(spec_text: &str, dir: &Path) -> Result<()> {
    let spec = Spec::from_toml(spec_text, Path::new("spec.toml"))?;
    std::fs::write(dir.join("spec.toml"), spec_text)?;
    let manifest = Manifest {
        spec_hash: spec.hash().to_string(),
        feature_names: spec.feature_names().to_vec(),
        horizon: Millis(30 * Millis::DAY.0),
        label: None,
        bands: Bands { medium: 0.2, high: 0.5 },
        training: Training { from: EventTime(0), to: EventTime(0), labels_decided: EventTime(0), rows: 0 },
        calibration: Calibration::Identity,
        metrics: std::collections::BTreeMap::new(),
        baselines: Vec::new(),
        meanings: [].into(),
        fitting: None,
    };
    let model = random_model(100, spec.feature_names().len());
    let parts = BundleParts { model: model.as_bytes(), manifest, card: "Random trees.\n" };
    Bundle::write(&dir.join("model"), &parts)?;
    Ok(())
}

/// A model in XGBoost's JSON with full trees of [`DEPTH`].
#[must_use]
pub fn random_model(trees: usize, features: usize) -> String {
    let mut random = Random(1);
    let (splits, nodes) = ((1_usize << DEPTH) - 1, (2_usize << DEPTH) - 1);
    let list = |value: &mut dyn FnMut(usize) -> String| {
        let values: Vec<_> = (0..nodes).map(value).collect();
        format!("[{}]", values.join(","))
    };
    let mut text = String::new();
    for tree in 0..trees {
        let child = |i: usize, side: usize| if i < splits { (2 * i + side).to_string() } else { "-1".into() };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "{}{{\"tree_param\":{{}},\"left_children\":{},\"right_children\":{},\"split_indices\":{},\
             \"split_conditions\":{},\"default_left\":{},\"sum_hessian\":{}}}",
            if tree == 0 { "" } else { "," },
            list(&mut |i| child(i, 1)),
            list(&mut |i| child(i, 2)),
            list(&mut |_| random.below(features as u64).to_string()),
            list(&mut |i| {
                let cut = random.below(CUTS) as f64;
                if i < splits { format!("{cut}") } else { format!("{}", cut / 1e4 - 0.006) }
            }),
            list(&mut |_| random.below(2).to_string()),
            list(&mut |i| format!("{}", f64::from(1 << DEPTH) / f64::from(1_u32 << (i + 1).ilog2()))),
        );
    }
    format!(
        "{{\"learner\":{{\"gradient_booster\":{{\"name\":\"gbtree\",\"model\":{{\"gbtree_model_param\":\
         {{\"num_trees\":\"{trees}\"}},\"tree_info\":[{}],\"trees\":[{text}]}}}},\"learner_model_param\":\
         {{\"base_score\":\"3E-1\",\"num_feature\":\"{features}\"}},\"objective\":{{\"name\":\"binary:logistic\"}}}}}}",
        vec!["0"; trees].join(",")
    )
}
