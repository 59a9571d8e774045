//! Customer tables from end to end, by the built program: train, suspect, reject, score.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn churnstream(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_churnstream")).args(arguments).current_dir(folder).output().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Customers who leave if they use little, more often on the plan `solo`; `closed_on` is set for those who left.
fn customers(n: u32) -> String {
    let mut state = 5_u64;
    let mut share = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    };
    let mut text = String::from("customer,plan,minutes,closed_on,churned\n");
    for customer in 0..n {
        let plan = ["basic", "family", "solo"][(share() * 3.0) as usize];
        let minutes = (share() * 600.0).round();
        let risk = if minutes < 200.0 { 0.6 } else { 0.05 } + if plan == "solo" { 0.2 } else { 0.0 };
        let lost = share() < risk;
        let closed = if lost { "2024-05-01" } else { "" };
        let label = if lost { "yes" } else { "no" };
        writeln!(text, "c{customer},{plan},{minutes},{closed},{label}").unwrap();
    }
    text
}

#[test]
fn a_table_is_learnt_from_and_another_scored() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let mut text = customers(1_500);
    text.push_str("c9001,basic,many,,no\nc9002,basic,5\nc9003,basic,5,,\n");
    std::fs::write(at("past.csv"), text).unwrap();

    // The column that is known only afterwards is suspected aloud.
    let table = ["train", "--table", "past.csv", "--label", "churned", "--id", "customer", "--json"];
    let with_leak = churnstream(folder.path(), &[&table[..], &["--to", "leaky", "--no-baselines"]].concat());
    let said = String::from_utf8_lossy(&with_leak.stderr).into_owned();
    assert!(said.contains("caution: whether `closed_on` has a value tells the label nearly alone"), "{said}");
    assert!(json(&with_leak)["model"]["auc"].as_f64().unwrap() > 0.99);

    let fair = churnstream(folder.path(), &[&table[..], &["--to", "model", "--drop", "closed_on"]].concat());
    let report = json(&fair);
    assert_eq!(
        (&report["rows"], &report["used"], &report["rejected"]),
        (&1_503.into(), &1_500.into(), &3.into())
    );
    assert_eq!(report["suspects"], Value::Array(Vec::new()));
    let auc = report["model"]["auc"].as_f64().unwrap();
    assert!((0.75..0.92).contains(&auc), "{auc}");
    assert_eq!(report["model"]["folds"].as_array().unwrap().len(), 5);
    assert_eq!(report["baselines"].as_array().unwrap().len(), 2);
    // Of 1,500 customers an AUC is known to some hundredths.
    let [low, value, high] = ["low", "value", "high"].map(|n| report["auc_interval"][n].as_f64().unwrap());
    assert!(low < value && value < high && (0.01..0.1).contains(&(high - low)), "{low} {value} {high}");
    assert!((value - auc).abs() < 0.01, "the mean of the folds' AUCs is near that of all: {value} {auc}");
    assert_eq!(report["paired"].as_array().unwrap().len(), 2);
    let rejected = std::fs::read_to_string(at("model.rejected.csv")).unwrap();
    for line in [
        "1501,\"`minutes` is `many`, which is no number\",\"c9001,basic,many,,no\"",
        "1502,3 values for 5 columns,\"c9002,basic,5\"",
        "1503,the label `churned` is missing,\"c9003,basic,5,,\"",
    ] {
        assert!(rejected.contains(line), "{line} in\n{rejected}");
    }

    let now = "minutes;customer;plan\n10;a;solo\n590;b;gold\n;c;basic\nfew;d;basic\n";
    let long = format!("few;{};basic\n5;{};basic\n", "e".repeat(9_000), "f".repeat(1_001));
    std::fs::write(at("now.csv"), format!("{now}{long}")).unwrap();
    let score = ["score", "--model", "model", "--in", "now.csv", "--out", "scores.csv", "--json"];
    let report = json(&churnstream(folder.path(), &score));
    assert_eq!((&report["rows"], &report["scored"], &report["rejected"]), (&6.into(), &3.into(), &3.into()));
    assert_eq!(report["unseen"]["plan"]["gold"], 1);
    assert_eq!(report["missing"]["minutes"], 1);
    let scores = std::fs::read_to_string(at("scores.csv")).unwrap();
    let lines: Vec<&str> = scores.lines().collect();
    assert_eq!(lines[0], "customer,probability,band,remarks");
    let probability = |line: &str| line.split(',').nth(1).unwrap().parse::<f32>().unwrap();
    assert!(lines[1].starts_with("a,0.") && !lines[1].contains("low"), "{scores}");
    assert!(probability(lines[1]) > 3.0 * probability(lines[2]), "{scores}");
    assert!(lines[2].contains("plan is `gold`, which training has not seen"), "{scores}");
    assert!(lines[3].starts_with("c,") && lines[3].ends_with(",minutes is missing"), "{scores}");

    // The same scores with reasons: by column and category, as the table says it.
    let why =
        ["score", "--model", "model", "--in", "now.csv", "--out", "why.csv", "--reasons", "2", "--json"];
    assert_eq!(json(&churnstream(folder.path(), &why))["scored"], 3);
    let why = std::fs::read_to_string(at("why.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(why.as_bytes());
    assert_eq!(reader.headers().unwrap().get(4), Some("reasons"));
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let reasons = &rows[0][4];
    assert!(reasons.starts_with("minutes: 10, usually ") && reasons.ends_with("; plan is solo"), "{reasons}");
    for (row, line) in rows.iter().zip(&lines[1..]) {
        assert!(line.starts_with(&format!("{},{},{}", &row[0], &row[1], &row[2])), "{line}");
    }
    let rejected = std::fs::read_to_string(at("scores.csv.rejected.csv")).unwrap();
    assert!(rejected.contains("4,\"`minutes` is `few`, which is no number\""), "{rejected}");
    assert!(rejected.contains("6,the id `customer` has 1001 bytes; at most 1000 are taken,"), "{rejected}");
    let longest = rejected.lines().map(str::len).max().unwrap();
    assert!((2_000..2_100).contains(&longest), "of a long row the beginning is kept: {longest}");

    // The same rows, the same scores; the same table, the same bundle.
    let again = churnstream(folder.path(), &[&table[..], &["--to", "again", "--drop", "closed_on"]].concat());
    assert_eq!(json(&again)["bundle"], json(&fair)["bundle"]);
}

#[test]
fn figures_of_repeats_are_means_and_not_of_the_mean_model() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), customers(500)).unwrap();
    let train = |to: &str, repeats: &str, seed: &str| {
        let words = format!(
            "train --table t.csv --label churned --id customer --drop closed_on --no-baselines --folds 3 --repeats {repeats} \
             --folds-seed {seed} --to {to} --json"
        );
        json(&churnstream(folder.path(), &words.split_whitespace().collect::<Vec<_>>()))
    };
    // The second time customers are cut as with the next seed.
    let (both, one, other) = (train("both", "2", "2"), train("one", "1", "2"), train("other", "1", "3"));
    let of = |report: &Value, at: &str| {
        report["model"].pointer(at).and_then(Value::as_f64).unwrap_or_else(|| panic!("{at} in {report}"))
    };
    for figure in [
        "/mean/test/brier",
        "/mean/test/brier_skill",
        "/mean/brier_uncalibrated",
        "/mean/test/calibration_error",
        "/auc",
    ] {
        let expected = f64::midpoint(of(&one, figure), of(&other, figure));
        assert!((of(&both, figure) - expected).abs() < 1e-9, "{figure}: {both}");
    }
    assert_eq!(one["model"]["mean"], one["model"]["pooled"]);
    assert!(
        of(&both, "/pooled/test/brier") < of(&both, "/mean/test/brier") - 1e-5,
        "two models together are better: {both}"
    );
    let bundle = scorer::Bundle::load(&folder.path().join("both")).unwrap();
    let metrics = &bundle.manifest().metrics;
    assert_eq!(
        (metrics["brier"], metrics["brier_skill"]),
        (of(&both, "/mean/test/brier"), of(&both, "/mean/test/brier_skill"))
    );
}

