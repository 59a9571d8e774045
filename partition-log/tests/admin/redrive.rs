//! Redriving dead letters: once, whatever happens in between.

use super::*;

fn reject(log: &dyn Log, given: &[(u32, u64, &str)]) {
    log.create_topic("dead-letters", &config(2)).unwrap();
    let mut topic = log.writer("dead-letters").unwrap();
    for (partition, offset, reason) in given {
        let (_, time, key, value, kept) = rows(log, "events", *partition)[*offset as usize].clone();
        let from = format!("events-{partition}@{offset}");
        let mut all = vec![
            (headers::REASON, reason.as_bytes()),
            (headers::DETAIL, b"why"),
            (headers::FROM, from.as_bytes()),
        ];
        let kept = kept
            .iter()
            .filter(|(name, _)| name == headers::SOURCE.as_bytes() || name == headers::REDRIVEN.as_bytes());
        all.extend(kept.map(|(name, value)| (std::str::from_utf8(name).unwrap(), value.as_slice())));
        let mut writer = topic.partition(PartitionId(*partition)).unwrap();
        writer.append(EventTime(time), &key, &value, &all).unwrap();
        writer.sync().unwrap();
    }
}

#[test]
fn dead_letters_are_redriven_once() {
    let log = MemoryLog::new();
    fill(&log, "events", 2, 2);
    reject(&log, &[(0, 3, "late"), (1, 2, "late"), (0, 5, "wrong_type"), (1, 7, "mapping")]);
    let before = [rows(&log, "events", 0), rows(&log, "events", 1)];
    let dry = RedriveOptions { dry_run: true, ..RedriveOptions::default() };
    assert_eq!(redrive(&log, "dead-letters", &dry).unwrap().redriven, 3);
    assert_eq!(rows(&log, "events", 0), before[0]);

    let late = RedriveOptions { reasons: vec!["late".into()], ..RedriveOptions::default() };
    let report = redrive(&log, "dead-letters", &late).unwrap();
    assert_eq!((report.letters, report.redriven, report.other_reasons), (4, 2, 2));
    assert_eq!(report.by_topic, BTreeMap::from([("events".to_owned(), 2)]));
    for (partition, offset) in [(0, 3), (1, 2)] {
        let now = rows(&log, "events", partition);
        let (original, redriven) = (&before[partition as usize][offset], now.last().unwrap());
        assert_eq!(now.len(), before[partition as usize].len() + 1);
        assert_eq!((redriven.1, &redriven.2, &redriven.3), (original.1, &original.2, &original.3));
        // No `cs-source`: a producer that resumes must not take it for its last.
        let from = format!("events-{partition}@{offset}").into_bytes();
        assert_eq!(redriven.4, [(b"cs-from".to_vec(), from), (b"cs-redriven".to_vec(), vec![])]);
    }
    let report = redrive(&log, "dead-letters", &RedriveOptions::default()).unwrap();
    assert_eq!((report.redriven, report.already_redriven, report.import_lines), (1, 2, 1));
    let report = redrive(&log, "dead-letters", &RedriveOptions::default()).unwrap();
    assert_eq!((report.redriven, report.already_redriven), (0, 3));
    // What is rejected again has an origin of its own and may be redriven again.
    let end = rows(&log, "events", 0).len() as u64 - 1;
    reject(&log, &[(0, end, "late")]);
    assert_eq!(redrive(&log, "dead-letters", &late).unwrap().redriven, 1);
    let last = rows(&log, "events", 0).pop().unwrap();
    assert_eq!(last.4.len(), 2, "{last:?}");
}

#[test]
fn a_redrive_that_was_cut_short_repeats_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = file_log(dir.path());
    fill(&*log, "events", 2, 2);
    let given: Vec<_> = (1..11).map(|offset| (0, offset, "late")).collect();
    reject(&*log, &given);
    let whole = rows(&*log, "events", 0).len();
    redrive(&*log, "dead-letters", &RedriveOptions::default()).unwrap();
    // The memory loses all but what was there when the run began, as if it had been killed before it wrote it.
    let memory = segments(dir.path(), "dead-letters.redriven-0", "log").remove(0);
    let bytes = fs::read(&memory).unwrap();
    let first_batch = 12 + u32::from_be_bytes(bytes[8..12].try_into().unwrap()) as usize;
    fs::write(&memory, &bytes[..first_batch]).unwrap();
    fs::remove_file(memory.with_file_name("checkpoint")).unwrap();
    let report = redrive(&*log, "dead-letters", &RedriveOptions::default()).unwrap();
    assert_eq!((report.redriven, report.already_redriven), (0, 10));
    assert_eq!(rows(&*log, "events", 0).len(), whole + 10);
}

