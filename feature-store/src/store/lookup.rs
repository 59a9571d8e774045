//! Reading users who are not in memory from their blocks.

use super::StoreError;
use super::directory::{BlockId, ColdUsers};
use super::keys::Records;
use super::partition::PartitionStore;
use crate::StateValue;

impl<S: StateValue> PartitionStore<S> {
    /// Reads a block's header if it was not read or written yet.
    pub(super) fn know(&mut self, id: BlockId) -> Result<(), StoreError> {
        if self.blocks[id].applied.is_none() {
            self.read_block(id, self.blocks[id].range.start, |_| Ok(()))?;
        }
        Ok(())
    }

    /// The state of a user who is not in memory, from their block.
    pub(super) fn read_user(&mut self, id: BlockId, hash: u64, key: &str) -> Result<Option<S>, StoreError> {
        if self.blocks[id].cold.as_ref().is_some_and(|cold| !cold.may_hold(hash)) {
            return Ok(None);
        }
        self.read_block(id, hash, |block| {
            let state = block.find(key)?;
            state.map(S::decode).transpose().map_err(|error| format!("user `{key}`: {error}"))
        })
    }

    /// Reads the block that a hash lies in, and learns what is not known of it yet.
    fn read_block<T>(
        &mut self,
        id: BlockId,
        hash: u64,
        read: impl FnOnce(&super::block::Block<'_>) -> Result<T, String>,
    ) -> Result<T, StoreError> {
        let info = &mut self.blocks[id];
        let records = Records { tree: &*self.tree, partition: self.partition };
        let block = records.block(info.range, hash, &mut self.buf)?;
        // Nobody of a block that was never read is in memory, and nothing of it is in flight.
        if info.applied.is_none() {
            let mut cold = ColdUsers::default();
            block
                .for_each(|entry| cold.add(entry.hash))
                .map_err(|detail| records.damaged(info.range, detail))?;
            info.applied = Some(block.applied);
            info.cold = Some(cold);
        }
        read(&block).map_err(|detail| records.damaged(info.range, detail))
    }
}
