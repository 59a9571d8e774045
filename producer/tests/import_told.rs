//! What `producer import` says of files: under which name it knows them, what it could not read, what comes too late; and its exit codes.

#![allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const MAP: &str = "[entity]\ntype = \"user\"\nid = \"user\"\n[time]\ncolumn = \"at\"\nformat = \"rfc3339\"\n[type]\nconstant = \"buy\"\n\
    [fields]\nprice = { column = \"price\", kind = \"money\", currency_column = \"currency\" }\n";

fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_producer"));
    command.current_dir(folder).arg("import").args(args).args(["--map", "map.toml", "--to", "file:log"]);
    command
}

fn import(folder: &Path, args: &[&str]) -> Output {
    command(folder, args).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn summary(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", said(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// So many rows of a month, one an hour.
fn rows(month: u32, count: usize, currency: &str) -> String {
    let mut text = "user,at,price,currency\n".to_owned();
    for i in 0..count {
        let (day, hour) = (i / 24 + 1, i % 24);
        writeln!(text, "u{},2024-{month:02}-{day:02}T{hour:02}:00:00Z,{i}.50,{currency}", i % 7).unwrap();
    }
    text
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("map.toml"), MAP).unwrap();
    folder
}

#[test]
fn a_file_is_the_same_under_every_spelling_of_its_path() {
    let folder = folder();
    std::fs::write(folder.path().join("x.csv"), rows(1, 100, "usd")).unwrap();
    let first = summary(&import(folder.path(), &["x.csv", "--json"]));
    assert_eq!((&first["events"], &first["held"]), (&100.into(), &0.into()), "{first}");
    let whole = folder.path().join("x.csv");
    for spelling in ["./x.csv", "log/../x.csv", whole.to_str().unwrap()] {
        let again = summary(&import(folder.path(), &[spelling, "--json"]));
        assert_eq!((&again["events"], &again["held"]), (&100.into(), &100.into()), "{spelling}: {again}");
    }
    let again = import(folder.path(), &["x.csv"]);
    assert!(
        said(&again).contains("nothing is new: all 100 records were on the log already"),
        "{}",
        said(&again)
    );
    let twice = import(folder.path(), &["x.csv", "./x.csv"]);
    assert!(said(&twice).contains("./x.csv: is given twice"), "{}", said(&twice));
}

#[test]
fn rows_that_cannot_be_read_are_told_with_what_to_do() {
    let folder = folder();
    let bad = rows(1, 30, "dollars");
    std::fs::write(folder.path().join("bad.csv"), &bad).unwrap();
    let output = import(folder.path(), &["bad.csv"]);
    let told = said(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    for expected in [
        "30 rows rejected: wrong_type\n    the first is bad.csv:2: field `price`, column `price`: `0.50` has no currency",
        "churnstream log dump file:log/events --key ''",
        "--rejected",
    ] {
        assert!(told.contains(expected), "{told}\nexpected {expected}");
    }
    // Where some can be read, it has done what it could.
    std::fs::write(folder.path().join("some.csv"), bad + "u1,2024-01-02T00:00:00Z,5,eur\n").unwrap();
    let some = summary(&import(folder.path(), &["some.csv", "--json"]));
    assert_eq!(
        (&some["events"], &some["first_rejected"]["wrong_type"]["line"]),
        (&1.into(), &2.into()),
        "{some}"
    );
    std::fs::write(
        folder.path().join("map.toml"),
        MAP.replace("currency_column = \"currency\"", "currency = \"USD\""),
    )
    .unwrap();
    let mended = summary(&import(folder.path(), &["./bad.csv", "--rejected", "--json"]));
    assert_eq!((&mended["rejected"], &mended["events"]), (&30.into(), &30.into()), "{mended}");
}

#[test]
fn what_comes_after_newer_events_is_told_to_be_late() {
    let folder = folder();
    std::fs::write(folder.path().join("march.csv"), rows(3, 300, "EUR")).unwrap();
    std::fs::write(folder.path().join("january.csv"), rows(1, 100, "EUR")).unwrap();
    let first = summary(&import(folder.path(), &["march.csv", "--json"]));
    assert_eq!(first["behind"], serde_json::Value::Null, "{first}");
    let output = import(folder.path(), &["january.csv"]);
    let told = said(&output);
    assert!(output.status.success(), "{told}");
    for expected in [
        "!!! 100 events, from 2024-01-01T00:00:00Z to 2024-01-05T03:00:00Z, lie further behind",
        "churnstream log redrive",
    ] {
        assert!(told.contains(expected), "{told}\nexpected {expected}");
    }
    let again = summary(&import(folder.path(), &["january.csv", "--json"]));
    assert_eq!(again["behind"], serde_json::Value::Null, "nothing is written: {again}");
}

#[test]
fn topics_of_the_consumer_are_refused() {
    let folder = folder();
    std::fs::write(folder.path().join("x.csv"), rows(1, 10, "EUR")).unwrap();
    for topic in ["scores", "shadow-scores", "dead-letters", "control", "snapshots"] {
        let output = import(folder.path(), &["x.csv", "--topic", topic]);
        assert_eq!(output.status.code(), Some(2), "{topic}");
        assert!(said(&output).contains(&format!("the consumer writes `{topic}`")), "{}", said(&output));
    }
    assert!(!folder.path().join("log").exists());
}

#[test]
fn an_import_that_is_stopped_has_not_succeeded() {
    let folder = folder();
    std::fs::write(folder.path().join("x.csv"), rows(1, 600, "EUR")).unwrap();
    let mut slow = command(folder.path(), &["x.csv", "--rate", "100", "--json"]);
    let mut child = slow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while !folder.path().join("log").exists() {
        assert!(begun.elapsed() < Duration::from_secs(120) && child.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["stopped"], true, "{told}");
    let rest = summary(&import(folder.path(), &["x.csv", "--json"]));
    assert_eq!((&rest["events"], &rest["stopped"]), (&600.into(), &false.into()), "{rest}");
}
