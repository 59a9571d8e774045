//! What a file is and which columns it has, without being told.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::blanks::Marks;
use super::names::unique;
use super::parquet::ParquetRows;
use super::sniff::{self, SAMPLE, draft_delimiter, guess_format};
use super::split::{Ends, Fault, Splitter};
use super::text::{self, Separator};
use super::{SourceError, json_paths, shown, unpack};
use crate::map::{Delimiter, Format, Layout, Quote, TextEncoding};

/// What a file turns out to be, and the columns that it has.
#[derive(Debug, Clone)]
pub(crate) struct Discovered {
    pub(crate) layout: Layout,
    pub(crate) columns: Vec<String>,
    /// Which of them are typed times, and whether those are instants.
    pub(crate) moments: Vec<(String, bool)>,
    /// The paths of lists of objects, in JSON.
    pub(crate) lists: Vec<String>,
    /// Columns that no map can read: lists, in Parquet.
    pub(crate) left_out: Vec<String>,
    /// Whether several columns had the same name, and were numbered.
    pub(crate) renamed: bool,
}

impl Discovered {
    fn new(layout: Layout) -> Self {
        let (columns, moments, lists, left_out) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { layout, columns, moments, lists, left_out, renamed: false }
    }
}

/// So many bytes are searched for what is no UTF-8.
const SEARCHED: u64 = 16 << 20;

/// The names of what web servers write of a request: the usual seven, and the two that are often added.
const ACCESS: [&str; 9] = ["host", "ident", "user", "time", "request", "status", "bytes", "referer", "agent"];

/// Looks at a file's beginning. Of JSON the columns are the paths of the first `rows` objects; if `each` says so, of the
/// items of a list in them.
pub(crate) fn discover(path: &Path, rows: usize, each: Option<&str>) -> Result<Discovered, SourceError> {
    let io = |source| SourceError::Io { path: path.to_owned(), line: 0, source };
    let wrong = |message| SourceError::Layout { path: path.to_owned(), message };
    let open = || unpack::open(path, &Arc::default()).map_err(io);
    let mut stream = match open()? {
        unpack::Opened::Stream(stream) => stream,
        unpack::Opened::Parquet(file) => {
            let parquet = |source| SourceError::Parquet { path: path.to_owned(), source };
            let left_out = ParquetRows::lists(file.try_clone().map_err(io)?).map_err(parquet)?;
            let all = ParquetRows::columns(file).map_err(parquet)?;
            let moments = all.iter().filter_map(|(name, utc)| Some((name.clone(), (*utc)?))).collect();
            let columns = all.into_iter().map(|(name, _)| name).collect();
            return Ok(Discovered {
                columns,
                moments,
                left_out,
                ..Discovered::new(Layout::of(Format::Parquet))
            });
        }
    };
    let guessed = guess_encoding(&mut stream).map_err(io)?;
    let unpack::Opened::Stream(stream) = open()? else {
        return Err(wrong("the file has changed".to_owned()));
    };
    let (stream, encoding) = unpack::text(stream, guessed).map_err(io)?.map_err(wrong)?;
    let mut splitter = Splitter::new(stream, Ends::Lines, 1 << 20);
    if sniff::has_returns_alone(splitter.peek(SAMPLE).map_err(io)?) {
        splitter.set_returns();
    }
    let sample = splitter.peek(SAMPLE).map_err(io)?;
    if let Some((table, columns)) = sniff::dumped_table(sample) {
        let rows = format!(r"sed -n '/^COPY {table} /,/^\\\.$/p' FILE | sed '1d;$d'");
        return Err(wrong(format!(
            "it is a dump of PostgreSQL. Take the rows of a table out of it, below a line of its columns' names, and draft from those: \
             `(printf '{columns}\\n'; {rows}) > rows.tsv`"
        )));
    }
    let declared = sniff::without_declaration(sample);
    let (sample, has_comments) = sniff::without_remarks(declared.unwrap_or(sample));
    let format = guess_format(sample);
    let skip_lines = u64::from(declared.is_some());
    let mut found = Discovered::new(Layout { encoding: guessed, skip_lines, ..Layout::of(format) });
    if !matches!(format, Format::JsonLines | Format::Json) {
        found.layout.comment = has_comments.then(|| "#".to_owned());
        text_columns(sample, encoding, &mut found);
        return Ok(found);
    }
    if sniff::is_of_lists(sample) {
        let table = "make a table of its lists, as with `jq -r '.[] | @csv' FILE > rows.csv`, and write the columns' names into its first line";
        return Err(wrong(format!("its rows are no objects, so nothing in them has a name: {table}")));
    }
    found.layout.each = each.map(str::to_owned);
    splitter.set_ends(if format == Format::Json { Ends::Json } else { Ends::Lines });
    for _ in 0..rows {
        let Some(row) = splitter.next().map_err(io)? else { break };
        if let (Some(Fault::TooLong(length)), 1) = (row.fault, row.line) {
            return Err(wrong(format!(
                "its first object has {length} bytes, more than a row may have here; if it is one object with a long list, cut that into \
                 lines, as `jq -c '.NAME[]'` does"
            )));
        }
        let Ok(value) = serde_json::from_str(&shown(splitter.bytes(&row), encoding)) else { continue };
        json_paths::paths(&value, "", &mut found.columns, &mut found.lists);
        let Some(each) = each else { continue };
        // As in a map, the name may be a key itself.
        let list = value.get(each).or_else(|| each.split('.').try_fold(&value, |value, key| value.get(key)));
        for item in list.and_then(serde_json::Value::as_array).into_iter().flatten().take(rows) {
            json_paths::paths(item, each, &mut found.columns, &mut found.lists);
        }
    }
    Ok(found)
}

