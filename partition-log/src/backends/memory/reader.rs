//! Reading and watching topics in memory.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use types::{Offset, PartitionId};

use super::{Topic, lock};
use crate::{LogError, PartitionReader, RecordBuf, Watch};

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) topic: Arc<Topic>,
    pub(super) partition: PartitionId,
    pub(super) next: Offset,
}

impl PartitionReader for Reader {
    fn read(&mut self, into: &mut RecordBuf, max_bytes: usize) -> Result<usize, LogError> {
        self.topic.check_range(self.partition, self.next)?;
        let (records_before, bytes_before) = (into.len(), into.bytes.len());
        let state = lock(self.topic.partition(self.partition)?);
        let from = state.find(self.next);
        // The batches are shared, so the writer need not wait for the copying.
        let mut batches = Vec::new();
        let mut bytes = 0;
        for batch in &state.batches[from..state.visible.max(from)] {
            if bytes >= max_bytes && !batches.is_empty() {
                break;
            }
            bytes += batch.records.bytes.len();
            batches.push(Arc::clone(batch));
        }
        drop(state);
        for batch in batches {
            if into.bytes.len() - bytes_before >= max_bytes && into.len() > records_before {
                break;
            }
            into.extend_from(&batch.records, self.next);
            self.next = batch.end;
        }
        Ok(into.len() - records_before)
    }

    fn position(&self) -> Offset {
        self.next
    }

    fn seek(&mut self, to: Offset) -> Result<(), LogError> {
        self.topic.check_range(self.partition, to)?;
        self.next = to;
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct MemoryWatch {
    pub(super) topic: Arc<Topic>,
    pub(super) seen: u64,
}

impl Watch for MemoryWatch {
    fn wait(&mut self, timeout: Duration) -> Result<bool, LogError> {
        let until = Instant::now() + timeout;
        let mut syncs = lock(&self.topic.syncs);
        while *syncs == self.seen {
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Ok(false);
            };
            (syncs, _) = self.topic.grown.wait_timeout(syncs, left).unwrap_or_else(PoisonError::into_inner);
        }
        self.seen = *syncs;
        Ok(true)
    }
}
