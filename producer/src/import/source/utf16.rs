//! UTF-16 as a stream of UTF-8, so that all else need know of ASCII only, and back again for the bytes of rejected rows.
//!
//! What is no character survives as well: half a surrogate pair is written as if it were a character (WTF-8), the odd byte at the end of
//! a file as three bytes that begin with 0xff. Neither is UTF-8, so a row with it is rejected, and its bytes are found again.

use std::io::{self, Read};

/// Marks the odd byte at a file's end.
const ODD: u8 = 0xff;
const READ: usize = 64 << 10;

/// Reads UTF-16 and gives out UTF-8.
pub(super) struct Narrowed<R> {
    input: R,
    big: bool,
    /// What was read, and how much of it, not yet converted, is at its beginning.
    raw: Vec<u8>,
    left: usize,
    /// What was converted, and from where it has not been given out.
    text: Vec<u8>,
    given: usize,
    /// The first half of a pair of surrogates, while the second is not known.
    half: Option<u16>,
}

impl<R: Read> Narrowed<R> {
    pub(super) fn new(input: R, big: bool) -> Self {
        let (raw, text) = (vec![0; READ], Vec::new());
        Self { input, big, raw, left: 0, text, given: 0, half: None }
    }

    /// Converts some more; `false` at the end.
    fn convert(&mut self) -> io::Result<bool> {
        self.given = 0;
        self.text.clear();
        let n = self.input.read(&mut self.raw[self.left..])?;
        let filled = self.left + n;
        if n == 0 {
            if let Some(half) = self.half.take() {
                push(u32::from(half), &mut self.text);
            }
            if self.left == 1 {
                let odd = self.raw[0];
                self.text.extend([ODD, 0x80 | odd >> 4, 0x80 | odd & 15]);
                self.left = 0;
            }
            return Ok(!self.text.is_empty());
        }
        for pair in self.raw[..filled].chunks_exact(2) {
            let unit = unit(pair, self.big);
            match (self.half.take(), unit) {
                (Some(high), 0xdc00..=0xdfff) => {
                    let code = 0x1_0000 + ((u32::from(high) - 0xd800) << 10) + (u32::from(unit) - 0xdc00);
                    push(code, &mut self.text);
                    continue;
                }
                (Some(half), _) => push(u32::from(half), &mut self.text),
                (None, _) => {}
            }
            match unit {
                0xd800..=0xdbff => self.half = Some(unit),
                _ => push(u32::from(unit), &mut self.text),
            }
        }
        self.left = filled % 2;
        self.raw[0] = self.raw[filled - 1];
        Ok(true)
    }
}

impl<R: Read> Read for Narrowed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            if !self.convert()? {
                return Ok(0);
            }
        }
        let n = into.len().min(self.text.len() - self.given);
        into[..n].copy_from_slice(&self.text[self.given..self.given + n]);
        self.given += n;
        Ok(n)
    }
}

fn unit(pair: &[u8], big: bool) -> u16 {
    let pair = [pair[0], pair[1]];
    if big { u16::from_be_bytes(pair) } else { u16::from_le_bytes(pair) }
}

/// Adds a code point as UTF-8 writes it, surrogates too.
fn push(code: u32, out: &mut Vec<u8>) {
    let byte = |shift: u32, mask: u32, mark: u32| (mark | (code >> shift) & mask) as u8;
    match code {
        0..0x80 => out.push(code as u8),
        0x80..0x800 => out.extend([byte(6, 0x1f, 0xc0), byte(0, 0x3f, 0x80)]),
        0x800..0x1_0000 => out.extend([byte(12, 0x0f, 0xe0), byte(6, 0x3f, 0x80), byte(0, 0x3f, 0x80)]),
        _ => out.extend([byte(18, 7, 0xf0), byte(12, 0x3f, 0x80), byte(6, 0x3f, 0x80), byte(0, 0x3f, 0x80)]),
    }
}

/// The bytes in the file of text that [`Narrowed`] gave out. A character that was cut at the end is left out.
pub(super) fn widened(text: &[u8], big: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * text.len());
    let mut unit = |unit: u16| out.extend(if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
    let mut odd = None;
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let (length, mask) = match first {
            0..0x80 => (0, 0x7f),
            0x80..0xe0 => (1, 0x1f),
            0xe0..0xf0 => (2, 0x0f),
            0xf0..ODD => (3, 7),
            &ODD => (2, 0),
        };
        let Some((tail, after)) = more.split_at_checked(length) else { break };
        rest = after;
        if *first == ODD {
            odd = Some(tail[0] << 4 | tail[1] & 15);
            continue;
        }
        let code = tail.iter().fold(u32::from(first & mask), |code, byte| code << 6 | u32::from(byte & 0x3f));
        match code.checked_sub(0x1_0000) {
            None => unit(code as u16),
            Some(code) => {
                unit(0xd800 + (code >> 10) as u16);
                unit(0xdc00 + (code & 0x3ff) as u16);
            }
        }
    }
    out.extend(odd);
    out
}

#[cfg(test)]
mod tests {
    use proptest::strategy::Strategy;

    use super::*;

    /// Gives out a few bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(into.len());
            self.0.read(&mut into[..n])
        }
    }

    fn narrowed(bytes: &[u8], big: bool, step: usize) -> Vec<u8> {
        let mut text = Vec::new();
        Narrowed::new(Dribble(bytes, step), big).read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn text_is_narrowed() {
        let text = "user\tÄrger\t€\t😀\r\n";
        for (big, bytes) in [
            (false, text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()),
            (true, text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        ] {
            for step in [1, 2, 3, 1000] {
                assert_eq!(narrowed(&bytes, big, step), text.as_bytes());
            }
            assert_eq!(widened(text.as_bytes(), big), bytes);
        }
        assert_eq!(widened(&text.as_bytes()[..6], false), widened(b"user\t", false), "cut");
    }

    fn units() -> impl Strategy<Value = Vec<u16>> {
        let unit = proptest::prop_oneof![0_u16.., 0xd700_u16..0xe100, 0_u16..0x90];
        proptest::collection::vec(unit, 0..60)
    }

    proptest::proptest! {
        #[test]
        fn every_byte_is_found_again(units in units(), odd: Option<u8>, big: bool, step in 1_usize..9) {
            let mut bytes: Vec<u8> = units.iter().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() }).collect();
            bytes.extend(odd);
            let text = narrowed(&bytes, big, step);
            proptest::prop_assert_eq!(&widened(&text, big), &bytes);
            let is_text = odd.is_none() && String::from_utf16(&units).is_ok();
            proptest::prop_assert_eq!(std::str::from_utf8(&text).is_ok(), is_text);
        }
    }
}
