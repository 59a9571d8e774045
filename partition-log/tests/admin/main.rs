//! Looking at logs, checking them, redriving dead letters, changing the number of partitions.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

mod redrive;
mod rekey;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use partition_log::admin::{RedriveOptions, Selection, dump, redrive, repartition, stat, verify};
use partition_log::conformance::{Mortal, Row, drain};
use partition_log::{FileLog, Log, LogError, LogOptions, MemoryLog, SharedLog, TopicConfig, partition_for};
use types::{EventTime, Offset, PartitionId, headers};

fn file_log(dir: &Path) -> SharedLog {
    let options = LogOptions {
        segment_bytes: 1500,
        index_interval_bytes: 100,
        batch_bytes: 300,
        ..LogOptions::default()
    };
    Arc::new(FileLog::new(dir, options))
}

fn config(partitions: u32) -> TopicConfig {
    TopicConfig { partitions, key: "user".into(), partitioner: "murmur2".into() }
}

fn rows(log: &dyn Log, topic: &str, partition: u32) -> Vec<Row> {
    let start = log.bounds(topic, PartitionId(partition)).unwrap().start;
    drain(&mut *log.reader(topic, PartitionId(partition), start).unwrap())
}

fn tick(day: i64) -> Vec<u8> {
    format!(r#"{{"v":1,"type":"$tick","ts":{}}}"#, day * 86_400_000).into_bytes()
}

/// Events of 20 users over some days, with a tick in every partition after each 50 events.
fn fill(log: &dyn Log, topic: &str, partitions: u32, days: i64) {
    log.create_topic(topic, &config(partitions)).unwrap();
    let mut topic = log.writer(topic).unwrap();
    let mut writers: Vec<_> = (0..partitions).map(|p| topic.partition(PartitionId(p)).unwrap()).collect();
    for day in 0..days {
        for writer in &mut writers {
            writer.append(EventTime(day * 100), b"", &tick(day), &[]).unwrap();
        }
        for n in 0..50 {
            let (time, user) = (day * 100 + n, format!("user-{}", (n * 7 + day) % 20));
            let value = format!("{user} {time}");
            let partition = partition_for(user.as_bytes(), partitions).0 as usize;
            let source = format!("sim:{time}");
            let headers = [(headers::SOURCE, source.as_bytes())];
            writers[partition].append(EventTime(time), user.as_bytes(), value.as_bytes(), &headers).unwrap();
        }
        writers.iter_mut().for_each(|writer| writer.sync().unwrap());
    }
}

fn segments(dir: &Path, partition: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(partition)).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == suffix)).collect();
    found.sort();
    found
}

#[test]
fn stat_tells_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let log = file_log(dir.path());
    fill(&*log, "events", 2, 3);
    let found = stat(&*log, "events").unwrap();
    assert_eq!((found.records, found.config.partitions), (156, 2));
    let on_disk: u64 = ["events-0", "events-1"]
        .iter()
        .flat_map(|p| ["log", "index", "timeindex"].map(|s| segments(dir.path(), p, s)))
        .flatten()
        .map(|path| fs::metadata(path).unwrap().len())
        .sum();
    assert_eq!(found.bytes, Some(on_disk));
    for partition in &found.by_partition {
        assert_eq!((partition.start, partition.first), (Offset(0), Some(EventTime(0))));
        let last = rows(&*log, "events", partition.partition.0).pop().unwrap();
        assert_eq!((partition.end, partition.last), (Offset(last.0 + 1), Some(EventTime(last.1))));
        assert_eq!(
            partition.segments,
            Some(segments(dir.path(), &format!("events-{}", partition.partition), "log").len() as u64)
        );
    }
    assert!(matches!(stat(&*log, "absent"), Err(LogError::NoSuchTopic { .. })));
    log.create_topic("empty", &config(1)).unwrap();
    assert_eq!(stat(&*log, "empty").unwrap().by_partition[0].last, None);
}

