//! The demo, as users run it, and what becomes of it where there is no room.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The smallest demo. Its longest file of the history has 2.1 MB, the longest that the consumer writes 3 MB and more.
const SMALL: &str = "demo --plain --users 500 --history-days 100 --stream-days 6 --seed 7 --dir";

/// Runs it in a shell after `first`, for two minutes at most, and returns its folder, whether it ended well and all that it said.
fn demo(first: &str) -> (tempfile::TempDir, bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_churnstream");
    let line = format!("{first} exec {program} {SMALL} {}/demo 2>&1", dir.path().display());
    let mut child = Command::new("bash").args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let said = std::thread::spawn(move || {
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        said
    });
    let deadline = Instant::now() + Duration::from_secs(120);
    let ended = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end: {}", said.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    (dir, ended.success(), said.join().unwrap())
}

#[test]
fn it_runs_from_nothing_to_a_summary() {
    let (dir, ended_well, said) = demo("");
    assert!(ended_well, "{said}");
    for expected in ["simulating a history", "training on it", "streaming new days", "AUC", "Next:"] {
        assert!(said.contains(expected), "no {expected}: {said}");
    }

    // Much waits at first and little later. One processor has one worker.
    let lag = said.lines().find(|line| line.contains("| lag ")).unwrap();
    assert!(lag.contains("(p0 ") && lag.contains(", p1 "), "lag by partition: {lag}");
    assert!(said.contains("| metrics at http://127.0.0.1:"), "{said}");
    if std::thread::available_parallelism().unwrap().get() > 1 {
        let counts: Vec<usize> = said
            .lines()
            .filter_map(|line| line.split("| workers ").nth(1)?.split(' ').next()?.parse().ok())
            .collect();
        let most = counts.iter().position(|count| count == counts.iter().max().unwrap()).unwrap();
        assert!(counts[most] > 1 && counts[most..].iter().any(|count| *count < counts[most]), "{counts:?}");
        let changes: Vec<(usize, usize)> = said
            .lines()
            .filter_map(|line| {
                let mut words = line.strip_prefix("  workers   ")?.split(' ');
                Some((words.next()?.parse().ok()?, words.nth(1)?.parse().ok()?))
            })
            .collect();
        assert!(changes.iter().any(|(from, to)| from < to), "it never grew: {said}");
        assert!(changes.iter().any(|(from, to)| from > to), "it never shrank: {said}");
    }

    // Its programs are not on the path of who built them: they are called where they are.
    let tail = said.lines().find(|line| line.contains(" scores tail ")).unwrap().trim();
    let tail = Command::new("sh").args(["-c", tail]).output().unwrap();
    assert!(tail.status.success(), "{tail:?}");

    // What it says to try next can be tried, also by who has seen enough before it ends.
    let user = said.split("features get ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    let state = dir.path().join("demo/state");
    let get = || {
        let mut get = Command::new(env!("CARGO_BIN_EXE_churnstream"));
        get.args(["features", "get", user, "--store"]).arg(&state);
        get.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let all = get().wait_with_output().unwrap();
    assert!(all.status.success() && all.stdout.len() > 500, "{all:?}");
    let mut closed = get();
    drop(closed.stdout.take());
    let closed = closed.wait_with_output().unwrap();
    assert!(closed.status.success() && closed.stderr == all.stderr, "{closed:?}");
}

#[test]
fn where_the_consumer_fails_it_ends_and_says_why() {
    let (_dir, ended_well, said) = demo("ulimit -f 2250;");
    assert!(!ended_well, "{said}");
    assert!(said.contains("streaming new days"), "it fails too early to prove anything: {said}");
    assert!(said.contains("too large"), "{said}");
}
