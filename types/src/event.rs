//! Event v1: what a user did, as JSON on the wire.
//!
//! ```json
//! {"v":1,"id":"e-17","entity_type":"user","entity":"u000042","type":"play","ts":1700000000000,
//!  "fields":{"watch_s":1312.5,"device":"tv","amount":{"minor":1299,"currency":"EUR"}}}
//! ```
//!
//! `id` and `fields` may be missing. Types that begin with `$` are churnstream's own; such events
//! need no entity. Unknown keys beside these are ignored, so that later versions can add some.

use std::borrow::Cow;

use crate::{EventTime, RejectReason};

/// One event, borrowing from the bytes that it was read from. Reusing one value for many events spares the
/// allocation of its field list.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Event<'a> {
    /// What kind of thing the entity is: `user` or `account`, say. Empty for system events.
    pub entity_type: Cow<'a, str>,
    /// The entity's id. Empty for a system event that concerns none.
    pub entity: Cow<'a, str>,
    /// What happened: `play`, `cancel`, ...
    pub kind: Cow<'a, str>,
    /// When it happened.
    pub ts: EventTime,
    /// The id by which duplicates are known, if the source gives one.
    pub id: Option<Cow<'a, str>>,
    /// The other things that are known of the event, in the order in which they stand in it.
    pub fields: Vec<Field<'a>>,
}

/// A named value of an event.
pub type Field<'a> = (Cow<'a, str>, Value<'a>);

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A whole number.
    Int(i64),
    /// Any other finite number, or a whole one beyond the range of `Int`.
    Float(f64),
    /// Text.
    Str(Cow<'a, str>),
    /// True or false.
    Bool(bool),
    /// Money: an amount in minor units (cents) and its ISO 4217 currency.
    Money {
        /// The amount in the currency's minor unit.
        minor: i64,
        /// The three-letter code.
        currency: Cow<'a, str>,
    },
    /// Nothing.
    Null,
    /// A list or another object: kept on the log, not read by features.
    Other,
}

/// Events of churnstream's own: types that begin with `$`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemEvent {
    /// A moment has passed on this partition: the sweep scores every living user as of it.
    Tick,
    /// The entity wants to be forgotten.
    Erase,
}

impl SystemEvent {
    /// The event's type on the wire of a tick.
    pub const TICK: &'static str = "$tick";
    /// The event's type on the wire of an erasure.
    pub const ERASE: &'static str = "$erase";
}

impl<'a> Event<'a> {
    /// Which event of churnstream's own this is; `Ok(None)` for a user's.
    ///
    /// # Errors
    /// [`RejectReason::UnknownSystemType`] if the type begins with `$` and is not known here.
    pub fn system(&self) -> Result<Option<SystemEvent>, RejectReason> {
        if !self.kind.starts_with('$') {
            return Ok(None);
        }
        match &*self.kind {
            SystemEvent::TICK => Ok(Some(SystemEvent::Tick)),
            SystemEvent::ERASE => Ok(Some(SystemEvent::Erase)),
            _ => Err(RejectReason::UnknownSystemType),
        }
    }

    /// The value of the field named so, if there is one. O(number of fields).
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value<'a>> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Reads an event from JSON into this value, replacing what it held. O(length); allocates only for strings
    /// with escapes and for a longer field list than this value has held before.
    ///
    /// # Errors
    /// An [`EventError`] says what is wrong and gives the reason under which it is rejected; the event then
    /// holds nothing of use.
    pub fn decode(&mut self, json: &'a [u8]) -> Result<(), EventError> {
        crate::event_decode::decode(self, json)
    }

    /// Appends the event as JSON to `out`, in the order of the module's example; the same event gives the same
    /// bytes. Numbers are written in their shortest form that reads back as the same number.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"v\":1");
        if let Some(id) = &self.id {
            out.extend_from_slice(b",\"id\":");
            push_json_str(out, id);
        }
        if !self.entity.is_empty() || !self.entity_type.is_empty() {
            out.extend_from_slice(b",\"entity_type\":");
            push_json_str(out, &self.entity_type);
            out.extend_from_slice(b",\"entity\":");
            push_json_str(out, &self.entity);
        }
        out.extend_from_slice(b",\"type\":");
        push_json_str(out, &self.kind);
        out.extend_from_slice(b",\"ts\":");
        push_int(out, self.ts.0);
        if !self.fields.is_empty() {
            out.extend_from_slice(b",\"fields\":{");
            for (i, (name, value)) in self.fields.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                push_json_str(out, name);
                out.push(b':');
                value.encode(out);
            }
            out.push(b'}');
        }
        out.push(b'}');
    }
}

impl Value<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(n) => push_int(out, *n),
            // JSON has no infinities; an event never holds one, and null is the honest rest.
            Self::Float(n) if n.is_finite() => {
                out.extend_from_slice(ryu::Buffer::new().format(*n).as_bytes())
            }
            Self::Str(s) => push_json_str(out, s),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Money { minor, currency } => {
                out.extend_from_slice(b"{\"minor\":");
                push_int(out, *minor);
                out.extend_from_slice(b",\"currency\":");
                push_json_str(out, currency);
                out.push(b'}');
            }
            Self::Null | Self::Other | Self::Float(_) => out.extend_from_slice(b"null"),
        }
    }
}

/// Appends `text` as a JSON string, quotes included.
pub fn push_json_str(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut plain_from = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if b >= 0x20 && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[plain_from..i]);
        plain_from = i + 1;
        match b {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(b >> 4)]);
                out.push(HEX[usize::from(b & 15)]);
            }
        }
    }
    out.extend_from_slice(&bytes[plain_from..]);
    out.push(b'"');
}

/// Appends a whole number in decimal.
pub fn push_int(out: &mut Vec<u8>, n: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = n.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if n < 0 {
        at -= 1;
        digits[at] = b'-';
    }
    out.extend_from_slice(&digits[at..]);
}

/// Why bytes are no event.
#[derive(Debug, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct EventError {
    /// Under which reason it is counted and kept.
    pub reason: RejectReason,
    /// What is wrong, with the field's name or the place in the line.
    pub detail: String,
}
