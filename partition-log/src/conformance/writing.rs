//! Topics and writers.

use types::{EventTime, Offset, PartitionId};

use super::{Differences, P0, P1, Row, append, assert_numbers, config, create, drain, noise, writer};
use crate::{Bounds, LogError, RecordBuf, SharedLog, TopicConfig};

pub(super) fn topics(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn what_is_synced_is_read(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn only_synced_records_are_seen(log: &SharedLog, topic: &str, differences: Differences) {
    create(log, topic);
    let mut writer = writer(log, topic);
    let mut reader = log.reader(topic, P0, Offset(0)).unwrap();
    append(&mut *writer, 0..3);
    assert_eq!(drain(&mut *reader), []);
    assert_eq!(log.bounds(topic, P0).unwrap().end, Offset(0));
    assert!(matches!(log.reader(topic, P0, Offset(3)), Err(LogError::OutOfRange { .. })));
    writer.flush().unwrap();
    if !differences.shows_flushed {
        assert_eq!(drain(&mut *reader), []);
        assert_eq!(log.bounds(topic, P0).unwrap().end, Offset(0));
        assert!(matches!(log.reader(topic, P0, Offset(3)), Err(LogError::OutOfRange { .. })));
    }
    writer.sync().unwrap();
    assert_eq!(drain(&mut *reader).len(), 3);
    append(&mut *writer, 3..5);
    writer.flush().unwrap();
    if !differences.shows_flushed {
        assert_eq!(drain(&mut *reader).len(), 0);
        assert_eq!(log.bounds(topic, P0).unwrap().end, Offset(3));
    }
    writer.sync().unwrap();
    // Nothing new: neither harm nor records.
    writer.sync().unwrap();
    writer.flush().unwrap();
    if !differences.shows_flushed {
        assert_eq!(drain(&mut *reader).len(), 2);
    }
    assert_numbers(log, topic, 0..5);
}

pub(super) fn one_writer_at_a_time(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn a_writer_goes_on_where_the_last_one_stopped(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn flushed_records_survive_their_writer(log: &SharedLog, topic: &str, differences: Differences) {
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
    if differences.shows_flushed {
        assert!(recovery.is_empty(), "{recovery:?}");
        assert_numbers(log, topic, 0..5);
        append(&mut *writers.partition(P0).unwrap(), 5..7);
        return;
    }
    assert_eq!(recovery.len(), 1, "{recovery:?}");
    assert_eq!((recovery[0].partition, recovery[0].recovered_records, recovery[0].end), (P0, 2, Offset(5)));
    assert_numbers(log, topic, 0..5);
    let mut again = writers.partition(P0).unwrap();
    append(&mut *again, 5..7);
    again.sync().unwrap();
    assert_numbers(log, topic, 0..7);
}

pub(super) fn large_records(log: &SharedLog, topic: &str, _: Differences) {
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
