//! From bytes to records.

use types::{EventTime, Offset};

use super::{BatchError, BatchHeader, Codec, compress, varint};
use crate::RecordBuf;
use crate::record::{Entry, own_time};

/// The CRC-32C that a batch must carry: of everything from its attributes on. O(bytes).
///
/// # Panics
/// If the bytes are fewer than a header has before that.
#[must_use]
pub fn checksum(batch: &[u8]) -> u32 {
    crc32c::crc32c(&batch[BatchHeader::CRC_FROM..])
}

/// Reads the batch that `bytes` begin with, checks its CRC, and appends those of its records whose offset is at least
/// `from` to `into`. Control batches are checked and add nothing. Returns the batch's header.
///
/// O(bytes); allocates only where `into` must grow and inside decompressors.
///
/// # Errors
/// If the batch is cut, damaged, or of another format; `into` is as it was before then.
pub fn decode_batch(bytes: &[u8], from: Offset, into: &mut RecordBuf) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let Some(batch) = bytes.get(..header.total_len) else {
        return Err(BatchError::Cut { need: header.total_len, have: bytes.len() });
    };
    let computed = checksum(batch);
    if computed != header.crc {
        return Err(BatchError::Crc { stored: header.crc, computed });
    }
    let codec = header.codec()?;
    if header.is_control() {
        return Ok(header);
    }
    let (bytes_before, entries_before) = (into.bytes.len(), into.entries.len());
    let result = decode_records(&header, codec, &batch[BatchHeader::SIZE..], from, into);
    if result.is_err() {
        into.bytes.truncate(bytes_before);
        into.entries.truncate(entries_before);
    }
    result.map(|()| header)
}

fn decode_records(
    header: &BatchHeader,
    codec: Codec,
    data: &[u8],
    from: Offset,
    into: &mut RecordBuf,
) -> Result<(), BatchError> {
    let mut at = into.bytes.len();
    compress::decompress(codec, data, &mut into.bytes)?;
    let bytes = into.bytes.as_slice();
    // Entries hold 32-bit places.
    if u32::try_from(bytes.len()).is_err() {
        return Err(BatchError::BufferFull);
    }
    // A record takes at least seven bytes, so a wrong count cannot make this allocate much.
    into.entries.reserve((header.count as usize).min((bytes.len() - at) / 7));
    for index in 0..header.count {
        let (entry, end) = read_record(bytes, at, header).ok_or(BatchError::Record { index })?;
        if entry.offset >= from {
            into.entries.push(entry);
        }
        at = end;
    }
    if at == bytes.len() { Ok(()) } else { Err(BatchError::Excess(bytes.len() - at)) }
}

/// One record and where it ends:
/// length, attributes (1 byte), timestamp delta, offset delta, key, value, header count, then name and value of each.
/// A length of -1 stands for null; it is read as empty.
#[inline]
fn read_record(bytes: &[u8], mut at: usize, header: &BatchHeader) -> Option<(Entry, usize)> {
    let len = usize::try_from(varint::read(bytes, &mut at)?).ok()?;
    let end = at.checked_add(len)?;
    let bytes = bytes.get(..end)?;
    at += 1;
    let timestamp_delta = varint::read(bytes, &mut at)?;
    let offset_delta = u32::try_from(varint::read(bytes, &mut at)?).ok()?;
    if offset_delta > header.last_offset_delta {
        return None;
    }
    let key = read_part(bytes, &mut at)?;
    let value = read_part(bytes, &mut at)?;
    let written = EventTime(if header.is_log_append_time() {
        header.max_timestamp
    } else {
        // Wrapping, as in Kafka: the writer's difference wrapped too.
        header.base_timestamp.wrapping_add(timestamp_delta)
    });
    let mut header_count = u32::try_from(varint::read(bytes, &mut at)?).ok()?;
    let mut headers_from = at;
    let mut own = None;
    for index in 0..header_count {
        let (name, value) = (read_part(bytes, &mut at)?, read_part(bytes, &mut at)?);
        if index == 0 {
            let part = |(from, to): (u32, u32)| &bytes[from as usize..to as usize];
            own = own_time((part(name), part(value)), written);
            if own.is_some() {
                headers_from = at;
            }
        }
    }
    header_count -= u32::from(own.is_some());
    let entry = Entry {
        offset: Offset(header.base_offset.0 + u64::from(offset_delta)),
        timestamp: own.unwrap_or(written),
        key,
        value,
        headers: (headers_from as u32, at as u32),
        header_count,
    };
    (at == end).then_some((entry, end))
}

/// A length and that many bytes; where they lie.
#[inline]
fn read_part(bytes: &[u8], at: &mut usize) -> Option<(u32, u32)> {
    let len = varint::read(bytes, at)?;
    let from = *at;
    match usize::try_from(len) {
        Ok(len) => *at = from.checked_add(len).filter(|&end| end <= bytes.len())?,
        Err(_) if len == -1 => {}
        Err(_) => return None,
    }
    Some((from as u32, *at as u32))
}

#[cfg(test)]
mod tests {
    use types::headers::TIME;

    use super::*;
    use crate::Compression;
    use crate::format::BatchBuilder;

    #[test]
    fn a_first_header_that_says_the_time_is_the_time_and_no_header() {
        let mut builder = BatchBuilder::new(Offset(0), Compression::None);
        type Given<'a> = (&'a [(&'a str, &'a [u8])], i64, usize);
        let given: [Given<'_>; 6] = [
            (&[(TIME, b"-7"), ("a", b"1")], -7, 1),
            (&[(TIME, b"4"), (TIME, b"3")], 4, 1),
            // Nobody writes a record before its time: this is another's header.
            (&[(TIME, b"9223372036854775807")], 5, 1),
            (&[("a", b"1"), (TIME, b"-7")], 5, 2),
            (&[(TIME, b"soon"), ("a", b"")], 5, 2),
            (&[(TIME, b"")], 5, 1),
        ];
        for (headers, _, _) in given {
            builder.push(EventTime(5), b"k", b"v", headers).unwrap();
        }
        let mut buf = RecordBuf::default();
        decode_batch(builder.finish().unwrap(), Offset(0), &mut buf).unwrap();
        assert_eq!(buf.len(), given.len());
        for (record, (headers, time, left)) in buf.iter().zip(given) {
            let kept: Vec<_> = record.headers().collect();
            let end = headers[headers.len() - left..].iter().map(|(name, value)| (name.as_bytes(), *value));
            assert_eq!((record.timestamp, kept), (EventTime(time), end.collect()));
        }
    }
}
