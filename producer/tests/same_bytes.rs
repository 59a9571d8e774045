//! The binary: the same segment files from the same seed, at any rate, and after being killed again and again.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

fn simulate(dir: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.args(["simulate", "--users", "150", "--days", "45", "--seed", "3", "--partitions", "3", "--to"]);
    command.arg(format!("file:{}", dir.display())).args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Every segment and index file, by its path in the log.
fn segment_files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for partition in fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir()) {
        for file in fs::read_dir(&partition).unwrap().map(|e| e.unwrap().path()) {
            if file.extension().is_some_and(|e| ["log", "index", "timeindex"].iter().any(|x| e == *x)) {
                let name = file.strip_prefix(dir).unwrap().display().to_string();
                files.insert(name, fs::read(&file).unwrap());
            }
        }
    }
    files
}

fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (segment_files(a), segment_files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    assert!(a.len() >= 3 && a.values().any(|bytes| bytes.len() > 10_000));
    for (name, bytes) in &a {
        assert!(*bytes == b[name], "{name} differs");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_at_any_rate_and_through_any_kill() {
    let dir = tempfile::tempdir().unwrap();
    let at_once = dir.path().join("at-once");
    let done = simulate(&at_once, &["--json"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    let events = summary["events"].as_u64().unwrap();
    assert!(summary["complete"] == true && events > 5_000, "{summary}");
    assert!(at_once.join("truth.csv.zst").is_file());

    let slowly = dir.path().join("slowly");
    let rate = (events as f64 / 1.5).to_string();
    let done = simulate(&slowly, &["--rate", &rate, "--truth", "none"]).output().unwrap();
    assert!(done.status.success() && done.stdout.is_empty());
    assert!(!slowly.join("truth.csv.zst").exists());
    assert_same(&at_once, &slowly);

    let killed = dir.path().join("killed");
    let mut kills = 0;
    for wait_ms in [15, 250, 400, 120, 330, 500] {
        let mut child = simulate(&killed, &["--rate", &rate]).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(wait_ms));
        kills += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(kills >= 3, "it should have been killed at work");
    let done = simulate(&killed, &["--json"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["events"].as_u64().unwrap() + summary["held"].as_u64().unwrap(), events);
    assert!(summary["held"].as_u64().unwrap() > 0, "{summary}");
    assert_same(&at_once, &killed);

    let again = simulate(&at_once, &["--json"]).output().unwrap();
    let summary: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((summary["events"].as_u64(), summary["tick_records"].as_u64()), (Some(0), Some(0)));
}

/// Ctrl-C ends the batch, says so, and leaves a log that the same command completes.
#[test]
fn ctrl_c_stops_at_the_end_of_a_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, stopped) = (dir.path().join("whole"), dir.path().join("stopped"));
    assert!(simulate(&whole, &["--truth", "none"]).output().unwrap().status.success());

    let child = simulate(&stopped, &["--rate", "2000", "--json"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(900));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(summary["complete"] == false && summary["events"].as_u64().unwrap() > 0, "{summary}");
    assert!(!stopped.join("truth.csv.zst").exists());

    assert!(simulate(&stopped, &["--truth", "none"]).output().unwrap().status.success());
    assert_same(&whole, &stopped);
}

#[test]
fn wrong_arguments_and_failures_have_their_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let code = |command: &mut Command| command.output().unwrap().status.code();
    assert_eq!(code(&mut simulate(dir.path(), &["--rate", "fast"])), Some(2));
    assert_eq!(code(&mut simulate(dir.path(), &["--users", "0"])), Some(2));
    let file = dir.path().join("no-folder");
    fs::write(&file, "").unwrap();
    assert_eq!(code(&mut simulate(&file, &[])), Some(1));
}
