//! Which of a registry's entries count for this consumer.
//!
//! A score uses the bundle that holds at its as-of time. An entry that holds from a moment as of which the log has scores
//! already came too late: those scores are said. A bundle of another spec cannot score at all. Both are refused, for good,
//! and the store's folder remembers it: a restart that took them up would make other scores than stand in the log.

use std::path::{Path, PathBuf};

use partition_log::{Log, LogError};
use scorer::Schedule;
use serde::{Deserialize, Serialize};
use types::{EventTime, PartitionId};

use crate::ConsumerError;
use crate::output::SCORES;

/// The file in the store's folder.
const FILE: &str = "promotions.json";

/// What was decided about the entries of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decided {
    /// Version of this file.
    v: u32,
    /// The spec's hash: by another spec another registry is used.
    spec: String,
    /// How many entries, from the first on, were decided about.
    seen: usize,
    /// Positions of those that do not count.
    refused: Vec<usize>,
}

/// What decides about an entry.
pub(crate) struct Judge<'j> {
    /// The store's folder, which remembers.
    pub(crate) store: &'j Path,
    pub(crate) log: &'j dyn Log,
    /// The spec's hash, and its features.
    pub(crate) spec: (&'j str, &'j [String]),
}

impl Judge<'_> {
    /// The schedule of a registry or bundle: what was decided before stays, and new entries are decided about.
    ///
    /// The scores topic must have been opened for writing, so that what a crash left in it is seen.
    pub(crate) fn load(&self, model: &Path) -> Result<Schedule, ConsumerError> {
        let decided = read(&self.store.join(FILE))?.filter(|decided| decided.spec == self.spec.0);
        let refused = decided.as_ref().map_or(&[][..], |decided| &decided.refused);
        let schedule = Schedule::load_without(model, refused)?;
        let entries = schedule.entries().len();
        match decided {
            _ if entries == 0 => Ok(schedule),
            Some(Decided { seen, .. }) if seen > entries => {
                Err(ConsumerError::OtherRegistry { model: model.to_owned(), entries, seen })
            }
            Some(Decided { seen, .. }) => self.decide(schedule, seen),
            // The first entry holds before its moment too: there is nothing to be late for.
            None => self.decide(schedule, 1),
        }
    }

    /// Decides about the entries of a schedule from `seen` on, and remembers it before anything is scored by it.
    ///
    /// Everything scored so far must be synced.
    pub(crate) fn decide(&self, schedule: Schedule, seen: usize) -> Result<Schedule, ConsumerError> {
        let mut refused = Vec::new();
        for (at, entry) in schedule.entries().iter().enumerate().skip(seen) {
            let (hash, features) = self.spec;
            let fits = schedule.bundle_of_entry(at).map(|bundle| bundle.check_spec(hash, features));
            if let Some(Err(error)) = fits {
                tracing::error!(bundle = entry.bundle, %error, "a promoted bundle does not fit: it is not used");
                refused.push(at);
            } else if has_scored(self.log, entry.from)? {
                tracing::error!(bundle = entry.bundle, from = %entry.from, "a promotion came too late, scores as of that \
                    moment are written: it is not used. Promote the bundle from a tick that lies ahead");
                refused.push(at);
            }
        }
        let schedule = if refused.is_empty() { schedule } else { schedule.without(&refused)? };
        let (seen, refused) = (schedule.entries().len(), schedule.refused().to_vec());
        let decided = Decided { v: 1, spec: self.spec.0.to_owned(), seen, refused };
        let path = self.store.join(FILE);
        if read(&path)?.as_ref() != Some(&decided) {
            let json = serde_json::to_vec(&decided).map_err(std::io::Error::other);
            json.and_then(|json| crate::files::replace(&path, &json)).map_err(|source| {
                ConsumerError::Io { action: format!("write {}", path.display()), source }
            })?;
        }
        Ok(schedule)
    }
}

/// Whether a log holds a score as of a moment or later, by any consumer that writes there.
///
/// # Errors
/// If the log cannot be read.
pub fn has_scored(log: &dyn Log, from: EventTime) -> Result<bool, LogError> {
    let partitions = log.topic(SCORES)?.map_or(0, |scores| scores.partitions);
    for partition in (0..partitions).map(PartitionId) {
        // A score's timestamp is its as-of time.
        if log.offset_at(SCORES, partition, from)? < log.bounds(SCORES, partition)?.end {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read(path: &PathBuf) -> Result<Option<Decided>, ConsumerError> {
    let io = |source| ConsumerError::Io { action: format!("read {}", path.display()), source };
    match std::fs::read(path) {
        Ok(bytes) => match serde_json::from_slice::<Decided>(&bytes) {
            Ok(decided) if decided.v == 1 => Ok(Some(decided)),
            Ok(decided) => {
                Err(io(std::io::Error::other(format!("its format is version {}, known is 1", decided.v))))
            }
            Err(error) => Err(io(error.into())),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io(error)),
    }
}
