//! External merge sort: items go through sorted runs in temporary files, so neither memory nor
//! the number of open files grows with the input.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use types::{EventTime, RejectReason};

use super::feed::{Body, Item};

/// Sorts items by arrival; equal ones stay in the order in which they were added.
#[derive(Debug)]
pub(crate) struct Sorter {
    folder: PathBuf,
    memory: usize,
    bytes: Vec<u8>,
    index: Vec<(EventTime, usize)>,
    /// Sorted runs on disk, by how many times they were merged. Those of a higher level, and within a level those before
    /// others, hold what was added earlier.
    runs: Vec<Vec<File>>,
    /// So many of a level are merged into one of the next.
    most: usize,
}

/// Bytes of the fixed part of an encoded item: arrival, file, line, part, kind, ts, and the lengths of its two byte strings.
const FIXED: usize = 8 + 4 + 8 + 4 + 1 + 8 + 4 + 4;
const READ: usize = 64 << 10;
/// With three levels this is far more than any disk holds, and some 200 files are open.
const MOST_RUNS: usize = 64;

impl Sorter {
    /// A sorter with temporary files in `folder` (unlinked, so that they vanish with the process) whose runs take about
    /// `memory` bytes.
    pub(crate) fn new(folder: PathBuf, memory: usize) -> Self {
        Self { folder, memory, bytes: Vec::new(), index: Vec::new(), runs: Vec::new(), most: MOST_RUNS }
    }

    /// Adds an item. O(size), and now and then O(run) for a run that is full.
    pub(crate) fn add(&mut self, item: &Item<'_>) -> io::Result<()> {
        self.index.push((item.arrival, self.bytes.len()));
        encode(item, &mut self.bytes);
        let used = self.bytes.len() + self.index.len() * size_of::<(EventTime, usize)>();
        if used >= self.memory { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        // Stable, and the position tells the order of adding anyway.
        self.index.sort_unstable();
        let mut run = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.folder)?);
        for (_, at) in &self.index {
            let length = length_at(&self.bytes, *at);
            run.write_all(&self.bytes[*at..*at + length])?;
        }
        let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        self.bytes.clear();
        self.index.clear();
        self.add_run(file, 0)
    }

    /// Adds a run, and merges those of its level if they are many: the number of open files is bounded too.
    fn add_run(&mut self, file: File, level: usize) -> io::Result<()> {
        if self.runs.len() == level {
            self.runs.push(Vec::new());
        }
        self.runs[level].push(file);
        if self.runs[level].len() < self.most {
            return Ok(());
        }
        let mut run = BufWriter::with_capacity(1 << 20, tempfile::tempfile_in(&self.folder)?);
        merge(std::mem::take(&mut self.runs[level]), |item| run.write_all(item).map(|()| true))?;
        let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        self.add_run(file, level + 1)
    }

    /// Calls `visit` with every item in order until it says to stop by `false`. Memory: a buffer for each run.
    pub(crate) fn drain<E: From<io::Error>>(
        mut self,
        mut visit: impl FnMut(&Item<'_>) -> Result<bool, E>,
    ) -> Result<(), E> {
        if self.runs.is_empty() {
            self.index.sort_unstable();
            for (_, at) in &self.index {
                if !visit(&decode(&self.bytes[*at..])?)? {
                    break;
                }
            }
            return Ok(());
        }
        self.spill()?;
        (self.bytes, self.index) = (Vec::new(), Vec::new());
        merge(self.runs.into_iter().rev().flatten().collect(), |item| visit(&decode(item)?))
    }
}

/// Calls `visit` with the bytes of every item of sorted runs, in order, until it says to stop. Of equal ones that of the
/// earlier run comes first.
fn merge<E: From<io::Error>>(
    runs: Vec<File>,
    mut visit: impl FnMut(&[u8]) -> Result<bool, E>,
) -> Result<(), E> {
    let mut runs: Vec<Run> = runs.into_iter().map(Run::new).collect();
    let mut heap = BinaryHeap::with_capacity(runs.len());
    for (number, run) in runs.iter_mut().enumerate() {
        if run.advance()? {
            heap.push(Reverse((run.arrival(), number)));
        }
    }
    while let Some(Reverse((_, number))) = heap.pop() {
        let run = &mut runs[number];
        if !visit(&run.item)? {
            break;
        }
        if run.advance()? {
            heap.push(Reverse((run.arrival(), number)));
        }
    }
    Ok(())
}

struct Run {
    file: BufReader<File>,
    item: Vec<u8>,
}

