//! The records themselves, for people and scripts.

use std::fmt::Write as _;

use serde::Serialize;
use types::{EventTime, Offset, PartitionId};

use super::{READ_BYTES, partitions, require};
use crate::{Log, LogError, Record, RecordBuf};

/// Which records to show.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Of this partition only; `None`: of all, one after the other.
    pub partition: Option<PartitionId>,
    /// From this offset on; `None`: from the start. What is before the start begins at the start.
    pub from: Option<Offset>,
    /// From the first record at or after this timestamp on.
    pub since: Option<EventTime>,
    /// Only records of this key.
    pub key: Option<String>,
    /// At most so many; `None`: all.
    pub limit: Option<u64>,
}

/// A record as text. Bytes that are no UTF-8 stand as `hex:` and their digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DumpedRecord {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: Offset,
    /// Its Kafka timestamp.
    pub timestamp: EventTime,
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// Its headers, name and value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

impl DumpedRecord {
    fn new(partition: PartitionId, record: &Record<'_>) -> Self {
        Self {
            partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: text(record.key),
            value: text(record.value),
            headers: record.headers().map(|(name, value)| (text(name), text(value))).collect(),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("hex:".to_owned(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        }),
    }
}

/// Gives the selected records to `show`, in order of partition and offset, until it says `false`. Returns how many it got.
///
/// # Errors
/// If there is no such topic or partition, or it is damaged: what is before the damage is shown first.
pub fn dump(
    log: &dyn Log,
    topic: &str,
    selection: &Selection,
    mut show: impl FnMut(&DumpedRecord) -> bool,
) -> Result<u64, LogError> {
    let config = require(log, topic)?;
    let wanted: Vec<_> = match selection.partition {
        Some(partition) => vec![partition],
        None => partitions(&config).collect(),
    };
    let limit = selection.limit.unwrap_or(u64::MAX);
    let mut shown = 0;
    let mut buf = RecordBuf::default();
    for partition in wanted {
        let bounds = log.bounds(topic, partition)?;
        let mut from = selection.from.unwrap_or(bounds.start).clamp(bounds.start, bounds.end);
        if let Some(since) = selection.since {
            from = from.max(log.offset_at(topic, partition, since)?);
        }
        let mut reader = log.reader(topic, partition, from)?;
        loop {
            buf.clear();
            if shown == limit || reader.read(&mut buf, READ_BYTES)? == 0 {
                break;
            }
            for record in buf.iter() {
                let key_fits = selection.key.as_ref().is_none_or(|key| key.as_bytes() == record.key);
                if key_fits && shown < limit {
                    shown += 1;
                    if !show(&DumpedRecord::new(partition, &record)) {
                        return Ok(shown);
                    }
                }
            }
        }
    }
    Ok(shown)
}
