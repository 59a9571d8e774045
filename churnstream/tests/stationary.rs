//! `churnstream retrain` on the simulated service with the spec of the examples, by the built programs: a service that stays as it is
//! has not drifted, however long its users have been there; one whose users change has.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use partition_log::{LogOptions, RecordBuf};
use scorer::{Bundle, Registry, Role};
use types::{EventTime, Millis, PartitionId};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/simulator")
}

/// A simulated log; returns its place.
fn simulate(dir: &Path) -> String {
    let place = format!("file:{}", dir.join("log").display());
    let all = [
        "producer", "simulate", "--users", "700", "--days", "200", "--seed", "5", "--truth", "none", "--to",
        &place,
    ];
    let producer::cli::Command::Simulate(arguments) = producer::cli::Cli::parse_from(all).command else {
        panic!("it simulates")
    };
    producer::simulate::run(&arguments, &producer::Surroundings::default()).unwrap();
    place
}

fn run(dir: &Path, log: &str, command: &str, more: &[&str]) -> (Output, String) {
    let spec = examples().join("spec.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_churnstream"))
        .current_dir(dir)
        .args([command, "--from", log, "--features", &spec.display().to_string()])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, said)
}

/// The same log in which people play and visit a third as often from a day on.
fn quieter(dir: &Path, log: &str, name: &str, from: EventTime) -> String {
    let place = format!("file:{}", dir.join(name).display());
    let [old, new] = [log, &place].map(|at| partition_log::open(at, &LogOptions::default()).unwrap());
    let config = old.topic("events").unwrap().unwrap();
    new.create_topic("events", &config).unwrap();
    let mut topic = new.writer("events").unwrap();
    let (mut records, mut kept) = (RecordBuf::default(), 0_u64);
    for partition in (0..config.partitions).map(PartitionId) {
        let start = old.bounds("events", partition).unwrap().start;
        let mut reader = old.reader("events", partition, start).unwrap();
        let mut writer = topic.partition(partition).unwrap();
        loop {
            records.clear();
            if reader.read(&mut records, 1 << 20).unwrap() == 0 {
                break;
            }
            for record in records.iter() {
                let is_use = [r#""type":"play""#, r#""type":"session""#]
                    .iter()
                    .any(|kind| record.value.windows(kind.len()).any(|part| part == kind.as_bytes()));
                kept += 1;
                if record.timestamp < from || !is_use || kept % 3 == 0 {
                    writer.append(record.timestamp, record.key, record.value, &[]).unwrap();
                }
            }
        }
        writer.sync().unwrap();
    }
    place
}

#[test]
fn a_service_that_stays_as_it_is_is_retrained_and_another_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let log = simulate(dir);
    let labels = examples().join("labels.toml").display().to_string();
    let retrain = |log: &str, more: &[&str]| {
        let all = ["--labels", &labels, "--registry", "registry", "--no-baselines"];
        run(dir, log, "retrain", &[&all[..], more].concat())
    };
    let entries = || Registry::open(&dir.join("registry")).unwrap().entries().unwrap();

    // The first champion learnt from the same log, half of a year ago: users are older now, and what they do is the same.
    let (output, said) = run(dir, &log, "train", &["--labels", &labels, "--to", "first", "--no-baselines"]);
    assert!(output.status.success(), "{said}");
    let first = Bundle::load(&dir.join("first")).unwrap();
    Registry::open(&dir.join("registry")).unwrap().promote(&first, EventTime::MIN).unwrap();
    let (output, said) = retrain(&log, &["--on-drift", "--once"]);
    assert!(output.status.success() && said.contains("no drift: "), "{said}");
    assert_eq!(entries().len(), 1);

    let (output, said) = retrain(&log, &["--keep", "kept"]);
    assert!(output.status.success(), "{said}");
    let all = entries();
    assert_eq!((all.len(), all[1].role), (2, Role::Champion), "{said}");
    // The champion learnt from the same rows before the test, so both rank it alike.
    assert!(said.contains("all: AUC ") && said.contains(": +0.0000 (+0.0000 to +0.0000), "), "{said}");
    assert!(said.contains("both on the same ") && said.contains("before it was fitted again"), "{said}");

    // Tenure grows, and is shown; it is no reason.
    let (output, said) = run(dir, &log, "drift", &["--model", "registry", "--all"]);
    assert!(output.status.success(), "{said}");
    let shown = String::from_utf8_lossy(&output.stdout);
    let tenure = shown.lines().find(|line| line.starts_with("all_tenure_all")).unwrap();
    assert!(tenure.ends_with("ages with the log"), "{tenure}");

    // Other users: the newest champion does not fit them, and neither does what was learnt mostly before they came. Its last rows are
    // of 30 days before the log's end, for their labels are to be decided.
    let day_165 = EventTime(1_735_689_600_000 + 165 * Millis::DAY.0);
    let other = quieter(dir, &log, "other", day_165);
    let (output, said) = retrain(&other, &["--on-drift", "--once"]);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.lines().any(|line| line.starts_with("drift: ")), "{said}");
    assert!(said.contains("does not pass drift ("), "{said}");
    assert_eq!(entries().len(), 2);
}
