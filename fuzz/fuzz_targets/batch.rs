//! A record batch from a segment file: any bytes are decoded or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use partition_log::RecordBuf;
use partition_log::format::decode_batch;
use types::Offset;

/// Where a batch of format v2 holds its length (of what follows it), its version and its checksum (of what follows that).
const LENGTH: usize = 8;
const AFTER_LENGTH: usize = 12;
const VERSION: usize = 16;
const CHECKSUM: usize = 17;
const AFTER_CHECKSUM: usize = 21;

fuzz_target!(|data: &[u8]| {
    let mut records = RecordBuf::default();
    let _ = decode_batch(data, Offset::ZERO, &mut records);

    // The same bytes with a right length, version and checksum: otherwise hardly anything would get past them.
    if data.len() > AFTER_CHECKSUM {
        let mut batch = data.to_vec();
        let length = (batch.len() - AFTER_LENGTH) as i32;
        batch[LENGTH..AFTER_LENGTH].copy_from_slice(&length.to_be_bytes());
        batch[VERSION] = 2;
        let checksum = crc32c::crc32c(&batch[AFTER_CHECKSUM..]);
        batch[CHECKSUM..AFTER_CHECKSUM].copy_from_slice(&checksum.to_be_bytes());
        records.clear();
        if decode_batch(&batch, Offset::ZERO, &mut records).is_ok() {
            // Every record can be looked at.
            for record in records.iter() {
                let _ = (record.key, record.value, record.header("source"));
            }
        }
    }
});
