//! A batch without some of its records, as compaction makes one: offsets stay, so numbers are missing between them.

use types::Offset;

use super::decode::checksum;
use super::{BatchError, BatchHeader, Codec, Compression, compress, decode_batch, varint};
use crate::{Record, RecordBuf};

/// Puts the batch `bytes` without the records that `drop` names into `out`, in place of what that held. The batch keeps its
/// first and last offset and its newest timestamp, as a broker's cleaner leaves them, even if no record is left. Batches
/// of gzip and snappy, which are not written here, come out uncompressed. Returns how many were dropped; at none, `out` is
/// empty.
///
/// # Errors
/// As for [`decode_batch`], and if the compressor fails.
pub(crate) fn without(
    bytes: &[u8],
    drop: &mut dyn FnMut(&Record<'_>) -> bool,
    out: &mut Vec<u8>,
) -> Result<u32, BatchError> {
    out.clear();
    let mut records = RecordBuf::default();
    let header = decode_batch(bytes, Offset::ZERO, &mut records)?;
    let dropped: Vec<bool> = records.iter().map(|record| drop(&record)).collect();
    let count = dropped.iter().filter(|dropped| **dropped).count() as u32;
    if count == 0 {
        return Ok(0);
    }
    let codec = header.codec()?;
    let mut plain = Vec::new();
    compress::decompress(codec, &bytes[BatchHeader::SIZE..header.total_len], &mut plain)?;
    // The records' own bytes stay as they are: within a batch, each says its distance from the first.
    let (mut kept, mut at) = (Vec::with_capacity(plain.len()), 0);
    for (index, dropped) in (0..).zip(&dropped) {
        let from = at;
        let length = varint::read(&plain, &mut at).and_then(|length| usize::try_from(length).ok());
        at = length.and_then(|length| at.checked_add(length)).ok_or(BatchError::Record { index })?;
        let record = plain.get(from..at).ok_or(BatchError::Record { index })?;
        if !dropped {
            kept.extend_from_slice(record);
        }
    }
    let compression = match codec {
        Codec::Lz4 => Compression::Lz4,
        Codec::Zstd => Compression::Zstd,
        Codec::None | Codec::Gzip | Codec::Snappy => Compression::None,
    };
    out.extend_from_slice(&bytes[..BatchHeader::SIZE]);
    compress::compress(compression, &kept, out)?;
    let attributes = (header.attributes & !7) | compression.attributes();
    let length = (out.len() - BatchHeader::LENGTH_FROM) as i32;
    out[8..12].copy_from_slice(&length.to_be_bytes());
    out[21..23].copy_from_slice(&attributes.to_be_bytes());
    out[57..61].copy_from_slice(&(header.count - count).to_be_bytes());
    let crc = checksum(out);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    Ok(count)
}

#[cfg(test)]
mod tests {
    use types::EventTime;

    use super::*;
    use crate::format::BatchBuilder;

    #[test]
    fn records_go_and_the_others_keep_their_offsets() {
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let mut batch = BatchBuilder::new(Offset(100), compression);
            for n in 0..10_i64 {
                let key = format!("u{}", n % 3);
                batch
                    .push(EventTime(n), key.as_bytes(), format!("value {n}").as_bytes(), &[("h", b"x")])
                    .unwrap();
            }
            let bytes = batch.finish().unwrap();
            let mut out = vec![7];
            assert_eq!(without(bytes, &mut |_| false, &mut out), Ok(0));
            assert!(out.is_empty());
            for (key, left) in [(Some("u1"), 7), (Some("u0"), 6), (None, 0)] {
                let is_theirs = |record: &Record<'_>| key.is_none_or(|key| record.key == key.as_bytes());
                let dropped = without(bytes, &mut |record| is_theirs(record), &mut out).unwrap();
                let (mut before, mut after) = (RecordBuf::default(), RecordBuf::default());
                let old = decode_batch(bytes, Offset::ZERO, &mut before).unwrap();
                let new = decode_batch(&out, Offset::ZERO, &mut after).unwrap();
                assert_eq!((dropped, after.len(), new.total_len), (10 - left, left as usize, out.len()));
                assert_eq!((new.base_offset, new.last_offset()), (old.base_offset, old.last_offset()));
                let text = |r: Record<'_>| (r.offset, r.timestamp, r.value.to_vec(), r.headers().count());
                let expected: Vec<_> = before.iter().filter(|r| !is_theirs(r)).map(text).collect();
                assert_eq!(after.iter().map(text).collect::<Vec<_>>(), expected);
            }
        }
    }
}