impl Run {
    fn new(file: File) -> Self {
        Self { file: BufReader::with_capacity(READ, file), item: Vec::new() }
    }

    fn advance(&mut self) -> io::Result<bool> {
        self.item.resize(FIXED, 0);
        let mut filled = 0;
        while filled < FIXED {
            match self.file.read(&mut self.item[filled..])? {
                0 if filled == 0 => return Ok(false),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => filled += n,
            }
        }
        let length = length_at(&self.item, 0);
        self.item.resize(length, 0);
        self.file.read_exact(&mut self.item[FIXED..])?;
        Ok(true)
    }

    fn arrival(&self) -> EventTime {
        EventTime(i64::from_le_bytes(array(&self.item, 0)))
    }
}

fn encode(item: &Item<'_>, out: &mut Vec<u8>) {
    let (kind, ts, first, second) = match &item.body {
        Body::Event { ts, key, value } => (u8::MAX, *ts, *key, *value),
        Body::Reject { reason, detail, original } => {
            let kind = RejectReason::ALL.iter().position(|r| r == reason).unwrap_or(0) as u8;
            (kind, item.arrival, detail.as_bytes(), *original)
        }
    };
    out.extend_from_slice(&item.arrival.0.to_le_bytes());
    out.extend_from_slice(&(item.file as u32).to_le_bytes());
    out.extend_from_slice(&item.line.to_le_bytes());
    out.extend_from_slice(&item.part.to_le_bytes());
    out.push(kind);
    out.extend_from_slice(&ts.0.to_le_bytes());
    out.extend_from_slice(&(first.len() as u32).to_le_bytes());
    out.extend_from_slice(&(second.len() as u32).to_le_bytes());
    out.extend_from_slice(first);
    out.extend_from_slice(second);
}

fn decode(bytes: &[u8]) -> io::Result<Item<'_>> {
    let split = FIXED + u32::from_le_bytes(array(bytes, 33)) as usize;
    let (first, second) = (&bytes[FIXED..split], &bytes[split..length_at(bytes, 0)]);
    let body = match RejectReason::ALL.get(usize::from(bytes[24])) {
        None => {
            Body::Event { ts: EventTime(i64::from_le_bytes(array(bytes, 25))), key: first, value: second }
        }
        Some(reason) => {
            let detail =
                std::str::from_utf8(first).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            Body::Reject { reason: *reason, detail, original: second }
        }
    };
    Ok(Item {
        file: u32::from_le_bytes(array(bytes, 8)) as usize,
        line: u64::from_le_bytes(array(bytes, 12)),
        part: u32::from_le_bytes(array(bytes, 20)),
        arrival: EventTime(i64::from_le_bytes(array(bytes, 0))),
        body,
    })
}

fn length_at(bytes: &[u8], at: usize) -> usize {
    let length = |from| u32::from_le_bytes(array(bytes, at + from)) as usize;
    FIXED + length(33) + length(37)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(arrival: i64, line: u64, value: &[u8]) -> Item<'_> {
        let body = if line.is_multiple_of(7) {
            Body::Reject { reason: RejectReason::Mapping, detail: "wrong", original: value }
        } else {
            Body::Event { ts: EventTime(arrival - 5), key: b"key", value }
        };
        Item { file: 3, line, part: 1, arrival: EventTime(arrival), body }
    }

    proptest::proptest! {
        #[test]
        fn runs_or_not_the_order_is_that_of_a_stable_sort(times in proptest::collection::vec(-50_i64..50, 0..400), memory in 100_usize..20_000, most in 2_usize..5) {
            let values: Vec<Vec<u8>> = times.iter().map(|t| vec![b'x'; (t + 50) as usize]).collect();
            let items: Vec<Item<'_>> = (1..).zip(times.iter().zip(&values)).map(|(i, (t, v))| item(*t, i, v)).collect();
            let mut sorter = Sorter::new(std::env::temp_dir(), memory);
            sorter.most = most;
            for item in &items {
                sorter.add(item).unwrap();
            }
            assert!(sorter.runs.iter().all(|level| level.len() < most), "few files are open");
            let mut expected = items.clone();
            expected.sort_by_key(|item| item.arrival);
            let mut at = 0;
            sorter.drain(|item| {
                assert_eq!(item, &expected[at]);
                at += 1;
                Ok::<_, io::Error>(true)
            }).unwrap();
            proptest::prop_assert_eq!(at, items.len());
        }
    }
}
