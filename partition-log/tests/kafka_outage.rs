//! Producers and readers whose broker is killed or hangs, and comes back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use partition_log::backends::kafka::{GroupEvent, GroupOffset, GroupOptions, KafkaGroup, NotCommitted};
use partition_log::conformance::broker::{self, Brokers};
use partition_log::conformance::drain;
use partition_log::conformance::proxy::Proxy;
use partition_log::{KafkaLog, Log, LogError, LogOptions, PartitionWriter, RecordBuf, TopicConfig};
use types::{EventTime, Offset, PartitionId};

const PARTITIONS: u64 = 3;
const RECORDS: u64 = 200_000;
const PATIENCE: Duration = Duration::from_secs(120);

fn open(bootstrap: &str) -> KafkaLog {
    KafkaLog::new(bootstrap, &LogOptions::default()).unwrap()
}

/// Long ago. What a broker knows of a producer it forgets by the times of the records, after a day (`producer.id.expiration.ms`).
const OLD: i64 = 1_000_000_000_000;

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn value(n: u64) -> String {
    format!("{n:060}")
}

fn make(log: &KafkaLog, topic: &str, partitions: u64) {
    let config =
        TopicConfig { partitions: partitions as u32, key: "user".into(), partitioner: "explicit".into() };
    log.create_topic(topic, &config).unwrap();
}

/// Checks that a partition holds these numbers, once and in order, each with its time.
fn holds(log: &KafkaLog, topic: &str, partition: u64, base: i64, numbers: impl Iterator<Item = u64>) {
    let reader = &mut *log.reader(topic, PartitionId(partition as u32), Offset::ZERO).unwrap();
    let mut expected = (0..).zip(numbers);
    for (offset, time, _, found, _) in drain(reader) {
        let (at, n) = expected.next().unwrap();
        assert_eq!((offset, time, found.as_slice()), (at, base + n.cast_signed(), value(n).as_bytes()));
    }
    assert_eq!(expected.next(), None, "partition {partition}: the first that is missing");
}

/// Writes the numbers to the partitions in turn, and counts those that were taken. Every offset is the one that was promised.
/// From `unhurried` on it takes its time.
fn write(log: &KafkaLog, base: i64, taken: &AtomicU64, unhurried: &AtomicU64) {
    let mut topic = log.writer("events").unwrap();
    let mut writers: Vec<_> =
        (0..PARTITIONS as u32).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    for n in 0..RECORDS {
        if n >= unhurried.load(Ordering::Acquire) {
            std::thread::sleep(Duration::from_micros(200));
        }
        let writer = &mut writers[(n % PARTITIONS) as usize];
        let offset =
            writer.append(EventTime(base + n.cast_signed()), b"u1", value(n).as_bytes(), &[]).unwrap();
        assert_eq!(offset, Offset(n / PARTITIONS));
        taken.fetch_add(1, Ordering::Relaxed);
        if n % 10_000 == 9_999 {
            writers.iter_mut().for_each(|writer| writer.sync().unwrap());
        }
    }
    writers.iter_mut().for_each(|writer| writer.sync().unwrap());
    assert!(writers.iter().all(|writer| writer.end().0 >= RECORDS / PARTITIONS));
}

fn restart(brokers: &Brokers) {
    // What was taken meanwhile waits.
    std::thread::sleep(Duration::from_secs(1));
    brokers.restart(1);
}

#[test]
fn what_is_written_while_a_broker_is_killed_is_there_once_and_in_order() {
    // Of its own: it is killed.
    let Some(brokers) = broker::start(1) else { return };
    let log = open(&brokers.bootstrap);
    make(&log, "events", PARTITIONS);
    // However late the broker is killed, something is under way then and something left to be written.
    let (taken, unhurried) = (AtomicU64::new(0), AtomicU64::new(RECORDS));
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(&log, OLD, &taken, &unhurried));
        // One in the middle of a portion, one just behind a sync.
        for at in [35_000, 90_001, 147_000] {
            let deadline = Instant::now() + PATIENCE;
            unhurried.store(at, Ordering::Release);
            while taken.load(Ordering::Relaxed) < at {
                assert!(
                    !writing.is_finished() && Instant::now() < deadline,
                    "{}",
                    taken.load(Ordering::Relaxed)
                );
                std::thread::sleep(Duration::from_micros(200));
            }
            brokers.signal(1, "KILL");
            assert!(!writing.is_finished(), "everything was written before the broker was killed");
            unhurried.store(RECORDS, Ordering::Release);
            restart(&brokers);
        }
        writing.join().unwrap();
    });
    let log = open(&brokers.bootstrap);
    for partition in 0..PARTITIONS {
        holds(&log, "events", partition, OLD, (partition..RECORDS).step_by(PARTITIONS as usize));
    }
    broker::stop(&brokers);
}