#[test]
fn dump_shows_what_is_selected() {
    let log = MemoryLog::new();
    fill(&log, "events", 2, 3);
    let of = |selection: Selection| {
        let mut found = Vec::new();
        let count = dump(&log, "events", &selection, |record| {
            found.push(record.clone());
            true
        });
        assert_eq!(count.unwrap(), found.len() as u64);
        found
    };
    assert_eq!(of(Selection::default()).len(), 156);
    let some = of(Selection {
        partition: Some(PartitionId(1)),
        from: Some(Offset(3)),
        limit: Some(2),
        ..Selection::default()
    });
    assert_eq!(some.iter().map(|r| (r.partition.0, r.offset.0)).collect::<Vec<_>>(), [(1, 3), (1, 4)]);
    let since = of(Selection { since: Some(EventTime(200)), ..Selection::default() });
    assert!(since.len() == 52 && since.iter().all(|r| r.timestamp >= EventTime(200)));
    let user = of(Selection { key: Some("user-3".into()), ..Selection::default() });
    assert!(user.len() > 3 && user.iter().all(|r| r.key == "user-3" && r.headers[0].0 == "cs-source"));
    let mut writer = log.writer("events").unwrap().partition(PartitionId(0)).unwrap();
    writer.append(EventTime(900), b"\xff\x00", b"", &[]).unwrap();
    writer.sync().unwrap();
    assert_eq!(of(Selection { since: Some(EventTime(900)), ..Selection::default() })[0].key, "hex:ff00");
}

#[test]
fn verify_finds_every_kind_of_damage_and_goes_on_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = file_log(dir.path());
    fill(&*log, "events", 2, 6);
    let sound = verify(&*log, "events").unwrap();
    assert!(sound.ok && sound.records == 312, "{sound:?}");

    // A flipped byte in a batch in the middle.
    let path = segments(dir.path(), "events-1", "log").remove(1);
    let original = fs::read(&path).unwrap();
    let mut bytes = original.clone();
    let first_batch = 12 + u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    bytes[first_batch + 100] ^= 4;
    fs::write(&path, &bytes).unwrap();
    let found = verify(&*log, "events").unwrap();
    assert!(!found.ok && found.by_partition[0].findings.is_empty());
    let finding = &found.by_partition[1].findings[0];
    let base: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let in_first = u64::from(u32::from_be_bytes(original[57..61].try_into().unwrap()));
    assert_eq!((finding.offset, finding.position), (Offset(base + in_first), first_batch as u64));
    assert!(finding.detail.contains("CRC") && finding.detail.contains("are lost"), "{finding:?}");
    assert_eq!(finding.path, path.display().to_string());
    assert!(found.records < 312 && found.records > 280, "what is behind is read: {}", found.records);
    fs::write(&path, &original).unwrap();

    // Stale indexes, of closed segments too; missing ones are only noted.
    for suffix in ["index", "timeindex"] {
        let index = path.with_extension(suffix);
        let right = fs::read(&index).unwrap();
        let mut wrong = right.clone();
        let last = wrong.len() - 1;
        wrong[last] ^= 1;
        fs::write(&index, &wrong).unwrap();
        let found = verify(&*log, "events").unwrap();
        assert!(
            suffix == "timeindex" || found.by_partition[1].findings[0].detail.contains("index does not fit"),
            "{found:?}"
        );
        fs::write(&index, &right[..right.len() - if suffix == "index" { 8 } else { 12 }]).unwrap();
        let found = verify(&*log, "events").unwrap();
        // An index that only lacks entries costs time; a time index that lacks the last would hide records.
        assert_eq!(found.ok, suffix == "index", "{found:?}");
        fs::remove_file(&index).unwrap();
        let found = verify(&*log, "events").unwrap();
        assert!(found.ok && found.by_partition[1].notes[0].contains("makes it again"), "{found:?}");
        fs::write(&index, right).unwrap();
    }

    // A key in the wrong partition, and bytes that are not synced yet.
    let mut writer = log.writer("events").unwrap().partition(PartitionId(0)).unwrap();
    let stray =
        (0..).map(|n| format!("stray-{n}")).find(|key| partition_for(key.as_bytes(), 2).0 == 1).unwrap();
    writer.append(EventTime(1), stray.as_bytes(), b"", &[]).unwrap();
    writer.sync().unwrap();
    writer.append(EventTime(1), b"", b"", &[]).unwrap();
    writer.flush().unwrap();
    let found = verify(&*log, "events").unwrap();
    assert!(found.by_partition[0].findings[0].detail.contains("belongs in partition 1; 1 such"), "{found:?}");
    assert!(found.by_partition[0].unsynced_bytes > 60);
}

