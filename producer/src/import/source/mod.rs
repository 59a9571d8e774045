//! Sources: files of any format as rows, each with its place in the file.

mod discover;
mod json;
mod parquet;
mod sniff;
mod split;
mod text;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use types::RejectReason;

use crate::map::{Cell, Format, Layout, Reject};

pub(crate) use discover::{Discovered, discover};
pub(crate) use json::JsonParser;
use parquet::ParquetRows;
use sniff::{SAMPLE, guess_delimiter, guess_format};
pub(crate) use split::KEPT;
use split::{Ends, Fault, Found, Splitter};
use text::{Separator, TextParser};

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The system refused, or what is compressed is damaged.
    #[error("{} near line {line}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The last line, from 1, that was read; 0 at the beginning.
        line: u64,
        /// The system's word.
        source: io::Error,
    },
    /// The file is no Parquet file, or a damaged one.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// The reader's word.
        source: ::parquet::errors::ParquetError,
    },
    /// The file and the map do not fit each other.
    #[error("{}: {message}", path.display())]
    Layout {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        message: String,
    },
}

/// Reads the rows of one file.
#[derive(Debug)]
pub(crate) struct Rows {
    path: PathBuf,
    kind: Kind,
    line: u64,
    comment: Option<String>,
}

#[derive(Debug)]
enum Kind {
    Text { splitter: Splitter, parser: Parser },
    Parquet(Box<ParquetRows>),
}

#[derive(Debug)]
enum Parser {
    Json(JsonParser),
    Columns(TextParser),
}

/// One row, borrowed from [`Rows`].
pub(crate) struct Row<'r> {
    /// Its line (the first of them), object or row, from 1.
    pub(crate) line: u64,
    content: Content<'r>,
}

enum Content<'r> {
    Text { bytes: &'r [u8], parser: &'r Parser, fault: Option<Fault> },
    Parquet(&'r ParquetRows),
}

impl Rows {
    /// Opens a file for the wanted columns. `read` counts its bytes as they are read; a row may have `longest` bytes.
    ///
    /// # Errors
    /// If it cannot be read, or has not the wanted columns.
    pub(crate) fn open(
        path: &Path,
        layout: &Layout,
        wanted: &[String],
        longest: usize,
        read: &Arc<AtomicU64>,
    ) -> Result<Self, SourceError> {
        let io = |source| SourceError::Io { path: path.to_owned(), line: 0, source };
        let wrong = |message| SourceError::Layout { path: path.to_owned(), message };
        if layout.format == Format::Confluent {
            return Err(wrong(
                "the map says confluent, which is for the records of a topic: consumer --map".to_owned(),
            ));
        }
        let stream = match sniff::open(path, read).map_err(io)? {
            sniff::Opened::Stream(_) if layout.format == Format::Parquet => {
                return Err(wrong("the map says parquet, and the file is none".to_owned()));
            }
            sniff::Opened::Stream(stream) => stream,
            sniff::Opened::Parquet(file) => {
                let opened = ParquetRows::open(file, wanted);
                let rows = opened
                    .map_err(|source| SourceError::Parquet { path: path.to_owned(), source })?
                    .map_err(|(name, all)| wrong(no_column(&name, &all)))?;
                return Ok(Self {
                    path: path.to_owned(),
                    kind: Kind::Parquet(Box::new(rows)),
                    line: 0,
                    comment: None,
                });
            }
        };
        let mut splitter = Splitter::new(stream, Ends::Lines, longest);
        let mark = sniff::byte_order_mark(splitter.peek(4).map_err(io)?).map_err(|e| wrong(e.to_owned()))?;
        splitter.skip(mark);
        for _ in 0..layout.skip_lines {
            splitter.next().map_err(io)?;
        }
        let sample = splitter.peek(SAMPLE).map_err(io)?;
        let format = match layout.format {
            Format::Auto if layout.delimiter.is_some() => Format::Csv,
            Format::Auto => guess_format(sample),
            said => said,
        };
        let quote = layout.quote;
        let separator = match format {
            Format::Csv => {
                let delimiter = layout.delimiter.or_else(|| guess_delimiter(sample)).unwrap_or(b',');
                Separator::Byte { delimiter, quote }
            }
            Format::Tsv => Separator::Byte { delimiter: b'\t', quote },
            _ => Separator::Blanks,
        };
        let comment = layout.comment.clone();
        let mut rows = match format {
            Format::JsonLines | Format::Json => {
                splitter.set_ends(if format == Format::Json { Ends::Json } else { Ends::Lines });
                let parser = Parser::Json(JsonParser::new(wanted));
                Self { path: path.to_owned(), kind: Kind::Text { splitter, parser }, line: 0, comment }
            }
            _ => {
                if let Separator::Byte { delimiter, quote } = separator {
                    splitter.set_ends(Ends::Quoted { delimiter, quote });
                }
                let parser = Parser::Columns(TextParser::nameless(separator));
                Self { path: path.to_owned(), kind: Kind::Text { splitter, parser }, line: 0, comment }
            }
        };
        rows.find_columns(layout, format, separator, wanted)?;
        Ok(rows)
    }

