//! What a file looks like: its format, how its text is written, and how its columns are told apart and named.

use super::encoding::TextEncoding;
use super::error::KeyError;
use super::file::{FormatName, MapFile};

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The format, if it is not to be guessed.
    pub format: Format,
    /// How the text is written as bytes; `None` for UTF-8, unless a byte order mark says something else.
    pub encoding: Option<TextEncoding>,
    /// What stands between the columns of `csv`; `None` to find it in the first line.
    pub delimiter: Option<Delimiter>,
    /// What encloses text with delimiters or line ends in it.
    pub quote: Quote,
    /// Whether, between blanks, a column that begins with `[` goes on to the next `]`.
    pub brackets: bool,
    /// Whether rows may have fewer columns than are due, or more.
    pub ragged: bool,
    /// Whether the first line names the columns; `None` for the format's custom.
    pub header: Option<bool>,
    /// The columns' names where there is no header.
    pub names: Option<Vec<String>>,
    /// How many lines come before everything else.
    pub skip_lines: u64,
    /// How lines begin that are passed over.
    pub comment: Option<String>,
    /// The path of the list in a JSON object each of whose items is read as a row.
    pub each: Option<String>,
}

impl Layout {
    /// The layout that is customary for a format.
    #[must_use]
    pub fn of(format: Format) -> Self {
        Self {
            format,
            encoding: None,
            delimiter: None,
            quote: Quote::Custom,
            brackets: false,
            ragged: false,
            header: None,
            names: None,
            skip_lines: 0,
            comment: None,
            each: None,
        }
    }

    pub(super) fn compile(file: &MapFile) -> Result<Self, KeyError> {
        let format = match file.format {
            FormatName::Auto => Format::Auto,
            FormatName::Jsonl => Format::JsonLines,
            FormatName::Json => Format::Json,
            FormatName::Csv => Format::Csv,
            FormatName::Tsv => Format::Tsv,
            FormatName::Whitespace => Format::Whitespace,
            FormatName::Parquet => Format::Parquet,
            FormatName::Confluent => Format::Confluent,
        };
        if file.delimiter.is_some() && !matches!(format, Format::Csv | Format::Auto) {
            return Err(KeyError::new("delimiter", "only csv has a delimiter of your choice"));
        }
        if file.brackets && format != Format::Whitespace {
            return Err(KeyError::new("brackets", "is for format = \"whitespace\" alone"));
        }
        if file.each.is_some() && !matches!(format, Format::Auto | Format::Json | Format::JsonLines) {
            return Err(KeyError::new("each", "is for json and jsonl alone: others have no lists"));
        }
        let is_text = !matches!(format, Format::Parquet | Format::Confluent);
        if file.encoding.is_some() && !is_text {
            return Err(KeyError::new("encoding", "is for text alone; remove it"));
        }
        if file.header == Some(true) && file.columns.is_some() {
            return Err(KeyError::new(
                "columns",
                "the header names the columns; remove this, or set header = false",
            ));
        }
        // As in a header: of those with one name the first is meant.
        let names = file.columns.clone();
        Ok(Self {
            format,
            encoding: encoding(file.encoding.as_deref(), "encoding")?,
            delimiter: delimiter(file.delimiter.as_deref(), "delimiter")?,
            quote: quote(file.quote.as_deref(), "quote")?,
            brackets: file.brackets,
            ragged: file.ragged,
            // Naming the columns says that the file does not.
            header: file.header.or(names.is_some().then_some(false)),
            names,
            skip_lines: file.skip_lines,
            comment: file.comment.clone().filter(|c| !c.is_empty()),
            each: file.each.clone().filter(|path| !path.is_empty()),
        })
    }
}

pub(super) fn encoding(name: Option<&str>, key: &str) -> Result<Option<TextEncoding>, KeyError> {
    let named = name.map(|name| TextEncoding::named(name).ok_or(name)).transpose();
    named.map_err(|name| {
        let wrong = format!(
            "`{name}` is no encoding known here: write utf-8, windows-1252 (latin-1), utf-16le, utf-16be, or another name that web \
             pages use, such as shift_jis, gb18030 or windows-1251"
        );
        KeyError::new(key, wrong)
    })
}

pub(super) fn delimiter(text: Option<&str>, key: &str) -> Result<Option<Delimiter>, KeyError> {
    let Some(text) = text else { return Ok(None) };
    if let Some(c) = text.chars().find(|c| !c.is_ascii()) {
        return Err(KeyError::new(key, format!("`{c}` is not an ASCII character")));
    }
    if text.contains(['\n', '\r']) {
        return Err(KeyError::new(key, "has a line end in it, and that ends rows"));
    }
    let wrong = || KeyError::new(key, "must have one to eight characters");
    Delimiter::new(text).map(Some).ok_or_else(wrong)
}

pub(super) fn quote(text: Option<&str>, key: &str) -> Result<Quote, KeyError> {
    match text.map(str::as_bytes) {
        None => Ok(Quote::Custom),
        Some([]) => Ok(Quote::Never),
        Some([byte]) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(Quote::Byte(*byte)),
        Some(_) => Err(KeyError::new(key, "must be one ASCII character, or \"\" if nothing is quoted")),
    }
}

/// What stands between two columns: one to eight ASCII characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delimiter {
    bytes: [u8; 8],
    length: u8,
}

impl Delimiter {
    /// What is between two columns of a TSV file.
    pub const TAB: Self = Self::byte(b'\t');
    /// What is customary.
    pub const COMMA: Self = Self::byte(b',');

    /// A delimiter of one byte.
    #[must_use]
    pub const fn byte(byte: u8) -> Self {
        Self { bytes: [byte, 0, 0, 0, 0, 0, 0, 0], length: 1 }
    }

    /// `None` if it is empty, too long or not ASCII.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; 8];
        bytes.get_mut(..text.len())?.copy_from_slice(text.as_bytes());
        let length = u8::try_from(text.len()).ok()?;
        (length > 0 && text.is_ascii()).then_some(Self { bytes, length })
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// The same as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.as_bytes().iter().copied().map(char::from).collect()
    }

    /// Where it comes first.
    #[must_use]
    pub fn find(&self, within: &[u8]) -> Option<usize> {
        let mut from = 0;
        loop {
            let at = from + memchr::memchr(self.bytes[0], within.get(from..)?)?;
            if self.length == 1 || within[at..].starts_with(self.as_bytes()) {
                return Some(at);
            }
            from = at + 1;
        }
    }
}

/// What encloses columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quote {
    /// Double quotes; nothing between blanks.
    Custom,
    /// Nothing: quotes are characters like others.
    Never,
    /// This byte.
    Byte(u8),
}

impl Quote {
    /// The byte that encloses columns of a format.
    #[must_use]
    pub fn within(self, format: Format) -> Option<u8> {
        match self {
            Self::Byte(byte) => Some(byte),
            Self::Custom if format != Format::Whitespace => Some(b'"'),
            _ => None,
        }
    }
}

/// A file's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// To be found from the first bytes.
    Auto,
    /// A JSON object a line.
    JsonLines,
    /// A JSON array of objects, or objects one after the other.
    Json,
    /// Columns between delimiters.
    Csv,
    /// Columns between tabs.
    Tsv,
    /// Columns between runs of blanks or tabs.
    Whitespace,
    /// Apache Parquet.
    Parquet,
    /// Confluent's wire format, in topics alone: Avro, Protobuf or JSON, as the writer's schema says.
    Confluent,
}
