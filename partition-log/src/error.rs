//! What can go wrong with a log. Every variant names the place and, where there is one, what to do.

use std::path::PathBuf;

use types::{Offset, PartitionId};

/// A failure of a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// The operating system refused something. On appends of the file backend the log stays as it was before, and
    /// the same append may be tried again once the cause (a full disk, say) is gone.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's word.
        source: std::io::Error,
    },
    /// There is no topic of that name.
    #[error("there is no topic `{topic}` in {place}")]
    NoSuchTopic {
        /// The name asked for.
        topic: String,
        /// The log.
        place: String,
    },
    /// The topic has no such partition.
    #[error("topic `{topic}` has no partition {partition}")]
    NoSuchPartition {
        /// The topic.
        topic: String,
        /// The partition asked for.
        partition: PartitionId,
    },
    /// The topic exists with other settings than those asked for.
    #[error("topic `{topic}` exists and differs: {difference}")]
    TopicDiffers {
        /// The topic.
        topic: String,
        /// Which setting, and both values.
        difference: String,
    },
    /// Another writer holds the topic.
    #[error("topic `{topic}` is being written by another process or handle; stop it first ({})", lock.display())]
    Locked {
        /// The topic.
        topic: String,
        /// The lock file.
        lock: PathBuf,
    },
    /// Stored bytes are not what was written.
    #[error("{topic}-{partition}: damaged at offset {offset}, {} byte {position}: {detail}", path.display())]
    Damaged {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The first offset that cannot be read.
        offset: Offset,
        /// The segment file.
        path: PathBuf,
        /// Where in it the damaged batch begins.
        position: u64,
        /// What is wrong.
        detail: String,
    },
    /// The offset asked for is before the log's start or after its end.
    #[error("{topic}-{partition}: offset {offset} is outside {start}..={end}")]
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// The offset asked for.
        offset: Offset,
        /// The first offset there is.
        start: Offset,
        /// The offset of the next record to come.
        end: Offset,
    },
    /// The record is larger than a batch can be.
    #[error("{topic}-{partition}: {detail}")]
    RecordTooLarge {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// How large it is and may be.
        detail: String,
    },
    /// A sync to the disk failed earlier, so nobody knows what the disk holds. Opening the topic again recovers it.
    #[error("{topic}-{partition}: a sync failed before ({cause}); open the topic again to recover it")]
    Poisoned {
        /// The topic.
        topic: String,
        /// The partition.
        partition: PartitionId,
        /// What the system said then.
        cause: String,
    },
    /// A name that no topic can have.
    #[error("`{0}` cannot be a topic: use 1 to 200 letters, digits, `.`, `_` and `-`, but not `.` or `..`")]
    BadTopicName(String),
    /// The topic's metadata is no such thing, or settings that no topic can have were asked for.
    #[error("topic `{topic}`: {detail}")]
    BadTopic {
        /// The topic.
        topic: String,
        /// What is wrong, with the file if there is one.
        detail: String,
    },
    /// The brokers refused something, or did not answer in time.
    #[error("{action}: {detail} (brokers {brokers})")]
    Broker {
        /// What was being done.
        action: String,
        /// Where the brokers were looked for.
        brokers: String,
        /// What came back.
        detail: String,
    },
    /// A setting of the user's for librdkafka cannot be used. Never shows its value, which may be a secret.
    #[error("Kafka setting {setting} ({place}): {reason}")]
    BadSetting {
        /// Its name.
        setting: String,
        /// The line of the file, or the variable.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
    /// What has to be known to read the records cannot be had at the moment. Nothing was lost: the same call may be tried again, and should
    /// be after a while.
    #[error("{0}")]
    NotNow(String),
    /// The log's backend cannot do this.
    #[error("{place} cannot do this: {what}")]
    Unsupported {
        /// The log.
        place: String,
        /// What, and what to do instead.
        what: String,
    },
    /// The place written as `file:DIR` or `kafka:BROKERS` cannot be used.
    #[error("{0}")]
    BadPlace(String),
}
