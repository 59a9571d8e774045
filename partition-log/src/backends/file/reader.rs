//! Reading a partition: large reads of the file, whole batches checked and decoded from them.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use types::Offset;

use super::aborted::Aborted;
use super::checkpoint::{CheckpointFile, Place};
use super::locate::{is_there, scan_start, view, was_removed};
use super::names::{LOG, io_error, segment_path, segments};
use super::scan::{Partition, Scan};
use crate::format::{BatchError, BatchHeader, decode_batch};
use crate::{LogError, PartitionReader, RecordBuf};

/// How much is read from the file at once: small enough to stay in the processor's cache until it is decoded.
const CHUNK: usize = 256 << 10;

/// Reads one partition.
#[derive(Debug)]
pub(super) struct FileReader {
    partition: Partition,
    checkpoint: Option<CheckpointFile>,
    visible: Place,
    /// The offset of the next record to give.
    next: Offset,
    cursor: Option<Cursor>,
    chunk: Chunk,
    aborted: Aborted,
}

/// A part of the file, read in one go and used up batch by batch.
#[derive(Debug, Default)]
struct Chunk {
    bytes: Vec<u8>,
    /// What of `bytes` is read and not used up.
    from: usize,
    to: usize,
}

impl Chunk {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    fn clear(&mut self) {
        (self.from, self.to) = (0, 0);
    }

