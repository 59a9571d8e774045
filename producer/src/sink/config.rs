//! How a sink is set up, what it has done, and why it could not go on.

use partition_log::LogError;
use types::PartitionId;

use crate::tick::TickPlan;

/// How a sink writes.
#[derive(Debug, Clone)]
pub struct SinkConfig {
    /// The topic; made if it does not exist.
    pub topic: String,
    /// How many partitions it has; `None` for as many as it has already, or [`SinkConfig::DEFAULT_PARTITIONS`].
    pub partitions: Option<u32>,
    /// What the events are about: the topic's key.
    pub entity_type: String,
    /// When ticks are due.
    pub ticks: TickPlan,
    /// The names of the sources, which their positions follow after a colon. A name must tell its source from every
    /// other that writes to this topic, and be the same when the same source is run again.
    pub sources: Vec<String>,
    /// Names by which the topic may know sources from before, each with its source's place. One that it does know goes on under that.
    pub former: Vec<(String, usize)>,
}

/// In which order the records of a source come: always the same when it is run again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SourceOrder {
    /// In the source's own.
    #[default]
    Own,
    /// Sorted by arrival.
    Sorted,
}

impl SourceOrder {
    pub(super) const fn letter(self) -> u8 {
        match self {
            Self::Own => b'f',
            Self::Sorted => b's',
        }
    }

    pub(super) fn of_letter(letter: u8) -> Option<Self> {
        [Self::Own, Self::Sorted].into_iter().find(|order| order.letter() == letter)
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::Own => {
                "in its own order: say --sort never, or import it apart from files that must be sorted"
            }
            Self::Sorted => "sorted: say --sort always, or import it by itself",
        }
    }
}

impl SinkConfig {
    /// How many partitions a new topic has unless told otherwise.
    pub const DEFAULT_PARTITIONS: u32 = 4;
}

/// Why a sink could not go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A source was run again and did not hold what it held before.
    #[error(
        "partition {partition} holds `{position}` and what this source had before it, and the source is no longer the same \
         up to there: it has changed since, or how it is read (the map, --not-after); write to another topic, and rows that \
         are new to a file of their own. Rows that the map could not read are brought in with --rejected"
    )]
    SourceChanged {
        /// Where.
        partition: PartitionId,
        /// The last source position that it holds.
        position: String,
    },
    /// Old records were removed, and with them what says how far a source had come.
    #[error(
        "the log holds events of `{name}`, but none in partition {partition}, whose oldest records were removed; this one is older than what is \
         left there, so it may have been among them, and would be there twice. Write it to another topic, or leave it out if it was \
         written whole"
    )]
    Removed {
        /// Where.
        partition: PartitionId,
        /// The source.
        name: String,
    },
    /// A source was written in one order and is now to be written in another.
    #[error("`{name}` was written to this topic {}", .was.advice())]
    OtherOrder {
        /// The source.
        name: String,
        /// How it was written.
        was: SourceOrder,
    },
}

/// What a sink has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SinkTotals {
    /// Records written, ticks aside.
    pub appended: u64,
    /// Records that the log held already.
    pub held: u64,
    /// Tick records written, every partition's counted.
    pub tick_records: u64,
}
