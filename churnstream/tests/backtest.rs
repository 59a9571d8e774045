//! From a simulated log to a report, a table of rows and a list of actions, by the program alone.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::Parser;
use serde_json::Value;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/simulator")
}

/// Runs `churnstream` with words separated by spaces; `@` stands for the folder of the simulator's example, `$` for that of the test.
fn churnstream(dir: &Path, words: &str) -> Output {
    let words = words.split(' ').map(|word| {
        word.replace('@', &examples().display().to_string()).replace('$', &dir.display().to_string())
    });
    Command::new(env!("CARGO_BIN_EXE_churnstream")).args(words).output().unwrap()
}

fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A folder with a log of the simulator and a bundle trained on its first part.
fn trained() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let to = format!("file:{}", dir.path().join("log").display());
    let words = [
        "producer", "simulate", "--users", "700", "--days", "130", "--seed", "3", "--truth", "none", "--to",
        &to,
    ];
    let producer::cli::Command::Simulate(arguments) = producer::cli::Cli::parse_from(words).command else {
        panic!("it simulates")
    };
    producer::simulate::run(&arguments, &producer::Surroundings::default()).unwrap();
    let train = "train --from file:$/log --features @/spec.toml --labels @/labels.toml --to $/model --json";
    let report = done(&churnstream(dir.path(), train));
    let [auc, interval] = [&report["test"]["auc"], &report["auc_interval"]];
    assert!(interval["low"].as_f64() < auc.as_f64() && auc.as_f64() < interval["high"].as_f64(), "{report}");
    let paired = report["paired"].as_array().unwrap();
    assert_eq!(paired.len(), 2, "{report}");
    for (pair, other) in paired.iter().zip(report["baselines"].as_array().unwrap()) {
        assert_eq!(pair["algorithm"], other["algorithm"]);
        let [ours, theirs, gain] =
            [auc, &other["test"]["auc"], &pair["auc"]["value"]].map(|value| value.as_f64().unwrap());
        assert!((ours - theirs - gain).abs() < 1e-6, "{report}");
    }
    let card = std::fs::read_to_string(dir.path().join("model/MODEL_CARD.md")).unwrap();
    assert_eq!(card.matches(" (95 % over users: ").count(), 2, "{card}");
    let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("{name} in {report}"));
    // Without a refit what ships is what was judged.
    assert_eq!(number("fitted_trees"), number("trees"));
    assert!(number("held_out_rows") > 0 && number("held_out_rows") <= number("fitted_rows"), "{report}");
    dir
}

fn metric<'a>(report: &'a Value, name: &str) -> &'a Value {
    report["metrics"].as_array().unwrap().iter().find(|metric| metric["name"] == name).unwrap()
}

