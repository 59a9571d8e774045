//! `store-memory`: it fills, crashes, recovers and sweeps, and checks what it finds on the way. `CHURNSTREAM_SOAK=full` takes the sizes for
//! which memory is promised, with an optimised program: the one in the folder PROGRAMS, or one that is built for it.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the program and returns what it printed.
fn report(program: &Path, arguments: &str) -> serde_json::Value {
    let output = Command::new(program).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    let report = serde_json::from_slice(&output.stdout).unwrap();
    println!("store-memory {arguments}: {report}");
    report
}

fn number(report: &serde_json::Value, name: &str) -> f64 {
    report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"))
}

#[test]
fn a_small_store_stays_within_its_memory_and_comes_back() {
    let arguments =
        "--users 30000 --events 10 --visits 2 --active-events 20000 --crash-after 5000 --memory 8";
    let report = report(Path::new(env!("CARGO_BIN_EXE_store-memory")), arguments);
    let number = |name| number(&report, name);
    assert_eq!(number("users"), 30_000.0);
    assert!(number("replayed_events") <= 5_000.0);
    assert!(number("block_bytes") > 30_000.0 * 50.0, "the users' states are in blocks");
    assert!(number("disk_bytes") < 30.0 * number("block_bytes"));
    assert!(number("peak_rss_bytes") < 300e6, "30,000 users in 8 MiB of decoded states");
}

#[test]
fn millions_of_users_stay_within_what_is_promised() {
    if !std::env::var("CHURNSTREAM_SOAK").is_ok_and(|form| form == "full") {
        println!("the long form only");
        return;
    }
    let program = optimised();
    // One with all users active in turn, and one with a hundredth active of many who are known. Both with the default settings.
    for (arguments, users, bytes) in [
        ("--users 1000000 --events 100 --visits 2", 1e6, 2.5e9),
        ("--users 10000000 --events 10 --visits 1 --active 0.01", 1e7, 2e9),
    ] {
        let report = report(&program, arguments);
        assert_eq!(number(&report, "users"), users);
        assert!(number(&report, "peak_rss_bytes") < bytes, "{arguments}: {report}");
    }
}

/// The program as users have it: an hour's work of the optimised one takes the other a day.
fn optimised() -> PathBuf {
    let folder = std::env::var_os("PROGRAMS").map(PathBuf::from).unwrap_or_else(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args("build --release --locked -p benches --bin store-memory".split(' '));
        let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap();
        assert!(status.success(), "store-memory is not built: {status}");
        // Beside the folder that this test's program is in.
        let built = Path::new(env!("CARGO_BIN_EXE_store-memory")).parent().and_then(Path::parent).unwrap();
        built.join("release")
    });
    folder.join("store-memory")
}
