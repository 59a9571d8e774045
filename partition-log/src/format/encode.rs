//! From records to bytes.

use types::{EventTime, Offset};

use super::decode::checksum;
use super::{BatchError, BatchHeader, Compression, MAX_RECORD_BYTES, compress, varint};

/// Builds one batch, record by record. The bytes depend on the base offset, the records and the compression alone.
#[derive(Debug)]
pub struct BatchBuilder {
    base_offset: Offset,
    compression: Compression,
    /// The header's room, then the records.
    plain: Vec<u8>,
    /// The finished batch if it is compressed.
    packed: Vec<u8>,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
    /// Offset of the first record with the newest timestamp.
    max_timestamp_offset: Offset,
}

impl BatchBuilder {
    /// An empty batch whose first record will have the offset `base_offset`.
    #[must_use]
    pub fn new(base_offset: Offset, compression: Compression) -> Self {
        Self {
            base_offset,
            compression,
            plain: vec![0; BatchHeader::SIZE],
            packed: Vec::new(),
            count: 0,
            base_timestamp: 0,
            max_timestamp: i64::MIN,
            max_timestamp_offset: base_offset,
        }
    }

    /// Begins the next batch, at `base_offset`, in the same memory.
    pub fn reset(&mut self, base_offset: Offset) {
        self.base_offset = base_offset;
        self.plain.truncate(BatchHeader::SIZE);
        self.count = 0;
        self.max_timestamp = i64::MIN;
        self.max_timestamp_offset = base_offset;
    }

    /// How many records it has.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Its size in bytes if it were not compressed, the header included.
    #[must_use]
    pub const fn plain_len(&self) -> usize {
        self.plain.len()
    }

    /// The offset that the next record gets.
    #[must_use]
    pub const fn end(&self) -> Offset {
        Offset(self.base_offset.0 + self.count as u64)
    }

    /// The first record's timestamp; `None` if the batch is empty.
    #[must_use]
    pub fn first(&self) -> Option<EventTime> {
        (self.count > 0).then_some(EventTime(self.base_timestamp))
    }

    /// The newest timestamp and the offset of the first record that has it; `None` if the batch is empty.
    #[must_use]
    pub fn newest(&self) -> Option<(EventTime, Offset)> {
        (self.count > 0).then_some((EventTime(self.max_timestamp), self.max_timestamp_offset))
    }

    /// Adds a record. An empty key is written as null, as clients write records that have none. O(size).
    ///
    /// # Errors
    /// [`BatchError::RecordTooLarge`]; the batch is unchanged then.
    pub fn push(
        &mut self,
        timestamp: EventTime,
        key: &[u8],
        value: &[u8],
        headers: &[(&str, &[u8])],
    ) -> Result<(), BatchError> {
        if self.count == 0 {
            self.base_timestamp = timestamp.0;
        }
        let timestamp_delta = timestamp.0.wrapping_sub(self.base_timestamp);
        let offset_delta = i64::from(self.count);
        let key_len = if key.is_empty() { -1 } else { key.len() as i64 };
        let len = 1
            + varint::len(timestamp_delta)
            + varint::len(offset_delta)
            + varint::len(key_len)
            + key.len()
            + part_len(value)
            + varint::len(headers.len() as i64)
            + headers.iter().map(|(name, value)| part_len(name.as_bytes()) + part_len(value)).sum::<usize>();
        if len > MAX_RECORD_BYTES {
            return Err(BatchError::RecordTooLarge(len));
        }
        let out = &mut self.plain;
        out.reserve(varint::MAX_LEN + len);
        varint::push(out, len as i64);
        out.push(0);
        varint::push(out, timestamp_delta);
        varint::push(out, offset_delta);
        varint::push(out, key_len);
        out.extend_from_slice(key);
        push_part(out, value);
        varint::push(out, headers.len() as i64);
        for (name, value) in headers {
            push_part(out, name.as_bytes());
            push_part(out, value);
        }
        if timestamp.0 > self.max_timestamp || self.count == 0 {
            self.max_timestamp = timestamp.0;
            self.max_timestamp_offset = self.end();
        }
        self.count += 1;
        Ok(())
    }