#[test]
fn a_backtest_reports_what_lies_after_the_bundles_last_label() {
    let dir = trained();
    let words = "backtest --from file:$/log --model $/model --labels @/labels.toml --report $/report --money @/money.toml --walk-forward 28d --json";
    let report = done(&churnstream(dir.path(), words));
    let decided = report["labels_decided"].as_i64().unwrap();
    assert!(report["test"]["from"].as_i64().unwrap() >= decided);
    assert!(report["in_sample"]["to"].as_i64().unwrap() < decided);
    let auc = metric(&report, "auc");
    let [value, low, high] = ["value", "low", "high"].map(|end| auc[end].as_f64().unwrap());
    assert!(value > 0.7 && low < value && value < high && high - low < 0.2, "{auc}");
    assert_eq!(report["leakage"]["audit"]["checked"], 100);
    assert_eq!(report["leakage"]["audit"]["peeks"], Value::Array(Vec::new()));
    assert!(report["money"]["churners"]["value"].as_f64().unwrap() > 10.0, "{}", report["money"]);
    let folds = report["walk_forward"]["folds"]["parts"].as_array().unwrap();
    assert!(folds.len() >= 2, "{folds:?}");
    let triggers = report["slices"][0]["parts"].as_array().unwrap();
    assert_eq!(
        triggers.iter().map(|part| part["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["event", "sweep"]
    );

    let html = std::fs::read_to_string(dir.path().join("report/index.html")).unwrap();
    for part in [
        "What it is worth",
        "Gains",
        "ROC",
        "Calibration",
        "over time",
        "In the sample",
        "prefers-color-scheme",
    ] {
        assert!(html.contains(part), "the page has no {part}");
    }
    for outside in ["http://", "https://", "src=", "@import", "url(", "<script", "NaN"] {
        assert!(!html.contains(outside), "the page has {outside}");
    }
    reasons_are_in_words(dir.path());
    let scores = std::fs::read_to_string(dir.path().join("report/scores.csv")).unwrap();
    assert_eq!(scores.lines().count() as u64, 1 + report["test"]["rows"].as_u64().unwrap());

    // The same log, bundle and labels: the same figures, to the bit.
    let again = done(&churnstream(dir.path(), &words.replace(" --walk-forward 28d", "")));
    assert_eq!((&report["metrics"], &report["money"]), (&again["metrics"], &again["money"]));
    assert!(again["walk_forward"].is_null());

    let rules = "actions --from file:$/log --model $/model --money @/money.toml --rules @/actions.toml";
    let dry = done(&churnstream(dir.path(), &format!("{rules} --to $/actions.csv --dry-run --json")));
    assert!(dry["users"].as_u64().unwrap() > 100 && !dir.path().join("actions.csv").exists(), "{dry}");
    let wet = done(&churnstream(dir.path(), &format!("{rules} --to $/actions.csv --json")));
    assert_eq!(dry["actions"], wet["actions"]);
    let users: u64 =
        wet["actions"].as_object().unwrap().values().map(|tally| tally["users"].as_u64().unwrap()).sum();
    let lines = std::fs::read_to_string(dir.path().join("actions.csv")).unwrap().lines().count() as u64;
    assert_eq!(lines, users + 1);
    users_of_the_training_have_not_moved(dir.path());
    rows_are_read_by_others(dir.path());
    what_cannot_be_judged_is_refused(dir.path());
}

/// No codes, and lengths of time in units: as the spec of the example says.
fn reasons_are_in_words(dir: &Path) {
    let bundle = scorer::Bundle::load(&dir.join("model")).unwrap();
    let signals = scorer::Signals::of(&bundle);
    let names = bundle.feature_names();
    let told = |name: &str, value: f32| {
        let mut row = vec![f32::NAN; names.len()];
        let mut effects = vec![0.0; names.len()];
        let column = names.iter().position(|one| one == name).unwrap();
        (row[column], effects[column]) = (value, 0.25);
        let reasons = signals.reasons(&row, &effects, 1);
        let decoded = serde_json::to_string(&reasons[0]).unwrap();
        scorer::sentence(&serde_json::from_str(&decoded).unwrap())
    };
    assert_eq!(told("country", 4.0), "country is BR: associated with a higher risk");
    assert_eq!(told("plan", 2.0), "plan is premium: associated with a higher risk");
    let watched = told("plays_sum_7d", 1_130.5);
    assert!(watched.starts_with("watched 19 minutes in the last 7 days, usually "), "{watched}");
    assert!(watched.contains(" hours: ") || watched.contains(" minutes: "), "{watched}");
    assert!(told("plays_distinct_30d", 2.0).starts_with("2 genres of plays in the last 30 days"));
}

/// Rows to learn from mix events and sweeps; who looks for drift sees sweeps, and is told what these were like.
fn users_of_the_training_have_not_moved(dir: &Path) {
    let bundle = scorer::Bundle::load(&dir.join("model")).unwrap();
    let spec = std::sync::Arc::new(feature_store::Spec::load(&examples().join("spec.toml")).unwrap());
    let place = format!("file:{}", dir.join("log").display());
    let log = partition_log::open(&place, &partition_log::LogOptions::default()).unwrap();
    let manifest = bundle.manifest();
    let none = || manifest.baselines.iter().map(scorer::drift::Counts::new).collect::<Vec<_>>();
    let mut by_tick = std::collections::BTreeMap::new();
    let (mut margin, mut scratch) = ([0.0], bundle.predictor().scratch());
    let count = |row: consumer::pipeline::Row<'_>| {
        bundle.predictor().margins(row.features, &mut margin, &mut scratch);
        let counts = by_tick.entry(row.as_of).or_insert_with(none);
        for (counts, baseline) in counts.iter_mut().zip(&manifest.baselines) {
            let column = manifest.feature_names.iter().position(|name| *name == baseline.feature);
            counts.add(baseline, column.map_or(bundle.probability(margin[0]), |column| row.features[column]));
        }
    };
    let always = (types::EventTime::MIN, types::EventTime(i64::MAX));
    backtest::sweeps(log.as_ref(), "events", &spec, always, count, |_| ()).unwrap();
    // Rows are made of every seventh tick, and a young log changes from tick to tick: what counts are the last four weeks.
    let first = first_tick(log.as_ref());
    let mut counts = none();
    let is_due = |tick: &types::EventTime| tick.since(first).0 % (7 * 86_400_000) == 0;
    let of_training =
        |tick: &types::EventTime| (manifest.training.from..=manifest.training.to).contains(tick);
    by_tick.retain(|tick, _| is_due(tick) && of_training(tick));
    for of_tick in by_tick.values().rev().take(4) {
        counts.iter_mut().zip(of_tick).for_each(|(sum, of_tick)| sum.merge(of_tick));
    }
    let moved = |(counts, baseline): (&scorer::drift::Counts, &scorer::Baseline)| {
        let drift = counts.drift(baseline).unwrap();
        (drift.psi > 0.01).then(|| format!("{} {}", baseline.feature, drift.psi))
    };
    let moved: Vec<String> = counts.iter().zip(&manifest.baselines).filter_map(moved).collect();
    assert!(manifest.baselines.len() > 20 && moved.is_empty(), "{moved:?}");
    let empty = |baseline: &&scorer::Baseline| baseline.counts.iter().all(|count| *count == 0);
    assert_eq!(manifest.baselines.iter().find(empty), None, "nothing is said of what was left out");
}

/// The log's first tick, which has users or not.
fn first_tick(log: &dyn partition_log::Log) -> types::EventTime {
    let partition = types::PartitionId(0);
    let start = log.bounds("events", partition).unwrap().start;
    let mut records = partition_log::RecordBuf::default();
    log.reader("events", partition, start).unwrap().read(&mut records, 1 << 20).unwrap();
    let event = |value| {
        let mut event = types::Event::default();
        event.decode(value).unwrap();
        (event.kind == types::SystemEvent::TICK).then_some(event.ts)
    };
    records.iter().find_map(|record| event(record.value)).unwrap()
}

/// Parquet that the reference implementation reads, and pandas and Polars where Python has them.
fn rows_are_read_by_others(dir: &Path) {
    let export = "rows export --from file:$/log --features @/spec.toml --labels @/labels.toml --to $/rows.parquet --json";
    let report = done(&churnstream(dir, export));
    let rows = report["rows"].as_u64().unwrap();
    let path = dir.join("rows.parquet");
    {
        use parquet::file::reader::{FileReader, SerializedFileReader};
        use parquet::record::RowAccessor;
        let reader = SerializedFileReader::new(std::fs::File::open(&path).unwrap()).unwrap();
        let columns = reader.metadata().file_metadata().schema_descr().num_columns() as u64;
        assert_eq!(columns, 9 + report["features"].as_u64().unwrap());
        assert_eq!(reader.metadata().file_metadata().num_rows() as u64, rows);
        let lost = reader
            .get_row_iter(None)
            .unwrap()
            .filter(|row| row.as_ref().unwrap().get_bool(8).unwrap())
            .count();
        assert_eq!(lost as u64, report["lost"].as_u64().unwrap());
    }
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/python/bin/python");
    for library in ["pandas", "polars"] {
        let code = format!(
            "import {library}\nt = {library}.read_parquet({:?})\nprint(len(t), int(t['lost'].sum()), str(t['as_of'].dtype))",
            path.display().to_string()
        );
        match Command::new(&python).args(["-c", &code]).output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8(output.stdout).unwrap();
                let expected = format!("{rows} {} ", report["lost"]);
                assert!(
                    text.starts_with(&expected) && text.to_lowercase().contains("utc"),
                    "{library}: {text}"
                );
            }
            Ok(output) if !String::from_utf8_lossy(&output.stderr).contains("ModuleNotFoundError") => {
                panic!("{library}: {}", String::from_utf8_lossy(&output.stderr))
            }
            // Past what the test's runner captures: a test that passes would show nothing.
            _ => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "there is no {library} to test with");
                let said = format!("SKIPPED: rows read by {library} (scripts/setup python)\n");
                std::io::stderr().write_all(said.as_bytes()).unwrap();
            }
        }
    }
    let refused = churnstream(dir, export);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("exists already"));
}

