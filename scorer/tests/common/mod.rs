//! Models with what XGBoost itself says of some rows, as `make_fixtures.py` writes them.

// Each test binary uses a part of this; helpers of tests may panic.
#![allow(dead_code, clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use scorer::Model;

/// A model and XGBoost's answers. Floats stand as their bits in the file.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: Model,
    pub(crate) rows: Vec<f32>,
    pub(crate) margins: Vec<f32>,
    /// What `predict` gives: probabilities, or margins for `binary:logitraw`.
    pub(crate) outputs: Vec<f32>,
    /// Per row: the SHAP value of each feature, then the bias.
    pub(crate) contributions: Vec<Vec<f32>>,
}

#[derive(serde::Deserialize)]
struct CaseFile {
    model: String,
    rows: Vec<Vec<u32>>,
    margins: Vec<u32>,
    outputs: Vec<u32>,
    contributions: Vec<Vec<u32>>,
}

fn floats(bits: &[u32]) -> Vec<f32> {
    bits.iter().map(|&bits| f32::from_bits(bits)).collect()
}

impl Case {
    fn read(path: &Path) -> Self {
        let file: CaseFile = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        Self {
            model: Model::load(&path.with_file_name(&file.model)).unwrap(),
            name: file.model,
            rows: file.rows.iter().flat_map(|row| floats(row)).collect(),
            margins: floats(&file.margins),
            outputs: floats(&file.outputs),
            contributions: file.contributions.iter().map(|row| floats(row)).collect(),
        }
    }

    /// The rows one by one.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.rows.chunks_exact(self.model.n_features())
    }
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// Every case in a folder, by name.
pub(crate) fn cases(folder: &Path) -> Vec<Case> {
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.to_string_lossy().ends_with(".case.json"));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", folder.display());
    paths.iter().map(|path| Case::read(path)).collect()
}

/// How many `f32`s lie between two numbers of the same sign.
pub(crate) fn ulps_apart(a: f32, b: f32) -> u32 {
    a.to_bits().abs_diff(b.to_bits())
}
