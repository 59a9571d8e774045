//! Why a registry cannot be used.

use std::path::PathBuf;

use types::EventTime;

use crate::BundleError;

/// Why a registry cannot be used or added to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// A file or folder cannot be read or written.
    #[error("model registry: cannot read or write {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line is not what was written.
    #[error("{}: line {line} is damaged: {what}; restore the file from a copy", path.display())]
    Damaged {
        /// The file of entries.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A bundle cannot be used.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A bundle's folder holds another bundle than the registry says.
    #[error("{} is the bundle {found}, but the registry means {expected}", path.display())]
    OtherBundle {
        /// The folder.
        path: PathBuf,
        /// The hash in the registry.
        expected: String,
        /// The hash of what is there.
        found: String,
    },
    /// An entry would hold from before the newest one.
    #[error(
        "cannot let a bundle hold from {}: the newest entry holds from {}, and the past is not rewritten",
        from.written(), newest.written()
    )]
    Earlier {
        /// From when it was to hold.
        from: EventTime,
        /// From when the newest entry holds.
        newest: EventTime,
    },
    /// The newest entry says the same.
    #[error(
        "the newest entry says already that the bundle {bundle} holds so from {from} on: there is nothing to add. If the consumer said that \
         it came too late, give a later tick"
    )]
    Already {
        /// Its hash.
        bundle: String,
        /// From when.
        from: EventTime,
    },
    /// Only the present challenger can be retired.
    #[error("cannot retire the bundle {bundle}: it is not the challenger")]
    NoChallenger {
        /// Its hash.
        bundle: String,
    },
    /// There is no champion.
    #[error("{} holds neither a model bundle (bundle.toml) nor a registry with a champion", path.display())]
    NoChampion {
        /// The folder.
        path: PathBuf,
    },
    /// The file no longer begins with the entries that were read before.
    #[error("{}: entries that were in force have been changed; the registry is append-only: restore the file from a copy", path.display())]
    Rewritten {
        /// The file of entries.
        path: PathBuf,
    },
}
