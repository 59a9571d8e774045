//! The 61 bytes before a batch's records.
//!
//! ```text
//! byte  0 base offset            i64      byte 27 base timestamp   i64
//!       8 length after byte 12   i32           35 max timestamp    i64
//!      12 leader epoch           i32           43 producer id      i64
//!      16 magic: 2               i8            51 producer epoch   i16
//!      17 CRC-32C of byte 21...  u32           53 base sequence    i32
//!      21 attributes             i16           57 record count     i32
//!      23 last offset delta      i32
//! ```
//!
//! Attributes: bits 0 to 2 the codec, 3 timestamps given by the broker, 4 transactional, 5 control, 6 the base
//! timestamp is the moment when a compacted tombstone may go. All numbers are big-endian.

use types::Offset;

use super::{BatchError, Codec, MAX_BATCH_BYTES};

/// What stands before the records of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// The offset of the first record.
    pub base_offset: Offset,
    /// The whole batch in bytes, this header included.
    pub total_len: usize,
    /// The CRC-32C that it should have, from the attributes to the end.
    pub crc: u32,
    /// Flags; see the module.
    pub attributes: i16,
    /// The last record's offset less the first's; at least 0.
    pub last_offset_delta: u32,
    /// What the records' timestamps are relative to, in milliseconds since the epoch.
    pub base_timestamp: i64,
    /// The newest timestamp in the batch, in milliseconds since the epoch.
    pub max_timestamp: i64,
    /// Who wrote it if that matters for transactions, else -1.
    pub producer_id: i64,
    /// How many records it says it has.
    pub count: u32,
}

impl BatchHeader {
    /// Its length in bytes.
    pub const SIZE: usize = 61;
    /// Bytes before the part that the length counts.
    pub(crate) const LENGTH_FROM: usize = 12;
    /// Where the part begins that the CRC covers.
    pub(crate) const CRC_FROM: usize = 21;

    /// Reads a header. The CRC is not checked: that takes the whole batch. O(1).
    ///
    /// # Errors
    /// If there are too few bytes, the magic byte is not 2, or a number is out of its range.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(h) = bytes.first_chunk::<{ Self::SIZE }>() else {
            return Err(BatchError::Cut { need: Self::SIZE, have: bytes.len() });
        };
        let magic = h[16];
        if magic != 2 {
            return Err(BatchError::Magic(magic));
        }
        let length = i32_at(h, 8);
        let total_len = usize::try_from(length)
            .ok()
            .map(|n| n + Self::LENGTH_FROM)
            .filter(|n| (Self::SIZE..=MAX_BATCH_BYTES).contains(n))
            .ok_or(BatchError::Length(length))?;
        let not_negative = |what, n: i64| u64::try_from(n).map_err(|_| BatchError::Negative { what, n });
        let small = |what, n: i32| u32::try_from(n).map_err(|_| BatchError::Negative { what, n: n.into() });
        Ok(Self {
            base_offset: Offset(not_negative("base offset", i64_at(h, 0))?),
            total_len,
            crc: i32_at(h, 17) as u32,
            attributes: i16::from_be_bytes([h[21], h[22]]),
            last_offset_delta: small("last offset delta", i32_at(h, 23))?,
            base_timestamp: i64_at(h, 27),
            max_timestamp: i64_at(h, 35),
            producer_id: i64_at(h, 43),
            count: small("record count", i32_at(h, 57))?,
        })
    }

    /// The offset of the last record (or of the last that was there before the broker compacted the batch).
    #[must_use]
    pub const fn last_offset(&self) -> Offset {
        Offset(self.base_offset.0 + self.last_offset_delta as u64)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// If the attributes name a codec that the format does not have.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::from_attributes(self.attributes)
    }

    /// Whether every record's timestamp is the batch's newest, because the broker gave it.
    #[must_use]
    pub const fn is_log_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether it holds the end of a transaction rather than records.
    #[must_use]
    pub const fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
}

fn i32_at(bytes: &[u8; BatchHeader::SIZE], at: usize) -> i32 {
    i32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn i64_at(bytes: &[u8; BatchHeader::SIZE], at: usize) -> i64 {
    (i64::from(i32_at(bytes, at)) << 32) | i64::from(i32_at(bytes, at + 4) as u32)
}
