//! What every backend must do, as checks that run on any [`Log`]. A backend's tests call [`run`].
//!
//! Each check makes topics of its own, so that one log (a shared broker, say) serves them all and runs may repeat on it:
//! pass another `run` name each time.
//!
//! # Panics
//! The checks panic where the backend breaks the contract, as tests do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

use std::thread;
use std::time::{Duration, Instant};

use types::{EventTime, Offset, PartitionId};

use crate::{
    Bounds, LogError, PartitionReader, PartitionWriter, RecordBuf, Retention, SharedLog, TopicConfig,
};

const P0: PartitionId = PartitionId(0);
const P1: PartitionId = PartitionId(1);

/// What a record holds, owned.
pub type Row = (u64, i64, Vec<u8>, Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>);

type Check = fn(&SharedLog, &str);

/// Runs every check on `log`. `run` becomes part of the topics' names.
pub fn run(log: &SharedLog, run: &str) {
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
        check(log, &format!("{run}-{name}"));
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

/// Appends the numbers as records: offset, timestamp and value follow from the number.
fn append(writer: &mut dyn PartitionWriter, numbers: std::ops::Range<u64>) {
    for n in numbers {
        let at = writer.append(EventTime(n as i64 * 10), b"k", format!("value {n}").as_bytes(), &[]).unwrap();
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
    let expected: Vec<Row> = numbers
        .map(|n| (n, n as i64 * 10, b"k".to_vec(), format!("value {n}").into_bytes(), vec![]))
        .collect();
    assert_eq!(rows, expected);
}

fn topics(log: &SharedLog, topic: &str) {
    assert_eq!(log.topic(topic).unwrap(), None);
    assert!(matches!(log.bounds(topic, P0), Err(LogError::NoSuchTopic { .. })));
    assert!(matches!(log.writer(topic), Err(LogError::NoSuchTopic { .. })));
    assert!(matches!(log.reader(topic, P0, Offset::ZERO), Err(LogError::NoSuchTopic { .. })));
    assert!(matches!(log.watch(topic), Err(LogError::NoSuchTopic { .. })));
    create(log, topic);
    create(log, topic);
    assert_eq!(log.topic(topic).unwrap(), Some(config(2)));
    let names = log.topics().unwrap();
    assert!(names.iter().any(|name| name == topic) && names.is_sorted(), "{names:?}");
    for other in [
        TopicConfig { partitions: 3, ..config(2) },
        TopicConfig { key: "account".into(), ..config(2) },
        TopicConfig { partitioner: "explicit".into(), ..config(2) },
    ] {
        let error = log.create_topic(topic, &other).unwrap_err();
        assert!(matches!(error, LogError::TopicDiffers { .. }), "{error}");
    }
    for partition in [P0, P1] {
        assert_eq!(log.bounds(topic, partition).unwrap(), Bounds { start: Offset(0), end: Offset(0) });
        assert_eq!(log.offset_at(topic, partition, EventTime(0)).unwrap(), Offset(0));
    }
    assert!(matches!(log.bounds(topic, PartitionId(2)), Err(LogError::NoSuchPartition { .. })));
    assert!(matches!(log.reader(topic, PartitionId(2), Offset(0)), Err(LogError::NoSuchPartition { .. })));
    assert!(matches!(log.reader(topic, P0, Offset(1)), Err(LogError::OutOfRange { .. })));
    for bad in ["", ".", "..", "a/b", "a b", "é", &"x".repeat(201)] {
        assert!(matches!(log.create_topic(bad, &config(1)), Err(LogError::BadTopicName(_))), "{bad}");
    }
    for partitions in [0, u32::MAX] {
        assert!(matches!(log.create_topic("x", &config(partitions)), Err(LogError::BadTopic { .. })));
    }
}

fn what_is_synced_is_read(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writers = log.writer(topic).unwrap();
    assert_eq!(writers.config(), &config(2));
    assert!(writers.recovery().is_empty());
    assert!(matches!(writers.partition(PartitionId(2)), Err(LogError::NoSuchPartition { .. })));
    let mut zero = writers.partition(P0).unwrap();
    let mut one = writers.partition(P1).unwrap();
    let all_bytes: Vec<u8> = (0..=255).collect();
    type Given<'a> = (i64, &'a [u8], &'a [u8], &'a [(&'a str, &'a [u8])]);
    let given: [Given; 5] = [
        (1_700_000_000_000, b"key", b"value", &[]),
        (-5, b"", b"", &[]),
        (i64::MAX, &all_bytes, &all_bytes, &[("cs-source", b"file:1"), ("cs-source", b"file:2"), ("", b"")]),
        (i64::MIN, b"\0", b"x", &[("empty", b"")]),
        (0, b"", b"tick", &[]),
    ];
    for (offset, (timestamp, key, value, headers)) in given.iter().enumerate() {
        assert_eq!(zero.end(), Offset(offset as u64));
        let at = zero.append(EventTime(*timestamp), key, value, headers).unwrap();
        assert_eq!(at, Offset(offset as u64));
    }
    one.append(EventTime(7), b"other", b"partition", &[]).unwrap();
    zero.sync().unwrap();
    one.sync().unwrap();
    assert_eq!(log.bounds(topic, P0).unwrap(), Bounds { start: Offset(0), end: Offset(5) });

    let expected: Vec<Row> = given
        .iter()
        .zip(0..)
        .map(|((timestamp, key, value, headers), offset)| {
            let headers = headers.iter().map(|(n, v)| (n.as_bytes().to_vec(), v.to_vec())).collect();
            (offset, *timestamp, key.to_vec(), value.to_vec(), headers)
        })
        .collect();
    let mut reader = log.reader(topic, P0, Offset(0)).unwrap();
    assert_eq!(reader.position(), Offset(0));
    assert_eq!(drain(&mut *reader), expected);
    assert_eq!(reader.position(), Offset(5));
    assert_eq!(drain(&mut *log.reader(topic, P1, Offset(0)).unwrap())[0].3, b"partition");
    assert_eq!(drain(&mut *log.reader(topic, P0, Offset(3)).unwrap()), expected[3..]);

    let mut buf = RecordBuf::default();
    log.reader(topic, P0, Offset(2)).unwrap().read(&mut buf, 1).unwrap();
    let record = buf.get(0).unwrap();
    assert_eq!(record.header("cs-source"), Some(&b"file:2"[..]));
    assert_eq!(record.header("absent"), None);
}

fn only_synced_records_are_seen(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writer = writer(log, topic);
    let mut reader = log.reader(topic, P0, Offset(0)).unwrap();
    append(&mut *writer, 0..3);
    assert_eq!(drain(&mut *reader), []);
    writer.flush().unwrap();
    assert_eq!(drain(&mut *reader), []);
    assert_eq!(log.bounds(topic, P0).unwrap().end, Offset(0));
    assert!(matches!(log.reader(topic, P0, Offset(3)), Err(LogError::OutOfRange { .. })));
    writer.sync().unwrap();
    append(&mut *writer, 3..5);
    writer.flush().unwrap();
    assert_eq!(drain(&mut *reader).len(), 3);
    assert_eq!(log.bounds(topic, P0).unwrap().end, Offset(3));
    writer.sync().unwrap();
    // Nothing new: neither harm nor records.
    writer.sync().unwrap();
    writer.flush().unwrap();
    assert_eq!(drain(&mut *reader).len(), 2);
    assert_numbers(log, topic, 0..5);
}

fn one_writer_at_a_time(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut first = log.writer(topic).unwrap();
    assert!(matches!(log.writer(topic), Err(LogError::Locked { .. })));
    let partition = first.partition(P0).unwrap();
    assert!(matches!(first.partition(P0), Err(LogError::Locked { .. })));
    drop(first);
    // A partition's writer holds the topic alone, too.
    assert!(matches!(log.writer(topic), Err(LogError::Locked { .. })));
    drop(partition);
    log.writer(topic).unwrap();
}

fn a_writer_goes_on_where_the_last_one_stopped(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writers = log.writer(topic).unwrap();
    for from in [0, 4, 8] {
        let mut writer = writers.partition(P0).unwrap();
        assert_eq!(writer.end(), Offset(from));
        append(&mut *writer, from..from + 4);
        writer.sync().unwrap();
    }
    drop(writers);
    let mut writer = writer(log, topic);
    append(&mut *writer, 12..20);
    writer.sync().unwrap();
    assert_numbers(log, topic, 0..20);
}

fn flushed_records_survive_their_writer(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut first = writer(log, topic);
    append(&mut *first, 0..3);
    first.sync().unwrap();
    append(&mut *first, 3..5);
    first.flush().unwrap();
    append(&mut *first, 5..9);
    drop(first);
    let mut writers = log.writer(topic).unwrap();
    let recovery = writers.recovery();
    assert_eq!(recovery.len(), 1, "{recovery:?}");
    assert_eq!((recovery[0].partition, recovery[0].recovered_records, recovery[0].end), (P0, 2, Offset(5)));
    assert_numbers(log, topic, 0..5);
    let mut again = writers.partition(P0).unwrap();
    append(&mut *again, 5..7);
    again.sync().unwrap();
    assert_numbers(log, topic, 0..7);
}

fn reads_take_whole_batches_up_to_the_limit(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writer = writer(log, topic);
    let value = [7; 1000];
    for _ in 0..10 {
        for _ in 0..4 {
            writer.append(EventTime(0), b"", &value, &[]).unwrap();
        }
        writer.flush().unwrap();
    }
    writer.sync().unwrap();
    let mut reader = log.reader(topic, P0, Offset(0)).unwrap();
    let mut buf = RecordBuf::default();
    // At least one batch, however little is asked for; reads add to what is there.
    assert_eq!(reader.read(&mut buf, 0).unwrap(), 4);
    assert_eq!(reader.position(), Offset(4));
    assert_eq!(reader.read(&mut buf, 1).unwrap(), 4);
    assert_eq!(buf.len(), 8);
    let some = reader.read(&mut buf, 10_000).unwrap();
    assert!((8..=12).contains(&some), "{some}");
    assert_eq!(reader.read(&mut buf, usize::MAX).unwrap(), 40 - 8 - some);
    assert!(buf.iter().zip(0..).all(|(r, n)| r.offset == Offset(n) && r.value == value));
    // The limit is about what a read adds, not about what is there.
    reader.seek(Offset(0)).unwrap();
    assert!(reader.read(&mut buf, 10_000).unwrap() >= 8);
}

fn seeking(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writer = writer(log, topic);
    for from in (0..90).step_by(9) {
        append(&mut *writer, from..from + 9);
        writer.flush().unwrap();
    }
    writer.sync().unwrap();
    let mut reader = log.reader(topic, P0, Offset(90)).unwrap();
    assert_eq!(drain(&mut *reader), []);
    for to in [0, 89, 9, 8, 40, 41, 90, 1] {
        reader.seek(Offset(to)).unwrap();
        assert_eq!(reader.position(), Offset(to));
        let offsets: Vec<u64> = drain(&mut *reader).iter().map(|row| row.0).collect();
        assert_eq!(offsets, (to..90).collect::<Vec<_>>());
    }
    reader.seek(Offset(5)).unwrap();
    let error = reader.seek(Offset(91)).unwrap_err();
    assert!(
        matches!(error, LogError::OutOfRange { offset: Offset(91), start: Offset(0), end: Offset(90), .. }),
        "{error}"
    );
    assert_eq!(reader.position(), Offset(5));
}

fn offsets_by_time(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writer = writer(log, topic);
    // Out of order within and across batches.
    let times = [10, 30, 20, 25, 40, 15, 15, 60, 50, 70];
    for (index, time) in times.into_iter().enumerate() {
        writer.append(EventTime(time), b"", b"", &[]).unwrap();
        if index % 3 == 2 {
            writer.flush().unwrap();
        }
    }
    writer.sync().unwrap();
    for time in [i64::MIN, 9, 10, 11, 20, 26, 30, 31, 40, 41, 59, 60, 61, 70, 71, i64::MAX] {
        let expected = times.iter().position(|t| *t >= time).unwrap_or(times.len()) as u64;
        assert_eq!(log.offset_at(topic, P0, EventTime(time)).unwrap(), Offset(expected), "{time}");
    }
    writer.append(EventTime(99), b"", b"", &[]).unwrap();
    writer.flush().unwrap();
    assert_eq!(log.offset_at(topic, P0, EventTime(80)).unwrap(), Offset(10), "not synced yet");
}

fn large_records(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writer = writer(log, topic);
    let value = noise(10 << 20);
    writer.append(EventTime(0), b"a", b"small", &[]).unwrap();
    writer.append(EventTime(0), b"b", &value, &[]).unwrap();
    writer.append(EventTime(0), b"c", b"small", &[]).unwrap();
    writer.sync().unwrap();
    let rows = drain(&mut *log.reader(topic, P0, Offset(0)).unwrap());
    let keys: Vec<&[u8]> = rows.iter().map(|row| row.2.as_slice()).collect();
    assert_eq!(keys, [b"a", b"b", b"c"]);
    assert!(rows[1].3 == value);
    assert_eq!(drain(&mut *log.reader(topic, P0, Offset(2)).unwrap()).len(), 1);
    let too_large = vec![0; crate::format::MAX_RECORD_BYTES];
    assert!(matches!(
        writer.append(EventTime(0), b"", &too_large, &[]),
        Err(LogError::RecordTooLarge { .. })
    ));
    assert_eq!(writer.append(EventTime(0), b"", b"after", &[]).unwrap(), Offset(3));
}

fn a_reader_follows_the_writer(log: &SharedLog, topic: &str) {
    const TOTAL: u64 = 20_000;
    create(log, topic);
    let mut writer = writer(log, topic);
    let mut reader = log.reader(topic, P0, Offset(0)).unwrap();
    let mut watch = log.watch(topic).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut next = 0;
            for step in [1, 7, 100, 3, 1000].into_iter().cycle() {
                let to = (next + step).min(TOTAL);
                append(&mut *writer, next..to);
                writer.sync().unwrap();
                next = to;
                if next == TOTAL {
                    return;
                }
            }
        });
        let until = Instant::now() + Duration::from_secs(30);
        let (mut buf, mut next) = (RecordBuf::default(), 0);
        while next < TOTAL {
            assert!(Instant::now() < until, "the reader got {next} of {TOTAL}");
            buf.clear();
            if reader.read(&mut buf, 1 << 16).unwrap() == 0 {
                watch.wait(Duration::from_secs(5)).unwrap();
            }
            for record in buf.iter() {
                assert_eq!(record.offset, Offset(next));
                assert_eq!(record.value, format!("value {next}").as_bytes());
                next += 1;
            }
            assert!(log.bounds(topic, P0).unwrap().end >= Offset(next));
        }
    });
}

