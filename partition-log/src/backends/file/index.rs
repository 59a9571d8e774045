//! The two sparse indexes of a segment, byte for byte as Kafka's.
//!
//! `.index`: 8 bytes an entry, the last offset of a batch less the segment's base, and where the batch begins.
//! `.timeindex`: 12 bytes an entry, a timestamp that no earlier batch exceeds, and the offset of its batch less the base.
//! Both ascend. They carry no checksum, so what they say is checked against the `.log` before it is used.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use types::{EventTime, Offset};

use super::names::io_error;
use crate::LogError;

/// A fixed-size entry of an index.
pub(super) trait Entry: Copy {
    const LEN: usize;
    fn encode(self, base: Offset, out: &mut [u8]);
    fn decode(base: Offset, bytes: &[u8]) -> Self;
    /// What the index is sorted by, strictly ascending.
    fn order(self) -> i64;
}

/// Offset to place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// The last offset of the batch.
    pub(super) offset: Offset,
    /// Where the batch begins.
    pub(super) position: u64,
}

/// Timestamp to offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    /// No record before the batch of `offset` is newer.
    pub(super) timestamp: EventTime,
    /// The last offset of the batch with that timestamp.
    pub(super) offset: Offset,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..at + 4].iter().fold(0, |n, b| n << 8 | u32::from(*b))
}

impl Entry for Position {
    const LEN: usize = 8;

    fn encode(self, base: Offset, out: &mut [u8]) {
        out[..4].copy_from_slice(&(self.offset.since(base) as u32).to_be_bytes());
        out[4..].copy_from_slice(&(self.position as u32).to_be_bytes());
    }

    fn decode(base: Offset, bytes: &[u8]) -> Self {
        let offset = Offset(base.0 + u64::from(u32_at(bytes, 0)));
        Self { offset, position: u64::from(u32_at(bytes, 4)) }
    }

    fn order(self) -> i64 {
        self.offset.0 as i64
    }
}

impl Entry for Moment {
    const LEN: usize = 12;

    fn encode(self, base: Offset, out: &mut [u8]) {
        out[..8].copy_from_slice(&self.timestamp.0.to_be_bytes());
        out[8..].copy_from_slice(&(self.offset.since(base) as u32).to_be_bytes());
    }

    fn decode(base: Offset, bytes: &[u8]) -> Self {
        let high = u64::from(u32_at(bytes, 0)) << 32;
        let timestamp = EventTime((high | u64::from(u32_at(bytes, 4))) as i64);
        Self { timestamp, offset: Offset(base.0 + u64::from(u32_at(bytes, 8))) }
    }

    fn order(self) -> i64 {
        self.timestamp.0
    }
}

/// Reads all entries of an index; `None` if there is no file, or its length or order cannot be right. A broker's open
/// segment has its index preallocated with zeros: zero entries at the end are dropped. O(entries).
pub(super) fn read_all<E: Entry>(path: &Path, base: Offset) -> Result<Option<Vec<E>>, LogError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("read", path)(e)),
    };
    if bytes.len() % E::LEN != 0 {
        return Ok(None);
    }
    let used = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last / E::LEN + 1);
    let entries: Vec<E> = bytes[..used * E::LEN].chunks_exact(E::LEN).map(|e| E::decode(base, e)).collect();
    Ok(entries.is_sorted_by(|a, b| a.order() < b.order()).then_some(entries))
}

/// Appends to an index. Entries only speed things up, so one that cannot be written (a full disk) is left out.
#[derive(Debug)]
pub(super) struct IndexWriter<E> {
    file: File,
    path: PathBuf,
    base: Offset,
    len: u64,
    last: Option<E>,
}

impl<E: Entry> IndexWriter<E> {
    /// Opens an index whose entries are `entries`; what else the file holds is cut off or overwritten.
    pub(super) fn open(path: &Path, base: Offset, entries: &[E]) -> Result<Self, LogError> {
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        let file = opened.map_err(io_error("open", path))?;
        let len = (entries.len() * E::LEN) as u64;
        file.set_len(len).map_err(io_error("truncate", path))?;
        Ok(Self { file, path: path.to_owned(), base, len, last: entries.last().copied() })
    }

    /// Makes the file anew with these entries.
    pub(super) fn create(path: &Path, base: Offset, entries: &[E]) -> Result<Self, LogError> {
        let mut bytes = vec![0; entries.len() * E::LEN];
        for (chunk, entry) in bytes.chunks_exact_mut(E::LEN).zip(entries) {
            entry.encode(base, chunk);
        }
        std::fs::write(path, bytes).map_err(io_error("write", path))?;
        Self::open(path, base, entries)
    }

    /// Adds an entry if it is behind the last one.
    pub(super) fn push(&mut self, entry: E) {
        if self.last.is_some_and(|last| last.order() >= entry.order()) {
            return;
        }
        let mut bytes = [0; 12];
        entry.encode(self.base, &mut bytes[..E::LEN]);
        match self.file.write_all_at(&bytes[..E::LEN], self.len) {
            Ok(()) => {
                self.len += E::LEN as u64;
                self.last = Some(entry);
            }
            Err(error) => {
                tracing::debug!(path = %self.path.display(), %error, "index entry left out");
                let _ = self.file.set_len(self.len);
            }
        }
    }

    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(io_error("sync", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kafkas_bytes_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let base = Offset(1000);
        let mut index = IndexWriter::create(&path, base, &[]).unwrap();
        let moments =
            [5, 5, 3, 9].map(|t| Moment { timestamp: EventTime(t), offset: Offset(1000 + t as u64) });
        for moment in moments {
            index.push(moment);
        }
        assert_eq!(
            std::fs::read(&path).unwrap(),
            [0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 9]
        );
        assert_eq!(read_all::<Moment>(&path, base).unwrap().unwrap(), [moments[0], moments[3]]);

        let position = Position { offset: Offset(1258), position: 70_000 };
        IndexWriter::create(&path, base, &[position]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), [0, 0, 1, 2, 0, 1, 17, 112]);
        assert_eq!(read_all::<Position>(&path, base).unwrap().unwrap(), [position]);
    }

    #[test]
    fn what_cannot_be_an_index_is_none_and_preallocated_room_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_all::<Position>(&path, Offset(0)).unwrap()
        };
        assert_eq!(read(&[1; 7]), None);
        assert_eq!(read(&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2]), None);
        let one = Position { offset: Offset(2), position: 1 };
        assert_eq!(read(&[0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Some(vec![one]));
        assert_eq!(read(&[]), Some(vec![]));
        assert_eq!(read_all::<Position>(&dir.path().join("absent"), Offset(0)).unwrap(), None);
    }
}
