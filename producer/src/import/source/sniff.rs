//! What a file is, from its first bytes.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::map::Format;

/// How many bytes are looked at to tell one format from another.
pub(crate) const SAMPLE: usize = 64 << 10;

/// An open file: Parquet, or a stream of text, uncompressed.
pub(crate) enum Opened {
    Parquet(File),
    Stream(Box<dyn Read>),
}

/// Counts the bytes that are read, for the progress shown.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// Opens a file and undoes its compression, which its first bytes tell: gzip, zstd or none. Others that are known are an error that says
/// how to unpack them: as text they would be rubbish.
pub(crate) fn open(path: &Path, read: &Arc<AtomicU64>) -> io::Result<Opened> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let known = read_up_to(&mut file, &mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    if &magic[..known] == b"PAR1" {
        return Ok(Opened::Parquet(file));
    }
    let unpack = match magic[..known] {
        [b'P', b'K', 3, 4] => Some(("a zip archive", "unzip")),
        [b'B', b'Z', b'h', b'1'..=b'9'] => Some(("compressed by bzip2", "bunzip2")),
        [0xfd, b'7', b'z', b'X'] => Some(("compressed by xz", "unxz")),
        _ => None,
    };
    if let Some((what, how)) = unpack {
        let why = format!("it is {what}: unpack it first ({how}), or pack it with gzip or zstd");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let counted = Counted { inner: file, read: Arc::clone(read) };
    Ok(Opened::Stream(match magic[..known] {
        [0x1f, 0x8b, ..] => {
            let buffered = BufReader::with_capacity(1 << 16, counted);
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
        }
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd::Decoder::new(counted)?),
        _ => Box::new(counted),
    }))
}

fn read_up_to(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read(&mut into[filled..])? {
            0 => break,
            n => filled += n,
        }
    }
    Ok(filled)
}

/// How many bytes of a byte order mark there are.
///
/// # Errors
/// If the mark says that the text is not UTF-8.
pub(crate) fn byte_order_mark(sample: &[u8]) -> Result<usize, &'static str> {
    match sample {
        [0xef, 0xbb, 0xbf, ..] => Ok(3),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err("the file is UTF-16; convert it to UTF-8 first"),
        _ => Ok(0),
    }
}

/// The format of text that begins so.
pub(crate) fn guess_format(sample: &[u8]) -> Format {
    let text = sample.trim_ascii_start();
    match text.first() {
        Some(b'[') => Format::Json,
        Some(b'{') => {
            let line = memchr::memchr(b'\n', text).map_or(text, |end| &text[..end]);
            let is_object = serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok();
            // A first line that is broken is a bad row of a file of lines, unless the object goes on after it.
            if is_object || line.len() == text.len() || line.len() > 2 {
                Format::JsonLines
            } else {
                Format::Json
            }
        }
        _ => match guess_delimiter(text) {
            None => Format::Whitespace,
            Some(b'\t') => Format::Tsv,
            Some(_) => Format::Csv,
        },
    }
}

/// The byte that most evenly separates the first lines; `None` if none of the usual ones does.
pub(crate) fn guess_delimiter(sample: &[u8]) -> Option<u8> {
    const USUAL: [u8; 4] = [b',', b';', b'\t', b'|'];
    let lines: Vec<&[u8]> =
        sample.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).take(10).collect();
    let whole = if lines.len() > 1 && !sample.ends_with(b"\n") { &lines[..lines.len() - 1] } else { &lines };
    let count = |delimiter: u8, line: &[u8]| {
        let mut quoted = false;
        let outside = |b: &&u8| {
            quoted ^= **b == b'"';
            **b == delimiter && !quoted
        };
        line.iter().filter(outside).count()
    };
    let score = |delimiter: u8| {
        let first = count(delimiter, whole.first()?);
        let even = whole.iter().filter(|line| count(delimiter, line) == first).count();
        (first > 0).then_some((even, first))
    };
    // Of equals the first: the list is in order of custom.
    USUAL
        .into_iter()
        .rev()
        .filter_map(|d| Some((score(d)?, d)))
        .max_by_key(|(score, _)| *score)
        .map(|(_, d)| d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_unpacked_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, how) in
            [(&b"PK\x03\x04rest"[..], "unzip"), (b"BZh9rest", "bunzip2"), (b"\xfd7zXZ\0", "unxz")]
        {
            let path = folder.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            let error = open(&path, &Arc::default()).err().unwrap().to_string();
            assert!(error.contains(how), "{error}");
        }
    }

    #[test]
    fn formats_are_told_apart() {
        for (sample, format) in [
            ("{\"a\":1}\n{\"a\":2}\n", Format::JsonLines),
            ("{\n  \"a\": 1\n}\n", Format::Json),
            (" [\n{\"a\":1}]", Format::Json),
            ("user,day\n1,2\n", Format::Csv),
            ("user;day;price\n1;2;3,5\n2;3;4,5\n", Format::Csv),
            ("user\tday\n1\t2\n", Format::Tsv),
            (" 00001 19970101  1   11.77\n", Format::Whitespace),
        ] {
            assert_eq!(guess_format(sample.as_bytes()), format, "{sample}");
        }
        assert_eq!(guess_delimiter(b"a;b;c\n1,5;2,5;3\n1;2;3,5\n"), Some(b';'));
        assert_eq!(guess_delimiter(b"a,b\n\"x;y\",1\n"), Some(b','));
    }
}
