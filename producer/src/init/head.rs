//! The beginning of a drafted map: what the file looks like, and its times.

use std::fmt::Write as _;

use super::guess::{SERIAL, Time};
use super::sample::Sample;
use super::shown;
use crate::map::{Delimiter, Format, Quote, TextEncoding};

/// Lines of TOML; writing to a String cannot fail.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}
pub(super) use line;

/// Text as a TOML string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

pub(super) fn list(names: &[impl AsRef<str>]) -> String {
    format!("[{}]", names.iter().map(|n| quoted(n.as_ref())).collect::<Vec<_>>().join(", "))
}

/// How the file is laid out.
pub(super) fn layout(out: &mut String, sample: &Sample) {
    let layout = &sample.file.layout;
    let format = match layout.format {
        Format::Auto => "auto",
        Format::JsonLines => "jsonl",
        Format::Json => "json",
        Format::Csv => "csv",
        Format::Tsv => "tsv",
        Format::Whitespace => "whitespace",
        Format::Parquet => "parquet",
        Format::Confluent => "confluent",
    };
    line!(out, "format = {}", quoted(format));
    if let Some(encoding) = layout.encoding {
        let guessed = !matches!(encoding, TextEncoding::Utf16 { .. });
        let remark =
            if guessed { "   # !!! a guess: the file is not UTF-8. Look at the names below" } else { "" };
        line!(out, "encoding = {}{remark}", quoted(encoding.name()));
    }
    if let Some(delimiter) = layout.delimiter.filter(|d| *d != Delimiter::COMMA) {
        line!(out, "delimiter = {}", quoted(&delimiter.text()));
    }
    match layout.quote {
        Quote::Never => {
            line!(out, "quote = \"\"                         # quotes are characters like others");
        }
        Quote::Byte(byte) => {
            line!(out, "quote = {}", quoted(&char::from(byte).to_string()));
        }
        Quote::Custom => {}
    }
    if layout.skip_lines > 0 {
        line!(
            out,
            "skip_lines = {}                  # these only say by what columns are separated",
            layout.skip_lines
        );
    }
    if let Some(comment) = &layout.comment {
        line!(out, "comment = {}", quoted(comment));
    }
    if layout.brackets {
        line!(out, "brackets = true");
    }
    if let Some(each) = &layout.each {
        line!(out, "each = {}   # every item of this list is read as a row", quoted(each));
    }
    if !sample.nulls.is_empty() {
        line!(out, "null = {}", list(&sample.nulls.iter().collect::<Vec<_>>()));
    }
    if !sample.file.left_out.is_empty() {
        line!(
            out,
            "# Left out, because they are lists, which no map reads: {}.",
            list(&sample.file.left_out)
        );
    }
    if sample.file.renamed {
        line!(
            out,
            "# Several columns have the same name: the second `name` is called `name.2` here, and so on."
        );
    }
    if layout.header == Some(false) {
        if layout.names.is_none() {
            line!(
                out,
                "# There is no header: put the columns' names here instead of their numbers, and use them below."
            );
        }
        line!(out, "columns = {}", list(&sample.file.columns));
    } else if layout.format == Format::Whitespace {
        line!(out, "header = true");
    }
}

/// The section of the time.
pub(super) fn time(out: &mut String, time: &Time) {
    line!(out, "\n# When it happened: here from {} to {}.\n[time]", shown(time.span.0), shown(time.span.1));
    match time.columns.as_slice() {
        [one] => {
            line!(out, "column = {}", quoted(one));
        }
        several => {
            line!(out, "column = {}", list(several));
        }
    }
    line!(out, "format = {}", quoted(&time.format));
    if let Some(since) = &time.since {
        if since == SERIAL {
            line!(out, "since = {}             # where a spreadsheet begins to count", quoted(since));
        } else {
            line!(
                out,
                "# !!! These count from a moment that the file does not tell. Write the day whose number is 0."
            );
            line!(out, "since = {}", quoted(since));
        }
    }
    if time.naive && time.format.ends_with(['Z', 'C']) {
        line!(out, "zone = \"UTC\"                     # as they say");
    } else if time.naive {
        line!(
            out,
            "# !!! These times do not say in which zone they are, and UTC is only assumed. If they are local times, write"
        );
        line!(
            out,
            "# !!! the zone, as in \"Europe/Berlin\"; otherwise every hour and every day's border is wrong."
        );
        line!(out, "zone = \"UTC\"");
    }
}
