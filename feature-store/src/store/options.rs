//! What a store is told when it is opened.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a store was built from. State means nothing without it, so opening with another identity is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreIdentity {
    /// The feature spec's hash, as its 16 hexadecimal digits.
    pub spec_hash: String,
    /// The topic that was read.
    pub topic: String,
    /// How many partitions it has.
    pub partitions: u32,
}

/// How much memory and disk bandwidth a store may take.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Bytes of decoded states, keys and their index, over all partitions of the process. Users who have been quiet
    /// longest leave memory first. Held between batches, not within one.
    pub memory: usize,
    /// How long changes wait before their block is written. A block is written at most once in this time, so longer
    /// means less writing and a longer replay after a crash.
    pub snapshot_interval: Duration,
    /// Bytes of blocks written per second, over all partitions. Passed over while memory is short and when everything
    /// is to be written.
    pub bandwidth: u64,
    /// The encoded size that blocks should have. They are split when they are twice as large. sled keeps sixteen of them in a
    /// leaf and holds some hundred leaves whatever its cache may be: smaller blocks take less memory and lose less where few
    /// users of a block changed, larger ones cost less time where most did.
    pub block_bytes: usize,
    /// Bytes of the database's own cache. sled takes about half the size of its data beyond this.
    pub cache: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            memory: 512 << 20,
            snapshot_interval: Duration::from_secs(10),
            bandwidth: 32 << 20,
            block_bytes: 8 << 10,
            cache: 64 << 20,
        }
    }
}
