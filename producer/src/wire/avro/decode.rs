//! Reading a value: bytes are taken from the front, JSON is put at the end.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use types::RejectReason;

use super::super::{DEEPEST, invalid, too_large};
use super::{AvroSchema, Moment, Part, Raw};
use crate::map::Reject;

/// The longest decimal, in bytes: 154 digits.
const LONGEST_DECIMAL: usize = 64;

pub(super) struct Decoder<'a> {
    pub(super) schema: &'a AvroSchema,
    /// What was not read yet.
    pub(super) left: &'a [u8],
    pub(super) json: &'a mut Vec<u8>,
    pub(super) depth: usize,
    /// No more JSON is written, by much.
    pub(super) limit: usize,
}

type Decoded<T = ()> = Result<T, Reject>;

impl<'a> Decoder<'a> {
    /// Reads a value of the type at a place of the schema. Each writes something, so the bound of what is written ends every loop.
    pub(super) fn value(&mut self, part: usize) -> Decoded {
        if self.json.len() > self.limit {
            return Err(too_large());
        }
        let schema = self.schema;
        match &schema.parts[part] {
            Part::Null => self.put("null"),
            Part::Boolean => match self.take(1)?[0] {
                0 => self.put("false"),
                1 => self.put("true"),
                other => return Err(invalid(format!("the byte {other} is neither true nor false"))),
            },
            Part::Int(moment) => {
                let number = self.number()?;
                if i32::try_from(number).is_err() {
                    return Err(invalid(format!("{number} is no int")));
                }
                return self.moment(*moment, number);
            }
            Part::Long(moment) => {
                let number = self.number()?;
                return self.moment(*moment, number);
            }
            Part::Float => {
                let number = f32::from_le_bytes(self.array()?);
                self.float(number.is_finite(), number, number.into());
            }
            Part::Double => {
                let number = f64::from_le_bytes(self.array()?);
                self.float(number.is_finite(), number, number);
            }
            Part::Bytes(raw) => {
                let length = self.length()?;
                return self.bytes(length, *raw);
            }
            Part::Fixed(length, raw) => return self.bytes(*length, *raw),
            Part::Text => return self.text(),
            Part::Enum(symbols) => {
                let index = self.number()?;
                let symbol = usize::try_from(index).ok().and_then(|index| symbols.get(index));
                let symbol = symbol.ok_or_else(|| invalid(format!("an enum has no symbol {index}")))?;
                self.quote(symbol);
            }
            Part::Union(parts) => {
                let index = self.number()?;
                let part = usize::try_from(index).ok().and_then(|index| parts.get(index));
                let part = *part.ok_or_else(|| invalid(format!("a union has no branch {index}")))?;
                // No union stands directly in a union.
                return self.value(part);
            }
            Part::Record(fields) => {
                return self.within(b"{}", |decoder| {
                    for (index, (_, part, key)) in fields.iter().enumerate() {
                        if index > 0 {
                            decoder.put(",");
                        }
                        decoder.json.extend_from_slice(key);
                        decoder.value(*part)?;
                    }
                    Ok(())
                });
            }
            Part::Array(items) => {
                return self.within(b"[]", |decoder| decoder.blocks(|decoder| decoder.value(*items)));
            }
            Part::Map(values) => {
                return self.within(b"{}", |decoder| {
                    decoder.blocks(|decoder| {
                        decoder.text()?;
                        decoder.put(":");
                        decoder.value(*values)
                    })
                });
            }
            Part::Open => return Err(invalid("its schema is not whole")),
        }
        Ok(())
    }

    fn put(&mut self, text: &str) {
        self.json.extend_from_slice(text.as_bytes());
    }

    fn within(&mut self, brackets: &[u8; 2], content: impl FnOnce(&mut Self) -> Decoded) -> Decoded {
        if self.depth == DEEPEST {
            return Err(invalid(format!("values lie more than {DEEPEST} deep in one another")));
        }
        self.depth += 1;
        self.json.push(brackets[0]);
        content(self)?;
        self.json.push(brackets[1]);
        self.depth -= 1;
        Ok(())
    }

