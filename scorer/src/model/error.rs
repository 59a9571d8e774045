//! Why a model file cannot be used.

use std::path::PathBuf;

/// Why a model file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file cannot be read.
    #[error("cannot read the model {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The bytes are not JSON, or not that of an XGBoost model.
    #[error("not an XGBoost model in JSON: {0}")]
    Json(serde_json::Error),
    /// The bytes are not UBJSON, or not that of an XGBoost model.
    #[error("not an XGBoost model in UBJSON: at byte {at}: {what}")]
    Ubj {
        /// The position in the file.
        at: usize,
        /// What is wrong there.
        what: String,
    },
    /// A good XGBoost model of a kind that is not evaluated here.
    #[error(
        "this model uses {what}; only gbtree models with numeric splits, one output and a logistic objective are supported"
    )]
    Unsupported {
        /// What it uses.
        what: String,
    },
    /// More of something than is accepted.
    #[error("the model has {found} {what}; at most {limit} are accepted")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// How many are accepted.
        limit: u64,
    },
    /// The model contradicts itself: a damaged file, or not XGBoost's.
    #[error("the model is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: String,
    },
    /// A tree contradicts itself: a damaged file, or not XGBoost's.
    #[error("the model is damaged: tree {tree}: {what}")]
    DamagedTree {
        /// The tree, from 0.
        tree: usize,
        /// What is wrong.
        what: String,
    },
}
