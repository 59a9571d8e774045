//! The codecs of Kafka's record batches: gzip, snappy (in the framing of snappy-java), LZ4 frames, zstd.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use super::{BatchError, MAX_BATCH_BYTES};

/// How the records of a batch are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy blocks in snappy-java's framing, or one bare block.
    Snappy,
    /// An LZ4 frame.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Codec {
    pub(crate) fn from_attributes(attributes: i16) -> Result<Self, BatchError> {
        match attributes & 7 {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            other => Err(BatchError::UnknownCodec(other)),
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        })
    }
}

/// How our own batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all: the fastest to write and read.
    #[default]
    None,
    /// LZ4: about a third of the size for JSON events, at little cost.
    Lz4,
    /// Zstandard at level 3: smaller still, at several times the cost.
    Zstd,
}

impl Compression {
    pub(crate) const fn codec(self) -> Codec {
        match self {
            Self::None => Codec::None,
            Self::Lz4 => Codec::Lz4,
            Self::Zstd => Codec::Zstd,
        }
    }

    pub(crate) const fn attributes(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }
}

/// The names are those of Kafka's `compression.type`.
impl FromStr for Compression {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "none" => Ok(Self::None),
            "lz4" => Ok(Self::Lz4),
            "zstd" => Ok(Self::Zstd),
            _ => Err(format!("`{name}` is no compression that is written: none, lz4 or zstd")),
        }
    }
}

const ZSTD_LEVEL: i32 = 3;

/// Appends `records`, compressed, to `out`.
pub(crate) fn compress(
    compression: Compression,
    records: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let result = match compression {
        Compression::None => {
            out.extend_from_slice(records);
            Ok(())
        }
        Compression::Lz4 => lz4(records, out),
        Compression::Zstd => zstd::stream::copy_encode(records, &mut *out, ZSTD_LEVEL),
    };
    result.map_err(|e| BatchError::Compress { codec: compression.codec(), detail: e.to_string() })
}

fn lz4(records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    // Kafka's Java client reads frames of independent blocks only.
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut encoder = FrameEncoder::with_frame_info(info, out);
    encoder.write_all(records)?;
    encoder.finish()?;
    Ok(())
}

/// Appends what `data` holds to `out`. At most [`MAX_BATCH_BYTES`] come out; more is an error.
pub(crate) fn decompress(codec: Codec, data: &[u8], out: &mut Vec<u8>) -> Result<(), BatchError> {
    let result = match codec {
        Codec::None => {
            out.extend_from_slice(data);
            Ok(())
        }
        Codec::Gzip => read_all(flate2::bufread::MultiGzDecoder::new(data), out),
        Codec::Snappy => snappy(data, out),
        Codec::Lz4 => read_all(lz4_flex::frame::FrameDecoder::new(data), out),
        Codec::Zstd => zstd::stream::read::Decoder::with_buffer(data).and_then(|d| read_all(d, out)),
    };
    result.map_err(|e| BatchError::Decompress { codec, detail: e.to_string() })
}

fn read_all(reader: impl Read, out: &mut Vec<u8>) -> io::Result<()> {
    let read = reader.take(MAX_BATCH_BYTES as u64 + 1).read_to_end(out)?;
    if read > MAX_BATCH_BYTES { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> io::Error {
    io::Error::other(format!("it holds more than {MAX_BATCH_BYTES} bytes"))
}

const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// The magic, then a version and the oldest compatible version, four bytes each.
const XERIAL_HEADER: usize = 16;

fn snappy(data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let from = out.len();
    if !data.starts_with(&XERIAL_MAGIC) {
        return snappy_block(data, from, out);
    }
    let cut = || io::Error::new(io::ErrorKind::UnexpectedEof, "a block is cut");
    let mut rest = data.get(XERIAL_HEADER..).ok_or_else(cut)?;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let len = u32::from_be_bytes(*len) as usize;
        snappy_block(after.get(..len).ok_or_else(cut)?, from, out)?;
        rest = &after[len..];
    }
    Ok(())
}

fn snappy_block(block: &[u8], from: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let len = snap::raw::decompress_len(block)?;
    let at = out.len();
    if at - from + len > MAX_BATCH_BYTES {
        return Err(too_large());
    }
    // A block cannot grow by more than this; a larger claim is not worth allocating for.
    if len > block.len().saturating_mul(64) {
        return Err(io::Error::other("its length is impossible"));
    }
    out.resize(at + len, 0);
    snap::raw::Decoder::new().decompress(block, &mut out[at..])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xerial(blocks: &[&[u8]]) -> Vec<u8> {
        let mut out = XERIAL_MAGIC.to_vec();
        out.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
        for block in blocks {
            let packed = snap::raw::Encoder::new().compress_vec(block).unwrap();
            out.extend_from_slice(&(packed.len() as u32).to_be_bytes());
            out.extend_from_slice(&packed);
        }
        out
    }

    #[test]
    fn snappy_is_read_framed_and_bare() {
        let mut out = b"before ".to_vec();
        decompress(Codec::Snappy, &xerial(&[b"one ", b"", b"two"]), &mut out).unwrap();
        assert_eq!(out, b"before one two");
        let bare = snap::raw::Encoder::new().compress_vec(b" three").unwrap();
        decompress(Codec::Snappy, &bare, &mut out).unwrap();
        assert_eq!(out, b"before one two three");
    }

    #[test]
    fn cut_data_is_an_error() {
        let text = b"abcabcabcabcabc".repeat(50);
        for compression in [Compression::Lz4, Compression::Zstd] {
            let mut packed = Vec::new();
            compress(compression, &text, &mut packed).unwrap();
            let mut out = Vec::new();
            decompress(compression.codec(), &packed, &mut out).unwrap();
            assert_eq!(out, text);
            assert!(decompress(compression.codec(), &packed[..packed.len() / 2], &mut Vec::new()).is_err());
        }
        let framed = xerial(&[&text]);
        assert!(decompress(Codec::Snappy, &framed[..framed.len() - 1], &mut Vec::new()).is_err());
        assert!(decompress(Codec::Snappy, &framed[..10], &mut Vec::new()).is_err());
    }

    #[test]
    fn a_small_batch_that_claims_to_be_huge_is_refused() {
        // Snappy's length comes first: 200 MiB.
        assert!(decompress(Codec::Snappy, &[0x80, 0x80, 0x80, 0x64, 0], &mut Vec::new()).is_err());
        let zeros = vec![0; MAX_BATCH_BYTES + 1];
        let mut packed = Vec::new();
        compress(Compression::Zstd, &zeros, &mut packed).unwrap();
        let error = decompress(Codec::Zstd, &packed, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("more than"), "{error}");
    }
}