    /// Blocks of items: their count, negative if their size in bytes follows; a count of 0 ends them.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Decoded) -> Decoded {
        let mut is_first = true;
        loop {
            let mut count = self.number()?;
            if count < 0 {
                self.number()?;
                count = count.checked_neg().ok_or_else(|| invalid("a count is out of range"))?;
            }
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                if !std::mem::take(&mut is_first) {
                    self.put(",");
                }
                item(self)?;
            }
        }
    }

    fn take(&mut self, count: usize) -> Decoded<&'a [u8]> {
        let (taken, left) =
            self.left.split_at_checked(count).ok_or_else(|| invalid("it ends within a value"))?;
        self.left = left;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Decoded<[u8; N]> {
        let (taken, left) =
            self.left.split_first_chunk().ok_or_else(|| invalid("it ends within a number"))?;
        self.left = left;
        Ok(*taken)
    }

    /// A variable-length number with zig-zag coding.
    fn number(&mut self) -> Decoded<i64> {
        super::super::zigzag(&mut self.left)
    }

    fn length(&mut self) -> Decoded<usize> {
        let length = self.number()?;
        usize::try_from(length).map_err(|_| invalid(format!("a length is {length}")))
    }

    fn text(&mut self) -> Decoded {
        let length = self.length()?;
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            Reject::new(RejectReason::InvalidUtf8, format!("a text is no UTF-8: {error}"))
        })?;
        self.quote(text);
        Ok(())
    }

    fn quote(&mut self, text: &str) {
        // Writing to a vector cannot fail, and text always has JSON.
        let _ = serde_json::to_writer(&mut *self.json, text);
    }

    /// A number as short as its type allows, or its name.
    fn float(&mut self, is_finite: bool, own: impl serde::Serialize, number: f64) {
        if is_finite {
            // As for texts.
            let _ = serde_json::to_writer(&mut *self.json, &own);
        } else if number.is_nan() {
            self.put("\"NaN\"");
        } else {
            self.put(if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" });
        }
    }

    fn moment(&mut self, moment: Moment, number: i64) -> Decoded {
        let out_of_range = || Reject::new(RejectReason::TimeOutOfRange, format!("{number} is no moment"));
        let nanos = match moment {
            Moment::Number => {
                self.put(&number.to_string());
                return Ok(());
            }
            Moment::Date => i128::from(number) * 86_400_000_000_000,
            Moment::Local(per_second) => i128::from(number) * (1_000_000_000 / i128::from(per_second)),
        };
        let instant = jiff::Timestamp::from_nanosecond(nanos).map_err(|_| out_of_range())?;
        let civil = jiff::tz::Offset::UTC.to_datetime(instant);
        let text = if moment == Moment::Date { civil.date().to_string() } else { civil.to_string() };
        self.quote(&text);
        Ok(())
    }

    fn bytes(&mut self, length: usize, raw: Raw) -> Decoded {
        let bytes = self.take(length)?;
        match raw {
            Raw::Bytes => self.quote(&STANDARD.encode(bytes)),
            Raw::Uuid => {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                let parts =
                    [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default());
                self.quote(&parts.join("-"));
            }
            Raw::Decimal(scale) if bytes.len() <= LONGEST_DECIMAL => self.quote(&decimal(bytes, scale)),
            Raw::Decimal(_) => {
                return Err(invalid(format!(
                    "a decimal has {} bytes; the most are {LONGEST_DECIMAL}",
                    bytes.len()
                )));
            }
        }
        Ok(())
    }
}

/// A number in two's complement, big-endian, with so many decimal places.
fn decimal(bytes: &[u8], scale: usize) -> String {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if is_negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // Division by ten, digit by digit, until nothing is left.
    let mut digits = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) || digits.len() <= scale {
        let mut rest = 0_u32;
        for byte in &mut magnitude {
            let all = rest << 8 | u32::from(*byte);
            (*byte, rest) = ((all / 10) as u8, all % 10);
        }
        digits.push(b'0' + rest as u8);
    }
    let mut text = if is_negative { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.iter().enumerate().rev() {
        text.push(char::from(*digit));
        if index == scale && scale > 0 {
            text.push('.');
        }
    }
    text
}
