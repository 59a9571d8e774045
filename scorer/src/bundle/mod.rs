//! The immutable folder that holds a model with all that is needed to use it rightly.

mod beside;
mod error;
mod manifest;
mod meaning;
mod write;

#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};

use types::{Band, Millis};
use xxhash_rust::xxh3::xxh3_64;

pub use error::BundleError;
pub use manifest::{Bands, Baseline, Fitting, Label, LabelKind, Manifest, Training};
pub use meaning::Meaning;
pub use write::BundleParts;

use crate::{Calibration, Model, Predictor};
use manifest::ManifestFile;

/// The manifest's file name.
const MANIFEST: &str = "bundle.toml";
/// The file name of the description for people.
const CARD: &str = "MODEL_CARD.md";
/// The file name of the feature spec whose rows the model scores.
const SPEC: &str = "spec.toml";
/// The file name of the schema of a customer table.
const TABLE: &str = "table.toml";

/// A loaded model bundle: a folder with
///
/// - `bundle.toml`, the [`Manifest`] and the hash of the model file,
/// - `model.json` or `model.ubj`, as XGBoost wrote it,
/// - `MODEL_CARD.md`, for people,
/// - `spec.toml`, if whoever wrote the bundle put the feature spec beside the model,
/// - `table.toml`, if the model is of a customer table: what its columns mean.
///
/// Its [`hash`](Self::hash) is that of `bundle.toml`'s bytes, which hold the model file's hash in turn: it covers all that a
/// score depends on. The card is prose and not part of it.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    hash: String,
    manifest: Manifest,
    model: Model,
    predictor: Predictor,
}

impl Bundle {
    /// Loads a bundle and checks that its parts belong together.
    ///
    /// # Errors
    /// If a file is missing, cannot be read, was changed since it was written, or contradicts another; see [`BundleError`].
    pub fn load(folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join(MANIFEST);
        let text = read(&path)?;
        let hash = hash_of(&text);
        let damaged = |what: String| BundleError::Manifest { path: path.clone(), what };
        let text = std::str::from_utf8(&text).map_err(|error| damaged(error.to_string()))?;
        let file: ManifestFile = toml::from_str(text).map_err(|error| damaged(error.to_string()))?;
        file.check().map_err(damaged)?;

        let model_path = folder.join(&file.model.file);
        let bytes = read(&model_path)?;
        let found = hash_of(&bytes);
        if found != file.model.hash {
            return Err(BundleError::ModelChanged { path: model_path, expected: file.model.hash, found });
        }
        let model =
            Model::from_bytes(&bytes).map_err(|source| BundleError::Model { path: model_path, source })?;
        check_names(&model, &file.manifest).map_err(damaged)?;
        let predictor = Predictor::new(&model);
        Ok(Self { path: folder.to_owned(), hash, manifest: file.manifest, model, predictor })
    }

    /// The folder that it was loaded from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What identifies it: 16 hexadecimal digits.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// What it says of itself.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The trees.
    #[must_use]
    pub const fn model(&self) -> &Model {
        &self.model
    }

    /// The trees made ready to score.
    #[must_use]
    pub const fn predictor(&self) -> &Predictor {
        &self.predictor
    }

    /// How margins become probabilities.
    #[must_use]
    pub const fn calibration(&self) -> &Calibration {
        &self.manifest.calibration
    }

    /// The calibrated probability (0 to 1) of a margin (log-odds).
    #[must_use]
    pub fn probability(&self, margin: f32) -> f32 {
        self.manifest.calibration.apply(margin)
    }

    /// The band of a calibrated probability.
    #[must_use]
    pub fn band(&self, probability: f32) -> Band {
        self.manifest.bands.of(probability)
    }

    /// How far ahead the probabilities look.
    #[must_use]
    pub const fn horizon(&self) -> Millis {
        self.manifest.horizon
    }

    /// Hash of the feature spec whose rows it scores.
    #[must_use]
    pub fn spec_hash(&self) -> &str {
        &self.manifest.spec_hash
    }

    /// The features' names, in the order of a row.
    #[must_use]
    pub fn feature_names(&self) -> &[String] {
        &self.manifest.feature_names
    }

    /// Checks that rows of a feature spec are what this bundle scores.
    ///
    /// # Errors
    /// If the hash or a name differs; both sides are named.
    pub fn check_spec(&self, spec_hash: &str, feature_names: &[String]) -> Result<(), BundleError> {
        if spec_hash != self.spec_hash() {
            return Err(BundleError::Spec {
                bundle: self.path.clone(),
                of_bundle: self.spec_hash().to_owned(),
                of_spec: spec_hash.to_owned(),
            });
        }
        match first_difference(self.feature_names(), feature_names) {
            None => Ok(()),
            Some((position, of_bundle, of_spec)) => {
                Err(BundleError::Features { bundle: self.path.clone(), position, of_bundle, of_spec })
            }
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, BundleError> {
    std::fs::read(path).map_err(|source| BundleError::Io { path: path.to_owned(), source })
}

fn hash_of(bytes: &[u8]) -> String {
    format!("{:016x}", xxh3_64(bytes))
}

/// The first position at which two lists of names differ, with both names; `-` where one list has ended.
fn first_difference(ours: &[String], theirs: &[String]) -> Option<(usize, String, String)> {
    let name = |names: &[String], at: usize| names.get(at).map_or_else(|| "-".to_owned(), Clone::clone);
    let position = (0..ours.len().max(theirs.len())).find(|&at| ours.get(at) != theirs.get(at))?;
    Some((position, name(ours, position), name(theirs, position)))
}

/// Whether model and manifest mean the same features. A model file need not name them.
fn check_names(model: &Model, manifest: &Manifest) -> Result<(), String> {
    let names = &manifest.feature_names;
    if model.n_features() != names.len() {
        return Err(format!(
            "the model has {} features, the manifest names {}",
            model.n_features(),
            names.len()
        ));
    }
    match first_difference(model.feature_names(), names).filter(|_| model.names_in_file()) {
        Some((at, model, manifest)) => {
            Err(format!("feature {at} is `{model}` in the model and `{manifest}` in the manifest"))
        }
        None => Ok(()),
    }
}
