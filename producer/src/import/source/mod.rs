//! Sources: files of any format as rows, each with its place in the file.

mod blanks;
mod depth;
mod discover;
mod json;
mod json_paths;
mod names;
mod parquet;
mod row;
mod sniff;
mod split;
mod text;
mod unpack;
mod utf16;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::map::{Cell, Delimiter, Format, Layout, TextEncoding, decode};

use blanks::Marks;
pub(crate) use discover::{Discovered, discover};
pub(crate) use json::JsonParser;
pub(crate) use names::unique;
use parquet::ParquetRows;
use row::{Content, Parser};
pub(crate) use row::{Row, utf8};
use sniff::{SAMPLE, guess_delimiter, guess_format};
pub(crate) use split::KEPT;
use split::{Ends, Fault, Splitter};
use text::{Separator, TextParser};

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The system refused, or what is compressed is damaged.
    #[error("{}{}: {source}", path.display(), near(*line))]
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

fn near(line: u64) -> String {
    if line == 0 { String::new() } else { format!(" near line {line}") }
}

/// Reads the rows of one file.
#[derive(Debug)]
pub(crate) struct Rows {
    path: PathBuf,
    kind: Kind,
    line: u64,
    comment: Option<String>,
    encoding: TextEncoding,
    /// The text of the row at hand, where the file has it in another encoding.
    decoded: String,
}

#[derive(Debug)]
enum Kind {
    Text { splitter: Splitter, parser: Parser },
    Parquet(Box<ParquetRows>),
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
        let of = |kind, encoding| Self {
            path: path.to_owned(),
            kind,
            line: 0,
            comment: layout.comment.clone(),
            encoding,
            decoded: String::new(),
        };
        let stream = match unpack::open(path, read).map_err(io)? {
            unpack::Opened::Stream(_) if layout.format == Format::Parquet => {
                return Err(wrong("the map says parquet, and the file is none".to_owned()));
            }
            unpack::Opened::Stream(stream) => stream,
            unpack::Opened::Parquet(file) => {
                let opened = ParquetRows::open(file, wanted, read);
                let rows = opened
                    .map_err(|source| SourceError::Parquet { path: path.to_owned(), source })?
                    .map_err(|(name, all)| wrong(no_column(&name, &all)))?;
                return Ok(of(Kind::Parquet(Box::new(rows)), TextEncoding::Utf8));
            }
        };
        let (stream, encoding) = unpack::text(stream, layout.encoding).map_err(io)?.map_err(wrong)?;
        let mut splitter = Splitter::new(stream, Ends::Lines, longest);
        if sniff::has_returns_alone(splitter.peek(SAMPLE).map_err(io)?) {
            splitter.set_returns();
        }
        for _ in 0..layout.skip_lines {
            splitter.next().map_err(io)?;
        }
        let sample = splitter.peek(SAMPLE).map_err(io)?;
        let format = match layout.format {
            Format::Auto if layout.delimiter.is_some() => Format::Csv,
            Format::Auto => guess_format(sample),
            said => said,
        };
        let is_json = matches!(format, Format::JsonLines | Format::Json);
        if layout.each.is_some() && !is_json {
            return Err(wrong("the map says `each`, which is for JSON, and the file is none".to_owned()));
        }
        if format == Format::Json && encoding.hides_ascii() {
            let name = encoding.name();
            return Err(wrong(format!(
                "JSON of {name} must have an object a line; convert it to UTF-8 first"
            )));
        }
        let quote = layout.quote.within(format);
        let separator = match format {
            Format::Csv => {
                let delimiter =
                    layout.delimiter.or_else(|| guess_delimiter(sample)).unwrap_or(Delimiter::COMMA);
                Separator::Text { delimiter, quote }
            }
            Format::Tsv => Separator::Text { delimiter: Delimiter::TAB, quote },
            _ => Separator::Blanks(Marks { quote, brackets: layout.brackets }),
        };
        splitter.set_ends(match separator {
            _ if format == Format::Json => Ends::Json,
            Separator::Text { delimiter, quote: Some(quote) } if !is_json => {
                Ends::Quoted { delimiter, quote }
            }
            _ => Ends::Lines,
        });
        let parser = if is_json {
            Parser::Json(JsonParser::new(wanted, layout.each.as_deref()))
        } else {
            Parser::Columns(TextParser::nameless(separator))
        };
        let mut rows = of(Kind::Text { splitter, parser }, encoding);
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
        let parser = TextParser::new(separator, &names, wanted, layout.ragged).map_err(|name| {
            SourceError::Layout { path: self.path.clone(), message: no_column(&name, &names) }
        })?;
        if let Kind::Text { parser: place, .. } = &mut self.kind {
            *place = Parser::Columns(parser);
        }
        Ok(())
    }

    /// The columns of the first row, which stays to be read unless it is `taken`.
    fn first_row(&mut self, separator: Separator, taken: bool) -> Result<Vec<String>, SourceError> {
        let mut names = Vec::new();
        let (path, comment, encoding) = (&self.path, self.comment.as_deref(), self.encoding);
        let Kind::Text { splitter, .. } = &mut self.kind else { return Ok(names) };
        let mut line = 0;
        let io = |line| move |source| SourceError::Io { path: path.clone(), line, source };
        if taken {
            loop {
                let Some(row) = splitter.next().map_err(io(line))? else { return Ok(names) };
                line = row.line;
                let bytes = line_of(splitter.bytes(&row));
                if !is_passed_over(bytes, comment) {
                    let text = shown(bytes, encoding);
                    text::columns(separator, &text, |name| names.push(name.trim().to_owned()));
                    break;
                }
            }
            self.line = line;
            return Ok(unique(names));
        }
        let sample = splitter.peek(SAMPLE).map_err(io(0))?;
        let mut lines = sample.split(|b| *b == b'\n').map(line_of);
        if let Some(line) = lines.find(|line| !is_passed_over(line, comment)) {
            text::columns(separator, &shown(line, encoding), |name| names.push(name.into_owned()));
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
        let bytes = line_of(splitter.bytes(&found));
        let mut fault = found.fault;
        let text = match self.encoding {
            // ASCII is itself.
            TextEncoding::Other(encoding) if fault.is_none() && !bytes.is_ascii() => {
                fault = decode(encoding, bytes, &mut self.decoded).err().map(Fault::NoText);
                self.decoded.as_bytes()
            }
            _ => bytes,
        };
        let content = Content::Text { text, bytes, encoding: self.encoding, parser, fault };
        Ok(Some(Row { line: found.line, content }))
    }
}