/// No row after the last label, or a question that the bundle does not answer.
fn what_cannot_be_judged_is_refused(dir: &Path) {
    let labels = std::fs::read_to_string(examples().join("labels.toml")).unwrap();
    let refused = |from: &str, to: &str| {
        std::fs::write(dir.join("labels.toml"), labels.replace(from, to)).unwrap();
        let words = "backtest --from file:$/log --model $/model --labels $/labels.toml --report $/refused";
        let output = churnstream(dir, words);
        assert_eq!(output.status.code(), Some(1));
        assert!(!dir.join("refused").exists());
        String::from_utf8(output.stderr).unwrap()
    };
    // Nobody has so much history before the last labels are decided.
    let error = refused("min_history = \"14d\"", "min_history = \"120d\"");
    assert!(error.contains("last label was decided at") && error.contains("split.test_from"), "{error}");
    let error = refused("horizon = \"30d\"", "horizon = \"20d\"");
    assert!(error.contains("30d") && error.contains("20d"), "{error}");
    // The same horizon, but a week later; and another kind of loss.
    let error = refused("horizon = \"30d\"", "horizon = \"30d\"\nlead = \"7d\"");
    assert!(error.contains("7d ahead at least") && error.contains("trained with"), "{error}");
    let error = refused("events = [\"cancel\"]", "silence = true");
    assert!(error.contains("foresees an event of") && error.contains("mean silence"), "{error}");
}
