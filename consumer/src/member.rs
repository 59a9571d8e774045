//! What a member of a group is called, and how the group keeps how far it is.

use std::path::Path;

use feature_store::{Commit, SweepCursor};
use partition_log::backends::kafka::GroupOffset;
use types::PartitionId;

use crate::ConsumerError;
use crate::pipeline::Place;

/// The file in the store's folder that names this process in the group.
const MEMBER: &str = "member";

/// How far a partition is, as the group keeps it: the offset, and beside it the sweep under way.
pub(crate) fn offset(partition: PartitionId, commit: &Commit) -> GroupOffset {
    let note = commit.sweep.map_or("v1".to_owned(), |sweep| format!("v1 sweep={}", sweep.0));
    GroupOffset { partition, next: commit.next_input, note }
}

/// The place that the group kept.
pub(crate) fn place(topic: &str, known: &GroupOffset) -> Result<Place, ConsumerError> {
    let sweep = match known.note.strip_prefix("v1") {
        Some("") => Some(None),
        Some(rest) => rest.strip_prefix(" sweep=").and_then(|n| n.parse().ok()).map(|n| Some(SweepCursor(n))),
        None => None,
    };
    match sweep {
        Some(sweep) => Ok(Place { next_input: known.next, sweep }),
        None => Err(ConsumerError::GroupNote {
            topic: topic.to_owned(),
            partition: known.partition,
            note: known.note.clone(),
        }),
    }
}

/// The name of the process that uses this store: made once, kept beside it, so that a process that is started again ends what it left
/// open itself.
pub(crate) fn member(store: &Path) -> Result<String, ConsumerError> {
    let path = store.join(MEMBER);
    let io = |source| ConsumerError::Io {
        action: format!("keep this process's name in {}", path.display()),
        source,
    };
    match std::fs::read_to_string(&path) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            // The standard library's own source of random keys; no result depends on it.
            let random =
                std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), 0_u8);
            let name = format!("member-{random:016x}");
            std::fs::write(&path, format!("{name}\n")).map_err(io)?;
            Ok(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use types::Offset;

    use super::*;

    #[test]
    fn the_group_keeps_a_place_with_its_sweep() {
        for sweep in [None, Some(SweepCursor(0)), Some(SweepCursor(u64::MAX))] {
            let commit = Commit { next_input: Offset(7), sweep, ..Commit::default() };
            let kept = offset(PartitionId(2), &commit);
            assert_eq!(place("t", &kept).unwrap(), Place { next_input: Offset(7), sweep });
        }
        for note in ["", "v2", "v1 sweep=", "v1 x"] {
            let foreign = GroupOffset { partition: PartitionId(0), next: Offset(1), note: note.to_owned() };
            assert!(place("t", &foreign).unwrap_err().to_string().contains("note"), "{note}");
        }
    }
}
