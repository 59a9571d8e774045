//! What a broker's transactions took back: the `.txnindex` files beside segments copied from it.
//!
//! 34 bytes an entry: version 0 (i16), producer id, first offset, last offset, last stable offset (i64 each). A producer's
//! transactional batches between first and last were aborted. An entry may stand in a later segment than its records.

use std::fs;

use types::Offset;

use super::names::io_error;
use super::scan::Partition;
use crate::LogError;
use crate::format::BatchHeader;

const ENTRY: usize = 34;

/// The aborted transactions of a partition.
#[derive(Debug, Default)]
pub(super) struct Aborted(Vec<Transaction>);

#[derive(Debug, PartialEq, Eq)]
struct Transaction {
    producer: i64,
    first: Offset,
    last: Offset,
}

impl Aborted {
    /// Reads them all. We write none, so topics of ours have none.
    pub(super) fn read(partition: &Partition) -> Result<Self, LogError> {
        let mut found = Vec::new();
        if partition.dense {
            return Ok(Self(found));
        }
        for entry in fs::read_dir(&partition.dir).map_err(io_error("list", &partition.dir))? {
            let path = entry.map_err(io_error("list", &partition.dir))?.path();
            if path.extension().is_some_and(|suffix| suffix == "txnindex") {
                let bytes = fs::read(&path).map_err(io_error("read", &path))?;
                found.extend(bytes.chunks_exact(ENTRY).map(|entry| {
                    let number = |at: usize| entry[at..at + 8].iter().fold(0, |n, b| n << 8 | u64::from(*b));
                    Transaction {
                        producer: number(2) as i64,
                        first: Offset(number(10)),
                        last: Offset(number(18)),
                    }
                }));
            }
        }
        Ok(Self(found))
    }

    /// Whether a batch was taken back.
    pub(super) fn hold(&self, batch: &BatchHeader) -> bool {
        batch.is_transactional()
            && self.0.iter().any(|transaction| {
                transaction.producer == batch.producer_id
                    && (transaction.first..=transaction.last).contains(&batch.base_offset)
            })
    }
}
