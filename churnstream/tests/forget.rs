//! `churnstream forget` after a consumer has scored the user, by the built program: no file of log and store has the user's name then.

#![allow(clippy::unwrap_used)] // Helpers of a test.

mod small;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser as _;
use partition_log::{LogOptions, RecordBuf};
use types::{Offset, PartitionId};

/// Who came a few days before the end, and no name of another begins so.
const FORGOTTEN: &str = "u1300";
const OTHER: &str = "u1301";

fn churnstream(dir: &Path, words: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args(words.split_whitespace())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a consumer over what the log holds now.
fn consume(dir: &Path, place: &str) {
    let path = |name: &str| dir.join(name).display().to_string();
    let (store, spec, model) = (path("store"), path("spec.toml"), path("model"));
    let arguments = [
        "consumer",
        "--from",
        place,
        "--store",
        &store,
        "--features",
        &spec,
        "--model",
        &model,
        "--until-end",
    ];
    let arguments = consumer::cli::Arguments::try_parse_from(arguments).unwrap();
    let log = partition_log::open(place, &LogOptions::default()).unwrap();
    consumer::run(&arguments.options(), &log, &consumer::Surroundings::new()).unwrap();
}

/// The files below a folder that have a text in them.
fn with_text(dir: &Path, text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(with_text(&path, text));
        } else if std::fs::read(&path).unwrap().windows(text.len()).any(|bytes| bytes == text.as_bytes()) {
            found.push(path);
        }
    }
    found
}

/// All scores: their offsets, keys and values.
fn scores(place: &str) -> Vec<(u64, Vec<u8>, Vec<u8>)> {
    let log = partition_log::open(place, &LogOptions::default()).unwrap();
    let mut records = RecordBuf::default();
    let config = log.topic(consumer::SCORES).unwrap().unwrap();
    for partition in 0..config.partitions {
        let mut reader = log.reader(consumer::SCORES, PartitionId(partition), Offset::ZERO).unwrap();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {}
    }
    records.iter().map(|r| (r.offset.0, r.key.to_vec(), r.value.to_vec())).collect()
}

#[test]
fn no_file_has_a_user_who_was_forgotten_and_purged() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let place = small::write(dir);
    small::bundle(dir, "model", [1.0, -1.0], 40);
    consume(dir, &place);
    let (log, store) = (dir.join("log"), dir.join("store"));
    let before = scores(&place);
    assert!(before.iter().any(|(_, key, _)| key == FORGOTTEN.as_bytes()));

    let forget = format!("forget {FORGOTTEN} --from {place}");
    let output = churnstream(dir, &forget);
    assert!(output.status.success(), "{}", said(&output));
    let purge = format!("{forget} --purge --store store");
    let output = churnstream(dir, &purge);
    assert!(said(&output).contains("let it read on first"), "{}", said(&output));
    consume(dir, &place);
    assert!(!with_text(&store, FORGOTTEN).is_empty() && !with_text(&log, FORGOTTEN).is_empty());

    let output = churnstream(dir, &purge);
    assert!(output.status.success(), "{}", said(&output));
    for place in [&log, &store] {
        assert_eq!(with_text(place, FORGOTTEN), Vec::<PathBuf>::new());
        assert!(!with_text(place, OTHER).is_empty(), "others are still in {}", place.display());
    }
    let output = churnstream(dir, &purge);
    assert!(!output.status.success() && said(&output).contains("unless all was taken out already"));

    // Log and store go on, and a store that is built from nothing comes to the same.
    let others: Vec<_> = before.into_iter().filter(|(_, key, _)| key != FORGOTTEN.as_bytes()).collect();
    assert_eq!(scores(&place), others);
    let output = churnstream(dir, &format!("rebuild --store store --from {place}"));
    assert!(output.status.success(), "{}", said(&output));
    consume(dir, &place);
    assert_eq!(scores(&place), others);
    let found = churnstream(dir, &format!("features get {OTHER} --store store"));
    assert!(found.status.success(), "{}", said(&found));
    let gone = churnstream(dir, &format!("features get {FORGOTTEN} --store store"));
    assert!(!gone.status.success() || !String::from_utf8_lossy(&gone.stdout).contains("plays_count"));
}
