//! Reads of a store that no consumer has open.

use std::path::{Path, PathBuf};

use feature_store::{Spec, Store, StoreOptions, UserState};
use partition_log::partition_for;
use types::{EventTime, Offset};

use crate::{ConsumerError, FeatureReading, ReadStatus};

/// The copy of the spec that a store was made with.
const SPEC: &str = "spec.toml";

/// Where a store keeps a copy of its spec.
#[must_use]
pub fn spec_of(store: &Path) -> PathBuf {
    store.join(SPEC)
}

/// Keeps a copy of the spec beside the state that was made with it, so that reads need nothing else.
pub(crate) fn keep_spec(store: &Path, spec: &Path) -> Result<(), ConsumerError> {
    let kept = spec_of(store);
    if kept.exists() {
        return Ok(());
    }
    std::fs::copy(spec, &kept).map(drop).map_err(|source| ConsumerError::Io {
        action: format!("copy the spec to {}", kept.display()),
        source,
    })
}

/// Reads a user's features from a store, as far as its blocks reach: after a clean end they hold everything; after a crash
/// the reading may be stale, and says so.
///
/// # Errors
/// If a consumer has the store open, or it cannot be read.
pub fn read_store(
    store: &Path,
    entity: &str,
    as_of: Option<EventTime>,
) -> Result<FeatureReading, ConsumerError> {
    let spec = Spec::load(&spec_of(store))?;
    let identity = feature_store::store::identity(store)?;
    let partition = partition_for(entity.as_bytes(), identity.partitions);
    let opened = Store::open(store, &identity, StoreOptions::default())?;
    let mut users = opened.partition::<UserState>(partition)?;
    let committed = users.committed().map_or(Offset::ZERO, |commit| commit.next_input);
    let position = users.replay_from();
    let slot = users.get(entity)?;
    let state = slot.map(|slot| users.state(slot));
    let mut reading = FeatureReading::of(entity, partition, position, &spec, state, as_of);
    if reading.status == ReadStatus::Present && position < committed {
        reading.status = ReadStatus::Stale;
    }
    Ok(reading)
}
