//! How text is written as bytes, where it is not UTF-8. The names and tables are those of the web (WHATWG), which knows what files
//! are really like: who says latin-1 has windows-1252.

use std::fmt;

use encoding_rs::{DecoderResult, Encoding};

/// An encoding of text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// UTF-16, with the greater byte of a character first or last.
    Utf16 {
        /// Whether it is first.
        big: bool,
    },
    /// One in which ASCII characters are themselves.
    Other(&'static Encoding),
}

impl fmt::Debug for TextEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl TextEncoding {
    /// The encoding of that name, as web pages and people write it.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.trim().to_ascii_lowercase();
        let of_label = |label: &str| Encoding::for_label(label.as_bytes());
        let found = of_label(&lower)
            .or_else(|| of_label(&format!("windows-{}", lower.strip_prefix("cp")?)))
            .or_else(|| of_label(&lower.replace("latin-", "latin").replace("utf16", "utf-16")))?;
        Some(if found == encoding_rs::UTF_8 {
            Self::Utf8
        } else if found == encoding_rs::UTF_16LE || found == encoding_rs::UTF_16BE {
            Self::Utf16 { big: found == encoding_rs::UTF_16BE }
        } else if found.is_ascii_compatible() {
            Self::Other(found)
        } else {
            return None;
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 { big: false } => "utf-16le",
            Self::Utf16 { big: true } => "utf-16be",
            Self::Other(encoding) => encoding.name(),
        }
    }

    /// Whether a byte below 128 may be part of another character than the ASCII one.
    #[must_use]
    pub fn hides_ascii(self) -> bool {
        matches!(self, Self::Other(encoding) if !encoding.is_single_byte())
    }
}

/// Replaces `into` by the text of `bytes`, in memory that is used again.
///
/// # Errors
/// Where the first character is that there is not, counted in bytes.
pub(crate) fn decode(encoding: &'static Encoding, bytes: &[u8], into: &mut String) -> Result<(), usize> {
    into.clear();
    let mut decoder = encoding.new_decoder_without_bom_handling();
    into.reserve(decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len() * 3));
    match decoder.decode_to_string_without_replacement(bytes, into, true) {
        (DecoderResult::InputEmpty, _) => Ok(()),
        (DecoderResult::Malformed(length, more), read) => Err(read - usize::from(length) - usize::from(more)),
        // There is room for all of it, as reserved.
        (DecoderResult::OutputFull, read) => Err(read),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(name: &str, bytes: &[u8]) -> Result<String, usize> {
        let Some(TextEncoding::Other(encoding)) = TextEncoding::named(name) else { panic!("{name}") };
        let mut text = "what was there before".to_owned();
        decode(encoding, bytes, &mut text).map(|()| text)
    }

    #[test]
    fn names_are_those_that_people_write() {
        for name in ["latin-1", "latin1", "Latin-1", "iso-8859-1", "windows-1252", "cp1252", "ascii"] {
            assert_eq!(TextEncoding::named(name).unwrap().name(), "windows-1252", "{name}");
        }
        for (name, known) in [
            ("UTF-8", "utf-8"),
            ("utf8", "utf-8"),
            ("utf-16", "utf-16le"),
            ("utf16", "utf-16le"),
            ("UTF-16BE", "utf-16be"),
            ("cp1251", "windows-1251"),
            ("sjis", "Shift_JIS"),
            ("latin-2", "ISO-8859-2"),
        ] {
            assert_eq!(TextEncoding::named(name).unwrap().name(), known);
        }
        for name in ["", "ebcdic", "cp437", "iso-2022-jp", "utf-7"] {
            assert_eq!(TextEncoding::named(name), None, "{name}");
        }
    }

    #[test]
    fn text_is_decoded_and_what_is_none_is_found() {
        assert_eq!(decoded("latin-1", b"Am\xe9lie \x80"), Ok("Amélie €".to_owned()));
        assert_eq!(decoded("shift_jis", b"a\x83\x65b"), Ok("aテb".to_owned()));
        assert_eq!(decoded("shift_jis", b"ab\x83"), Err(2));
        assert_eq!(decoded("shift_jis", b"ab\x83\x00c"), Err(2));
        assert_eq!(decoded("windows-1253", b"abc\xaa"), Err(3));
        assert_eq!(decoded("koi8-r", b""), Ok(String::new()));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(0_u8.., 0..40)) {
            for name in ["gb18030", "shift_jis", "euc-jp", "big5", "euc-kr", "windows-1253"] {
                let _ = decoded(name, &bytes);
            }
            proptest::prop_assert!(decoded("windows-1252", &bytes).is_ok());
        }
    }
}
