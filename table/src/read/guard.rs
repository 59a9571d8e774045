//! What an Excel file may be: looked through once before it is read, so that a small hostile file cannot fill the memory.
//!
//! An Excel file is an archive of XML that can expand a thousandfold. The library that reads sheets streams their cells, but holds
//! the shared strings and one cell at a time. So every part is expanded here once, counted and thrown away:
//!
//! - all parts but the sheets together, at most [`Limits::shared`] bytes, [`Limits::strings`] shared strings and, in what is
//!   read of them whole, [`Limits::tags`] other tags;
//! - the sheets together at most [`Limits::sheets`] bytes and [`Limits::cells`] cells;
//! - no tag, text, cell or shared string longer than [`Limits::piece`] bytes;
//! - no `<!`: comments, entities and raw sections, which no spreadsheet program writes there, and which could hide the rest.
//!
//! What a sheet makes of it (many cells that point at one long string) is bounded where rows are made.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::io;
use super::scan::Scan;
use crate::TableError;

/// Bounds of an Excel file's content.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Parts in the archive.
    pub(super) parts: usize,
    /// Bytes of everything but the sheets.
    pub(super) shared: u64,
    /// Bytes of the sheets.
    pub(super) sheets: u64,
    /// Cells of the sheets.
    pub(super) cells: u64,
    /// Shared strings, there or announced. Each takes some dozens of bytes, even without a letter.
    pub(super) strings: u64,
    /// Tags of styles and the like: a file of Excel's 64,000 styles has some 300,000.
    pub(super) tags: u64,
    /// Bytes of one tag, text, cell or shared string. Excel's own limit for a cell is 32,767 letters.
    pub(super) piece: usize,
}

impl Limits {
    /// Enough for a sheet of a million rows and sixty columns.
    pub(super) const USUAL: Self = Self {
        parts: 10_000,
        shared: 64 << 20,
        sheets: 8 << 30,
        cells: 100_000_000,
        strings: 2_000_000,
        tags: 500_000,
        piece: 128 << 10,
    };
}

/// Looks through the whole archive.
pub(super) fn check(path: &Path, limits: &Limits) -> Result<(), TableError> {
    let content = |what: String| TableError::Content { path: path.to_owned(), what };
    let limit = |what: String| TableError::Limit { path: path.to_owned(), what };
    let file = BufReader::new(File::open(path).map_err(io(path))?);
    let mut archive =
        zip::ZipArchive::new(file).map_err(|error| content(format!("no Excel file: {error}")))?;
    if archive.len() > limits.parts {
        return Err(limit(format!("it has {} parts; at most {} are read", archive.len(), limits.parts)));
    }
    let (mut shared, mut sheets, mut cells) = (0, 0, 0);
    let (mut strings, mut tags) = (0, 0);
    let mut buffer = vec![0; 1 << 16];
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).map_err(|error| content(error.to_string()))?;
        let name = part.name().map_err(|error| content(error.to_string()))?.to_ascii_lowercase();
        let is_sheet = name.starts_with("xl/worksheets/") && name.ends_with(".xml");
        let is_strings = name.ends_with("sharedstrings.xml");
        let (total, most) =
            if is_sheet { (&mut sheets, limits.sheets) } else { (&mut shared, limits.shared) };
        let mut scan = (is_sheet || is_strings || is_read_whole(&name)).then(|| Scan::new(limits.piece));
        loop {
            let read = part.read(&mut buffer).map_err(|error| content(format!("{name}: {error}")))?;
            if read == 0 {
                break;
            }
            *total += read as u64;
            if *total > most {
                return Err(limit(format!("{name} and the like expand to more than {} MiB", most >> 20)));
            }
            let Some(scan) = &mut scan else { continue };
            scan.take(&buffer[..read]).map_err(|what| limit(format!("{name}: {what}")))?;
            if is_sheet && cells + scan.cells > limits.cells {
                return Err(limit(format!("it has more than {} cells", limits.cells)));
            }
            if !is_sheet && (strings + scan.strings).max(scan.announced) > limits.strings {
                return Err(limit(format!("it has more than {} different texts", limits.strings)));
            }
            if !is_sheet && !is_strings && tags + scan.tags > limits.tags {
                return Err(limit(format!("{name} and the like have more than {} tags", limits.tags)));
            }
        }
        match scan {
            Some(scan) if is_sheet => cells += scan.cells,
            Some(scan) if is_strings => strings += scan.strings,
            Some(scan) => tags += scan.tags,
            None => {}
        }
    }
    Ok(())
}

/// Whether the library that reads sheets takes in all of a part, besides the shared strings.
fn is_read_whole(name: &str) -> bool {
    name.ends_with(".rels")
        || ["styles.xml", "workbook.xml", "theme1.xml", "[content_types].xml"]
            .iter()
            .any(|part| name.ends_with(part))
}