    /// The batch's bytes. It stays as it is: records may be added and it may be finished again. O(size).
    ///
    /// # Errors
    /// If the compressor fails.
    pub fn finish(&mut self) -> Result<&[u8], BatchError> {
        if self.compression == Compression::None {
            write_header(
                &mut self.plain,
                self.base_offset,
                0,
                self.count,
                self.base_timestamp,
                self.max_timestamp,
            );
            return Ok(&self.plain);
        }
        self.packed.clear();
        self.packed.resize(BatchHeader::SIZE, 0);
        compress::compress(self.compression, &self.plain[BatchHeader::SIZE..], &mut self.packed)?;
        let attributes = self.compression.attributes();
        write_header(
            &mut self.packed,
            self.base_offset,
            attributes,
            self.count,
            self.base_timestamp,
            self.max_timestamp,
        );
        Ok(&self.packed)
    }
}

fn write_header(
    batch: &mut [u8],
    base: Offset,
    attributes: i16,
    count: u32,
    base_timestamp: i64,
    max_timestamp: i64,
) {
    let length = (batch.len() - BatchHeader::LENGTH_FROM) as u32;
    batch[0..8].copy_from_slice(&base.0.to_be_bytes());
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    // The leader epoch: there is one leader, ever.
    batch[12..16].copy_from_slice(&0_i32.to_be_bytes());
    batch[16] = 2;
    batch[21..23].copy_from_slice(&attributes.to_be_bytes());
    batch[23..27].copy_from_slice(&count.saturating_sub(1).to_be_bytes());
    batch[27..35].copy_from_slice(&base_timestamp.to_be_bytes());
    batch[35..43].copy_from_slice(&max_timestamp.to_be_bytes());
    // No producer id, epoch and sequence: neither idempotent nor transactional.
    batch[43..57].fill(0xff);
    batch[57..61].copy_from_slice(&count.to_be_bytes());
    let crc = checksum(batch);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

#[inline]
fn part_len(bytes: &[u8]) -> usize {
    varint::len(bytes.len() as i64) + bytes.len()
}

#[inline]
fn push_part(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::push(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::RecordBuf;
    use crate::format::decode_batch;

    type Given = (i64, Vec<u8>, Vec<u8>, Vec<(String, Vec<u8>)>);

    fn build(records: &[Given], base: u64, compression: Compression) -> Vec<u8> {
        let mut builder = BatchBuilder::new(Offset(base), compression);
        for (timestamp, key, value, headers) in records {
            let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_slice())).collect();
            builder.push(EventTime(*timestamp), key, value, &headers).unwrap();
        }
        builder.finish().unwrap().to_vec()
    }

    fn read(buf: &RecordBuf) -> Vec<Given> {
        buf.iter()
            .map(|r| {
                let headers = r.headers().map(|(n, v)| (String::from_utf8(n.to_vec()).unwrap(), v.to_vec()));
                (r.timestamp.0, r.key.to_vec(), r.value.to_vec(), headers.collect())
            })
            .collect()
    }

    fn records() -> impl Strategy<Value = Vec<Given>> {
        let bytes = || proptest::collection::vec(any::<u8>(), 0..200);
        let header = ("[a-z]{0,5}", bytes());
        let timestamp = prop_oneof![any::<i64>(), 1_700_000_000_000..1_700_000_100_000_i64];
        proptest::collection::vec(
            (timestamp, bytes(), bytes(), proptest::collection::vec(header, 0..3)),
            1..40,
        )
    }

    fn compressions() -> impl Strategy<Value = Compression> {
        prop_oneof![Just(Compression::None), Just(Compression::Lz4), Just(Compression::Zstd)]
    }

    #[test]
    fn a_batch_is_these_bytes() {
        let batch =
            build(&[(1000, b"k".into(), b"v".into(), vec![("h".into(), b"x".into())])], 5, Compression::None);
        let mut expected = vec![
            0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 62, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 3, 232, 0, 0, 0, 0, 0, 0, 3, 232, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
            255, 255, 0, 0, 0, 1, 24, 0, 0, 0, 2, b'k', 2, b'v', 2, 2, b'h', 2, b'x',
        ];
        let crc = crc32c::crc32c(&expected[21..]).to_be_bytes();
        expected[17..21].copy_from_slice(&crc);
        assert_eq!(batch, expected);
    }

    #[test]
    fn the_newest_timestamp_is_the_first_that_is_newest() {
        let mut builder = BatchBuilder::new(Offset(10), Compression::None);
        assert_eq!(builder.newest(), None);
        for timestamp in [-5, 3, 9, 9, 1] {
            builder.push(EventTime(timestamp), b"", b"", &[]).unwrap();
        }
        assert_eq!(builder.newest(), Some((EventTime(9), Offset(12))));
        builder.reset(builder.end());
        assert_eq!((builder.newest(), builder.end(), builder.plain_len()), (None, Offset(15), 61));
    }

    #[test]
    fn a_record_that_is_too_large_leaves_the_batch_as_it_was() {
        let mut builder = BatchBuilder::new(Offset(0), Compression::None);
        builder.push(EventTime(1), b"", b"a", &[]).unwrap();
        let before = builder.finish().unwrap().to_vec();
        let large = vec![0; MAX_RECORD_BYTES];
        assert!(matches!(builder.push(EventTime(1), b"", &large, &[]), Err(BatchError::RecordTooLarge(_))));
        assert_eq!(builder.finish().unwrap(), before);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_records_read_back(given in records(), base in 0_u64..1 << 60, compression in compressions()) {
            let batch = build(&given, base, compression);
            let mut buf = RecordBuf::default();
            let header = decode_batch(&batch, Offset(0), &mut buf).unwrap();
            prop_assert_eq!(header.total_len, batch.len());
            prop_assert_eq!(header.last_offset(), Offset(base + given.len() as u64 - 1));
            prop_assert_eq!(header.max_timestamp, given.iter().map(|r| r.0).max().unwrap());
            prop_assert_eq!(read(&buf), given);
            prop_assert!(buf.iter().zip(base..).all(|(r, offset)| r.offset == Offset(offset)));
        }

        #[test]
        fn records_before_the_wanted_one_are_left_out(given in records(), skip in 0_usize..40) {
            let batch = build(&given, 7, Compression::None);
            let mut buf = RecordBuf::default();
            decode_batch(&batch, Offset(7 + skip as u64), &mut buf).unwrap();
            prop_assert_eq!(read(&buf), given.get(skip..).unwrap_or_default().to_vec());
        }

        /// Offset, length, magic and everything behind the CRC: one flipped bit is seen, and nothing is added. Only the
        /// leader epoch (bytes 12 to 15) is outside the checksum and carries nothing. A base offset that is wrong but
        /// possible is for the caller, who knows which offset must come.
        #[test]
        fn a_flipped_bit_is_found(given in records(), compression in compressions(), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut batch = build(&given, 0, compression);
            let at = at.index(batch.len());
            batch[at] ^= 1_u8 << bit;
            let mut buf = RecordBuf::default();
            match decode_batch(&batch, Offset(0), &mut buf) {
                Ok(header) if at < 8 => prop_assert_ne!(header.base_offset, Offset(0)),
                Ok(_) => prop_assert!((12..16).contains(&at), "byte {} passed", at),
                Err(_) => prop_assert!(buf.is_empty() && buf.bytes.is_empty()),
            }
        }

        #[test]
        fn a_cut_batch_is_found(given in records(), compression in compressions(), at in any::<prop::sample::Index>()) {
            let batch = build(&given, 0, compression);
            let cut = &batch[..at.index(batch.len())];
            let error = decode_batch(cut, Offset(0), &mut RecordBuf::default()).unwrap_err();
            let is_cut = matches!(error, BatchError::Cut { .. });
            prop_assert!(is_cut, "{}", error);
        }

        /// With the right CRC over rubbish the record parser itself must hold.
        #[test]
        fn rubbish_with_a_right_checksum_does_no_harm(
            rubbish in proptest::collection::vec(any::<u8>(), 0..300), count in 0_u32..9, attributes in 0_i16..128,
        ) {
            let mut batch = vec![0; BatchHeader::SIZE];
            batch.extend_from_slice(&rubbish);
            write_header(&mut batch, Offset(0), attributes, count, 0, 0);
            let _ = decode_batch(&batch, Offset(0), &mut RecordBuf::default());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = decode_batch(&bytes, Offset(0), &mut RecordBuf::default());
        }
    }
}
