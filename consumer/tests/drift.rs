//! The users of the newest sweep against the champion's training, as metrics.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use consumer::{SCORES, Surroundings};
use partition_log::{Log, MemoryLog, RecordBuf};
use scorer::drift::{Counts, expected};
use scorer::{Baseline, Schedule};
use support::stream::{Appender, Shape};
use support::{World, stream};
use types::{EventTime, PartitionId, Score, Trigger};

const PARTITIONS: u32 = 2;

/// Ten dollars for ten days from everybody, and euros from nobody.
const MONEY: &str = "currency = \"USD\"\nperiod = \"10d\"\n[[prices]]\nwhen = { all_count_all = 1e9 }\nprice = 1\ncurrency = \"EUR\"\n\
                     [[prices]]\nprice = 10\n";

fn log_of(users: usize) -> Arc<dyn Log> {
    let log = MemoryLog::new();
    stream::create(&log, PARTITIONS);
    let shape = Shape { users, days: 14, empty: (9, 10) };
    Appender::new(&log).append(&stream::make(support::seed(), shape));
    Arc::new(log)
}

/// The probabilities of the newest sweep.
fn newest_sweep(log: &dyn Log) -> Vec<f32> {
    let mut all: Vec<(EventTime, f32)> = Vec::new();
    for partition in (0..PARTITIONS).map(PartitionId) {
        let start = log.bounds(SCORES, partition).unwrap().start;
        let mut reader = log.reader(SCORES, partition, start).unwrap();
        let mut records = RecordBuf::default();
        while reader.read(&mut records, 1 << 20).unwrap() > 0 {
            let scores = records.iter().map(|record| Score::decode(record.value).unwrap());
            all.extend(scores.filter(|s| s.trigger == Trigger::Sweep).map(|s| (s.as_of, s.probability)));
            records.clear();
        }
    }
    let newest = all.iter().map(|(as_of, _)| *as_of).max().unwrap();
    all.into_iter().filter(|(as_of, _)| *as_of == newest).map(|(_, probability)| probability).collect()
}

/// Runs a consumer to the end of the log, and on until `done` says so of its metrics.
fn run_until(world: &World, log: &Arc<dyn Log>, mut done: impl FnMut(&str) -> bool) -> bool {
    let mut options = world.options("store", "registry");
    options.until_end = false;
    let money = world.dir().join("money.toml");
    std::fs::write(&money, MONEY).unwrap();
    options.prices = Some(money);
    options.scaling.every = Duration::from_millis(20);
    let around = Surroundings::new();
    let run = {
        let (options, log, around) = (options, Arc::clone(log), around.clone());
        std::thread::spawn(move || consumer::run(&options, &log, &around))
    };
    let begun = Instant::now();
    let at_end = || {
        let status = around.status.read();
        let ends = |p: &consumer::PartitionStatus| {
            p.committed == log.bounds(support::EVENTS, p.partition).unwrap().end
        };
        status.partitions.len() == PARTITIONS as usize && status.partitions.iter().all(ends)
    };
    let mut is_done = false;
    while !is_done && begun.elapsed() < Duration::from_secs(60) && !run.is_finished() {
        std::thread::sleep(Duration::from_millis(20));
        is_done = at_end() && done(&around.metrics.render());
    }
    around.shutdown.request("the test is over");
    run.join().unwrap().unwrap();
    is_done
}

fn value(metrics: &str, series: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
}