    /// Reads the header, if there is one, and prepares for the wanted columns.
    fn find_columns(
        &mut self,
        layout: &Layout,
        format: Format,
        separator: Separator,
        wanted: &[String],
    ) -> Result<(), SourceError> {
        if matches!(format, Format::JsonLines | Format::Json) {
            return Ok(());
        }
        let header = layout.header.unwrap_or(format != Format::Whitespace);
        let names = match (&layout.names, header) {
            (Some(names), _) => names.clone(),
            (None, true) => self.first_row(separator, true)?,
            (None, false) => {
                let width = self.first_row(separator, false)?.len();
                (1..=width).map(|n| n.to_string()).collect()
            }
        };
        let parser = TextParser::new(separator, &names, wanted).map_err(|name| SourceError::Layout {
            path: self.path.clone(),
            message: no_column(&name, &names),
        })?;
        if let Kind::Text { parser: place, .. } = &mut self.kind {
            *place = Parser::Columns(parser);
        }
        Ok(())
    }

    /// The columns of the first row, which stays to be read unless it is `taken`.
    fn first_row(&mut self, separator: Separator, taken: bool) -> Result<Vec<String>, SourceError> {
        let mut names = Vec::new();
        let (path, comment) = (self.path.clone(), self.comment.clone());
        let Kind::Text { splitter, .. } = &mut self.kind else { return Ok(names) };
        let io = |line| move |source| SourceError::Io { path, line, source };
        if taken {
            let mut found = splitter.next().map_err(io(0))?;
            while let Some(row) = &found
                && is_passed_over(line_of(splitter.bytes(row)), comment.as_deref())
            {
                let line = row.line;
                found = splitter.next().map_err(|source| SourceError::Io {
                    path: self.path.clone(),
                    line,
                    source,
                })?;
            }
            let Some(row) = found else { return Ok(names) };
            self.line = row.line;
            let text = String::from_utf8_lossy(line_of(splitter.bytes(&row))).into_owned();
            text::columns(separator, &text, |name| names.push(name.trim().to_owned()));
            return Ok(names);
        }
        let sample = splitter.peek(SAMPLE).map_err(io(0))?;
        let mut lines = sample.split(|b| *b == b'\n').map(line_of);
        if let Some(line) = lines.find(|line| !is_passed_over(line, comment.as_deref())) {
            text::columns(separator, &String::from_utf8_lossy(line), |name| names.push(name.into_owned()));
        }
        Ok(names)
    }

    /// Which of the wanted columns hold typed times without a zone.
    pub(crate) fn naive_columns(&self) -> Vec<usize> {
        match &self.kind {
            Kind::Parquet(rows) => rows.naive().collect(),
            Kind::Text { .. } => Vec::new(),
        }
    }

