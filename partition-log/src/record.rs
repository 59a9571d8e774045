//! Records as readers see them: borrowed from a buffer that is reused from read to read.

use types::{EventTime, Offset, headers};

use crate::format::{push_varint, read_varint};

/// One record, borrowed from a [`RecordBuf`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Record<'a> {
    /// Its place in the partition.
    pub offset: Offset,
    /// Its time: for events the arrival time, for scores the as-of time. Kafka's timestamp, unless it was written to Kafka later
    /// ([`headers::TIME`]).
    pub timestamp: EventTime,
    /// What chose its partition; empty if it has none.
    pub key: &'a [u8],
    /// Its content; empty if it has none.
    pub value: &'a [u8],
    pub(crate) headers: &'a [u8],
    pub(crate) header_count: u32,
}

impl<'a> Record<'a> {
    /// Its headers in order: name and value. A value of null is given as empty.
    #[must_use]
    pub const fn headers(&self) -> Headers<'a> {
        Headers { rest: self.headers, left: self.header_count }
    }

    /// The value of the last header named so, as Kafka's `lastHeader`. O(number of headers).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.headers().filter(|(n, _)| *n == name.as_bytes()).map(|(_, value)| value).last()
    }
}

/// The record's own time, if its first header says it: on Kafka it was written later, at `written`. A header that says otherwise
/// is none of ours, and stays one.
pub(crate) fn own_time((name, value): (&[u8], &[u8]), written: EventTime) -> Option<EventTime> {
    if name != headers::TIME.as_bytes() {
        return None;
    }
    Some(EventTime(std::str::from_utf8(value).ok()?.parse().ok()?)).filter(|own| *own < written)
}

/// The headers of a record: name and value of each. Names are UTF-8 unless a foreign writer broke the rule.
#[derive(Debug, Clone)]
pub struct Headers<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some((self.part()?, self.part()?))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Headers<'_> {}

impl<'a> Headers<'a> {
    /// The decoder has checked every length already, so `None` does not come.
    fn part(&mut self) -> Option<&'a [u8]> {
        let mut at = 0;
        let len = usize::try_from(read_varint(self.rest, &mut at)?).unwrap_or(0);
        let part = self.rest.get(at..at + len)?;
        self.rest = &self.rest[at + len..];
        Some(part)
    }
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

    /// The index of the first record at or after `offset`; how many there are if all lie before it. O(log n).
    #[must_use]
    pub fn index_of(&self, offset: Offset) -> usize {
        self.entries.partition_point(|entry| entry.offset < offset)
    }

    /// Adds a copy of another buffer's record. O(its bytes).
    ///
    /// # Panics
    /// If the buffer would grow beyond 4 GiB.
    pub fn push(&mut self, record: &Record<'_>) {
        let mut part = |bytes: &[u8]| {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            assert!(u32::try_from(self.bytes.len()).is_ok(), "a block of records holds less than 4 GiB");
            (start as u32, self.bytes.len() as u32)
        };
        let (key, value, headers) = (part(record.key), part(record.value), part(record.headers));
        self.entries.push(Entry {
            offset: record.offset,
            timestamp: record.timestamp,
            key,
            value,
            headers,
            header_count: record.header_count,
        });
    }

    /// How many bytes its records take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a record of these parts. O(its bytes).
    ///
    /// # Panics
    /// If the buffer would grow beyond 4 GiB.
    pub fn push_parts<'h>(
        &mut self,
        offset: Offset,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: impl Iterator<Item = (&'h [u8], &'h [u8])>,
    ) {
        let place = |bytes: &Vec<u8>, start: usize| {
            assert!(u32::try_from(bytes.len()).is_ok(), "a block of records holds less than 4 GiB");
            (start as u32, bytes.len() as u32)
        };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(key);
        let key = place(&self.bytes, start);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(value);
        let value = place(&self.bytes, start);
        let start = self.bytes.len();
        let mut header_count = 0;
        for (name, value) in headers {
            for part in [name, value] {
                push_varint(&mut self.bytes, part.len() as i64);
                self.bytes.extend_from_slice(part);
            }
            header_count += 1;
        }
        let headers = place(&self.bytes, start);
        self.entries.push(Entry { offset, timestamp, key, value, headers, header_count });
    }

    /// The records in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'_>> {
        self.entries.iter().map(|entry| self.record(entry))
    }

    /// Appends the records of another buffer whose offset is at least `from`. O(bytes of the other).
    pub(crate) fn extend_from(&mut self, other: &Self, from: Offset) {
        let base = self.bytes.len() as u32;
        let moved = |(start, end): (u32, u32)| (start + base, end + base);
        self.bytes.extend_from_slice(&other.bytes);
        self.entries.extend(other.entries.iter().filter(|e| e.offset >= from).map(|e| Entry {
            key: moved(e.key),
            value: moved(e.value),
            headers: moved(e.headers),
            ..*e
        }));
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