#[test]
fn drift_and_expected_quality_of_the_newest_sweep_are_shown() {
    let world = World::new(support::seed());
    drop(world.registry("registry"));
    let log = log_of(1_200);
    let score = "churn_drift_psi_ratio{feature=\"$score\"}";
    let auc = "churn_model_quality_ratio{metric=\"auc\",kind=\"expected\"}";
    let bound =
        |index, end| format!("churn_drift_bound_ratio{{feature=\"$score\",index=\"{index}\",end=\"{end}\"}}");
    let mut last = String::new();
    let shown = run_until(&world, &log, |metrics| {
        last = metrics.to_owned();
        let probabilities = newest_sweep(log.as_ref());
        assert!(probabilities.len() > 300, "{}", probabilities.len());
        let schedule = Schedule::load(&world.registry_path("registry")).unwrap();
        let champion = schedule.champion(EventTime(0));
        let baselines = &champion.manifest().baselines;
        let baseline = baselines.iter().find(|baseline| baseline.feature == Baseline::SCORE).unwrap();
        let mut counts = Counts::new(baseline);
        probabilities.iter().for_each(|probability| counts.add(baseline, *probability));
        let drift = counts.drift(baseline).unwrap();
        let (psi, expected) = (drift.psi, expected(&probabilities).unwrap().auc);
        let near = |series: &str, is: f64| value(metrics, series).is_some_and(|v| (v - is).abs() < 1e-9);
        let days = champion.manifest().horizon.0 as f64 / 86_400_000.0;
        let at_risk: f64 = probabilities.iter().map(|p| f64::from(*p) * days).sum();
        near(score, psi)
            && near("churn_drift_js_ratio{feature=\"$score\"}", drift.js)
            && near(&bound("psi", "low"), drift.psi_interval.low)
            && near(&bound("js", "high"), drift.js_interval.high)
            && near(auc, expected)
            && value(metrics, "churn_revenue_at_risk{currency=\"USD\"}")
                .is_some_and(|v| (v / at_risk - 1.0).abs() < 1e-9)
            && near("churn_revenue_at_risk{currency=\"EUR\"}", 0.0)
    });
    assert!(shown, "{last}");
    let features = last.lines().filter(|line| line.starts_with("churn_drift_psi_ratio{")).count();
    assert_eq!(features, 3, "each baseline's: {last}");
    assert!(!last.contains("kind=\"realised\""), "nobody knows outcomes here");
    let living: f64 = ["low", "medium", "high"]
        .map(|band| value(&last, &format!("churn_customers{{band=\"{band}\"}}")).unwrap())
        .iter()
        .sum();
    let approximate = value(&last, "churn_users_approximate").unwrap();
    assert!(
        approximate > 0.0 && approximate < living,
        "{approximate} of {living}: some have more events than the cap"
    );
    a_restart_shows_the_same(&world, &log, &last);
}

/// There is no tick after the restart, and the dashboards go on.
fn a_restart_shows_the_same(world: &World, log: &Arc<dyn Log>, before: &str) {
    const OF_SWEEPS: [&str; 7] = [
        "churn_customers{",
        "churn_users_approximate ",
        "churn_revenue_at_risk{",
        "churn_drift_psi_ratio{",
        "churn_drift_js_ratio{",
        "churn_drift_bound_ratio{",
        "churn_model_quality_ratio{",
    ];
    let of_sweeps = |metrics: &str| -> Vec<String> {
        let lines = metrics.lines().filter(|line| OF_SWEEPS.iter().any(|name| line.starts_with(name)));
        lines.map(str::to_owned).collect()
    };
    let (expected, mut last) = (of_sweeps(before), String::new());
    let same = run_until(world, log, |metrics| {
        last = metrics.to_owned();
        of_sweeps(metrics) == expected
    });
    assert!(same, "{expected:#?} and after a restart {last}");

    // Damage is not shown.
    let damaged = world.dir().join("store/swept-1.json");
    let text = std::fs::read_to_string(&damaged).unwrap().replacen("approximate\":", "approximate\":1", 1);
    std::fs::write(&damaged, text).unwrap();
    let mut looks = 0;
    let ended = run_until(world, log, |metrics| {
        looks += 1;
        assert_eq!(of_sweeps(metrics), Vec::<String>::new());
        looks > 10
    });
    assert!(ended);
}

#[test]
fn of_few_users_nothing_is_said() {
    let world = World::new(support::seed());
    drop(world.registry("registry"));
    let log = log_of(60);
    let mut looks = 0;
    // Some looks after the end, so that the last sweep was seen.
    let ended = run_until(&world, &log, |metrics| {
        looks += 1;
        assert!(!metrics.contains("\nchurn_drift_"), "{metrics}");
        assert!(!metrics.contains("\nchurn_model_quality_ratio{"), "{metrics}");
        looks > 10
    });
    assert!(ended);
}
