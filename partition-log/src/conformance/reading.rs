//! Readers, watches and retention.

use std::thread;
use std::time::{Duration, Instant};

use types::{EventTime, Offset};

use super::{Differences, P0, P1, append, create, drain, noise, writer};
use crate::{Bounds, LogError, RecordBuf, Retention, SharedLog};

pub(super) fn reads_take_whole_batches_up_to_the_limit(
    log: &SharedLog,
    topic: &str,
    differences: Differences,
) {
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
    if differences.single_records {
        assert_eq!(reader.read(&mut buf, 0).unwrap(), 1);
        assert_eq!(reader.position(), Offset(1));
        let some = reader.read(&mut buf, 10_000).unwrap();
        assert!((1..=10).contains(&some), "{some}");
        assert_eq!(drain(&mut *reader).len(), 39 - some);
        return;
    }
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

pub(super) fn seeking(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn offsets_by_time(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn a_reader_follows_the_writer(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn watches_wake_and_time_out(log: &SharedLog, topic: &str, _: Differences) {
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

pub(super) fn retention_keeps_the_floor(log: &SharedLog, topic: &str, differences: Differences) {
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
    let by_size = |bytes| (!differences.no_sizes).then_some(bytes);
    assert_eq!(retain(Some(9), by_size(0), 0), all);
    // By time: never a record that is young enough.
    let bounds = retain(Some(3), None, 100);
    assert!(
        bounds.start > Offset(0) && bounds.start <= Offset(30) && bounds.end == Offset(100),
        "{bounds:?}"
    );
    // Down to the floor at most, by size where it is known.
    let bounds = retain(differences.no_sizes.then_some(i64::MAX), by_size(0), 57);
    assert!(bounds.start > Offset(40) && bounds.start <= Offset(57), "{bounds:?}");
    if differences.no_sizes {
        let keep = Retention { oldest: None, max_bytes: Some(0) };
        assert!(matches!(log.retain(topic, P0, &keep, Offset(100)), Err(LogError::Unsupported { .. })));
        assert!(matches!(log.usage(topic, P0), Err(LogError::Unsupported { .. })));
    } else {
        let bounds = retain(None, Some(3_000_000), 100);
        assert!((Offset(60)..=Offset(80)).contains(&bounds.start), "{bounds:?}");
    }
    // The newest portion stays, whatever is asked.
    let bounds = retain(Some(i64::MAX), by_size(0), 100);
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
