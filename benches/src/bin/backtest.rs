//! How fast labelled rows are taken from a log by replay, and how fast a bundle is judged on them.
//!
//! ```text
//! cargo run --release -p benches --bin backtest                                    a log of the simulator
//! cargo run --release -p benches --bin backtest -- --log DIR --features SPEC.toml --labels LABELS.toml --model BUNDLE
//! ```
//!
//! Prints one JSON object. "Scored" rows are all that the replay made a feature vector for, of which the labels' days keep some; "taken" are
//! these. With a bundle the whole backtest is measured too: replay, scores, intervals, audit, report. CPU-seconds are user and system
//! time of all threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use backtest::report::Report;
use backtest::{Labels, collect};
use clap::Parser;
use feature_store::Spec;
use partition_log::LogOptions;
use producer::cli::{Cli, Command};
use scorer::Bundle;

/// Measures rows and backtests.
#[derive(Parser)]
struct Arguments {
    /// The folder of a log that is there; one of the simulator is made without it.
    #[arg(long)]
    log: Option<PathBuf>,
    /// The feature spec.
    #[arg(long, default_value = "examples/simulator/spec.toml")]
    features: PathBuf,
    /// The labels.
    #[arg(long, default_value = "examples/simulator/labels.toml")]
    labels: PathBuf,
    /// A bundle to judge.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Users of the simulator's log.
    #[arg(long, default_value_t = 5_000)]
    users: u32,
    /// Days of it.
    #[arg(long, default_value_t = 120)]
    days: u32,
    /// Runs, of which the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let made = tempfile::tempdir()?;
    let dir = match &arguments.log {
        Some(dir) => dir.clone(),
        None => simulate(made.path(), arguments.users, arguments.days)?,
    };
    let log = partition_log::open(&format!("file:{}", dir.display()), &LogOptions::default())?;
    let spec = Arc::new(Spec::load(&arguments.features)?);
    let labels = Labels::load(&arguments.labels)?;
    // Every score on every day, so that nothing is passed over.
    let each = Labels { every: types::Millis::DAY, per_day: u32::MAX, ..labels.clone() };
    let (mut all, mut chosen, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = serde_json::json!({});
    for _ in 0..arguments.rounds.max(1) {
        let before = cpu_seconds();
        let rows = collect(log.as_ref(), "events", &spec, &each, |_| ())?;
        let scored = rows.summary.event_scores + rows.summary.sweep_scores;
        all.push(scored as f64 / (cpu_seconds() - before));
        drop(rows);
        let before = cpu_seconds();
        let rows = collect(log.as_ref(), "events", &spec, &labels, |_| ())?;
        let used = cpu_seconds() - before;
        chosen.push(rows.summary.records as f64 / used);
        counts = serde_json::json!({
            "records": rows.summary.records, "features": rows.names.len(), "scored": scored, "taken": rows.len(),
        });
        if let Some(model) = &arguments.model {
            let bundle = Bundle::load(model)?;
            let (found, _) = backtest::backtest(log.as_ref(), "events", &spec, &labels, &rows, &bundle, &[])?;
            let report = Report { backtest: found, money: None, walk_forward: None };
            let page = report.html("bench", &labels);
            anyhow::ensure!(!page.is_empty(), "a report without content");
            whole.push(cpu_seconds() - before);
        }
    }
    let report = serde_json::json!({
        "counts": counts,
        "rows_taken_per_cpu_second_all_scores": median(&mut all),
        "records_per_cpu_second_labels_days": median(&mut chosen),
        "backtest_cpu_seconds": (!whole.is_empty()).then(|| median(&mut whole)),
    });
    println!("{report}");
    Ok(())
}

fn simulate(dir: &Path, users: u32, days: u32) -> anyhow::Result<PathBuf> {
    let (users, days, to) = (users.to_string(), days.to_string(), format!("file:{}", dir.display()));
    let words = ["producer", "simulate", "--users", &users, "--days", &days, "--truth", "none", "--to", &to];
    let Command::Simulate(arguments) = Cli::try_parse_from(words)?.command else {
        anyhow::bail!("`simulate` simulates")
    };
    producer::simulate::run(&arguments, &producer::Surroundings::default()).context("simulate")?;
    Ok(dir.to_owned())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// User and system time of this process so far.
fn cpu_seconds() -> f64 {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    clock.tv_sec as f64 + clock.tv_nsec as f64 / 1e9
}
