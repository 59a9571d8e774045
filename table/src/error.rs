//! Why a table cannot be used.

use std::path::PathBuf;

/// Why a table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// The name's ending is of no format that is read.
    #[error("{}: what is it? A table's name ends in .csv, .tsv, .txt, .xlsx or .parquet", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// The content is damaged, or is not what its name says.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// A limit that keeps a small file from filling the memory.
    #[error("{}: {what}. It is not read any further: such a file is damaged or hostile. Save the table as CSV if it is neither", path.display())]
    Limit {
        /// The file.
        path: PathBuf,
        /// The limit.
        what: String,
    },
    /// A column is missing.
    #[error("there is no column `{name}`: the columns are {}", there.join(", "))]
    NoColumn {
        /// What was asked for.
        name: String,
        /// What there is.
        there: Vec<String>,
    },
    /// The label's values do not say who was lost.
    #[error("{0}")]
    Label(String),
    /// Nothing is left to learn from.
    #[error("{0}")]
    Empty(String),
    /// The schema of a bundle cannot be read.
    #[error("the bundle's table.toml: {0}")]
    Schema(String),
}
