//! Avro's binary encoding (Avro 1.12 specification, "Binary Encoding"), read by the writer's schema into JSON.
//!
//! | Avro | JSON |
//! | --- | --- |
//! | record, map | object |
//! | array | list |
//! | union | the value of its branch; null is null |
//! | enum, string | text |
//! | int, long, float, double, boolean, null | number, true or false, null; NaN and infinities are texts |
//! | bytes, fixed | text in base64 |
//! | decimal | text with its digits: `"12.50"` |
//! | uuid | text with hyphens |
//! | date | text: `"2024-02-29"`, for the map's format `date` |
//! | timestamp-millis, -micros, -nanos | the number, for the map's formats `ms`, `us`, `ns` |
//! | local-timestamp-... | text without a zone: `"2024-02-29T10:00:00"`, for the map's format `iso` |
//! | time-..., duration | as the type below: number, base64 |

mod decode;
mod schema;

use crate::map::Reject;

use super::invalid;

/// A schema as it is read by. A part refers to others by their place, for types may hold themselves.
#[derive(Debug)]
pub struct AvroSchema {
    parts: Vec<Part>,
    root: usize,
}

/// One type.
#[derive(Debug)]
enum Part {
    Null,
    Boolean,
    Int(Moment),
    Long(Moment),
    Float,
    Double,
    Bytes(Raw),
    Fixed(usize, Raw),
    Text,
    Enum(Vec<String>),
    Array(usize),
    Map(usize),
    Union(Vec<usize>),
    /// Each field's name, its place, and its name with quotes and colon as in JSON.
    Record(Vec<(String, usize, Vec<u8>)>),
    /// A named type whose definition is being read.
    Open,
}

/// What a whole number means.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Number,
    Date,
    /// A wall clock's time in so many parts of a second.
    Local(i64),
}

/// What bytes mean.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Raw {
    Bytes,
    Uuid,
    /// An unscaled number of so many decimal places.
    Decimal(usize),
}

impl AvroSchema {
    /// Prepares a schema. Types that it names may be defined in `references`.
    ///
    /// # Errors
    /// If it is no schema, with the reason.
    pub fn compile(text: &str, references: &[(String, String)]) -> Result<Self, String> {
        schema::compile(text, references)
    }

    /// Appends to `json` what a value becomes.
    ///
    /// # Errors
    /// If it is not what the schema says, has bytes after it, or becomes too large or too deep.
    pub fn decode(&self, content: &[u8], json: &mut Vec<u8>) -> Result<(), Reject> {
        let mut decoder = decode::Decoder {
            schema: self,
            left: content,
            json,
            depth: 0,
            limit: super::limit(content.len()),
        };
        decoder.value(self.root)?;
        match decoder.left.len() {
            0 => Ok(()),
            left => Err(invalid(format!("{left} bytes are left after the value: another schema wrote it"))),
        }
    }

    /// Whether values may have something at `path`.
    pub(super) fn has(&self, path: &str) -> bool {
        self.part_has(self.root, path, 0)
    }

    fn part_has(&self, at: usize, path: &str, depth: usize) -> bool {
        if depth > super::DEEPEST {
            return false;
        }
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let below = |part: usize| rest.is_none_or(|rest| self.part_has(part, rest, depth + 1));
        match &self.parts[at] {
            Part::Union(parts) => parts.iter().any(|part| self.part_has(*part, path, depth + 1)),
            Part::Record(fields) => fields.iter().any(|(name, part, _)| name == first && below(*part)),
            Part::Map(part) => below(*part),
            Part::Array(part) => first.parse::<usize>().is_ok() && below(*part),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
