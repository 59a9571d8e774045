//! The short form of `store-memory`: it fills, crashes, recovers and sweeps, and checks what it finds on the way.

use std::process::Command;

#[test]
fn a_small_store_stays_within_its_memory_and_comes_back() {
    let arguments =
        "--users 30000 --events 10 --visits 2 --active-events 20000 --crash-after 5000 --memory 8";
    let output =
        Command::new(env!("CARGO_BIN_EXE_store-memory")).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"));
    assert_eq!(number("users"), 30_000.0);
    assert!(number("replayed_events") <= 5_000.0);
    assert!(number("block_bytes") > 30_000.0 * 50.0, "the users' states are in blocks");
    assert!(number("disk_bytes") < 30.0 * number("block_bytes"));
    assert!(number("peak_rss_bytes") < 300e6, "30,000 users in 8 MiB of decoded states");
}