/// How often each record that was set aside was redriven.
fn redriven(log: &dyn Log, topic: &str, partitions: u32) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    for row in (0..partitions).flat_map(|p| rows(log, topic, p)) {
        let header = |name: &str| row.4.iter().find(|(n, _)| n == name.as_bytes()).map(|(_, value)| value);
        if let (Some(from), Some(_)) = (header(headers::FROM), header(headers::REDRIVEN)) {
            *found.entry(String::from_utf8_lossy(from).into_owned()).or_default() += 1;
        }
    }
    found
}

#[test]
fn killed_anywhere_a_redrive_repeats_nothing_and_forgets_nothing() {
    // Batches of a few records, so that some are on the log, unsynced, when it is killed.
    let dir = tempfile::tempdir().unwrap();
    for first in (0..60).step_by(7) {
        let dir = dir.path().join(first.to_string());
        let log = Mortal::new(file_log(&dir));
        fill(&log, "events", 2, 2);
        fill(&log, "other", 1, 1);
        let given: Vec<_> = (1..21).flat_map(|offset| [(0, offset, "late"), (1, offset, "late")]).collect();
        reject(&log, &given);
        // A letter of another topic comes last: the run opens a second topic in the middle.
        let mut letters = log.writer("dead-letters").unwrap().partition(PartitionId(1)).unwrap();
        let all: [(&str, &[u8]); 2] = [(headers::REASON, b"late"), (headers::FROM, b"other-0@3")];
        letters.append(EventTime(1), b"user-1", b"x", &all).unwrap();
        letters.sync().unwrap();
        drop(letters);
        // Killed at the first, and again where the next one has hardly begun.
        for operations in [first, first / 3, 4] {
            log.live_for(operations);
            assert!(redrive(&log, "dead-letters", &RedriveOptions::default()).is_err(), "{first}");
        }
        log.live_for(u64::MAX);
        for _ in 0..2 {
            redrive(&log, "dead-letters", &RedriveOptions::default()).unwrap();
            let mut found = redriven(&log, "events", 2);
            found.extend(redriven(&log, "other", 1));
            assert_eq!(found.len(), 41, "{first}");
            assert!(found.values().all(|times| *times == 1), "{first}: {found:?}");
        }
    }
}

#[test]
fn rows_that_an_importer_could_not_read_are_no_events_and_no_ticks() {
    let log = MemoryLog::new();
    fill(&log, "events", 2, 5);
    let rejected: [(&str, &[u8]); 3] =
        [(headers::SOURCE, b"a.csv:9"), (headers::REASON, b"missing_field"), (headers::DETAIL, b"why")];
    let mut writer = log.writer("events").unwrap().partition(PartitionId(1)).unwrap();
    writer.append(EventTime(430), b"", &tick(7), &rejected).unwrap();
    writer.sync().unwrap();
    drop(writer);
    let end = rows(&log, "events", 1).len() as u64 - 1;
    reject(&log, &[(1, end, "missing_field"), (0, 3, "late")]);
    for reasons in [vec![], vec!["missing_field".to_owned(), "late".to_owned()]] {
        let options = RedriveOptions { reasons, dry_run: true };
        let report = redrive(&log, "dead-letters", &options).unwrap();
        assert_eq!((report.redriven, report.import_lines), (1, 1));
    }
    let report = repartition((&log, "events"), (&log, "three"), 3).unwrap();
    assert_eq!((report.ticks, report.records), (5, 251));
    let kept: Vec<_> = (0..3).flat_map(|p| rows(&log, "three", p)).filter(|r| r.3 == tick(7)).collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].4.len(), 3);
}

#[test]
fn what_was_redriven_before_an_error_is_not_redriven_again() {
    let log = MemoryLog::new();
    fill(&log, "events", 2, 1);
    fill(&log, "other", 1, 1);
    reject(&log, &[(0, 1, "late"), (0, 2, "late")]);
    let mut letters = log.writer("dead-letters").unwrap().partition(PartitionId(1)).unwrap();
    let all: [(&str, &[u8]); 2] = [(headers::REASON, b"late"), (headers::FROM, b"other-0@3")];
    letters.append(EventTime(1), b"user-1", b"x", &all).unwrap();
    letters.sync().unwrap();
    let held = log.writer("other").unwrap();
    let error = redrive(&log, "dead-letters", &RedriveOptions::default()).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    drop(held);
    let report = redrive(&log, "dead-letters", &RedriveOptions::default()).unwrap();
    assert_eq!((report.redriven, report.already_redriven), (1, 2));
}

#[test]
fn redriving_into_a_topic_that_is_being_written_is_refused() {
    let log = MemoryLog::new();
    fill(&log, "events", 2, 1);
    reject(&log, &[(0, 1, "late")]);
    let writer = log.writer("events").unwrap();
    assert!(matches!(
        redrive(&log, "dead-letters", &RedriveOptions::default()),
        Err(LogError::Locked { .. })
    ));
    drop(writer);
    assert_eq!(redrive(&log, "dead-letters", &RedriveOptions::default()).unwrap().redriven, 1);
}
