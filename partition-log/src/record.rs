//! Records as readers see them: borrowed from a buffer that is reused from read to read.

use types::{EventTime, Offset};

/// One record, borrowed from a [`RecordBuf`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its Kafka timestamp: for events the arrival time, for scores the as-of time.
    pub timestamp: EventTime,
    /// What chose its partition; empty if it has none.
    pub key: &'a [u8],
    /// Its content; empty if it has none.
    pub value: &'a [u8],
    pub(crate) headers: &'a [u8],
    pub(crate) header_count: u32,
}

/// Records of one partition, in order, in one block of memory. `clear` keeps the memory for the next read.
#[derive(Debug, Default)]
pub struct RecordBuf {
    pub(crate) bytes: Vec<u8>,
    pub(crate) entries: Vec<Entry>,
}

/// Where a record's parts lie in `RecordBuf::bytes`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) offset: Offset,
    pub(crate) timestamp: EventTime,
    pub(crate) key: (u32, u32),
    pub(crate) value: (u32, u32),
    /// Kafka's encoding of the headers, without their count.
    pub(crate) headers: (u32, u32),
    pub(crate) header_count: u32,
}

impl RecordBuf {
    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The record at `index`, counted from 0. O(1).
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.entries.get(index).map(|entry| self.record(entry))
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.entries.iter().map(|entry| self.record(entry))
    }

    fn record(&self, entry: &Entry) -> Record<'_> {
        let part = |(from, to): (u32, u32)| &self.bytes[from as usize..to as usize];
        Record {
            offset: entry.offset,
            timestamp: entry.timestamp,
            key: part(entry.key),
            value: part(entry.value),
            headers: part(entry.headers),
            header_count: entry.header_count,
        }
    }
}
