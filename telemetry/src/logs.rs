//! Log lines: what, as which text, and where to.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::{EnvFilter, filter};

/// What a log line looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Plain,
    /// One JSON object a line.
    Json,
}

/// Where log lines go. Never to standard output, which belongs to results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogTo<'a> {
    /// Standard error.
    #[default]
    Stderr,
    /// The end of a file: for programs that draw on the terminal.
    File(&'a Path),
}

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogsError {
    /// `RUST_LOG` is not a filter.
    #[error("RUST_LOG is not a filter: {0}; write a level (info) or levels by part (info,consumer=debug)")]
    Filter(#[from] filter::ParseError),
    /// The file cannot be written.
    #[error("cannot write the log {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's word.
        source: io::Error,
    },
    /// Logging was begun before, by someone else.
    #[error("logging is set up already")]
    AlreadySet,
}

/// Begins logging for the process: `info` and above, or what `RUST_LOG` says.
///
/// # Errors
/// See [`LogsError`].
pub fn init_tracing(format: LogFormat, to: LogTo<'_>) -> Result<(), LogsError> {
    let directives = std::env::var("RUST_LOG").unwrap_or_default();
    let filter = parse_filter(&directives)?;
    let (writer, colours) = match to {
        LogTo::Stderr => {
            let colours = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            (BoxMakeWriter::new(io::stderr), colours)
        }
        LogTo::File(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            let file = opened.map_err(|source| LogsError::File { path: path.to_owned(), source })?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
        }
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    let begun = match format {
        LogFormat::Plain => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    begun.map_err(|_| LogsError::AlreadySet)
}

fn parse_filter(directives: &str) -> Result<EnvFilter, filter::ParseError> {
    // sled logs each of its flushes at info.
    let directives = if directives.trim().is_empty() { "info,sled=warn" } else { directives };
    EnvFilter::builder().parse(directives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_wrong_ones_refused() {
        assert_eq!(
            parse_filter(" ").unwrap().to_string(),
            parse_filter("info,sled=warn").unwrap().to_string()
        );
        assert!(parse_filter("consumer=debug,info").is_ok());
        let error = LogsError::from(parse_filter("consumer=loud").unwrap_err());
        assert!(error.to_string().contains("RUST_LOG"), "{error}");
    }

    #[test]
    fn lines_go_to_the_file_as_json_and_logging_begins_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.log");
        init_tracing(LogFormat::Json, LogTo::File(&path)).unwrap();
        tracing::info!(partition = 3, "moved");
        tracing::debug!("not shown");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with('{') && text.contains(r#""message":"moved","partition":3"#), "{text}");
        assert!(matches!(init_tracing(LogFormat::Plain, LogTo::Stderr), Err(LogsError::AlreadySet)));
        let nowhere = dir.path().join("no/such/run.log");
        let error = init_tracing(LogFormat::Plain, LogTo::File(&nowhere)).unwrap_err();
        assert!(error.to_string().contains("run.log"), "{error}");
    }
}
