//! What a file looks like: its format, and how its columns are told apart and named.

/// What a file looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The format, if it is not to be guessed.
    pub format: Format,
    /// What stands between the columns of `csv`; `None` to find it in the first line.
    pub delimiter: Option<u8>,
    /// What encloses text with delimiters or line ends in it.
    pub quote: u8,
    /// Whether the first line names the columns; `None` for the format's custom.
    pub header: Option<bool>,
    /// The columns' names where there is no header.
    pub names: Option<Vec<String>>,
    /// How many lines come before everything else.
    pub skip_lines: u64,
    /// How lines begin that are passed over.
    pub comment: Option<String>,
}

impl Layout {
    /// The layout that is customary for a format.
    #[must_use]
    pub fn of(format: Format) -> Self {
        let (delimiter, header, names, comment) = (None, None, None, None);
        Self { format, delimiter, quote: b'"', header, names, skip_lines: 0, comment }
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
