//! What can go wrong with labels, rows and replays.

use std::path::PathBuf;

/// A failure of a replay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BacktestError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] partition_log::LogError),
    /// State could not be kept.
    #[error(transparent)]
    Pipeline(#[from] consumer::pipeline::PipelineError),
    /// State could not be read.
    #[error(transparent)]
    Consumer(#[from] consumer::ConsumerError),
    /// The store could not be made.
    #[error(transparent)]
    Store(#[from] feature_store::StoreError),
    /// A file could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The labels file says something that cannot be meant.
    #[error("{}: {detail}", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// Field and fault.
        detail: String,
    },
    /// The topic does not exist.
    #[error("there is no topic `{topic}` in {place}")]
    NoTopic {
        /// The topic.
        topic: String,
        /// The log.
        place: String,
    },
    /// The log and the labels leave nothing to learn from.
    #[error("{0}")]
    NothingToLearn(String),
}