#[test]
fn what_does_not_fit_is_said_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), customers(400)).unwrap();
    let failed = |arguments: &str| {
        let output = churnstream(folder.path(), &arguments.split(' ').collect::<Vec<_>>());
        assert!(!output.status.success(), "{arguments}");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = failed("train --table t.csv --label gone --to model");
    assert!(
        code == Some(1) && said.contains("there is no column `gone`: the columns are customer, plan"),
        "{said}"
    );
    let (code, said) = failed("train --table t.csv --label plan --to model");
    assert!(code == Some(1) && said.contains("say it with --lost VALUE"), "{said}");
    let (code, _) = failed("train --table t.csv --to model");
    assert_eq!(code, Some(2), "a table needs a label");
    let (code, _) = failed("train --table t.csv --label churned --from file:log --to model");
    assert_eq!(code, Some(2), "a table or a log");
    let (_, said) = failed("score --model none --in t.csv --out scores.csv");
    assert!(said.contains("none"), "{said}");
}

#[test]
fn every_kind_of_model_scores_a_table_and_a_direction_holds() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("t.csv"), customers(800)).unwrap();
    let now: String = (0..60).map(|n| format!("c{n},basic,{}\n", n * 10)).collect();
    std::fs::write(folder.path().join("now.csv"), format!("customer,plan,minutes\n{now}")).unwrap();
    for algorithm in ["xgboost", "logistic", "forest"] {
        let train = format!(
            "train --table t.csv --label churned --id customer --drop closed_on --no-baselines --folds 2 --algorithm {algorithm} \
             --falling minutes --to {algorithm}"
        );
        let output =
            churnstream(folder.path(), &train.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let score = format!("score --model {algorithm} --in now.csv --out {algorithm}.csv");
        assert!(churnstream(folder.path(), &score.split(' ').collect::<Vec<_>>()).status.success());
        let scores = std::fs::read_to_string(folder.path().join(format!("{algorithm}.csv"))).unwrap();
        let of = |line: &str| line.split(',').nth(1).unwrap().parse::<f64>().unwrap();
        let probabilities: Vec<f64> = scores.lines().skip(1).map(of).collect();
        assert!(
            probabilities.windows(2).all(|pair| pair[0] + 1e-6 >= pair[1]),
            "{algorithm}: {probabilities:?}"
        );
        assert!(probabilities[0] > probabilities[59] + 0.3, "{algorithm}: {probabilities:?}");
    }
}