fn watches_wake_and_time_out(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writer = log.writer(topic).unwrap().partition(P1).unwrap();
    let mut watch = log.watch(topic).unwrap();
    let before = Instant::now();
    assert!(!watch.wait(Duration::from_millis(30)).unwrap());
    assert!(before.elapsed() >= Duration::from_millis(30));
    // What happened before the wait is not lost.
    writer.append(EventTime(0), b"", b"", &[]).unwrap();
    writer.sync().unwrap();
    assert!(watch.wait(Duration::from_secs(20)).unwrap());
    assert!(!watch.wait(Duration::ZERO).unwrap());
    // And what happens during it ends it early.
    let waker = thread::spawn(move || {
        thread::sleep(Duration::from_millis(50));
        writer.append(EventTime(0), b"", b"", &[]).unwrap();
        writer.sync().unwrap();
    });
    let before = Instant::now();
    assert!(watch.wait(Duration::from_secs(20)).unwrap());
    assert!(before.elapsed() < Duration::from_secs(10));
    waker.join().unwrap();
}

fn retention_keeps_the_floor(log: &SharedLog, topic: &str) {
    create(log, topic);
    let mut writer = writer(log, topic);
    // Ten portions, if the backend makes one as soon as it can: a million bytes each, timestamps 0 to 9.
    let value = noise(100_000);
    for portion in 0..10 {
        for _ in 0..10 {
            writer.append(EventTime(portion), b"", &value, &[]).unwrap();
        }
        writer.sync().unwrap();
    }
    let mut behind = log.reader(topic, P0, Offset(0)).unwrap();
    let retain = |oldest: Option<i64>, max_bytes, floor| {
        let keep = Retention { oldest: oldest.map(EventTime), max_bytes };
        log.retain(topic, P0, &keep, Offset(floor)).unwrap()
    };
    let all = Bounds { start: Offset(0), end: Offset(100) };
    assert_eq!(retain(None, None, 100), all);
    assert_eq!(retain(Some(9), Some(0), 0), all);
    // By time: never a record that is young enough.
    let bounds = retain(Some(3), None, 100);
    assert!(
        bounds.start > Offset(0) && bounds.start <= Offset(30) && bounds.end == Offset(100),
        "{bounds:?}"
    );
    // By size, down to the floor at most.
    let bounds = retain(None, Some(0), 57);
    assert!(bounds.start > Offset(40) && bounds.start <= Offset(57), "{bounds:?}");
    let bounds = retain(None, Some(3_000_000), 100);
    assert!((Offset(60)..=Offset(80)).contains(&bounds.start), "{bounds:?}");
    // The newest portion stays, whatever is asked.
    let bounds = retain(Some(i64::MAX), Some(0), 100);
    assert!(bounds.start < Offset(100) && bounds.end == Offset(100), "{bounds:?}");
    assert_eq!(log.bounds(topic, P0).unwrap(), bounds);

    let error = behind.read(&mut RecordBuf::default(), 1).unwrap_err();
    assert!(matches!(error, LogError::OutOfRange { offset: Offset(0), .. }), "{error}");
    assert!(matches!(behind.seek(Offset(0)), Err(LogError::OutOfRange { .. })));
    assert!(matches!(log.reader(topic, P0, Offset(0)), Err(LogError::OutOfRange { .. })));
    behind.seek(bounds.start).unwrap();
    assert_eq!(drain(&mut *behind).len() as u64, bounds.end.since(bounds.start));
    assert_eq!(log.offset_at(topic, P0, EventTime(0)).unwrap(), bounds.start);
    assert_eq!(writer.append(EventTime(10), b"", b"", &[]).unwrap(), Offset(100));
}
