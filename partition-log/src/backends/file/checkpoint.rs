//! How far readers may see, and how far the disk is known to hold: the file `checkpoint` of a partition.
//!
//! The writer overwrites it in place at each sync, in one write that fits a disk sector and carries a checksum; readers
//! in any process read it when they have come to the end that they know. It is Kafka's high watermark, kept beside the
//! data. It is not synced itself: after a loss of power it may lag behind the data, never lead it, except that with
//! [`Durability::System`](crate::Durability) it may lead, which recovery then finds out.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use types::Offset;

use super::names::io_error;
use crate::LogError;

pub(super) const NAME: &str = "checkpoint";
const MAGIC: [u8; 4] = *b"CSK1";
const LEN: usize = 56;

/// A place between two batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    /// The offset that the next record has.
    pub(super) offset: Offset,
    /// The base offset of the segment.
    pub(super) segment: Offset,
    /// The byte in its `.log`.
    pub(super) position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Checkpoint {
    /// Readers see what is before.
    pub(super) visible: Place,
    /// What is before was synced to the disk.
    pub(super) durable: Place,
}

impl Checkpoint {
    fn encode(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        let numbers = [self.visible, self.durable].map(|p| [p.offset.0, p.segment.0, p.position]);
        for (chunk, number) in bytes[4..].chunks_exact_mut(8).zip(numbers.as_flattened()) {
            chunk.copy_from_slice(&number.to_be_bytes());
        }
        let crc = crc32c::crc32c(&bytes[..LEN - 4]);
        bytes[LEN - 4..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    fn decode(bytes: &[u8; LEN]) -> Option<Self> {
        let right =
            bytes[..4] == MAGIC && crc32c::crc32c(&bytes[..LEN - 4]).to_be_bytes() == bytes[LEN - 4..];
        let number = |index: usize| {
            let at = 4 + index * 8;
            bytes[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b))
        };
        let place = |from| Place {
            offset: Offset(number(from)),
            segment: Offset(number(from + 1)),
            position: number(from + 2),
        };
        right.then(|| Self { visible: place(0), durable: place(3) })
    }
}

/// The open file.
#[derive(Debug)]
pub(super) struct CheckpointFile {
    file: File,
    path: PathBuf,
}

impl CheckpointFile {
    /// Opens it for reading; `None` if there is none.
    pub(super) fn open(partition_dir: &Path) -> Result<Option<Self>, LogError> {
        let path = partition_dir.join(NAME);
        match File::open(&path) {
            Ok(file) => Ok(Some(Self { file, path })),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(io_error("open", &path)(e)),
        }
    }

    /// Opens it for writing; makes it if there is none.
    pub(super) fn open_writable(partition_dir: &Path) -> Result<Self, LogError> {
        let path = partition_dir.join(NAME);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        opened.map(|file| Self { file, path: path.clone() }).map_err(io_error("open", &path))
    }

    /// What it holds; `None` if that is no checkpoint.
    pub(super) fn read(&self) -> Result<Option<Checkpoint>, LogError> {
        // A read beside a write may see half of each; that passes.
        for _ in 0..5 {
            let mut bytes = [0; LEN];
            match self.file.read_exact_at(&mut bytes, 0) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                Err(e) => return Err(io_error("read", &self.path)(e)),
            }
            if let Some(checkpoint) = Checkpoint::decode(&bytes) {
                return Ok(Some(checkpoint));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    pub(super) fn write(&self, checkpoint: &Checkpoint) -> Result<(), LogError> {
        self.file.write_all_at(&checkpoint.encode(), 0).map_err(io_error("write", &self.path))
    }

    pub(super) fn sync(&self) -> Result<(), LogError> {
        self.file.sync_data().map_err(io_error("sync", &self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_damage_is_seen() {
        let place = |n| Place { offset: Offset(n), segment: Offset(n + 1), position: n + 2 };
        let checkpoint = Checkpoint { visible: place(1 << 40), durable: place(77) };
        let bytes = checkpoint.encode();
        assert_eq!(Checkpoint::decode(&bytes), Some(checkpoint));
        for at in 0..LEN {
            let mut flipped = bytes;
            flipped[at] ^= 1;
            assert_eq!(Checkpoint::decode(&flipped), None, "byte {at}");
        }
    }
}
