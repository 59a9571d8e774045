//! Indexes, segments, checkpoints and topics that are missing, stale or strange.

use super::*;

#[test]
fn missing_and_stale_indexes_are_made_again_and_meanwhile_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 30, 0);
    let indexes = || [files(dir.path(), "index"), files(dir.path(), "timeindex")].concat();
    let sound: Vec<_> = indexes().into_iter().map(|path| (fs::read(&path).unwrap(), path)).collect();
    assert!(sound.iter().all(|(bytes, path)| !bytes.is_empty() || path.extension().unwrap() == "index"));
    let count = sound.len() as u32;

    type Spoil = fn(&Path, &[u8]);
    let spoils: [(&str, Spoil); 5] = [
        ("missing", |path, _| fs::remove_file(path).unwrap()),
        ("torn", |path, bytes| fs::write(path, [bytes, &[1, 2, 3]].concat()).unwrap()),
        ("not ascending", |path, bytes| {
            fs::write(path, [bytes, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]].concat().repeat(2)).unwrap()
        }),
        ("of another log", |path, bytes| {
            let other: Vec<u8> = bytes.iter().map(|b| b.wrapping_mul(3).wrapping_add(1)).collect();
            fs::write(path, [&other[..], &[0x7f; 24]].concat()).unwrap();
        }),
        ("empty", |path, _| fs::write(path, b"").unwrap()),
    ];
    for (name, spoil) in spoils {
        for (bytes, path) in &sound {
            spoil(path, bytes);
        }
        let log = open(dir.path());
        let mut reader = log.reader(TOPIC, P0, Offset(0)).unwrap();
        for from in (0..90).step_by(7) {
            reader.seek(Offset(from)).unwrap();
            assert_eq!(drain(&mut *reader), expected(from..90), "{name}");
        }
        let recovery = recover(dir.path()).unwrap();
        // An empty index is right where a segment is short.
        assert!(recovery[0].rebuilt_indexes > count / 3, "{name}: {recovery:?} of {count}");
        for (bytes, path) in &sound {
            assert!(fs::read(path).unwrap() == *bytes, "{name}: {}", path.display());
        }
        for time in (0..=90).step_by(9) {
            assert_eq!(log.offset_at(TOPIC, P0, EventTime(time)).unwrap(), Offset(time as u64), "{name}");
        }
        assert_eq!(recover(dir.path()).unwrap(), [], "{name}");
    }
}

#[test]
fn a_missing_segment_in_the_middle_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 30, 0);
    let logs = files(dir.path(), "log");
    fs::remove_file(&logs[1]).unwrap();
    let before: u64 = logs[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let log = open(dir.path());
    let mut reader = log.reader(TOPIC, P0, Offset(0)).unwrap();
    let mut buf = RecordBuf::default();
    reader.read(&mut buf, usize::MAX).unwrap();
    assert_eq!(buf.len() as u64, before);
    let error = reader.read(&mut buf, usize::MAX).unwrap_err();
    assert!(matches!(error, LogError::Damaged { offset, .. } if offset == Offset(before)), "{error}");
}

#[test]
fn a_lost_checkpoint_is_made_again() {
    for spoil in [None, Some(&b""[..]), Some(&[7; 56])] {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), 30, 0);
        let path = dir.path().join("events-0/checkpoint");
        match spoil {
            None => fs::remove_file(path).unwrap(),
            Some(bytes) => fs::write(path, bytes).unwrap(),
        }
        assert_eq!(read(dir.path()), expected(0..90));
        recover(dir.path()).unwrap();
        assert_eq!(read(dir.path()), expected(0..90));
        assert_eq!(recover(dir.path()).unwrap(), []);
    }
}

#[test]
fn without_a_checkpoint_damage_is_told_from_a_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 5, 0);
    let path = files(dir.path(), "log").pop().unwrap();
    fs::remove_file(dir.path().join("events-0/checkpoint")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let starts = batch_starts(&path);
    bytes[starts[1] as usize + 70] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = recover(dir.path()).unwrap_err();
    assert!(matches!(error, LogError::Damaged { offset: Offset(3), .. }), "{error}");
    // The same in the last batch can only be a torn write.
    bytes[starts[1] as usize + 70] ^= 1;
    bytes[starts[4] as usize + 70] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(recover(dir.path()).unwrap()[0].end, Offset(12));
}

#[test]
fn topics_that_are_not_what_they_should_be_are_named() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), 1, 0);
    let metadata = dir.path().join("events.topic");
    for (text, word) in
        [("{", "EOF"), (r#"{"version":9,"partitions":1,"key":"","partitioner":""}"#, "version is 9")]
    {
        fs::write(&metadata, text).unwrap();
        let error = open(dir.path()).topic(TOPIC).unwrap_err().to_string();
        assert!(error.contains(word) && error.contains("events.topic"), "{error}");
    }
}
