//! Producers and readers whose broker is killed or hangs, and comes back.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use partition_log::conformance::{broker, drain};
use partition_log::{KafkaLog, Log, LogError, LogOptions, RecordBuf, TopicConfig};
use types::{EventTime, Offset, PartitionId};

const PARTITIONS: u64 = 3;
const RECORDS: u64 = 200_000;
const PATIENCE: Duration = Duration::from_secs(120);

fn open(bootstrap: &str) -> KafkaLog {
    KafkaLog::new(bootstrap, &LogOptions::default()).unwrap()
}

/// Of now. What a broker knows of a producer it forgets by the times of the records, after a day (`producer.id.expiration.ms`): one that is
/// killed then takes a batch of old records twice whose acknowledgement got lost.
fn base() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap() - 1_000_000
}

fn value(n: u64) -> String {
    format!("{n:060}")
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

fn signal(dir: &Path, name: &str) {
    let pid = std::fs::read_to_string(dir.join("broker-1.pid")).unwrap();
    assert!(Command::new("kill").args([&format!("-{name}"), pid.trim()]).status().unwrap().success());
}

fn restart(dir: &Path) {
    // What was taken meanwhile waits.
    std::thread::sleep(Duration::from_secs(1));
    assert!(broker::script().args(["broker", "1", "--dir"]).arg(dir).status().unwrap().success());
}

#[test]
fn what_is_written_while_a_broker_is_killed_is_there_once_and_in_order() {
    // Of its own: it is killed.
    let Some(brokers) = broker::start(1) else { return };
    let dir = brokers.dir.as_deref().unwrap();
    let log = open(&brokers.bootstrap);
    let config =
        TopicConfig { partitions: PARTITIONS as u32, key: "user".into(), partitioner: "explicit".into() };
    log.create_topic("events", &config).unwrap();
    // However late the broker is killed, something is under way then and something left to be written.
    let (base, taken, unhurried) = (base(), AtomicU64::new(0), AtomicU64::new(RECORDS));
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(&log, base, &taken, &unhurried));
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
            signal(dir, "KILL");
            assert!(!writing.is_finished(), "everything was written before the broker was killed");
            unhurried.store(RECORDS, Ordering::Release);
            restart(dir);
        }
        writing.join().unwrap();
    });
    let log = open(&brokers.bootstrap);
    for partition in 0..PARTITIONS {
        let reader = &mut *log.reader("events", PartitionId(partition as u32), Offset::ZERO).unwrap();
        let rows = drain(reader);
        let mut expected = (0..).zip((partition..RECORDS).step_by(PARTITIONS as usize));
        for (offset, time, _, found, _) in &rows {
            let (at, n) = expected.next().unwrap();
            assert_eq!((*offset, *time, found.as_slice()), (at, base + n.cast_signed(), value(n).as_bytes()));
        }
        assert_eq!(expected.next(), None, "partition {partition}: the first that is missing");
    }
    broker::stop(&brokers);
}

#[test]
fn a_reader_with_patience_for_a_second_waits_no_longer_and_loses_nothing() {
    // Of its own: it is made to hang.
    let Some(brokers) = broker::start(1) else { return };
    let dir = brokers.dir.as_deref().unwrap();
    let log = open(&brokers.bootstrap);
    let config = TopicConfig { partitions: 1, key: "user".into(), partitioner: "explicit".into() };
    log.create_topic("events", &config).unwrap();
    let mut writer = log.writer("events").unwrap().partition(PartitionId(0)).unwrap();
    for n in 0..10 {
        writer.append(EventTime(1), b"u1", value(n).as_bytes(), &[]).unwrap();
    }
    writer.sync().unwrap();
    let mut reader = log.reader("events", PartitionId(0), Offset::ZERO).unwrap();
    reader.set_patience(Duration::from_secs(1));
    signal(dir, "STOP");
    let mut block = RecordBuf::default();
    let begun = Instant::now();
    let error = reader.read(&mut block, 1 << 20).unwrap_err();
    let took = begun.elapsed();
    signal(dir, "CONT");
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
