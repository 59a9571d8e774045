//! What stops a consumer. Bad input never does.

use partition_log::LogError;
use types::{Offset, PartitionId};

use crate::pipeline::PipelineError;

/// A failure of the consumer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] feature_store::StoreError),
    /// The model bundle cannot be used, or not with this spec.
    #[error(transparent)]
    Bundle(#[from] scorer::BundleError),
    /// The registry cannot be used.
    #[error(transparent)]
    Registry(#[from] scorer::RegistryError),
    /// The prices cannot be used.
    #[error("{}: {detail}", path.display())]
    Prices {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong in it.
        detail: String,
    },
    /// The registry is not the one that the store was used with.
    #[error(
        "{} has {entries} entries, but this store was used with a registry of {seen} or more: it is another registry, or \
         entries were lost. Give the right one with --model", model.display()
    )]
    OtherRegistry {
        /// The registry.
        model: std::path::PathBuf,
        /// How many entries it has.
        entries: usize,
        /// How many the store knows.
        seen: usize,
    },
    /// The outputs hold what no commit covers.
    #[error(
        "{topic}-{partition} ends at offset {end} and offset {committed} is committed, or a sweep is under way: the consumer \
         was killed. Start it once more with the spec that it had and stop it with Ctrl-C"
    )]
    NotAtCommit {
        /// The output topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The offset in the commit.
        committed: Offset,
        /// The topic's end.
        end: Offset,
    },
    /// State does not reach so far back.
    #[error(
        "user `{entity}` was last seen at {}, and state does not reach back to {at}: further than the allowed lateness only the \
         log knows. Read it by replay: `churnstream features get {entity} --store DIR --as-of {at} --from PLACE`",
        newest.written(), at = as_of.written()
    )]
    AsOfTooOld {
        /// Who.
        entity: String,
        /// The moment asked for.
        as_of: types::EventTime,
        /// The user's newest event.
        newest: types::EventTime,
    },
    /// The feature spec cannot be used.
    #[error(transparent)]
    Spec(#[from] feature_store::SpecError),
    /// The input topic does not exist.
    #[error(
        "there is no topic `{topic}` in {place}; write events to it first, with `producer import` or `producer simulate`"
    )]
    NoInput {
        /// The topic.
        topic: String,
        /// The log.
        place: String,
    },
    /// The topic is keyed otherwise than the spec needs.
    #[error(
        "topic `{topic}` is keyed by `{key}` and the spec is about `{entity}`: events of one {entity} may lie in several \
         partitions. If the events have a text field `{entity}`, copy them into another log with that key, and use that: \
         `churnstream log repartition {from} --to {to} --key {entity}`"
    )]
    WrongKey {
        /// The topic.
        topic: String,
        /// What it is keyed by.
        key: String,
        /// What the spec is about.
        entity: String,
        /// The topic's place.
        from: Box<str>,
        /// A place for the copy.
        to: Box<str>,
    },
    /// Somebody changed the number of the input's partitions.
    #[error(
        "topic `{topic}` has {now} partitions, and had {before} when what stands in the store and in the outputs was made: its writers \
         put users into other partitions since, and what is known of a user lies where the user was. Score all again, in another group, \
         with an empty store and other output topics (kafka:BROKERS/PREFIX), from a topic in which all events of a user lie in one partition"
    )]
    PartitionsChanged {
        /// The topic.
        topic: String,
        /// How many it had.
        before: u32,
        /// How many it has.
        now: u32,
    },
    /// An output lost records that were committed.
    #[error(
        "{topic}-{partition} ends at offset {end}, but offset {committed} was committed: the log was cut or replaced. \
         Bring it back, or start with an empty log and store"
    )]
    OutputBehindCommit {
        /// The output topic.
        topic: &'static str,
        /// The partition.
        partition: PartitionId,
        /// The offset in the commit.
        committed: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// The input lost records that were committed.
    #[error(
        "{topic}-{partition} ends at offset {end}, but offset {committed} was committed: the log was cut or replaced. \
         Bring it back, or start with an empty store"
    )]
    InputBehindCommit {
        /// The input topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The offset in the commit.
        committed: Offset,
        /// Where the log ends.
        end: Offset,
    },
    /// The store is further than the group.
    #[error(
        "the store holds {topic}-{partition} up to offset {store}, but the group is at {}: were its offsets reset, did they expire, \
         or is this another group's store? To score all again, start with an empty store, another group and new output topics",
        group.map_or("no offset".to_owned(), |offset| offset.to_string())
    )]
    StoreAheadOfGroup {
        /// The input topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The next offset in the store's commit.
        store: Offset,
        /// The next offset that the group knows.
        group: Option<Offset>,
    },
    /// What the group noted beside an offset is not what this version writes.
    #[error(
        "the group's offset of {topic}-{partition} carries the note `{note}`: does another program commit in this group?"
    )]
    GroupNote {
        /// The input topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The note.
        note: String,
    },
    /// The group could not be kept up.
    #[error("joined the group {times} times without one commit; the last time: {last}")]
    GroupFailed {
        /// How often in a row, with those while no broker answered, which alone end nothing.
        times: u32,
        /// What ended the last try.
        last: String,
    },
    /// Records that are needed to rebuild state are gone.
    #[error(
        "{topic}-{partition} begins at offset {start}, but state must be replayed from {needed}: retention removed what the \
         store still needed. Bring the older records back; or, if only events from {start} on are to count, score them in another group \
         with an empty store and other output topics. Keep events for longer than a consumer may be away"
    )]
    InputGone {
        /// The input topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The offset that is needed.
        needed: Offset,
        /// The first that is there.
        start: Offset,
    },
    /// The topic's beginning is gone, and there is no state of it.
    #[error(
        "{topic}-{partition} begins at offset {start}: retention removed what came before, and the store is empty, so users would be \
         scored as if they had begun there. Start with the store that has their state (--store); or give --without-beginning to know \
         users by what is left alone"
    )]
    BeginningGone {
        /// The input topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The first offset that is there.
        start: Offset,
    },
    /// A replay made another record than the output holds.
    #[error(
        "{topic}-{partition}: offset {offset} holds another record than this run makes of the same events, so nothing was written. Likely \
         causes: the store does not belong to these outputs (it is new, or another log's or topic's), or model, registry or program are \
         others than those that wrote them. Go on with the store and the model that belong to these outputs, and stop cleanly before a \
         change; or score all anew with an empty store where there are no outputs yet: remove the topics scores, shadow-scores and \
         dead-letters, or copy the events to another place (`churnstream log repartition --to`)\n  holds: {}\n  made:  {}",
        around(holds, made),
        around(made, holds)
    )]
    OutputDiffers {
        /// The output topic.
        topic: &'static str,
        /// The partition.
        partition: PartitionId,
        /// The record's offset.
        offset: Offset,
        /// What stands there.
        holds: String,
        /// What was made.
        made: String,
    },
    /// The outputs beside the input are another topic's.
    #[error(
        "the outputs in {place} are not those of `{input}`, which has {partitions} partitions: {differs}. Each input needs a place of its own \
         for its outputs: copy `{input}` to another one, `churnstream log repartition {place}/{input} --to file:NEW/events --partitions \
         {partitions}`, and read it there with an empty store"
    )]
    OutputsOfAnother {
        /// The log.
        place: String,
        /// The input topic.
        input: String,
        /// How many partitions it has.
        partitions: u32,
        /// Which output differs how.
        differs: Box<LogError>,
    },
    /// A worker thread is gone.
    #[error("a worker thread ended unexpectedly; its message stands above")]
    WorkerGone,
    /// The system refused something.
    #[error("{action}: {source}")]
    Io {
        /// What was being done.
        action: String,
        /// The system's word.
        source: std::io::Error,
    },
}

