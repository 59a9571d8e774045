//! Reads of a store that no consumer has open.

use std::path::{Path, PathBuf};

use feature_store::{Spec, Store, StoreIdentity, StoreOptions, UserState};
use partition_log::{Log, partition_for};
use types::{EventTime, Offset, PartitionId};

use crate::files::replace;
use crate::{ConsumerError, FeatureReading, Needed, ReadStatus};

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
    let copy = || {
        let text = std::fs::read(spec)?;
        if std::fs::read(&kept).ok().as_ref() == Some(&text) { Ok(()) } else { replace(&kept, &text) }
    };
    copy().map_err(|source| ConsumerError::Io {
        action: format!("copy the spec to {}", kept.display()),
        source,
    })
}

/// Checks that a store's outputs end where its last commit says, and no sweep is under way: a consumer has ended cleanly.
///
/// # Errors
/// [`ConsumerError::NotAtCommit`] if there is more, otherwise if store or log cannot be read.
pub fn check_ended(store: &Path, log: &dyn Log) -> Result<(), ConsumerError> {
    let identity = feature_store::store::identity(store)?;
    let opened = Store::open(store, &identity, StoreOptions::default())?;
    for partition in (0..identity.partitions).map(PartitionId) {
        let users = opened.partition::<UserState>(partition)?;
        let Some(commit) = users.committed() else { continue };
        for (topic, next) in &commit.outputs {
            let end = log.bounds(topic, partition)?.end;
            if end != *next || commit.sweep.is_some() {
                let (topic, committed) = (topic.clone(), *next);
                return Err(ConsumerError::NotAtCommit { topic, partition, committed, end });
            }
        }
    }
    Ok(())
}

/// What each partition of a store needs of the log to go on after a crash, and what the store was made from.
///
/// # Errors
/// If a consumer has the store open, or it cannot be read.
pub fn needed(store: &Path) -> Result<(StoreIdentity, Vec<Needed>), ConsumerError> {
    let identity = feature_store::store::identity(store)?;
    let opened = Store::open(store, &identity, StoreOptions::default())?;
    let partitions = (0..identity.partitions).map(PartitionId);
    let needed = partitions.map(|partition| Ok(Needed::by(&opened.partition::<UserState>(partition)?)));
    let needed = needed.collect::<Result<_, ConsumerError>>()?;
    Ok((identity, needed))
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
    let identity = feature_store::store::identity(store)?;
    let spec = Spec::load(&spec_of(store))?;
    if spec.hash().as_str() != identity.spec_hash {
        let (stored, asked) = (identity.spec_hash, spec.hash().to_string());
        return Err(feature_store::StoreError::Mismatch {
            dir: spec_of(store),
            what: "feature spec",
            stored,
            asked,
        }
        .into());
    }
    let partition = partition_for(entity.as_bytes(), identity.partitions);
    let opened = Store::open(store, &identity, StoreOptions::default())?;
    let mut users = opened.partition::<UserState>(partition)?;
    let committed = users.committed().map_or(Offset::ZERO, |commit| commit.next_input);
    let replay_from = users.replay_from();
    let slot = users.get(entity)?;
    let position = users.reaches(entity, replay_from)?;
    let state = slot.map(|slot| users.state(slot));
    let mut reading = FeatureReading::of(entity, partition, position, &spec, state, as_of)?;
    if position < committed {
        reading.status = ReadStatus::Stale;
    }
    Ok(reading)
}
