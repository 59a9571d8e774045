//! What a file is and which columns it has, without being told.

use std::path::Path;
use std::sync::Arc;

use super::parquet::ParquetRows;
use super::sniff::{self, SAMPLE, guess_delimiter, guess_format};
use super::split::{Ends, Splitter};
use super::text::{self, Separator};
use super::{SourceError, json};
use crate::map::{Format, Layout};

/// What a file turns out to be, and the columns that it has.
#[derive(Debug, Clone)]
pub(crate) struct Discovered {
    pub(crate) layout: Layout,
    pub(crate) columns: Vec<String>,
    /// Which of them are typed times, and whether those are instants.
    pub(crate) moments: Vec<(String, bool)>,
}

/// Looks at a file's beginning. Of JSON the columns are the paths of the first `rows` objects.
pub(crate) fn discover(path: &Path, rows: usize) -> Result<Discovered, SourceError> {
    let io = |source| SourceError::Io { path: path.to_owned(), line: 0, source };
    let wrong = |e: &str| SourceError::Layout { path: path.to_owned(), message: e.to_owned() };
    let stream = match sniff::open(path, &Arc::default()).map_err(io)? {
        sniff::Opened::Stream(stream) => stream,
        sniff::Opened::Parquet(file) => {
            let all = ParquetRows::columns(file);
            let all = all.map_err(|source| SourceError::Parquet { path: path.to_owned(), source })?;
            let moments = all.iter().filter_map(|(name, utc)| Some((name.clone(), (*utc)?))).collect();
            let columns = all.into_iter().map(|(name, _)| name).collect();
            return Ok(Discovered { layout: Layout::of(Format::Parquet), columns, moments });
        }
    };
    let mut splitter = Splitter::new(stream, Ends::Lines, 1 << 20);
    let mark = sniff::byte_order_mark(splitter.peek(4).map_err(io)?).map_err(wrong)?;
    splitter.skip(mark);
    let sample = splitter.peek(SAMPLE).map_err(io)?;
    let format = guess_format(sample);
    let mut layout = Layout::of(format);
    let mut columns = Vec::new();
    match format {
        Format::JsonLines | Format::Json => {
            splitter.set_ends(if format == Format::Json { Ends::Json } else { Ends::Lines });
            for _ in 0..rows {
                let Some(found) = splitter.next().map_err(io)? else { break };
                if let Ok(value) = serde_json::from_slice(splitter.bytes(&found)) {
                    json::paths(&value, "", &mut columns);
                }
            }
        }
        _ => {
            layout.delimiter = (format == Format::Csv).then(|| guess_delimiter(sample)).flatten();
            let delimiter = if format == Format::Tsv { Some(b'\t') } else { layout.delimiter };
            let separator = delimiter
                .map_or(Separator::Blanks, |delimiter| Separator::Byte { delimiter, quote: layout.quote });
            let text = String::from_utf8_lossy(sample);
            let mut lines = text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
                let mut row = Vec::new();
                text::columns(separator, line, |column| row.push(column.trim().to_owned()));
                row
            });
            let first = lines.next().unwrap_or_default();
            let header = text::is_header(&first, lines.next().as_deref());
            layout.header = Some(header);
            // A column without a name cannot be asked for.
            columns = if header {
                first.into_iter().filter(|name| !name.is_empty()).collect()
            } else {
                (1..=first.len()).map(|n| n.to_string()).collect()
            };
        }
    }
    Ok(Discovered { layout, columns, moments: Vec::new() })
}