/// What a record holds around the first character that another has not: records are long, and differ in little.
fn around(record: &str, other: &str) -> String {
    const BEFORE: usize = 60;
    const LENGTH: usize = 160;
    let same = record.chars().zip(other.chars()).take_while(|(one, two)| one == two).count();
    let from = same.saturating_sub(BEFORE);
    let mut shown: String = record.chars().skip(from).take(LENGTH).collect();
    if from > 0 {
        shown.insert(0, '…');
    }
    if record.chars().nth(from + LENGTH).is_some() {
        shown.push('…');
    }
    shown
}

impl From<PipelineError> for ConsumerError {
    fn from(error: PipelineError) -> Self {
        match error {
            PipelineError::Store(error) => Self::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_records_the_place_is_shown_where_they_differ() {
        assert_eq!(around("short", "sharp"), "short");
        assert_eq!(around("", "sharp"), "");
        let [one, two] = ["x", "y"].map(|middle| format!("{}{middle}{}", "ä".repeat(500), "b".repeat(500)));
        let shown = around(&one, &two);
        assert_eq!(shown, format!("…{}x{}…", "ä".repeat(60), "b".repeat(99)));
        assert_eq!(around(&one[..1000], &one), format!("…{}", "ä".repeat(60)), "one that ends early");
    }
}