fn no_column(name: &str, all: &[String]) -> String {
    if all.is_empty() {
        return format!("the map reads column `{name}`, and there is no column: the file is empty");
    }
    // Of a file of another kind anything may be taken for names.
    let shown = |name: &String| name.chars().take(100).flat_map(printable).collect::<String>();
    let all: Vec<String> = all.iter().map(shown).collect();
    format!("the map reads column `{name}`, which is not there; there are `{}`", all.join("`, `"))
}

/// A character for the eye: one that would change what a terminal does is written as an escape.
fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_debug());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// A line for the eye: what is no character is shown as one that says so.
fn shown(line: &[u8], encoding: TextEncoding) -> std::borrow::Cow<'_, str> {
    match encoding {
        TextEncoding::Other(encoding) => encoding.decode_without_bom_handling(line).0,
        _ => String::from_utf8_lossy(line),
    }
}

fn line_of(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

fn is_passed_over(line: &[u8], comment: Option<&str>) -> bool {
    line.is_empty() || line.trim_ascii().is_empty() || comment.is_some_and(|c| line.starts_with(c.as_bytes()))
}

/// Calls `visit` with line and wanted columns of each row of a table. Rows that cannot be read are an error: a table that is joined
/// must be right.
pub(crate) fn text_table(
    path: &Path,
    layout: &Layout,
    wanted: &[String],
    mut visit: impl FnMut(u64, &[Cell<'_>]),
) -> Result<(), SourceError> {
    let mut rows = Rows::open(path, layout, wanted, 1 << 20, &Arc::default())?;
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
