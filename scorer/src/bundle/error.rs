//! Why a bundle cannot be used or written.

use std::path::PathBuf;

use crate::ModelError;

/// Why a bundle cannot be used or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file or folder cannot be read or written.
    #[error("model bundle: cannot read or write {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// Something stands already where a bundle was to be written. Bundles are never overwritten.
    #[error("{} exists; a model bundle is never overwritten: choose another folder", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The manifest is no manifest, or contradicts itself or the model.
    #[error("{}: {what}", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The model file is not the one that the bundle was written with.
    #[error("{} was changed after the bundle was written: its hash is {found}, the manifest says {expected}", path.display())]
    ModelChanged {
        /// The model file.
        path: PathBuf,
        /// The hash in the manifest.
        expected: String,
        /// The file's hash.
        found: String,
    },
    /// The model cannot be evaluated.
    #[error("{}: {source}", path.display())]
    Model {
        /// The model file.
        path: PathBuf,
        /// Why.
        source: ModelError,
    },
    /// The bundle was trained on another feature spec.
    #[error("the model bundle {} scores rows of the feature spec {of_bundle}, not of {of_spec}: \
             train a model on this spec, or use the spec that the model was trained on", bundle.display())]
    Spec {
        /// The bundle.
        bundle: PathBuf,
        /// The hash of its spec.
        of_bundle: String,
        /// The hash of the spec at hand.
        of_spec: String,
    },
    /// The bundle's features are not those of the spec.
    #[error("feature {position} is `{of_bundle}` in the model bundle {} and `{of_spec}` in the feature spec", bundle.display())]
    Features {
        /// The bundle.
        bundle: PathBuf,
        /// The first position that differs, from 0.
        position: usize,
        /// The name in the bundle; `-` if it has no more.
        of_bundle: String,
        /// The name in the spec; `-` if it has no more.
        of_spec: String,
    },
}
