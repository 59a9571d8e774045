//! What can go wrong with a store. Every variant names the place and, where there is one, what to do.

use std::path::PathBuf;

use types::{Offset, PartitionId};

/// A failure of the database beneath the store.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct BackendError(Box<dyn std::error::Error + Send + Sync>);

impl BackendError {
    /// Wraps the database's own error, or says what happened.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// A failure of a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has the store.
    #[error(
        "the store {} is open in another process: stop that one first, or ask it through its read API",
        dir.display()
    )]
    InUse {
        /// The store's folder.
        dir: PathBuf,
    },
    /// Another process removes what the store does not need from the log, or rebuilds the store, which needs more then.
    #[error(
        "old records are being removed by what the store {} needs, or it is being rebuilt: try again when that is done",
        dir.display()
    )]
    NeedsHeld {
        /// The store's folder.
        dir: PathBuf,
    },
    /// The store was built for something else.
    #[error(
        "the store {} was built with {what} {stored}, but {asked} is asked for: rebuild the store from the log by `churnstream rebuild`, \
         or choose another folder",
        dir.display()
    )]
    Mismatch {
        /// The store's folder.
        dir: PathBuf,
        /// Which part of the identity differs.
        what: &'static str,
        /// Its value in the store.
        stored: String,
        /// The value asked for.
        asked: String,
    },
    /// The folder holds a store of a format that this version does not know, or no store at all.
    #[error("{} is not a store that this version can read: {detail}", path.display())]
    Format {
        /// The file that says so.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// The operating system refused something.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The database beneath failed. The store takes no more work then: open it again once the cause is gone.
    #[error("{action}: {source}")]
    Backend {
        /// What was being done.
        action: &'static str,
        /// The database's word.
        source: BackendError,
    },
    /// Stored bytes are not what was written. Nothing of them is served.
    #[error(
        "the store's partition {partition} is damaged in {part}: {detail}; rebuild the store from the log by `churnstream rebuild`"
    )]
    Damaged {
        /// The partition.
        partition: PartitionId,
        /// Which record: `block 0x1200000000000000`, `the commit`.
        part: String,
        /// What is wrong.
        detail: String,
    },
    /// The store has no such partition.
    #[error("the store has {partitions} partitions, so none with the number {partition}")]
    NoSuchPartition {
        /// The partition asked for.
        partition: PartitionId,
        /// How many there are.
        partitions: u32,
    },
    /// The partition is open already in this process.
    #[error("partition {partition} of the store is open already: drop its other handle first")]
    PartitionInUse {
        /// The partition.
        partition: PartitionId,
    },
    /// Everything should go into blocks, but events after the last commit are in the states.
    #[error(
        "partition {partition}: states are at offset {position}, the last commit at {committed}: commit first"
    )]
    NotCommitted {
        /// The partition.
        partition: PartitionId,
        /// The offset after the newest event that states hold.
        position: Offset,
        /// The last commit's next input offset.
        committed: Offset,
    },
    /// A commit would go back behind the one before it.
    #[error("partition {partition}: a commit at offset {asked} would go back behind the one at {committed}")]
    CommitGoesBack {
        /// The partition.
        partition: PartitionId,
        /// The last commit's next input offset.
        committed: Offset,
        /// The offset asked for.
        asked: Offset,
    },
    /// Published blocks that should be there are not.
    #[error("the snapshot of partition {partition} is not whole: {detail}")]
    SnapshotLost {
        /// The partition.
        partition: PartitionId,
        /// What is missing.
        detail: String,
    },
    /// The log no longer holds what a rebuild has to read.
    #[error(
        "the store cannot be rebuilt: the log of partition {partition} begins at offset {start}, the events before \
         it are gone; restore its older segments first"
    )]
    LogTooShort {
        /// The partition.
        partition: PartitionId,
        /// The log's first offset.
        start: Offset,
    },
    /// An earlier failure stopped the store's writing thread.
    #[error("the store stopped writing after an earlier failure: {0}")]
    Stopped(String),
}