/// Sets some records of `events` aside, as a consumer does.
/// Of each key its records in order, and before each how many ticks its partition had.
fn by_key(log: &dyn Log, topic: &str, partitions: u32) -> BTreeMap<Vec<u8>, Vec<(usize, Row)>> {
    let mut found: BTreeMap<Vec<u8>, Vec<(usize, Row)>> = BTreeMap::new();
    for partition in 0..partitions {
        let mut ticks = 0;
        for mut row in rows(log, topic, partition) {
            if row.2.is_empty() {
                assert_eq!(row.3, tick(ticks as i64), "ticks come once and in order");
                ticks += 1;
                continue;
            }
            assert_eq!(partition_for(&row.2, partitions), PartitionId(partition));
            row.0 = 0;
            found.entry(row.2.clone()).or_default().push((ticks, row));
        }
        assert_eq!(ticks, 5);
    }
    found
}

#[test]
fn repartitioning_keeps_the_order_of_keys_and_their_place_between_ticks() {
    let log = MemoryLog::new();
    fill(&log, "events", 3, 5);
    let before = by_key(&log, "events", 3);
    for partitions in [1, 2, 3, 7] {
        let to = format!("events-{partitions}");
        let report = repartition((&log, "events"), (&log, &to), partitions).unwrap();
        assert_eq!((report.records, report.ticks, report.partitions_before), (250, 5, 3));
        assert_eq!(report.by_partition.iter().sum::<u64>(), 250 + 5 * u64::from(partitions));
        assert_eq!(by_key(&log, &to, partitions), before);
        assert_eq!(log.topic(&to).unwrap(), Some(config(partitions)));
    }
    // Merged by time between ticks: one partition has the records as they were made.
    let times: Vec<_> = rows(&log, "events-1", 0).into_iter().map(|row| row.1).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[test]
fn a_tick_that_a_crash_kept_from_some_partitions_still_comes_once() {
    let log = MemoryLog::new();
    fill(&log, "events", 3, 4);
    let mut writer = log.writer("events").unwrap().partition(PartitionId(1)).unwrap();
    writer.append(EventTime(400), b"", &tick(4), &[]).unwrap();
    writer.sync().unwrap();
    repartition((&log, "events"), (&log, "two"), 2).unwrap();
    by_key(&log, "two", 2);
}

#[test]
fn what_cannot_be_repartitioned_is_refused() {
    let log = MemoryLog::new();
    fill(&log, "events", 2, 1);
    fill(&log, "full", 2, 1);
    let explicit = TopicConfig { partitioner: "explicit".into(), ..config(2) };
    log.create_topic("scores", &explicit).unwrap();
    for (from, to, word) in [
        ("events", "full", "holds records"),
        ("scores", "x", "explicit"),
        ("events", "events", "into itself"),
    ] {
        let error = repartition((&log, from), (&log, to), 2).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
    let error = repartition((&log, "events"), (&log, "full"), 3).unwrap_err();
    assert!(matches!(error, LogError::TopicDiffers { .. }), "{error}");
}
