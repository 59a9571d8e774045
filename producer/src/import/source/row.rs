//! One row of a file: its columns, and its bytes as they stand there.

use std::borrow::Cow;

use types::RejectReason;

use super::json::JsonParser;
use super::parquet::ParquetRows;
use super::split::{Fault, KEPT};
use super::text::TextParser;
use super::utf16;
use crate::map::{Cell, Reject, TextEncoding};

/// What finds the columns of a row of text.
#[derive(Debug)]
pub(super) enum Parser {
    Json(JsonParser),
    Columns(TextParser),
}

/// One row, borrowed from [`Rows`](super::Rows).
pub(crate) struct Row<'r> {
    /// Its line (the first of them), object or row, from 1.
    pub(crate) line: u64,
    pub(super) content: Content<'r>,
}

pub(super) enum Content<'r> {
    Text { text: &'r [u8], bytes: &'r [u8], encoding: TextEncoding, parser: &'r Parser, fault: Option<Fault> },
    Parquet(&'r ParquetRows),
}

impl<'r> Row<'r> {
    /// Adds the wanted columns to `cells`; of a row whose items are read one by one, see [`JsonParser::parse`].
    pub(crate) fn cells(&self, cells: &mut Vec<Cell<'r>>) -> Result<(), Reject> {
        match &self.content {
            Content::Text { fault: Some(fault), encoding, .. } => Err(fault.reject(*encoding)),
            Content::Text { text, parser: Parser::Json(parser), .. } => parser.parse(text, cells),
            Content::Text { text, parser: Parser::Columns(parser), .. } => parser.parse(text, cells),
            Content::Parquet(rows) => rows.cells(cells),
        }
    }

    /// Whether it has bytes of its own in the file.
    pub(crate) fn has_bytes(&self) -> bool {
        matches!(self.content, Content::Text { .. })
    }

    /// The row as it stands in the file, of a row that is too long its beginning. Of a Parquet row, which has no bytes of its
    /// own, the wanted columns as text.
    pub(crate) fn original(&self) -> Cow<'r, [u8]> {
        match &self.content {
            Content::Text { bytes, encoding: TextEncoding::Utf16 { big }, .. } => {
                Cow::Owned(utf16::widened(bytes, *big))
            }
            Content::Text { bytes, .. } => Cow::Borrowed(bytes),
            Content::Parquet(rows) => {
                let mut cells = Vec::new();
                let _ = rows.cells(&mut cells);
                let shown: Vec<String> = cells.iter().map(Cell::show).collect();
                Cow::Owned(shown.join(",").into_bytes())
            }
        }
    }
}

impl Fault {
    fn reject(self, encoding: TextEncoding) -> Reject {
        match self {
            Self::TooLong(length) => {
                let detail = format!(
                    "the row has {length} bytes; its first {KEPT} are kept here (--max-row takes longer ones)"
                );
                Reject::new(RejectReason::TooLarge, detail)
            }
            Self::Unclosed => Reject::new(
                RejectReason::Mapping,
                "a quote is opened and not closed (`quote = \"\"` in the map if nothing is quoted)",
            ),
            Self::NoObject => {
                Reject::new(RejectReason::InvalidJson, "this is no object, or one that does not end")
            }
            Self::NoText(at) => {
                let detail = format!("from its byte {at} on the row is no {}", encoding.name());
                Reject::new(RejectReason::InvalidUtf8, detail)
            }
        }
    }
}

/// A row's text.
pub(crate) fn utf8(row: &[u8]) -> Result<&str, Reject> {
    std::str::from_utf8(row).map_err(|e| {
        let detail = format!(
            "{e}; if it is in another encoding, the map must name that, as in encoding = \"windows-1252\""
        );
        Reject::new(RejectReason::InvalidUtf8, detail)
    })
}
