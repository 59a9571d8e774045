//! Why a record is set aside, and how it says so.
//!
//! A dead letter is the original record, key, value and timestamp unchanged, with headers that say why and from where. Only what is larger
//! than the dead letters' topic takes is cut, and says so.

use std::fmt;

/// Names of the headers that churnstream writes.
pub mod headers {
    /// On events: where the importer or simulator found them, as text (`FILE:LINE` or a counter).
    pub const SOURCE: &str = "cs-source";
    /// On events: what their source had written to the partition up to and with this record, as 8 hexadecimal digits of a
    /// hash, behind a letter that says in which order (`f`: the source's own, `s`: sorted by arrival). A source that is
    /// written again must come to the same.
    pub const CHAIN: &str = "cs-chain";
    /// On dead letters, and on what an importer could not read: the [`RejectReason`](super::RejectReason)'s name.
    pub const REASON: &str = "cs-reason";
    /// Beside the reason: what exactly was wrong, in words.
    pub const DETAIL: &str = "cs-detail";
    /// On dead letters and redriven events: `TOPIC-PARTITION@OFFSET` of the record that was set aside.
    pub const FROM: &str = "cs-from";
    /// On dead letters that were larger than their topic takes: how many bytes the value had that begins here, in digits. The whole record
    /// stands where [`FROM`] says.
    pub const TRUNCATED: &str = "cs-truncated";
    /// On redriven events: exempt from lateness as far as state reaches back. Its value is empty.
    pub const REDRIVEN: &str = "cs-redriven";
    /// On events that were written to Kafka more than a minute after their time, before all others: that time, in ms since 1970, as digits.
    /// Kafka's own time of such a record is when it was written. Readers of the partition log see the event's time, and not this header.
    pub const TIME: &str = "cs-time";
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a record went to the dead-letter log. A closed list: its names are label values of metrics.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RejectReason { $($(#[$doc])* $variant,)* }

        impl RejectReason {
            /// Every reason.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name in headers, metrics and messages.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The reason of that name.
            #[must_use]
            pub fn named(name: &[u8]) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.name().as_bytes() == name)
            }
        }
    };
}

reasons! {
    /// The bytes are no UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// The text is no JSON, or a number in it is beyond range.
    InvalidJson = "invalid_json",
    /// A field that must be there is missing or empty.
    MissingField = "missing_field",
    /// A field has a value of the wrong type.
    WrongType = "wrong_type",
    /// The event's version is not known here.
    UnsupportedVersion = "unsupported_version",
    /// The type begins with `$` and is not known here.
    UnknownSystemType = "unknown_system_type",
    /// The record is larger than allowed.
    TooLarge = "too_large",
    /// The entity type is not the one that the spec is about.
    WrongEntityType = "wrong_entity_type",
    /// The record's key is not the event's entity.
    KeyMismatch = "key_mismatch",
    /// A number does not fit the scaled integers that features are computed in.
    NumberOutOfRange = "number_out_of_range",
    /// The moment is outside what can be a time at all.
    TimeOutOfRange = "time_out_of_range",
    /// Further behind the user's newest event than the allowed lateness.
    Late = "late",
    /// Further ahead of its arrival than allowed.
    Future = "future",
    /// An event with this id was seen already.
    Duplicate = "duplicate",
    /// A line of an import that the mapping cannot read.
    Mapping = "mapping",
    /// The schema registry has no schema of the value's number, or one that cannot be used.
    UnknownSchema = "unknown_schema",
    /// The value is not in the format that the map names, or not what its writer's schema says.
    InvalidEncoding = "invalid_encoding",
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
