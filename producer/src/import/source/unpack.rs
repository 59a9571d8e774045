//! From a file to its text: what it is by its first bytes, its compression, its encoding.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::utf16::Narrowed;
use crate::map::TextEncoding;

/// An open file: Parquet, or a stream of text, uncompressed.
pub(super) enum Opened {
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

/// What is known and cannot be read: how it begins, what it is, what to do.
const OTHERS: [(&[u8], &str, &str); 13] = [
    (b"PK\x03\x04", "a zip archive, or a workbook of Excel", "unpack it (unzip), or save it as CSV"),
    (&[0xd0, 0xcf, 0x11, 0xe0], "a workbook of an old Excel", "save it as CSV"),
    (b"\xfd7zXZ", "compressed by xz", "unpack it first (unxz), or pack it with gzip or zstd"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it first (7z x)"),
    (b"Rar!", "a rar archive", "unpack it first (unrar x)"),
    (b"\x04\x22\x4d\x18", "compressed by lz4", "unpack it first (unlz4), or pack it with gzip or zstd"),
    (b"\x1f\x9d", "compressed by compress", "unpack it first (uncompress), or pack it with gzip or zstd"),
    (b"SQLite format 3", "a database of SQLite", "export the table as CSV"),
    (b"Obj\x01", "an Avro file", "write it as Parquet or JSON lines"),
    (b"ORC", "an ORC file", "write it as Parquet"),
    (b"ARROW1", "an Arrow or Feather file", "write it as Parquet"),
    (b"\x89HDF", "an HDF5 file", "write it as Parquet or CSV"),
    (b"%PDF", "a PDF", "get the table as CSV"),
];

/// What a file is that begins so, if that is known and cannot be read.
fn other(magic: &[u8]) -> Option<io::Error> {
    let is_bzip = matches!(magic, [b'B', b'Z', b'h', b'1'..=b'9', b'1', b'A', b'Y', b'&', ..]);
    let bzip = ("compressed by bzip2", "unpack it first (bunzip2), or pack it with gzip or zstd");
    let is_tar = magic.get(257..262).is_some_and(|mark| mark == b"ustar");
    let tar = ("a tar archive", "unpack it first (tar xf)");
    let known =
        OTHERS.iter().find(|(start, ..)| magic.starts_with(start)).map(|(_, what, how)| (*what, *how));
    let (what, how) = known.or(is_bzip.then_some(bzip)).or(is_tar.then_some(tar))?;
    Some(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}: {how}")))
}

/// Opens a file and undoes its compression, which its first bytes tell: gzip, zstd or none. Others that are known are an error that says
/// what to do: as text they would be rubbish.
pub(super) fn open(path: &Path, read: &Arc<AtomicU64>) -> io::Result<Opened> {
    let mut file = File::open(path)?;
    if file.metadata()?.is_dir() {
        let why = "it is a folder: name the files in it, as in FOLDER/*.csv";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let mut magic = Vec::new();
    file.by_ref().take(512).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    if magic.starts_with(b"PAR1") {
        return Ok(Opened::Parquet(file));
    }
    if let Some(error) = other(&magic) {
        return Err(error);
    }
    let counted = Counted { inner: file, read: Arc::clone(read) };
    let mut unpacked: Box<dyn Read> = match *magic {
        [0x1f, 0x8b, ..] => {
            let buffered = BufReader::with_capacity(1 << 16, counted);
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
        }
        // The second is a frame to be passed over, with which parallel compressors begin.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(zstd::Decoder::new(counted)?)
        }
        _ => return Ok(Opened::Stream(Box::new(counted))),
    };
    let mut begin = Vec::new();
    unpacked.by_ref().take(512).read_to_end(&mut begin)?;
    match other(&begin) {
        Some(error) => Err(error),
        None => Ok(Opened::Stream(Box::new(Cursor::new(begin).chain(unpacked)))),
    }
}

/// A text, and how it is encoded.
pub(super) type Text = (Box<dyn Read>, TextEncoding);

/// How a stream of text is encoded and the text itself: UTF-16 as UTF-8, all else as it is, without its byte order mark, which decides
/// whatever the map says. The inner error says what does not fit.
pub(super) fn text(
    mut stream: Box<dyn Read>,
    said: Option<TextEncoding>,
) -> io::Result<Result<Text, String>> {
    let mut begin = Vec::new();
    stream.by_ref().take(256).read_to_end(&mut begin)?;
    let (mark, marked) = byte_order_mark(&begin);
    if marked.is_none()
        && let Some(wrong) = misfit(&begin, said)
    {
        return Ok(Err(wrong));
    }
    let encoding = marked.or(said).unwrap_or(TextEncoding::Utf8);
    let rest = Cursor::new(begin.split_off(mark)).chain(stream);
    Ok(Ok(match encoding {
        TextEncoding::Utf16 { big } => (Box::new(Narrowed::new(rest, big)), encoding),
        _ => (Box::new(rest), encoding),
    }))
}

/// How many bytes of a byte order mark there are, and which encoding it says.
fn byte_order_mark(begin: &[u8]) -> (usize, Option<TextEncoding>) {
    match begin {
        [0xef, 0xbb, 0xbf, ..] => (3, Some(TextEncoding::Utf8)),
        [0xff, 0xfe, ..] => (2, Some(TextEncoding::Utf16 { big: false })),
        [0xfe, 0xff, ..] => (2, Some(TextEncoding::Utf16 { big: true })),
        _ => (0, None),
    }
}

/// UTF-16 by its look: every other byte of what is mostly ASCII is zero.
pub(super) fn looks_wide(begin: &[u8]) -> Option<TextEncoding> {
    let zeros = |odd: usize| begin.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    let (even, odd, half) = (zeros(0), zeros(1), begin.len() / 2);
    let most = |n: usize| half >= 4 && n * 10 >= half * 7;
    match (most(even), most(odd)) {
        (false, true) => Some(TextEncoding::Utf16 { big: false }),
        (true, false) => Some(TextEncoding::Utf16 { big: true }),
        _ => None,
    }
}

fn misfit(begin: &[u8], said: Option<TextEncoding>) -> Option<String> {
    match (said, looks_wide(begin)) {
        (Some(TextEncoding::Utf16 { .. }), None)
            if !begin.is_empty() && begin.is_ascii() && !begin.contains(&0) =>
        {
            Some("the map says UTF-16, and the file is none: leave out `encoding`".to_owned())
        }
        (Some(said @ TextEncoding::Utf16 { .. }), Some(found)) if said != found => {
            Some(format!("the map says {}, and the file looks like {}", said.name(), found.name()))
        }
        (None, Some(found)) => Some(format!(
            "the file looks like UTF-16 without a byte order mark: write encoding = \"{}\" into the map",
            found.name()
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_unpacked_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let mut tar = vec![b'x'; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, how) in [
            (b"PK\x03\x04rest".to_vec(), "unzip"),
            (b"BZh91AY&SYrest".to_vec(), "bunzip2"),
            (b"\xfd7zXZ\0".to_vec(), "unxz"),
            (b"7z\xbc\xaf\x27\x1c".to_vec(), "7z x"),
            (zstd::encode_all(&*tar, 1).unwrap(), "tar xf"),
            (tar, "tar xf"),
        ] {
            let path = folder.path().join("file");
            std::fs::write(&path, bytes).unwrap();
            let error = open(&path, &Arc::default()).err().unwrap().to_string();
            assert!(error.contains(how), "{error}");
        }
        let error = open(folder.path(), &Arc::default()).err().unwrap().to_string();
        assert!(error.contains("FOLDER/*.csv"), "{error}");
    }

    #[test]
    fn encodings_are_told_by_marks_and_otherwise_by_the_map() {
        let read = |bytes: &'static [u8], said: Option<&str>| {
            let said = said.and_then(TextEncoding::named);
            text(Box::new(bytes), said).unwrap().map(|(mut stream, encoding)| {
                let mut text = Vec::new();
                stream.read_to_end(&mut text).unwrap();
                (String::from_utf8_lossy(&text).into_owned(), encoding.name())
            })
        };
        let ok = |text: &str, name| Ok((text.to_owned(), name));
        assert_eq!(read(b"\xef\xbb\xbfa,b", Some("latin-1")), ok("a,b", "utf-8"));
        assert_eq!(read(b"\xff\xfea\0,\0", None), ok("a,", "utf-16le"));
        assert_eq!(read(b"\xfe\xff\0a\0,", Some("utf-16")), ok("a,", "utf-16be"));
        assert_eq!(read(b"a\0,\0b\0\n\0", Some("utf-16")), ok("a,b\n", "utf-16le"));
        assert_eq!(read(b"a,b", None), ok("a,b", "utf-8"));
        assert_eq!(read(b"", Some("utf-16")), ok("", "utf-16le"));
        assert!(read(b"a\0,\0b\0\n\0", None).unwrap_err().contains("encoding = \"utf-16le\""));
        assert!(read(b"\0a\0,\0b\0\n", Some("utf-16le")).unwrap_err().contains("looks like utf-16be"));
        assert!(read(b"a,b", Some("utf-16")).unwrap_err().contains("leave out `encoding`"));
    }
}
