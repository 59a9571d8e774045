//! The short form of `restart`: a killed consumer comes back and scores, and what was measured is said.

use std::process::Command;

#[test]
fn a_killed_consumer_scores_again_and_the_time_is_said() {
    let arguments = "--users 2000 --events 3 --rate 500 --follow 1 --age 1.5 --workers 2";
    let output = Command::new(env!("CARGO_BIN_EXE_restart")).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("{name} in {report}"));
    assert_eq!(number("history_events"), 6_000.0);
    assert!(number("rate") > 0.0, "{report}");
    assert!(number("snapshot_age_seconds") >= 1.5 && number("replayed_events") > 0.0, "{report}");
    assert!(number("first_score_seconds") <= number("every_partition_seconds"), "{report}");
    assert!((0.001..60.0).contains(&number("first_score_seconds")), "{report}");
    assert!((0.001..60.0).contains(&number("ready_seconds")), "{report}");
}
