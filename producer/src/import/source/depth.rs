//! Where in a JSON object a search for its end has come.

use memchr::memchr2;

/// How deep within an object a search is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Depth {
    pub(super) open: usize,
    pub(super) in_text: bool,
    /// The byte before was a backslash in a text.
    pub(super) escaped: bool,
}

impl Depth {
    /// Takes the next byte. Whether the object ends with it.
    pub(super) fn step(&mut self, byte: u8) -> bool {
        if std::mem::take(&mut self.escaped) {
            return false;
        }
        match byte {
            b'"' => self.in_text = !self.in_text,
            b'\\' => self.escaped = self.in_text,
            _ if self.in_text => {}
            b'{' | b'[' => self.open += 1,
            b'}' | b']' => self.open -= 1,
            _ => {}
        }
        self.open == 0
    }

    /// Goes on from `at` to just behind the object's end, or to the end of the bytes. Whether the object ended.
    pub(super) fn end(&mut self, bytes: &[u8], at: &mut usize) -> bool {
        while let Some(byte) = bytes.get(*at) {
            if self.in_text && !self.escaped && !matches!(byte, b'"' | b'\\') {
                let rest = &bytes[*at..];
                *at += memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
                continue;
            }
            *at += 1;
            if self.step(*byte) {
                return true;
            }
        }
        false
    }
}

/// How many blanks a line began with, while nothing else has come in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Indent(pub(super) Option<usize>);

impl Indent {
    pub(super) fn step(&mut self, byte: u8) {
        self.0 = match byte {
            b'\n' => Some(0),
            b' ' | b'\t' => self.0.map(|blanks| blanks + 1),
            _ => None,
        };
    }
}