/// Waits until the broker has written a record and nobody has heard of it.
fn wait_for_kept(proxy: &Proxy) {
    let begun = Instant::now();
    while proxy.kept_back() == 0 {
        assert!(begun.elapsed() < PATIENCE, "nothing is written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The same of a second one, if there can be one before the first is acknowledged.
fn give_time_for_another(proxy: &Proxy) {
    let begun = Instant::now();
    while proxy.kept_back() < 2 && begun.elapsed() < Duration::from_secs(1) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn crash(brokers: &Brokers, proxy: &Proxy) {
    brokers.signal(1, "KILL");
    proxy.forget_answers();
    brokers.restart(1);
}

/// Not by luck, as above.
#[test]
fn what_was_written_and_never_acknowledged_is_there_once() {
    let Some((brokers, proxy)) = broker::start_behind_proxy() else { return };
    let log = open(&proxy.address);
    for (topic, base) in [("old", OLD), ("new", now() - 10_000)] {
        make(&log, topic, 1);
        let mut writer = log.writer(topic).unwrap().partition(PartitionId(0)).unwrap();
        let append = |writer: &mut dyn PartitionWriter, numbers: std::ops::Range<u64>| {
            for n in numbers {
                let time = EventTime(base + n.cast_signed());
                assert_eq!(writer.append(time, b"u1", value(n).as_bytes(), &[]).unwrap(), Offset(n));
            }
            writer.flush().unwrap();
        };
        append(&mut *writer, 0..1000);
        writer.sync().unwrap();
        proxy.keep_answers(topic);
        append(&mut *writer, 1000..1001);
        wait_for_kept(&proxy);
        append(&mut *writer, 1001..1002);
        give_time_for_another(&proxy);
        crash(&brokers, &proxy);
        append(&mut *writer, 1002..4000);
        writer.sync().unwrap();
        holds(&log, topic, 0, base, 0..4000);
    }
    broker::stop(&brokers);
}

fn join(log: &KafkaLog) -> KafkaGroup {
    let options = GroupOptions {
        group: "group".to_owned(),
        member: "member".to_owned(),
        topic: "events".to_owned(),
        outputs: vec!["scores".to_owned()],
        session_timeout: PATIENCE,
        transaction_timeout: PATIENCE,
        give_up: Arc::new(|| false),
    };
    let group = log.join(&options).unwrap();
    let begun = Instant::now();
    while !matches!(group.poll(Duration::from_millis(50)).unwrap(), Some(GroupEvent::Assigned(_))) {
        assert!(begun.elapsed() < PATIENCE, "no partition came");
    }
    group
}

/// The same in a transaction: brokers forget no producer that has one open.
#[test]
fn what_a_transaction_wrote_and_was_never_acknowledged_is_there_once() {
    let Some((brokers, proxy)) = broker::start_behind_proxy() else { return };
    let log = open(&proxy.address);
    make(&log, "events", 1);
    make(&log, "scores", 1);
    let mut group = join(&log);
    let write = |group: &KafkaGroup, numbers: std::ops::Range<u64>| {
        let output = group.output("scores", PartitionId(0)).unwrap();
        for n in numbers {
            output.append(EventTime(OLD + n.cast_signed()), b"u1", value(n).as_bytes(), &[]).unwrap();
        }
    };
    let commit = |group: &KafkaGroup| {
        let place = GroupOffset { partition: PartitionId(0), next: Offset::ZERO, note: String::new() };
        group.commit(&[place], &|| false)
    };
    write(&group, 0..1000);
    commit(&group).unwrap();
    // One that is under way comes to its end.
    proxy.keep_answers("scores");
    write(&group, 1000..1001);
    wait_for_kept(&proxy);
    crash(&brokers, &proxy);
    write(&group, 1001..2000);
    commit(&group).unwrap();
    // Of two the broker that comes back knows the second only, and it is as if nothing had been written since the last commit.
    proxy.keep_answers("scores");
    write(&group, 2000..2001);
    wait_for_kept(&proxy);
    write(&group, 2001..2002);
    give_time_for_another(&proxy);
    crash(&brokers, &proxy);
    if let Err(error) = commit(&group) {
        assert!(matches!(error, NotCommitted::Aborted(_)), "{error}");
        drop(group);
        group = join(&log);
        write(&group, 2000..2002);
    }
    write(&group, 2002..3000);
    commit(&group).unwrap();
    let rows = drain(&mut *log.reader("scores", PartitionId(0), Offset::ZERO).unwrap());
    let found: Vec<_> = rows.into_iter().map(|(_, time, _, value, _)| (time, value)).collect();
    let expected = (0..3000).map(|n: u64| (OLD + n.cast_signed(), value(n).into_bytes()));
    assert_eq!(found, expected.collect::<Vec<_>>());
    drop(group);
    broker::stop(&brokers);
}

#[test]
fn a_reader_with_patience_for_a_second_waits_no_longer_and_loses_nothing() {
    // Of its own: it is made to hang.
    let Some(brokers) = broker::start(1) else { return };
    let log = open(&brokers.bootstrap);
    make(&log, "events", 1);
    let mut writer = log.writer("events").unwrap().partition(PartitionId(0)).unwrap();
    for n in 0..10 {
        writer.append(EventTime(1), b"u1", value(n).as_bytes(), &[]).unwrap();
    }
    writer.sync().unwrap();
    let mut reader = log.reader("events", PartitionId(0), Offset::ZERO).unwrap();
    reader.set_patience(Duration::from_secs(1));
    brokers.signal(1, "STOP");
    let mut block = RecordBuf::default();
    let begun = Instant::now();
    let error = reader.read(&mut block, 1 << 20).unwrap_err();
    let took = begun.elapsed();
    brokers.signal(1, "CONT");
    assert!(matches!(error, LogError::NotNow(_)), "{error:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    let deadline = Instant::now() + PATIENCE;
    while block.len() < 10 {
        assert!(Instant::now() < deadline, "{} came", block.len());
        match reader.read(&mut block, 1 << 20) {
            Ok(_) | Err(LogError::NotNow(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let values: Vec<_> = block.iter().map(|record| record.value.to_vec()).collect();
    assert_eq!(values, (0..10).map(|n| value(n).into_bytes()).collect::<Vec<_>>());
    broker::stop(&brokers);
}
