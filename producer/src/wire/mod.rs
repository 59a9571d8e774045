//! Values in Confluent's wire format: a zero byte, the number of the writer's schema in four bytes (big-endian), and the value itself as
//! Avro, Protobuf or JSON.
//!
//! A value is read by the schema that its writer used, which the schema registry knows by its number, and becomes JSON: a record or message
//! an object by its fields' names, so schemas may grow and shrink as long as names keep their meaning. See [`avro`] and [`protobuf`] for
//! what becomes of each type. Nothing here trusts the bytes: depth and size of what they become are bounded.

pub mod avro;
mod client;
pub mod protobuf;
mod registry;
mod settings;

use types::RejectReason;

use crate::map::Reject;

pub use client::{Client, Trouble};
pub use registry::{Registry, SchemaResult};
pub use settings::{Access, SettingsError, URL};

/// The largest value that is read, in bytes.
pub const LARGEST: usize = 1 << 20;
/// The largest JSON that a value may become, in bytes: names and defaults that a value does not hold come from its schema.
pub const LARGEST_JSON: usize = 16 << 20;
/// How deep values may lie in one another.
pub const DEEPEST: usize = 64;

/// A writer's schema, ready to read by.
#[derive(Debug)]
pub enum Schema {
    /// An Avro schema.
    Avro(avro::AvroSchema),
    /// A Protobuf file.
    Protobuf(protobuf::ProtobufSchema),
    /// A JSON Schema: values are JSON as they stand, and are not checked against it.
    Json,
}

impl Schema {
    /// Prepares a schema of the registry's type `kind`, which refers to `references` (name and text, those that others need first).
    ///
    /// # Errors
    /// If it cannot be used, with the reason.
    pub fn compile(kind: &str, text: &str, references: &[(String, String)]) -> Result<Self, String> {
        match kind {
            "AVRO" => avro::AvroSchema::compile(text, references).map(Self::Avro),
            "PROTOBUF" => protobuf::ProtobufSchema::compile(text, references).map(Self::Protobuf),
            "JSON" => Ok(Self::Json),
            other => Err(format!("schemas of the type {other} are not known here")),
        }
    }

    /// The format's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Avro(_) => "Avro",
            Self::Protobuf(_) => "Protobuf",
            Self::Json => "JSON",
        }
    }

    /// Appends to `json` what the value becomes whose content, all after the schema's number, is `content`.
    ///
    /// # Errors
    /// If it is not what the schema says, or becomes too large. `json` then holds a part of it.
    pub fn decode(&self, content: &[u8], json: &mut Vec<u8>) -> Result<(), Reject> {
        if content.len() > LARGEST {
            let detail = format!("a value of {} bytes; the most are {LARGEST}", content.len());
            return Err(Reject::new(RejectReason::TooLarge, detail));
        }
        match self {
            Self::Avro(schema) => schema.decode(content, json),
            Self::Protobuf(schema) => schema.decode(content, json),
            Self::Json => {
                json.extend_from_slice(content);
                Ok(())
            }
        }
    }

    /// Whether the value with this content may have something at a map's `column`, a path; `None` where the schema does not tell.
    #[must_use]
    pub fn has(&self, content: &[u8], column: &str) -> Option<bool> {
        match self {
            Self::Avro(schema) => Some(schema.has(column)),
            Self::Protobuf(schema) => schema.has(content, column),
            Self::Json => None,
        }
    }
}

/// Splits a value into its schema's number and its content.
///
/// # Errors
/// If it is not in the wire format.
pub fn split(value: &[u8]) -> Result<(u32, &[u8]), Reject> {
    let refuse = |why: String| Err(Reject::new(RejectReason::InvalidEncoding, why));
    match value {
        [0, a, b, c, d, content @ ..] => match u32::from_be_bytes([*a, *b, *c, *d]) {
            // The registry's numbers are positive and signed.
            0 | 0x8000_0000.. => refuse("the number after the first byte is no schema's".to_owned()),
            id => Ok((id, content)),
        },
        [0, ..] => refuse("it ends within the schema's number".to_owned()),
        [] => refuse("it is empty".to_owned()),
        [first, ..] => {
            refuse(format!("it is not in Confluent's wire format: it begins with byte {first}, not with 0"))
        }
    }
}

/// How large the JSON of a value of so many bytes may be: names and defaults make it longer, but not by orders of magnitude, and many small
/// values that each became [`LARGEST_JSON`] would hold up everything else.
fn limit(content: usize) -> usize {
    LARGEST_JSON.min((256 << 10) + 256 * content)
}

/// Writes no more than a limit in all.
struct Bounded<'a>(&'a mut Vec<u8>, usize);

impl std::io::Write for Bounded<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > self.1 {
            return Err(std::io::Error::other(TOO_LARGE));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Takes a number from the front: groups of seven bits, the lowest first, with the sign in the lowest bit.
fn zigzag(left: &mut &[u8]) -> Result<i64, Reject> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = left.split_first().ok_or_else(|| invalid("it ends within a number"))?;
        *left = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            break;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok((number >> 1) as i64 ^ -((number & 1) as i64));
        }
    }
    Err(invalid("a number is longer than 64 bits"))
}

const TOO_LARGE: &str = "it becomes too large";

fn too_large() -> Reject {
    Reject::new(RejectReason::TooLarge, "it becomes far more bytes of JSON than it has".to_owned())
}

fn invalid(why: impl Into<String>) -> Reject {
    Reject::new(RejectReason::InvalidEncoding, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_a_zero_and_a_number() {
        assert_eq!(split(&[0, 0, 0, 1, 2, 7, 8]).unwrap(), (258, &[7_u8, 8][..]));
        assert_eq!(split(&[0, 0x7f, 0xff, 0xff, 0xff]).unwrap(), (i32::MAX as u32, &[][..]));
        for bad in
            [&b""[..], b"{}", &[1, 0, 0, 0, 1], &[0], &[0, 0, 0, 1], &[0, 0, 0, 0, 0], &[0, 0x80, 0, 0, 0]]
        {
            assert_eq!(split(bad).unwrap_err().reason, RejectReason::InvalidEncoding, "{bad:?}");
        }
    }

    #[test]
    fn unknown_types_of_schemas_are_named() {
        assert!(Schema::compile("XML", "", &[]).unwrap_err().contains("XML"));
        let mut json = Vec::new();
        Schema::Json.decode(br#"{"a":1}"#, &mut json).unwrap();
        assert_eq!(json, br#"{"a":1}"#);
        let large = vec![b' '; LARGEST + 1];
        assert_eq!(Schema::Json.decode(&large, &mut json).unwrap_err().reason, RejectReason::TooLarge);
    }
}
