//! Events, keys, offsets, times and scores that every part of churnstream speaks of; no I/O, no clock.
//!
//! A type lives here only when a second crate needs it. Numbers that could be confused carry their unit or
//! meaning in a newtype: [`EventTime`] is milliseconds since the epoch, [`Offset`] a place in a partition,
//! [`PartitionId`] a partition's number.

mod dead_letter;
mod event;
mod event_decode;
mod ids;
mod score;
mod time;

pub use dead_letter::{RejectReason, headers};
pub use event::{Event, EventError, Field, SystemEvent, Value, push_int, push_json_str};
pub use ids::{EntityKey, Offset, PartitionId, SourcePosition};
pub use score::{Band, Reason, Score, ScoreError, Trigger};
pub use time::{DurationError, EventTime, Millis, Written};
