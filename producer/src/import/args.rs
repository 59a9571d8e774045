//! What `producer import` can be asked.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use types::{EventTime, Millis};

use crate::cli::OutputArgs;

/// Writes the events of files, read by a mapping, to a log.
#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// The files: JSON lines, JSON, CSV, TSV, columns between blanks, or Parquet; plain, gzip or zstd.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The map that says how rows become events.
    #[arg(long, value_name = "MAP.toml")]
    pub map: PathBuf,
    /// Another file with a map of its own, ordered together with the others: contracts beside events, say. May be repeated.
    #[arg(long, value_name = "FILE=MAP.toml", value_parser = also)]
    pub also: Vec<Also>,
    /// Where the events go.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Only the rows of the files that an earlier import could not read, by a map that can. Each comes in once, exempt from
    /// lateness as far as state reaches back, however often this is run.
    #[arg(long)]
    pub rejected: bool,
    /// Whether to bring rows in order of time: auto does if they are further from it than --lateness.
    #[arg(long, value_enum, default_value_t)]
    pub sort: Sort,
    /// How far a row may lie behind those before it without being sorted: the spec's allowed lateness.
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub lateness: Millis,
    /// What is later has not happened yet: 2024-05-01 (midnight in UTC), 2024-05-01T12:00:00Z or milliseconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = crate::map::moment)]
    pub not_after: Option<EventTime>,
    /// Longer rows, in bytes, are set aside (of UTF-16, in bytes of UTF-8).
    #[arg(long, value_name = "BYTES", default_value_t = 1 << 20, value_parser = clap::value_parser!(u64).range(1_024..=1 << 26))]
    pub max_row: u64,
    /// Where sorting puts its temporary files [default: the system's folder for them]
    #[arg(long, value_name = "DIR")]
    pub temp_dir: Option<PathBuf>,
}

/// A file and its map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Also {
    /// The file.
    pub file: PathBuf,
    /// Its map.
    pub map: PathBuf,
}

fn also(text: &str) -> Result<Also, String> {
    let (file, map) = text.rsplit_once('=').ok_or_else(|| format!("`{text}`: write FILE=MAP.toml"))?;
    Ok(Also { file: file.into(), map: map.into() })
}

/// Whether an import is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Sort {
    /// If it is further from order than the allowed lateness.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Not at all: file by file, row by row.
    Never,
}
