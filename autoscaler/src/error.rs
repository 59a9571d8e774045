//! What ends an autoscaler. Brokers that are away and consumers that die do not.

use partition_log::LogError;

/// A failure of the autoscaler.
#[derive(Debug, thiserror::Error)]
pub enum AutoscalerError {
    /// The place is no Kafka.
    #[error(
        "{place} is no Kafka, whose groups share partitions between processes; on files, run one `consumer --workers auto`"
    )]
    NotKafka {
        /// The place.
        place: String,
    },
    /// The connection cannot be set up.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The decision log cannot be opened.
    #[error(transparent)]
    Decisions(#[from] crate::DecisionLogError),
    /// A consumer process ended with exit code 2, as programs do that refuse their arguments.
    #[error("process {number} refuses its arguments (see above): {command}")]
    Refused {
        /// The process.
        number: u32,
        /// Its command.
        command: String,
    },
    /// The system refused something.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was being done.
        action: &'static str,
        /// The system's word.
        source: std::io::Error,
    },
}