/// The encoding of text that is not UTF-8, as far as one can guess; a byte order mark needs no guess.
fn guess_encoding(stream: &mut dyn Read) -> std::io::Result<Option<TextEncoding>> {
    let mut bytes = Vec::new();
    stream.take(SEARCHED).read_to_end(&mut bytes)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Ok(None);
    }
    if let Some(wide) = unpack::looks_wide(&bytes[..bytes.len().min(256)]) {
        return Ok(Some(wide));
    }
    // A stray byte is a bad row of UTF-8; many are another encoding. What is cut at the end is neither.
    let (mut bad, mut good) = (0_usize, 0_usize);
    for chunk in bytes.utf8_chunks() {
        good += chunk.valid().chars().filter(|c| !c.is_ascii()).count();
        bad += usize::from(!chunk.invalid().is_empty());
    }
    Ok(if bad > 0 && bad >= good { TextEncoding::named("windows-1252") } else { None })
}

fn text_columns(sample: &[u8], encoding: TextEncoding, found: &mut Discovered) {
    let format = found.layout.format;
    let access = sniff::is_access_log(sample);
    if access {
        (found.layout.quote, found.layout.brackets) = (Quote::Byte(b'"'), true);
    }
    found.layout.delimiter = (format == Format::Csv).then(|| draft_delimiter(sample)).flatten();
    let delimiter = if format == Format::Tsv { Some(Delimiter::TAB) } else { found.layout.delimiter };
    let separator = |layout: &Layout| {
        let quote = layout.quote.within(format);
        match delimiter {
            Some(delimiter) => Separator::Text { delimiter, quote },
            None => Separator::Blanks(Marks { quote, brackets: layout.brackets }),
        }
    };
    let text = shown(sample, encoding);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if delimiter.is_some() && quotes_are_stray(&lines, separator(&found.layout)) {
        found.layout.quote = Quote::Never;
    }
    let row = |line: &&str| {
        let mut row = Vec::new();
        text::columns(separator(&found.layout), line, |column| row.push(column.trim().to_owned()));
        row
    };
    let first = lines.first().map(row).unwrap_or_default();
    let header = !access && text::is_header(&first, lines.get(1).map(row).as_deref());
    found.layout.header = Some(header);
    if access && (7..=ACCESS.len()).contains(&first.len()) {
        found.columns = ACCESS[..first.len()].iter().map(|name| (*name).to_owned()).collect();
        found.layout.names = Some(found.columns.clone());
    } else if header {
        let names = unique(first.clone());
        found.renamed = names != first;
        // A column without a name cannot be asked for.
        found.columns = names.into_iter().filter(|name| !name.is_empty()).collect();
    } else {
        found.columns = (1..=first.len()).map(|n| n.to_string()).collect();
    }
}

/// Whether quotes are characters like others: lines have as many columns as the first without them, and others with them.
fn quotes_are_stray(lines: &[&str], separator: Separator) -> bool {
    let Separator::Text { delimiter, quote: Some(quote) } = separator else { return false };
    let plain = Separator::Text { delimiter, quote: None };
    let width = |separator, line: &str| {
        let mut width = 0;
        text::columns(separator, line, |_| width += 1);
        width
    };
    // The last line may be cut.
    let lines = &lines[..lines.len().saturating_sub(1)];
    let due = lines.first().map_or(0, |line| width(plain, line));
    let with_quotes = || lines.iter().filter(|line| line.contains(char::from(quote)));
    with_quotes().all(|line| width(plain, line) == due)
        && with_quotes().any(|line| {
            let opened = line.split(char::from(quote)).count() % 2 == 0;
            opened || width(separator, line) != due
        })
}
