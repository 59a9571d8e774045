//! Checking every byte of a partition.

use std::path::Path;

use types::{EventTime, Offset};

use super::index::{Moment, Position, read_all};
use super::locate::{View, was_removed};
use super::names::{INDEX, LOG, TIME_INDEX, segment_path, segments};
use super::scan::{Partition, Scan, ScanError};
use crate::format::{BatchHeader, decode_batch};
use crate::{Finding, LogError, PartitionCheck, RecordBuf, TopicConfig, partition_for};

/// A batch as the indexes should know it.
struct Seen {
    last: Offset,
    position: u64,
    /// The newest timestamp in the segment up to and with this batch.
    newest: i64,
}

struct Check<'a> {
    partition: &'a Partition,
    config: &'a TopicConfig,
    result: PartitionCheck,
    /// Records that lie in another partition than their key's.
    misplaced: Option<(Finding, u64)>,
}

/// Checks what is visible of a partition: batches, records, indexes, and that keys are where they belong.
pub(super) fn verify(
    partition: &Partition,
    view: &View,
    config: &TopicConfig,
) -> Result<PartitionCheck, LogError> {
    let result = PartitionCheck {
        partition: partition.id,
        records: 0,
        batches: 0,
        unsynced_bytes: 0,
        findings: Vec::new(),
        notes: Vec::new(),
    };
    let mut check = Check { partition, config, result, misplaced: None };
    let mut expected = None;
    for base in segments(&partition.dir)? {
        let path = segment_path(&partition.dir, base, LOG);
        let mut scan = match Scan::open(partition, path, 0, base) {
            // Retention was faster: what comes next is the first there is.
            Err(error) if was_removed(partition, base, &error)? => {
                expected = None;
                continue;
            }
            opened => opened?,
        };
        if base >= view.visible.segment {
            let limit = if base == view.visible.segment { view.visible.position } else { 0 };
            check.result.unsynced_bytes += scan.limit.saturating_sub(limit);
            scan.limit = scan.limit.min(limit);
        }
        if base > view.visible.segment {
            continue;
        }
        if let Some(Err(detail)) = expected.map(|expected| partition.check_offset(expected, base)) {
            check.find(expected.unwrap_or(base), &scan.path, 0, detail);
        }
        let findings_before = check.result.findings.len();
        let seen = check.batches(&mut scan)?;
        if check.result.findings.len() == findings_before {
            check.indexes(base, &seen, base < view.visible.segment, scan.limit)?;
        }
        expected = Some(scan.expected);
    }
    let end = expected.unwrap_or(view.start);
    if let Some(gone) = view.gone.filter(|gone| gone.end > end) {
        let last = gone.end.0 - 1;
        let detail = if gone.synced {
            format!("offsets {end} to {last} were synced and are gone")
        } else {
            format!(
                "offsets {end} to {last} could be read, were not synced, and are gone; the next writer goes on at {end}"
            )
        };
        let path = segment_path(&partition.dir, view.visible.segment, LOG);
        check.find(end, &path, 0, detail);
    }
    if let Some((mut finding, count)) = check.misplaced.take() {
        finding.detail = format!("{}; {count} such records", finding.detail);
        check.result.findings.push(finding);
    }
    Ok(check.result)
}

