//! What an Excel file may be: looked through once before it is read, so that a small hostile file cannot fill the memory.
//!
//! An Excel file is an archive of XML that can expand a thousandfold. The library that reads sheets streams their cells, but holds
//! the shared strings and one cell at a time. So every part is expanded here once, counted and thrown away:
//!
//! - all parts but the sheets together, at most [`Limits::shared`] bytes;
//! - the sheets together at most [`Limits::sheets`] bytes and [`Limits::cells`] cells;
//! - no tag, text, cell or shared string longer than [`Limits::piece`] bytes;
//! - no `<!`: comments, entities and raw sections, which no spreadsheet program writes there, and which could hide the rest.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use super::io;
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
    /// Bytes of one tag, text, cell or shared string. Excel's own limit for a cell is 32,767 letters.
    pub(super) piece: usize,
}

impl Limits {
    /// Enough for a sheet of a million rows and sixty columns.
    pub(super) const USUAL: Self =
        Self { parts: 10_000, shared: 512 << 20, sheets: 8 << 30, cells: 100_000_000, piece: 1 << 20 };
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
    let mut buffer = vec![0; 1 << 16];
    for at in 0..archive.len() {
        let mut part = archive.by_index(at).map_err(|error| content(error.to_string()))?;
        let name = part.name().map_err(|error| content(error.to_string()))?.to_ascii_lowercase();
        let is_sheet = name.starts_with("xl/worksheets/") && name.ends_with(".xml");
        let (total, most) =
            if is_sheet { (&mut sheets, limits.sheets) } else { (&mut shared, limits.shared) };
        // Strings and sheets are what is read piece by piece.
        let mut scan = (is_sheet || name.ends_with("sharedstrings.xml")).then(|| Scan::new(limits.piece));
        loop {
            let read = part.read(&mut buffer).map_err(|error| content(format!("{name}: {error}")))?;
            if read == 0 {
                break;
            }
            *total += read as u64;
            if *total > most {
                return Err(limit(format!("{name} and the like expand to more than {} MiB", most >> 20)));
            }
            if let Some(scan) = &mut scan {
                scan.take(&buffer[..read]).map_err(|what| limit(format!("{name}: {what}")))?;
                if cells + scan.cells > limits.cells {
                    return Err(limit(format!("it has more than {} cells", limits.cells)));
                }
            }
        }
        if is_sheet {
            cells += scan.map_or(0, |scan| scan.cells);
        }
    }
    Ok(())
}

/// Follows tags through XML, byte by byte, remembering lengths only.
struct Scan {
    most: usize,
    /// Bytes since the last angle bracket.
    piece: usize,
    /// Bytes since the cell or shared string began that is open.
    open: Option<usize>,
    in_tag: bool,
    /// The start of the tag that is open, without its bracket.
    name: Vec<u8>,
    last: u8,
    cells: u64,
}

impl Scan {
    fn new(most: usize) -> Self {
        Self { most, piece: 0, open: None, in_tag: false, name: Vec::with_capacity(32), last: 0, cells: 0 }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        for &byte in bytes {
            self.piece += 1;
            if let Some(open) = &mut self.open {
                *open += 1;
            }
            if self.piece > self.most || self.open.is_some_and(|open| open > self.most) {
                return Err("a tag, text or cell is too long");
            }
            match byte {
                b'<' => {
                    self.in_tag = true;
                    self.piece = 0;
                    self.name.clear();
                }
                b'>' if self.in_tag => {
                    self.tag_ended();
                    self.in_tag = false;
                    self.piece = 0;
                }
                b'!' if self.in_tag && self.name.is_empty() => {
                    return Err("it holds a comment, an entity or a raw section");
                }
                _ if self.in_tag && self.name.len() < 32 => self.name.push(byte),
                _ => {}
            }
            self.last = byte;
        }
        Ok(())
    }

    fn tag_ended(&mut self) {
        let closes = self.name.first() == Some(&b'/');
        let is_empty = self.last == b'/';
        let name = self.name[usize::from(closes)..]
            .split(|byte| byte.is_ascii_whitespace() || *byte == b'/')
            .next()
            .unwrap_or_default();
        let local = name.rsplit(|byte| *byte == b':').next().unwrap_or_default();
        if local == b"c" && !closes {
            self.cells += 1;
        }
        if matches!(local, b"c" | b"si") {
            self.open = (!closes && !is_empty).then_some(0);
        }
    }
}
