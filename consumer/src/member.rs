//! What a member of a group is called, and how the group keeps how far it is.

use std::path::Path;

use feature_store::{Commit, Published, SweepCursor};
use partition_log::backends::kafka::GroupOffset;
use types::{EventTime, Offset, PartitionId};

use crate::ConsumerError;
use crate::pipeline::Place;

/// The file in the store's folder that names this process in the group.
const MEMBER: &str = "member";

/// What is to be committed of a partition.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    /// What the store is told.
    pub(crate) commit: Commit,
    /// The newest tick that was decided here.
    pub(crate) tick: Option<EventTime>,
    /// What of the state is in the snapshot topic.
    pub(crate) published: Option<Published>,
}

/// How far a partition is, as the group keeps it: the offset, and beside it the sweep under way, the newest tick decided, and what is in
/// the snapshot topic, by which spec and from which member.
pub(crate) fn offset(partition: PartitionId, progress: &Progress, spec: &str, member: &str) -> GroupOffset {
    let mut note = "v1".to_owned();
    if let Some(tick) = progress.tick {
        note.push_str(&format!(" tick={}", tick.0));
    }
    if let Some(sweep) = progress.commit.sweep {
        note.push_str(&format!(" sweep={}", sweep.0));
    }
    if let Some(Published { below, roots }) = progress.published {
        note.push_str(&format!(" snapshot={below}:{roots:x}:{spec}:{member}"));
    }
    GroupOffset { partition, next: progress.commit.next_input, note }
}

/// The place that the group kept.
pub(crate) fn place(topic: &str, known: &GroupOffset) -> Result<Place, ConsumerError> {
    parse(known).ok_or_else(|| ConsumerError::GroupNote {
        topic: topic.to_owned(),
        partition: known.partition,
        note: known.note.clone(),
    })
}

fn parse(known: &GroupOffset) -> Option<Place> {
    let mut place = Place::at(known.next);
    let mut words = known.note.split(' ');
    if words.next() != Some("v1") {
        return None;
    }
    for word in words {
        match word.split_once('=')? {
            ("tick", tick) => place.tick = Some(EventTime(tick.parse().ok()?)),
            ("sweep", sweep) => place.sweep = Some(SweepCursor(sweep.parse().ok()?)),
            ("snapshot", snapshot) => _ = Snapshot::parse(snapshot)?,
            _ => return None,
        }
    }
    Some(place)
}

/// What is in the snapshot topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) published: Published,
    /// The hash of the feature spec.
    pub(crate) spec: String,
    /// Who published last.
    pub(crate) by: String,
}

impl Snapshot {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(4, ':');
        let below = Offset(parts.next()?.parse().ok()?);
        let roots = u64::from_str_radix(parts.next()?, 16).ok()?;
        let (spec, by) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        Some(Self { published: Published { below, roots }, spec, by })
    }

    /// What the group noted of the snapshot beside an offset.
    pub(crate) fn noted(known: &GroupOffset) -> Option<Self> {
        known.note.split(' ').find_map(|word| word.strip_prefix("snapshot=")).and_then(Self::parse)
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
    use super::*;

    #[test]
    fn the_group_keeps_a_place_with_its_sweep_and_its_tick() {
        for sweep in [None, Some(SweepCursor(0)), Some(SweepCursor(u64::MAX))] {
            for tick in [None, Some(EventTime(-1)), Some(EventTime(1_700_000_000_000))] {
                let commit = Commit { next_input: Offset(7), sweep, ..Commit::default() };
                let published = tick.map(|_| Published { below: Offset(5), roots: u64::MAX });
                let kept = offset(PartitionId(2), &Progress { commit, tick, published }, "00ff", "a:b");
                let noted = Snapshot::noted(&kept);
                assert_eq!(noted.as_ref().map(|noted| noted.published), published);
                assert!(
                    noted.is_none_or(|noted| (noted.spec.as_str(), noted.by.as_str()) == ("00ff", "a:b"))
                );
                assert_eq!(place("t", &kept).unwrap(), Place { next_input: Offset(7), sweep, tick });
            }
        }
        for note in ["", "v2", "v1 sweep=", "v1 x", "v1 tick=1 x=2", "v1 ", "v1 snapshot=1:zz:a:b"] {
            let foreign = GroupOffset { partition: PartitionId(0), next: Offset(1), note: note.to_owned() };
            assert!(place("t", &foreign).unwrap_err().to_string().contains("note"), "{note}");
        }
    }
}