impl Check<'_> {
    fn find(&mut self, offset: Offset, path: &Path, position: u64, detail: String) {
        self.result.findings.push(Finding { offset, path: path.display().to_string(), position, detail });
    }

    /// Reads a segment's batches, going on behind bad ones.
    fn batches(&mut self, scan: &mut Scan<'_>) -> Result<Vec<Seen>, LogError> {
        let (mut seen, mut newest) = (Vec::new(), i64::MIN);
        let mut records = RecordBuf::default();
        loop {
            let (position, expected) = (scan.position, scan.expected);
            let path = scan.path.clone();
            match scan.next_batch() {
                Ok(None) => return Ok(seen),
                Ok(Some((header, bytes))) => {
                    records.clear();
                    if let Err(error) = decode_batch(bytes, Offset::ZERO, &mut records) {
                        self.find(expected, &path, position, error.to_string());
                    } else {
                        self.records(&header, &records, &path, position);
                    }
                    newest = newest.max(header.max_timestamp);
                    seen.push(Seen { last: header.last_offset(), position, newest });
                }
                Err(ScanError::Io(error)) => return Err(error),
                Err(ScanError::Bad(detail)) => {
                    let next = scan.next_whole_batch()?;
                    let rest = match next {
                        Some((_, offset)) => {
                            format!("{detail}; offsets {expected} to {} are lost", offset.0 - 1)
                        }
                        None => format!("{detail}; nothing behind it in this file can be read"),
                    };
                    self.find(expected, &path, position, rest);
                    let Some((position, offset)) = next else { return Ok(seen) };
                    (scan.position, scan.expected) = (position, offset);
                }
            }
        }
    }

    fn records(&mut self, header: &BatchHeader, records: &RecordBuf, path: &Path, position: u64) {
        self.result.batches += 1;
        self.result.records += records.len() as u64;
        // Fewer records than offsets are what a purge leaves, and are covered by the checksum.
        if self.partition.dense && records.len() as u64 > u64::from(header.last_offset_delta) + 1 {
            let detail = format!("the batch has {} records for its offsets", records.len());
            self.find(header.base_offset, path, position, detail);
        }
        // Folders copied from a broker may lack partitions, so their number is not known.
        if !self.partition.dense || self.config.partitioner != "murmur2" {
            return;
        }
        for record in records.iter().filter(|record| !record.key.is_empty()) {
            let right = partition_for(record.key, self.config.partitions);
            if right == self.partition.id {
                continue;
            }
            let (_, count) = self.misplaced.get_or_insert_with(|| {
                let detail = format!("the record's key belongs in partition {right}");
                (Finding { offset: record.offset, path: path.display().to_string(), position, detail }, 0)
            });
            *count += 1;
        }
    }

    /// Compares a sound segment's indexes with its batches. Entries behind `limit` are still being written.
    fn indexes(&mut self, base: Offset, seen: &[Seen], closed: bool, limit: u64) -> Result<(), LogError> {
        let path = segment_path(&self.partition.dir, base, INDEX);
        if let Some(positions) = self.entries::<Position>(&path, base, seen.is_empty())? {
            let right = |entry: &Position| {
                let at = seen.partition_point(|batch| batch.position < entry.position);
                seen.get(at).is_some_and(|batch| {
                    batch.position == entry.position
                        && (batch.last == entry.offset
                            || (!self.partition.dense && batch.last < entry.offset))
                })
            };
            if let Some(wrong) = positions.iter().find(|entry| entry.position < limit && !right(entry)) {
                self.stale(wrong.offset, &path);
            }
        }
        let path = segment_path(&self.partition.dir, base, TIME_INDEX);
        if let Some(moments) = self.entries::<Moment>(&path, base, seen.is_empty())? {
            let end = seen.last().map_or(base, |batch| batch.last.next());
            let right = |entry: &Moment| {
                let at = seen.partition_point(|batch| batch.last < entry.offset);
                let before = at.checked_sub(1).map_or(i64::MIN, |i| seen[i].newest);
                EventTime(before) <= entry.timestamp
            };
            let newest = seen.last().map(|batch| EventTime(batch.newest));
            let short =
                closed && newest.is_some_and(|n| moments.last().is_none_or(|last| last.timestamp < n));
            if let Some(wrong) = moments.iter().find(|entry| entry.offset < end && !right(entry)) {
                self.stale(wrong.offset, &path);
            } else if short {
                self.stale(base, &path);
            }
        }
        Ok(())
    }

    fn entries<E: super::index::Entry>(
        &mut self,
        path: &Path,
        base: Offset,
        empty: bool,
    ) -> Result<Option<Vec<E>>, LogError> {
        let entries = read_all::<E>(path, base)?;
        if entries.is_none() && !empty {
            let note = format!("{} is missing or torn; the next writer makes it again", path.display());
            self.result.notes.push(note);
        }
        Ok(entries)
    }

    fn stale(&mut self, offset: Offset, path: &Path) {
        let detail =
            "the index does not fit the log; remove it, and the next writer makes it again".to_owned();
        self.find(offset, path, 0, detail);
    }
}
