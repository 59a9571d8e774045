//! Walking over the batches of one segment file.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use types::{Offset, PartitionId};

use super::names::io_error;
use crate::LogError;
use crate::format::{BatchError, BatchHeader, checksum};

/// The identity of a partition and how strict its offsets are; for errors and checks.
#[derive(Debug, Clone)]
pub(super) struct Partition {
    pub(super) topic: String,
    pub(super) id: PartitionId,
    pub(super) dir: PathBuf,
    /// No offset may be missing.
    pub(super) dense: bool,
}

impl Partition {
    pub(super) fn damaged(&self, offset: Offset, path: &Path, position: u64, detail: String) -> LogError {
        LogError::Damaged {
            topic: self.topic.clone(),
            partition: self.id,
            offset,
            path: path.to_owned(),
            position,
            detail,
        }
    }

    /// Whether a batch that begins at `found` may come where `expected` is the next offset.
    pub(super) fn check_offset(&self, expected: Offset, found: Offset) -> Result<(), String> {
        if found == expected || (found > expected && !self.dense) {
            return Ok(());
        }
        Err(format!("the batch begins at offset {found} where {expected} must come"))
    }
}

/// Goes from batch to batch in a segment file.
pub(super) struct Scan<'a> {
    partition: &'a Partition,
    pub(super) file: File,
    pub(super) path: PathBuf,
    /// Where the next batch begins.
    pub(super) position: u64,
    /// Bytes from here on are not looked at.
    pub(super) limit: u64,
    /// The offset that must come next.
    pub(super) expected: Offset,
    batch: Vec<u8>,
    /// Bytes of the file from `ahead_at` on, so that small batches do not cost a system call each.
    ahead: Vec<u8>,
    ahead_at: u64,
}

const AHEAD: usize = 16 << 10;

/// What a step of a scan found wrong.
#[derive(Debug)]
pub(super) enum ScanError {
    /// The system could not read.
    Io(LogError),
    /// The bytes at the scan's position are no batch, or not the one that must come.
    Bad(String),
}

impl<'a> Scan<'a> {
    /// From `position`, where the batch of the offset `expected` begins, to the end of the file.
    pub(super) fn open(
        partition: &'a Partition,
        path: PathBuf,
        position: u64,
        expected: Offset,
    ) -> Result<Self, LogError> {
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let limit = file.metadata().map_err(io_error("read", &path))?.len();
        Ok(Self {
            partition,
            file,
            path,
            position,
            limit,
            expected,
            batch: Vec::new(),
            ahead: Vec::new(),
            ahead_at: 0,
        })
    }

    /// The header of the next batch, without its checksum being checked; `None` at the end. Goes past the batch.
    pub(super) fn next_header(&mut self) -> Result<Option<BatchHeader>, ScanError> {
        let left = self.limit.saturating_sub(self.position);
        if left == 0 {
            return Ok(None);
        }
        let bad = |e: BatchError| ScanError::Bad(e.to_string());
        let header = BatchHeader::parse(self.look_ahead()?).map_err(bad)?;
        if header.total_len as u64 > left {
            return Err(bad(BatchError::Cut { need: header.total_len, have: left as usize }));
        }
        self.partition.check_offset(self.expected, header.base_offset).map_err(ScanError::Bad)?;
        self.position += header.total_len as u64;
        self.expected = header.last_offset().next();
        Ok(Some(header))
    }

    /// As `next_header`, but reads the whole batch and checks its checksum. Does not move past a bad batch.
    pub(super) fn next_batch(&mut self) -> Result<Option<(BatchHeader, &[u8])>, ScanError> {
        let (position, expected) = (self.position, self.expected);
        let Some(header) = self.next_header()? else { return Ok(None) };
        let mut batch = std::mem::take(&mut self.batch);
        batch.resize(header.total_len, 0);
        let read = self.read_at(&mut batch, position);
        self.batch = batch;
        read?;
        let computed = checksum(&self.batch);
        if computed != header.crc {
            (self.position, self.expected) = (position, expected);
            return Err(ScanError::Bad(BatchError::Crc { stored: header.crc, computed }.to_string()));
        }
        Ok(Some((header, &self.batch)))
    }

    /// The bytes at the position, as many as a header has unless the file ends before.
    fn look_ahead(&mut self) -> Result<&[u8], ScanError> {
        let wanted = BatchHeader::SIZE.min((self.limit - self.position) as usize);
        let held = self.position.checked_sub(self.ahead_at).and_then(|from| usize::try_from(from).ok());
        if let Some(from) = held.filter(|from| from + wanted <= self.ahead.len()) {
            return Ok(&self.ahead[from..from + wanted]);
        }
        let mut ahead = std::mem::take(&mut self.ahead);
        ahead.resize(AHEAD.min((self.limit - self.position) as usize), 0);
        let read = self.read_at(&mut ahead, self.position);
        (self.ahead, self.ahead_at) = (ahead, self.position);
        if read.is_err() {
            self.ahead.clear();
        }
        read.map(|()| &self.ahead[..wanted])
    }

    fn read_at(&self, into: &mut [u8], at: u64) -> Result<(), ScanError> {
        match self.file.read_exact_at(into, at) {
            Ok(()) => Ok(()),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                Err(ScanError::Bad("the file ends within the batch".to_owned()))
            }
            Err(e) => Err(ScanError::Io(io_error("read", &self.path)(e))),
        }
    }

    /// The next whole batch behind the bad one at the scan's position: where it begins and its first offset. If there is one,
    /// the bad one is damage in the middle, not a torn tail. O(bytes left) when there is none.
    pub(super) fn next_whole_batch(&self) -> Result<Option<(u64, Offset)>, LogError> {
        let mut rest = vec![0; self.limit.saturating_sub(self.position) as usize];
        self.file.read_exact_at(&mut rest, self.position).map_err(io_error("read", &self.path))?;
        Ok((1..rest.len()).find_map(|at| {
            let bytes = &rest[at..];
            let header = BatchHeader::parse(bytes).ok().filter(|h| h.base_offset > self.expected)?;
            let whole = checksum(bytes.get(..header.total_len)?) == header.crc;
            whole.then_some((self.position + at as u64, header.base_offset))
        }))
    }

    /// The scan's trouble as the log's error.
    pub(super) fn error(&self, error: ScanError) -> LogError {
        match error {
            ScanError::Io(error) => error,
            ScanError::Bad(detail) => {
                self.partition.damaged(self.expected, &self.path, self.position, detail)
            }
        }
    }
}
