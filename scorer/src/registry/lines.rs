//! The lines of a registry: `{"sum":"<xxh3 of the entry's text, 16 hex digits>","entry":{...}}`.

use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use super::{Entry, RegistryError};

#[derive(Deserialize)]
struct Line<'a> {
    sum: &'a str,
    #[serde(borrow)]
    entry: &'a RawValue,
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) struct LineError {
    line: usize,
    what: String,
}

impl LineError {
    pub(super) fn at(self, path: &Path) -> RegistryError {
        RegistryError::Damaged { path: path.to_owned(), line: self.line, what: self.what }
    }
}

/// An entry as a line, with its end.
pub(super) fn write(entry: &Entry) -> String {
    let role = match entry.role {
        super::Role::Champion => "champion",
        super::Role::Challenger => "challenger",
        super::Role::Retired => "retired",
    };
    // The hash is hexadecimal digits: nothing needs escaping.
    let text = format!(r#"{{"role":"{role}","bundle":"{}","from":{}}}"#, entry.bundle, entry.from);
    format!("{{\"sum\":\"{:016x}\",\"entry\":{text}}}\n", xxh3_64(text.as_bytes()))
}

/// The entries, and how many bytes whole lines take. What follows the last line end was cut short and does not count.
pub(super) fn read(bytes: &[u8]) -> Result<(Vec<Entry>, u64), LineError> {
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut entries: Vec<Entry> = Vec::new();
    for (number, line) in bytes[..whole].split_inclusive(|&byte| byte == b'\n').enumerate() {
        let error = |what: String| LineError { line: number + 1, what };
        let entry = entry(line).map_err(error)?;
        if entries.last().is_some_and(|before| entry.from < before.from) {
            return Err(error(format!("it holds from {}, before the line above", entry.from)));
        }
        entries.push(entry);
    }
    Ok((entries, whole as u64))
}

fn entry(line: &[u8]) -> Result<Entry, String> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let text = line.entry.get();
    let sum = format!("{:016x}", xxh3_64(text.as_bytes()));
    if sum != line.sum {
        return Err(format!("its checksum is {sum}, the line says {}", line.sum));
    }
    let entry: Entry = serde_json::from_str(text).map_err(|error| error.to_string())?;
    // It becomes a path.
    if entry.bundle.is_empty() || !entry.bundle.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("`{}` is no bundle's hash", entry.bundle));
    }
    Ok(entry)
}
