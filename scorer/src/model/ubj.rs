//! UBJSON, the binary form of XGBoost's model files, as a serde deserializer.
//!
//! Source: the UBJSON specification, draft 12 (ubjson.org): one marker byte, then the value; numbers are big-endian; an
//! array or object may announce its length (`#`) and the type of all its values (`$`). Only what a model can hold is read:
//! high-precision numbers and typed containers of anything but numbers are refused.

use serde::de::{self, Deserialize, DeserializeSeed, Visitor};

use super::ModelError;

/// Containers within containers; a model has about 8.
const MAX_DEPTH: usize = 64;

/// Reads a value from the whole of `bytes`.
pub(super) fn from_slice<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ModelError> {
    let mut reader = Reader { bytes, at: 0, depth: 0 };
    let value = reader.marker().and_then(|marker| T::deserialize(Value { reader: &mut reader, marker }));
    let value = value.map_err(|Error(what)| ModelError::Ubj { at: reader.at, what })?;
    while reader.bytes.get(reader.at) == Some(&b'N') {
        reader.at += 1;
    }
    if reader.at < bytes.len() {
        return Err(ModelError::Ubj { at: reader.at, what: "more bytes after the model".into() });
    }
    Ok(value)
}

/// What is wrong; the reader knows where.
#[derive(Debug)]
struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Reader<'de> {
    bytes: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn take(&mut self, count: usize) -> Result<&'de [u8], Error> {
        let taken =
            self.bytes[self.at..].get(..count).ok_or_else(|| Error("the file ends too early".into()))?;
        self.at += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn peek(&self) -> Result<u8, Error> {
        self.bytes.get(self.at).copied().ok_or_else(|| Error("the file ends too early".into()))
    }

    /// The next value's marker; no-ops are skipped.
    fn marker(&mut self) -> Result<u8, Error> {
        loop {
            match self.array()? {
                [b'N'] => {}
                [marker] => return Ok(marker),
            }
        }
    }

    fn integer(&mut self, marker: u8) -> Result<i64, Error> {
        Ok(match marker {
            b'i' => i8::from_be_bytes(self.array()?).into(),
            b'U' => u8::from_be_bytes(self.array()?).into(),
            b'I' => i16::from_be_bytes(self.array()?).into(),
            b'l' => i32::from_be_bytes(self.array()?).into(),
            b'L' => i64::from_be_bytes(self.array()?),
            other => return Err(unexpected(other, "a whole number")),
        })
    }

    fn length(&mut self) -> Result<usize, Error> {
        let marker = self.marker()?;
        let length = self.integer(marker)?;
        usize::try_from(length).map_err(|_| Error(format!("a length of {length}")))
    }

    fn text(&mut self, length: usize) -> Result<&'de str, Error> {
        std::str::from_utf8(self.take(length)?).map_err(|_| Error("text that is not UTF-8".into()))
    }

    /// What an array or object says of its values up front.
    fn header(&mut self) -> Result<(Option<u8>, Option<usize>), Error> {
        let mut of = None;
        if self.peek()? == b'$' {
            self.at += 1;
            let [marker] = self.array()?;
            // Nothing without bytes of its own: a length could then be as large as it likes.
            if !matches!(marker, b'i' | b'U' | b'I' | b'l' | b'L' | b'd' | b'D') {
                return Err(unexpected(marker, "the type of numbers"));
            }
            of = Some(marker);
        }
        if self.peek()? == b'#' {
            self.at += 1;
            return Ok((of, Some(self.length()?)));
        }
        match of {
            Some(_) => Err(Error("a typed container without a length".into())),
            None => Ok((None, None)),
        }
    }
}

fn unexpected(marker: u8, wanted: &str) -> Error {
    Error(format!("expected {wanted}, found the marker `{}`", marker.escape_ascii()))
}

/// A value whose marker has been read.
struct Value<'a, 'de> {
    reader: &'a mut Reader<'de>,
    marker: u8,
}

impl<'de> de::Deserializer<'de> for Value<'_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let Self { reader, marker } = self;
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'd' => visitor.visit_f32(f32::from_be_bytes(reader.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(reader.array()?)),
            b'C' => visitor.visit_borrowed_str(reader.text(1)?),
            b'S' => {
                let length = reader.length()?;
                visitor.visit_borrowed_str(reader.text(length)?)
            }
            b'[' | b'{' => {
                if reader.depth == MAX_DEPTH {
                    return Err(Error(format!("more than {MAX_DEPTH} containers within each other")));
                }
                reader.depth += 1;
                let (of, left) = reader.header()?;
                let items = Items { reader: &mut *reader, of, left };
                let value = if marker == b'[' { visitor.visit_seq(items) } else { visitor.visit_map(items) }?;
                reader.depth -= 1;
                Ok(value)
            }
            number => visitor.visit_i64(reader.integer(number)?),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.marker == b'Z' { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf unit unit_struct newtype_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// The values of an array, or the keys and values of an object.
struct Items<'a, 'de> {
    reader: &'a mut Reader<'de>,
    of: Option<u8>,
    left: Option<usize>,
}

impl<'de> Items<'_, 'de> {
    /// Whether another item follows; reads the end.
    fn more(&mut self, end: u8) -> Result<bool, Error> {
        if let Some(left) = &mut self.left {
            let more = *left > 0;
            *left = left.saturating_sub(1);
            return Ok(more);
        }
        while self.reader.peek()? == b'N' {
            self.reader.at += 1;
        }
        let more = self.reader.peek()? != end;
        self.reader.at += usize::from(!more);
        Ok(more)
    }

    fn value(&mut self) -> Result<Value<'_, 'de>, Error> {
        let marker = match self.of {
            Some(marker) => marker,
            None => self.reader.marker()?,
        };
        Ok(Value { reader: &mut *self.reader, marker })
    }
}

impl<'de> de::SeqAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.more(b']')? { seed.deserialize(self.value()?).map(Some) } else { Ok(None) }
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de> de::MapAccess<'de> for Items<'_, 'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        if !self.more(b'}')? {
            return Ok(None);
        }
        let length = self.reader.length()?;
        let key = self.reader.text(length)?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self.value()?)
    }
}
