//! The file log between processes: locks, tailing, kills, full disks. The tests start this very program again as the other
//! process, with what it is to do in the environment.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use partition_log::conformance::drain;
use partition_log::{FileLog, Log, LogError, LogOptions, PartitionWriter, RecordBuf, TopicConfig};
use types::{EventTime, Offset, PartitionId};

const TOPIC: &str = "events";
const P0: PartitionId = PartitionId(0);
const ROLE: &str = "LOG_TEST_ROLE";
const DIR: &str = "LOG_TEST_DIR";

fn open(dir: &Path) -> FileLog {
    let log =
        FileLog::new(dir, LogOptions { segment_bytes: 100_000, batch_bytes: 4096, ..LogOptions::default() });
    log.create_topic(
        TOPIC,
        &TopicConfig { partitions: 1, key: "user".into(), partitioner: "murmur2".into() },
    )
    .unwrap();
    log
}

fn append(writer: &mut dyn PartitionWriter) -> Result<(), LogError> {
    let n = writer.end().0;
    let value = format!("{n:0100}");
    writer.append(EventTime(n as i64), b"key", value.as_bytes(), &[]).map(|at| assert_eq!(at, Offset(n)))
}

/// Starts this program as the other process.
fn other_process(role: &str, dir: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_other_process", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the first line of the other process that holds a word.
fn wait_for(child: &mut Child, word: &str) {
    let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains(word)));
}

/// What the other process has printed by its end.
fn outcome(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// Not a test of its own: what the other process does. Without a role it does nothing.
#[test]
fn the_other_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let dir = std::env::var_os(DIR).unwrap();
    let log = open(Path::new(&dir));
    match role.as_str() {
        "try-to-write" => match log.writer(TOPIC) {
            Ok(_) => println!("result: got it"),
            Err(error) => println!("result: {error}"),
        },
        "write-until-killed" => {
            let mut writer = log.writer(TOPIC).unwrap().partition(P0).unwrap();
            println!("result: began");
            for burst in 0_u64.. {
                for _ in 0..burst % 97 {
                    append(&mut *writer).unwrap();
                }
                if burst % 3 == 0 { writer.flush().unwrap() } else { writer.sync().unwrap() }
            }
        }
        "fill-the-file" => fill_the_file(&log),
        other => panic!("no role {other}"),
    }
}

#[test]
fn a_second_writer_in_another_process_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let writer = log.writer(TOPIC).unwrap();
    let said = outcome(other_process("try-to-write", dir.path()));
    assert!(said.contains("being written by another process") && said.contains("events.lock"), "{said}");
    drop(writer);
    let said = outcome(other_process("try-to-write", dir.path()));
    assert!(said.contains("result: got it"), "{said}");
}

#[test]
fn a_reader_follows_a_writer_that_is_killed_again_and_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let mut reader = log.reader(TOPIC, P0, Offset(0)).unwrap();
    let mut watch = log.watch(TOPIC).unwrap();
    let (mut buf, mut next) = (RecordBuf::default(), 0);
    for round in 0..5 {
        let mut child = other_process("write-until-killed", dir.path());
        wait_for(&mut child, "began");
        let (from, started) = (next, Instant::now());
        let enough = Duration::from_millis(60 + 37 * round);
        while started.elapsed() < enough || next == from {
            assert!(started.elapsed() < Duration::from_secs(30), "nothing came in round {round}");
            buf.clear();
            if reader.read(&mut buf, 1 << 16).unwrap() == 0 {
                watch.wait(Duration::from_secs(1)).unwrap();
            }
            for record in buf.iter() {
                assert_eq!(record.offset, Offset(next));
                assert_eq!(record.value, format!("{next:0100}").as_bytes());
                next += 1;
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let end = log.bounds(TOPIC, P0).unwrap().end;
        assert!(end >= Offset(next));
        // The next writer keeps all that readers could see, and what was flushed behind it.
        let mut writer = log.writer(TOPIC).unwrap().partition(P0).unwrap();
        assert!(writer.end() >= end);
        append(&mut *writer).unwrap();
        writer.sync().unwrap();
    }
    let rows = drain(&mut *log.reader(TOPIC, P0, Offset(0)).unwrap());
    assert!(rows.iter().zip(0..).all(|(row, n)| row.0 == n && row.3 == format!("{n:0100}").as_bytes()));
    assert_eq!(rows.len() as u64, log.bounds(TOPIC, P0).unwrap().end.0);
}

/// Appends until the system refuses, then checks that the log is whole, makes room and goes on.
fn fill_and_go_on(log: &FileLog, kinds: &[std::io::ErrorKind], make_room: impl FnOnce()) {
    let mut writer = log.writer(TOPIC).unwrap().partition(P0).unwrap();
    let refused = loop {
        let appended = append(&mut *writer)
            .and_then(|()| if writer.end().0.is_multiple_of(100) { writer.sync() } else { Ok(()) });
        match appended {
            Ok(()) => assert!(writer.end() < Offset(1_000_000), "the disk was never full"),
            Err(error) => break error,
        }
    };
    assert!(matches!(&refused, LogError::Io { source, .. } if kinds.contains(&source.kind())), "{refused}");
    let seen = log.bounds(TOPIC, P0).unwrap().end;
    assert!(seen > Offset(0));
    // Trying again without room fails again and changes nothing.
    for _ in 0..3 {
        assert!(writer.sync().is_err());
    }
    assert_eq!(log.bounds(TOPIC, P0).unwrap().end, seen);
    assert_eq!(drain(&mut *log.reader(TOPIC, P0, Offset(0)).unwrap()).len() as u64, seen.0);
    make_room();
    for _ in 0..2000 {
        append(&mut *writer).unwrap();
    }
    writer.sync().unwrap();
    let end = writer.end();
    drop(writer);
    assert!(log.writer(TOPIC).unwrap().recovery().iter().all(|r| r.truncated_bytes == 0));
    let rows = drain(&mut *log.reader(TOPIC, P0, Offset(0)).unwrap());
    assert_eq!(rows.len() as u64, end.0);
    assert!(rows.iter().zip(0..).all(|(row, n)| row.0 == n && row.3 == format!("{n:0100}").as_bytes()));
}

fn fill_the_file(log: &FileLog) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(50_000), ..before }).unwrap();
    fill_and_go_on(log, &[std::io::ErrorKind::FileTooLarge], || setrlimit(Resource::Fsize, before).unwrap());
    println!("result: went on");
}

#[test]
fn a_file_size_limit_is_an_error_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let said = outcome(other_process("fill-the-file", dir.path()));
    assert!(said.contains("result: went on"), "{said}");
}

#[test]
fn a_full_disk_is_an_error_and_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(dir.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a small tmpfs cannot be mounted here; the file size limit's test stands for it");
        return;
    }
    let result = std::panic::catch_unwind(|| {
        let ballast = dir.path().join("ballast");
        std::fs::write(&ballast, vec![1; 600_000]).unwrap();
        let log = open(dir.path());
        fill_and_go_on(&log, &[std::io::ErrorKind::StorageFull], || std::fs::remove_file(&ballast).unwrap());
    });
    let unmounted = Command::new("umount").arg(dir.path()).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    if let Err(panic) = result {
        std::panic::resume_unwind(panic);
    }
}
