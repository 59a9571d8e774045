//! Apache Kafka's record batch format, version 2 (`DefaultRecordBatch` there), as it stands in segment files and on
//! the wire: <https://kafka.apache.org/documentation/#messageformat>.

mod compress;
mod decode;
mod encode;
mod header;
mod murmur2;
mod varint;
mod without;

pub use compress::{Codec, Compression};
pub use decode::{checksum, decode_batch};
pub use encode::BatchBuilder;
pub use header::BatchHeader;
pub use murmur2::{murmur2, partition_for};
pub(crate) use varint::{push as push_varint, read as read_varint};
pub(crate) use without::without;

/// The largest batch that is written or read, compressed or not, in bytes: 256 MiB. It bounds what a damaged or hostile
/// length can make a reader allocate.
pub const MAX_BATCH_BYTES: usize = 256 << 20;

/// The largest record, all parts together, in bytes: half the largest batch, which leaves room for what is beside it.
pub const MAX_RECORD_BYTES: usize = MAX_BATCH_BYTES / 2;

/// Why bytes are no batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The bytes end before the batch does.
    #[error("the batch is cut: it needs {need} bytes and has {have}")]
    Cut {
        /// How many it needs.
        need: usize,
        /// How many there are.
        have: usize,
    },
    /// Another format version, or no batch at all.
    #[error("the magic byte is {0}, not 2 (older message formats are not read)")]
    Magic(u8),
    /// A length that no batch has.
    #[error("the batch length is {0}")]
    Length(i32),
    /// A number that cannot be negative is.
    #[error("the {what} is {n}")]
    Negative {
        /// Which.
        what: &'static str,
        /// Its value.
        n: i64,
    },
    /// The checksum does not fit the bytes.
    #[error("the CRC-32C is {computed:08x}, {stored:08x} was written")]
    Crc {
        /// As it stands in the header.
        stored: u32,
        /// As the bytes give it.
        computed: u32,
    },
    /// A compression that the format does not have.
    #[error("unknown compression {0}")]
    UnknownCodec(i16),
    /// The compressed records cannot be read.
    #[error("the {codec} data is bad: {detail}")]
    Decompress {
        /// How they are compressed.
        codec: Codec,
        /// What the decompressor says.
        detail: String,
    },
    /// The records cannot be compressed.
    #[error("cannot compress with {codec}: {detail}")]
    Compress {
        /// How they were to be compressed.
        codec: Codec,
        /// What the compressor says.
        detail: String,
    },
    /// A record does not fit its own lengths, although the checksum is right.
    #[error("record {index} of the batch is malformed")]
    Record {
        /// Which, from 0.
        index: u32,
    },
    /// There are bytes after the last record.
    #[error("{0} bytes follow the last record")]
    Excess(usize),
    /// The buffer holds 4 GiB already; it was never cleared.
    #[error("the record buffer is full: clear it between reads")]
    BufferFull,
    /// A record larger than [`MAX_RECORD_BYTES`].
    #[error("a record of {0} bytes is larger than {MAX_RECORD_BYTES}")]
    RecordTooLarge(usize),
}
