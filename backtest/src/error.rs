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
    /// The bundle answers another question than the labels ask.
    #[error(
        "the bundle's probabilities look {bundle} ahead, the labels {labels}: judge it with labels of its own horizon"
    )]
    Horizon {
        /// How far the bundle looks.
        bundle: types::Millis,
        /// How far the labels do.
        labels: types::Millis,
    },
    /// The bundle foresees another loss than the labels mean.
    #[error(
        "the bundle foresees {bundle}, the labels mean {labels}: judge it with the labels that it was trained with"
    )]
    Label {
        /// What the bundle foresees.
        bundle: scorer::Label,
        /// What the labels mean.
        labels: scorer::Label,
    },
    /// The money file does not fit the spec.
    #[error("{0}")]
    Money(String),
    /// No row lies after the bundle's last label.
    #[error("{0}")]
    NothingToJudge(String),
    /// Training labels that were not decided when the test begins.
    #[error(
        "{rows} training rows have labels that were decided after the first test moment {}, the last at {}: training and \
         test overlap", first_test.written(), decided.written()
    )]
    Overlap {
        /// How many.
        rows: u64,
        /// When the last of them was decided.
        decided: types::EventTime,
        /// The first test moment.
        first_test: types::EventTime,
    },
}