    /// The next row; `None` at the end. Empty lines are passed over.
    ///
    /// # Errors
    /// If the file cannot be read on.
    pub(crate) fn next(&mut self) -> Result<Option<Row<'_>>, SourceError> {
        let (path, last) = (&self.path, self.line);
        let (splitter, parser) = match &mut self.kind {
            Kind::Parquet(rows) => {
                let line =
                    rows.advance().map_err(|source| SourceError::Parquet { path: path.clone(), source })?;
                return Ok(line.map(|line| {
                    self.line = line;
                    Row { line, content: Content::Parquet(rows) }
                }));
            }
            Kind::Text { splitter, parser } => (splitter, parser),
        };
        let found = loop {
            let found = splitter.next().map_err(|source| SourceError::Io {
                path: path.clone(),
                line: last,
                source,
            })?;
            let Some(mut found) = found else { return Ok(None) };
            if is_passed_over(line_of(splitter.bytes(&found)), self.comment.as_deref()) {
                continue;
            }
            // A stray quote joins lines that do not belong together; then they do not fit either.
            if let Parser::Columns(columns) = parser
                && found.fault.is_none()
                && memchr::memchr(b'\n', splitter.bytes(&found)).is_some()
                && !columns.fits(splitter.bytes(&found))
            {
                splitter.keep_first_line(&mut found);
            }
            break found;
        };
        self.line = found.line;
        Ok(Some(Row { line: found.line, content: Content::text(splitter, &found, parser) }))
    }
}

impl<'r> Content<'r> {
    fn text(splitter: &'r Splitter, found: &Found, parser: &'r Parser) -> Self {
        Self::Text { bytes: line_of(splitter.bytes(found)), parser, fault: found.fault }
    }
}

impl<'r> Row<'r> {
    /// Adds the wanted columns to `cells`.
    pub(crate) fn cells(&self, cells: &mut Vec<Cell<'r>>) -> Result<(), Reject> {
        match &self.content {
            Content::Text { fault: Some(fault), .. } => Err(fault.reject()),
            Content::Text { bytes, parser: Parser::Json(parser), .. } => parser.parse(bytes, cells),
            Content::Text { bytes, parser: Parser::Columns(parser), .. } => parser.parse(bytes, cells),
            Content::Parquet(rows) => rows.cells(cells),
        }
    }

    /// The row as it stands in the file, of a row that is too long its beginning. Of a Parquet row, which has no bytes of its
    /// own, the wanted columns as text.
    pub(crate) fn original(&self) -> std::borrow::Cow<'r, [u8]> {
        match &self.content {
            Content::Text { bytes, .. } => std::borrow::Cow::Borrowed(bytes),
            Content::Parquet(rows) => {
                let mut cells = Vec::new();
                let _ = rows.cells(&mut cells);
                let shown: Vec<String> = cells.iter().map(Cell::show).collect();
                std::borrow::Cow::Owned(shown.join(",").into_bytes())
            }
        }
    }
}

impl Fault {
    fn reject(self) -> Reject {
        match self {
            Self::TooLong(length) => {
                let detail = format!("the row has {length} bytes; its first {KEPT} are kept here");
                Reject::new(RejectReason::TooLarge, detail)
            }
            Self::Unclosed => Reject::new(RejectReason::Mapping, "a quote is opened and not closed"),
            Self::NoObject => {
                Reject::new(RejectReason::InvalidJson, "this is no object, or one that does not end")
            }
        }
    }
}

fn no_column(name: &str, all: &[String]) -> String {
    format!("the map reads column `{name}`, which is not there; there are `{}`", all.join("`, `"))
}

fn line_of(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn is_passed_over(line: &[u8], comment: Option<&str>) -> bool {
    line.is_empty() || line.trim_ascii().is_empty() || comment.is_some_and(|c| line.starts_with(c.as_bytes()))
}

/// Calls `visit` with line and wanted columns of each row of a delimited file with a header. Rows that cannot be read are an
/// error: a table that is joined must be right.
pub(crate) fn text_table(
    path: &Path,
    delimiter: Option<u8>,
    wanted: &[String],
    mut visit: impl FnMut(u64, &[Cell<'_>]),
) -> Result<(), SourceError> {
    let layout =
        Layout { delimiter, ..Layout::of(if delimiter.is_some() { Format::Csv } else { Format::Auto }) };
    let mut rows = Rows::open(path, &layout, wanted, 1 << 20, &Arc::default())?;
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(wanted.len());
        row.cells(&mut cells).map_err(|e| {
            let message = format!("line {}: {}", row.line, e.detail);
            SourceError::Layout { path: path.to_owned(), message }
        })?;
        visit(row.line, &cells);
    }
    Ok(())
}
