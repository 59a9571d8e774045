//! What every backend must do, as checks that run on any [`Log`]. A backend's tests call [`run`].
//!
//! Each check makes topics of its own, so that one log (a shared broker, say) serves them all and runs may repeat on it:
//! pass another `run` name each time.
//!
//! # Panics
//! The checks panic where the backend breaks the contract, as tests do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

pub mod broker;
mod mortal;
pub mod proxy;
mod reading;
mod writing;

use types::{EventTime, Offset, PartitionId};

pub use self::mortal::Mortal;

use self::reading::{
    a_reader_follows_the_writer, offsets_by_time, reads_take_whole_batches_up_to_the_limit,
    retention_keeps_the_floor, seeking, watches_wake_and_time_out,
};
use self::writing::{
    a_writer_goes_on_where_the_last_one_stopped, flushed_records_survive_their_writer, large_records,
    one_writer_at_a_time, only_synced_records_are_seen, topics, what_is_synced_is_read,
};
use crate::{PartitionReader, PartitionWriter, RecordBuf, SharedLog, TopicConfig};

const P0: PartitionId = PartitionId(0);
const P1: PartitionId = PartitionId(1);

/// What a record holds, owned.
pub type Row = (u64, i64, Vec<u8>, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

/// What a backend does otherwise because it lies with others, as a broker does. Everything else holds for all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Differences {
    /// What is flushed may be seen before it is synced, and is not found by a recovery: it is as durable as it will ever be.
    pub shows_flushed: bool,
    /// Reads take record by record: a client of a broker is not told where batches end.
    pub single_records: bool,
    /// Nothing is known of sizes: a broker does not say how many bytes a partition has.
    pub no_sizes: bool,
}

type Check = fn(&SharedLog, &str, Differences);

/// Runs every check on `log`. `run` becomes part of the topics' names.
pub fn run(log: &SharedLog, run: &str) {
    run_with(log, run, Differences::default());
}

/// Runs every check on a backend that differs.
pub fn run_with(log: &SharedLog, run: &str, differences: Differences) {
    let checks: [(&str, Check); 13] = [
        ("topics", topics),
        ("round-trip", what_is_synced_is_read),
        ("visibility", only_synced_records_are_seen),
        ("one-writer", one_writer_at_a_time),
        ("writer-again", a_writer_goes_on_where_the_last_one_stopped),
        ("unsynced", flushed_records_survive_their_writer),
        ("batches", reads_take_whole_batches_up_to_the_limit),
        ("seek", seeking),
        ("times", offsets_by_time),
        ("large", large_records),
        ("tailing", a_reader_follows_the_writer),
        ("watch", watches_wake_and_time_out),
        ("retention", retention_keeps_the_floor),
    ];
    for (name, check) in checks {
        check(log, &format!("{run}-{name}"), differences);
    }
}

fn config(partitions: u32) -> TopicConfig {
    TopicConfig { partitions, key: "user".into(), partitioner: "murmur2".into() }
}

fn create(log: &SharedLog, topic: &str) {
    log.create_topic(topic, &config(2)).unwrap();
}

fn writer(log: &SharedLog, topic: &str) -> Box<dyn PartitionWriter> {
    log.writer(topic).unwrap().partition(P0).unwrap()
}

/// The time of a record of a number.
fn time(n: u64) -> EventTime {
    EventTime(n as i64 * 10 + 10)
}

/// Appends the numbers as records: offset, timestamp and value follow from the number.
fn append(writer: &mut dyn PartitionWriter, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let at = writer.append(time(n), b"k", format!("value {n}").as_bytes(), &[]).unwrap();
        assert_eq!(at, Offset(n));
    }
}

/// Everything that a reader gives until it gives nothing.
pub fn drain(reader: &mut dyn PartitionReader) -> Vec<Row> {
    let (mut buf, mut rows) = (RecordBuf::default(), Vec::new());
    loop {
        buf.clear();
        let n = reader.read(&mut buf, 1 << 20).unwrap();
        assert_eq!(n, buf.len());
        if n == 0 {
            return rows;
        }
        rows.extend(buf.iter().map(|r| {
            let headers = r.headers().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            (r.offset.0, r.timestamp.0, r.key.to_vec(), r.value.to_vec(), headers)
        }));
    }
}

/// Bytes that no codec makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// Checks that a partition gives exactly the numbers that `append` wrote.
fn assert_numbers(log: &SharedLog, topic: &str, numbers: std::ops::Range<u64>) {
    let rows = drain(&mut *log.reader(topic, P0, Offset(numbers.start)).unwrap());
    let expected: Vec<Row> =
        numbers.map(|n| (n, time(n).0, b"k".to_vec(), format!("value {n}").into_bytes(), vec![])).collect();
    assert_eq!(rows, expected);
}
