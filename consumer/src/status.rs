//! What a consumer says of itself: positions, lag, workers, the last decision.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use types::{EventTime, Offset, PartitionId};

use crate::pipeline::UserStore;

/// A consumer at a moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The topic of events.
    pub topic: String,
    /// The folder of its store, links resolved.
    #[serde(default)]
    pub store: PathBuf,
    /// The spec's hash.
    pub spec: String,
    /// How long it has run, in seconds.
    pub uptime_seconds: f64,
    /// Its partitions.
    pub partitions: Vec<PartitionStatus>,
    /// Workers there are.
    pub workers: usize,
    /// Workers that the policy wants.
    pub desired_workers: usize,
    /// The last change of the number of workers, with its reason.
    pub last_decision: Option<LastDecision>,
    /// Records processed a second, over the last few seconds.
    pub records_per_second: f64,
    /// Records processed since it began.
    pub processed: u64,
    /// Scores written since it began.
    pub scores: u64,
    /// Dead letters written since it began, by reason; reasons without any are left out.
    pub rejected: Vec<(String, u64)>,
    /// Age of the last commit in seconds.
    pub commit_age_seconds: Option<f64>,
    /// Age of the oldest state that is not in the store, in seconds.
    pub snapshot_age_seconds: Option<f64>,
    /// The store's size on disk.
    pub store_bytes: Option<u64>,
    /// Living users of its partitions by band as of the newest complete sweep; unknown before each of them has had one that was seen
    /// whole, by this process or by the one that had the store before, and while partitions come.
    #[serde(with = "by_band")]
    pub customers: Option<[u64; 3]>,
    /// The newest moment for which a user was scored.
    pub newest_as_of: Option<EventTime>,
}

/// Customers as JSON: `{"low":282,"medium":29,"high":3}`, or `null`.
mod by_band {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize as _, Serializer};
    use types::Band;

    /// In the order of the bands.
    #[derive(serde::Serialize)]
    struct Named {
        low: u64,
        medium: u64,
        high: u64,
    }

    #[expect(clippy::ref_option, reason = "serde calls it so")]
    pub(super) fn serialize<S: Serializer>(of: &Option<[u64; 3]>, serializer: S) -> Result<S::Ok, S::Error> {
        of.map(|[low, medium, high]| Named { low, medium, high }).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[u64; 3]>, D::Error> {
        let named = Option::<BTreeMap<String, u64>>::deserialize(from)?;
        let of = |band: Band| named.as_ref()?.get(band.name()).copied();
        let [low, medium, high] = Band::ALL.map(of);
        Ok(low.zip(medium).zip(high).map(|((low, medium), high)| [low, medium, high]))
    }

    #[cfg(test)]
    mod tests {
        use crate::Status;

        #[test]
        fn customers_are_named_by_their_band_and_read_back() {
            for (customers, json) in [
                (Some([282, 29, 3]), r#""customers":{"low":282,"medium":29,"high":3}"#),
                (None, r#""customers":null"#),
            ] {
                let status = Status { customers, ..Status::default() };
                let text = serde_json::to_string(&status).unwrap();
                assert!(text.contains(json), "{text}");
                assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
            }
        }
    }
}

/// One partition at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartitionStatus {
    /// Which.
    pub partition: PartitionId,
    /// The next record to process.
    pub position: Offset,
    /// The next record of the last commit.
    pub committed: Offset,
    /// The log's end; unknown if it could not be asked.
    pub end: Option<Offset>,
    /// Records that wait for a commit; unknown if the end is.
    pub lag: Option<u64>,
    /// Age of the oldest record that waits, in seconds; 0 if none does, unknown if it could not be found out.
    pub lag_seconds: Option<f64>,
    /// What of the log it needs to go on after a crash.
    #[serde(default)]
    pub needed: Needed,
    /// The worker that owns it.
    pub worker: usize,
}

/// From which offset on a partition's records are needed to go on after a crash, as of its last commit; these never go back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needed {
    /// Of the events: what is not in blocks of the store is made again from there.
    pub events: Offset,
    /// Of each output that this process alone writes: what is made again is compared with what stands there. None before the first commit.
    pub outputs: BTreeMap<String, Offset>,
}

impl Needed {
    /// By what of a partition is on the disk.
    pub(crate) fn by(users: &UserStore) -> Self {
        users.committed().map_or_else(Self::default, |commit| Self {
            events: users.replay_from(),
            outputs: commit.outputs.clone(),
        })
    }
}

/// What a partition needed at its last commit. Locked once a commit, and when looked at.
#[derive(Debug, Default)]
pub(crate) struct LastNeeded(Mutex<Needed>);

impl LastNeeded {
    pub(crate) fn set(&self, needed: Needed) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = needed;
    }

    pub(crate) fn get(&self) -> Needed {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A change of the number of workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LastDecision {
    /// How long ago, in seconds.
    pub age_seconds: f64,
    /// Workers before.
    pub from: usize,
    /// Workers after.
    pub to: usize,
    /// Why.
    pub reason: String,
}

/// Where the newest status hangs.
#[derive(Debug, Clone, Default)]
pub struct StatusBoard(Arc<RwLock<Status>>);

impl StatusBoard {
    /// The newest status.
    #[must_use]
    pub fn read(&self) -> Status {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn put(&self, status: Status) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = status;
    }
}