    /// Has at least `need` of the `left` bytes that follow `position` in the file, or all there are.
    fn fill(&mut self, file: &File, position: u64, need: usize, left: u64) -> std::io::Result<()> {
        if self.to - self.from >= need {
            return Ok(());
        }
        self.bytes.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let target = need.max(CHUNK).min(usize::try_from(left).unwrap_or(usize::MAX));
        if self.bytes.len() < target {
            self.bytes.resize(target, 0);
        }
        while self.to < target {
            match file.read_at(&mut self.bytes[self.to..target], position + self.to as u64) {
                Ok(0) => break,
                Ok(read) => self.to += read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// An open segment and the place in it.
#[derive(Debug)]
struct Cursor {
    file: File,
    path: PathBuf,
    base: Offset,
    /// Where the next batch begins.
    position: u64,
    /// The offset that the next batch must begin with.
    expected: Offset,
    /// The file's length where the segment is closed, so that it is asked for once.
    closed_len: Option<u64>,
}

impl FileReader {
    /// A reader that begins at `from`.
    pub(super) fn open(partition: Partition, from: Offset) -> Result<Self, LogError> {
        let checkpoint = CheckpointFile::open(&partition.dir)?;
        let visible = Place::default();
        let mut reader = Self {
            partition,
            checkpoint,
            visible,
            next: from,
            cursor: None,
            chunk: Chunk::default(),
            aborted: Aborted::default(),
        };
        reader.seek(from)?;
        Ok(reader)
    }

    fn out_of_range(&self, offset: Offset, start: Offset) -> LogError {
        LogError::OutOfRange {
            topic: self.partition.topic.clone(),
            partition: self.partition.id,
            offset,
            start,
            end: self.visible.offset.max(start),
        }
    }

    /// Asks how far the log can be read by now.
    fn refresh(&mut self) -> Result<(), LogError> {
        if self.checkpoint.is_none() {
            self.checkpoint = CheckpointFile::open(&self.partition.dir)?;
        }
        self.visible = match self.checkpoint.as_ref().map(CheckpointFile::read).transpose()?.flatten() {
            Some(checkpoint) if is_there(&self.partition.dir, checkpoint.visible) => checkpoint.visible,
            _ => view(&self.partition, self.checkpoint.as_ref())?.visible,
        };
        Ok(())
    }

    /// Opens the segment that holds `self.next` and goes to the batch with it.
    fn locate(&self) -> Result<Cursor, LogError> {
        self.locate_among(&segments(&self.partition.dir)?)
    }

    fn locate_among(&self, bases: &[Offset]) -> Result<Cursor, LogError> {
        let holds = bases.partition_point(|base| *base <= self.next);
        let Some(base) = holds.checked_sub(1).map(|i| bases[i]) else {
            if bases.is_empty() && self.visible.offset > self.next {
                let detail = "there is no segment file, and records were synced here".to_owned();
                return Err(self.partition.damaged(self.next, &self.partition.dir, 0, detail));
            }
            return Err(self.out_of_range(self.next, bases.first().copied().unwrap_or_default()));
        };
        match self.locate_in(base) {
            // Retention was faster.
            Err(error) if was_removed(&self.partition, base, &error)? => {
                let bases = segments(&self.partition.dir)?;
                Err(self.out_of_range(self.next, bases.first().copied().unwrap_or_default()))
            }
            other => other,
        }
    }

    fn locate_in(&self, base: Offset) -> Result<Cursor, LogError> {
        let (position, expected) = scan_start(&self.partition, base, self.next)?;
        let mut cursor = self.open_segment(base)?;
        let mut scan = Scan::open(&self.partition, cursor.path.clone(), position, expected)?;
        scan.limit = scan.limit.min(self.limit(base, scan.limit));
        (cursor.position, cursor.expected) = (position, expected);
        loop {
            match scan.next_header() {
                Ok(Some(_)) if scan.expected <= self.next => {
                    (cursor.position, cursor.expected) = (scan.position, scan.expected);
                }
                Ok(_) => break,
                Err(error) => return Err(scan.error(error)),
            }
        }
        Ok(cursor)
    }

    fn open_segment(&self, base: Offset) -> Result<Cursor, LogError> {
        let path = segment_path(&self.partition.dir, base, LOG);
        let file = match File::open(&path) {
            Ok(file) => file,
            // Retention was faster.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let bases = segments(&self.partition.dir)?;
                return Err(self.out_of_range(self.next, bases.first().copied().unwrap_or_default()));
            }
            Err(e) => return Err(io_error("open", &path)(e)),
        };
        Ok(Cursor { file, path, base, position: 0, expected: base, closed_len: None })
    }

    /// Up to which byte a segment may be read.
    fn limit(&self, base: Offset, file_len: u64) -> u64 {
        if base == self.visible.segment { self.visible.position } else { file_len }
    }

    /// Decodes the next batch. `false` at the end of the segment.
    fn step(&mut self, cursor: &mut Cursor, into: &mut RecordBuf) -> Result<bool, LogError> {
        let limit = if cursor.base == self.visible.segment {
            self.visible.position
        } else if let Some(len) = cursor.closed_len {
            len
        } else {
            let len = cursor.file.metadata().map_err(io_error("read", &cursor.path))?.len();
            cursor.closed_len = Some(len);
            len
        };
        let left = limit.saturating_sub(cursor.position);
        if left == 0 {
            return Ok(false);
        }
        let header = BatchHeader::parse(self.fill(cursor, BatchHeader::SIZE, left)?);
        let header = header.map_err(|e| self.damaged(cursor, &e))?;
        let have = usize::try_from(left).unwrap_or(usize::MAX);
        if header.total_len > have {
            return Err(self.damaged(cursor, &BatchError::Cut { need: header.total_len, have }));
        }
        if let Err(detail) = self.partition.check_offset(cursor.expected, header.base_offset) {
            return Err(self.partition.damaged(cursor.expected, &cursor.path, cursor.position, detail));
        }
        // A batch that was taken back is checked all the same.
        let next = if self.aborted.hold(&header) { Offset(u64::MAX) } else { self.next };
        match decode_batch(self.fill(cursor, header.total_len, left)?, next, into) {
            Ok(_) => self.chunk.from += header.total_len,
            Err(BatchError::BufferFull) => {
                let full =
                    std::io::Error::new(std::io::ErrorKind::OutOfMemory, BatchError::BufferFull.to_string());
                return Err(io_error("read", &cursor.path)(full));
            }
            Err(e) => return Err(self.damaged(cursor, &e)),
        }
        cursor.position += header.total_len as u64;
        cursor.expected = header.last_offset().next();
        self.next = self.next.max(cursor.expected);
        Ok(true)
    }

    fn damaged(&self, cursor: &Cursor, error: &BatchError) -> LogError {
        let synced = self.visible;
        let len = cursor.file.metadata().map_or(u64::MAX, |file| file.len());
        let detail = if cursor.base == synced.segment && len < synced.position {
            format!(
                "the file has {len} bytes and was synced up to byte {} (offset {}): records are gone",
                synced.position, synced.offset
            )
        } else {
            error.to_string()
        };
        self.partition.damaged(cursor.expected, &cursor.path, cursor.position, detail)
    }

    /// Has `need` bytes from the cursor's position on at hand, or as many as there are.
    fn fill(&mut self, cursor: &Cursor, need: usize, left: u64) -> Result<&[u8], LogError> {
        self.chunk.fill(&cursor.file, cursor.position, need, left).map_err(io_error("read", &cursor.path))?;
        Ok(self.chunk.rest())
    }

    /// Opens the segment behind the cursor's.
    fn next_segment(&self, cursor: &Cursor) -> Result<Cursor, LogError> {
        let bases = segments(&self.partition.dir)?;
        let behind = bases.partition_point(|base| *base <= cursor.base);
        let missing = |detail: &str| {
            Err(self.partition.damaged(cursor.expected, &cursor.path, cursor.position, detail.to_owned()))
        };
        let Some(&base) = bases.get(behind) else {
            return missing("the file ends before what was synced, and no segment follows");
        };
        if bases[0] > self.next && bases[0] > cursor.base {
            return Err(self.out_of_range(self.next, bases[0]));
        }
        match self.partition.check_offset(cursor.expected, base) {
            Ok(()) => self.open_segment(base),
            Err(_) => missing(&format!("the file ends here, and the next segment begins at offset {base}")),
        }
    }

    fn read_on(&mut self, cursor: &mut Cursor, into: &mut RecordBuf) -> Result<(), LogError> {
        if !self.step(cursor, into)? {
            *cursor = self.next_segment(cursor)?;
            self.chunk.clear();
        }
        Ok(())
    }
}

impl PartitionReader for FileReader {
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError> {
        let (records_before, bytes_before) = (into.len(), into.bytes.len());
        if self.next >= self.visible.offset {
            self.refresh()?;
        }
        while self.next < self.visible.offset {
            let added = into.len() - records_before;
            if added > 0 && into.bytes.len() - bytes_before >= max_bytes {
                break;
            }
            let mut cursor = match self.cursor.take() {
                Some(cursor) => cursor,
                None => {
                    self.chunk.clear();
                    self.aborted = Aborted::read(&self.partition)?;
                    self.locate()?
                }
            };
            let result = self.read_on(&mut cursor, into);
            self.cursor = Some(cursor);
            match result {
                Ok(()) => {}
                // What was read is good; the next call meets the trouble again.
                Err(_) if into.len() > records_before => break,
                Err(error) => return Err(error),
            }
        }
        Ok(into.len() - records_before)
    }

    fn position(&self) -> Offset {
        self.next
    }

    fn seek(&mut self, to: Offset) -> Result<(), LogError> {
        let view = view(&self.partition, self.checkpoint.as_ref())?;
        self.visible = view.visible;
        if to < view.start || to > view.bounds().end {
            return Err(self.out_of_range(to, view.start));
        }
        self.next = to;
        self.cursor = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use types::{EventTime, PartitionId};

    use super::super::FileLog;
    use super::super::names::INDEX;
    use super::*;
    use crate::{Log, LogOptions, TopicConfig};

    #[test]
    fn a_segment_that_retention_removed_meanwhile_is_out_of_range() {
        let dir = tempfile::tempdir().unwrap();
        let options = LogOptions { segment_bytes: 500, index_interval_bytes: 0, ..LogOptions::default() };
        let log = FileLog::new(dir.path(), options);
        let config = TopicConfig { partitions: 1, key: String::new(), partitioner: "explicit".into() };
        log.create_topic("t", &config).unwrap();
        let mut writer = log.writer("t").unwrap().partition(PartitionId(0)).unwrap();
        for n in 0..40 {
            writer.append(EventTime(n), b"", b"value", &[]).unwrap();
            writer.sync().unwrap();
        }
        let partition = log.partition("t", PartitionId(0)).unwrap();
        let bases = segments(&partition.dir).unwrap();
        let reader = FileReader::open(partition.clone(), Offset(3)).unwrap();
        // The log goes first; its index is still there when the reader, who saw both, comes to look into it.
        std::fs::remove_file(segment_path(&partition.dir, bases[0], LOG)).unwrap();
        for _ in 0..2 {
            let error = reader.locate_among(&bases).unwrap_err();
            let LogError::OutOfRange { offset, start, .. } = error else { panic!("{error}") };
            assert_eq!((offset, start), (Offset(3), bases[1]));
            let _ = std::fs::remove_file(segment_path(&partition.dir, bases[0], INDEX));
        }
    }
}
