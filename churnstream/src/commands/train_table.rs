//! `churnstream train --table`: a model of a customer table.

use std::path::{Path, PathBuf};

use clap::Args;
use scorer::Bundle;
use table::{Plan, Schema};

use super::fitting::Bar;
use crate::mlflow;
use crate::tables::{self, ColumnReport, CrossReport, Folds, Request, Suspect, TableReport};
use crate::training::Training;

/// Where a table is, and what its columns are for.
#[derive(Args)]
pub(crate) struct TableArgs {
    /// A customer table instead of a log: .csv, .tsv, .xlsx or .parquet, a row a customer.
    #[arg(long, value_name = "FILE", requires = "label")]
    table: Option<PathBuf>,
    /// The table's column that says who was lost.
    #[arg(long, value_name = "COLUMN", requires = "table")]
    label: Option<String>,
    /// The label's value that means lost; by default a word such as yes, true, 1 or churned.
    #[arg(long, value_name = "VALUE", requires = "table")]
    lost: Option<String>,
    /// The table's column that names the customer; rows of one customer are held out together. Without it each row is one.
    #[arg(long, value_name = "COLUMN", requires = "table")]
    id: Option<String>,
    /// Leave this column out. Can be given several times.
    #[arg(long, value_name = "COLUMN", requires = "table")]
    drop: Vec<String>,
    /// Parts that customers are cut into for judging: each is judged by a model that learnt from the others.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(2..=20))]
    folds: u32,
    /// Judge so often, each time with customers cut otherwise, and take the mean.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    repeats: u32,
    /// Decides how customers are cut.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    folds_seed: u32,
    /// Where rows go that cannot be used, with the reason; by default BUNDLE.rejected.csv.
    #[arg(long, value_name = "FILE.csv", requires = "table")]
    rejects: Option<PathBuf>,
}

impl TableArgs {
    /// What is asked for; `None` if it is not about a table.
    pub(crate) fn request(&self, training: &Training, to: &Path) -> Option<Request<'_>> {
        let mut beside = to.as_os_str().to_owned();
        beside.push(".rejected.csv");
        Some(Request {
            table: self.table.as_deref()?,
            plan: Plan {
                label: self.label.clone()?,
                lost: self.lost.clone(),
                id: self.id.clone(),
                drop: self.drop.clone(),
            },
            training: training.clone(),
            folds: Folds { folds: self.folds, repeats: self.repeats, seed: self.folds_seed },
            rejects: self.rejects.clone().unwrap_or_else(|| PathBuf::from(beside)),
        })
    }
}

/// Runs the command.
pub(crate) fn run(request: &Request<'_>, to: &Path, json: bool) -> anyhow::Result<()> {
    let bar = Bar::reading(Some(&request.training));
    // What the columns are is worth knowing before the long work; a program gets it at the end.
    let told = |columns: &[ColumnReport], schema: &Schema, suspects: &[Suspect]| {
        bar.aside(|| {
            if !json {
                print_columns(columns, schema);
            }
            for suspect in suspects {
                eprintln!(
                    "caution: {suspect}. If it is known only after the customer was lost, say --drop {:?}",
                    suspect.column
                );
            }
        });
    };
    let report = tables::train(request, to, told, |stage| bar.show(&stage));
    bar.clear();
    let report = report?;
    if mlflow::is_named() {
        mlflow::log_bundle(&Bundle::load(to)?, &request.training.settings());
    }
    if json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(request, &report, to);
    }
    Ok(())
}

fn print_columns(columns: &[ColumnReport], schema: &Schema) {
    println!("label      {}: `{}` means lost", schema.label, schema.lost);
    for column in columns {
        let values = column.values.map(|n| format!(" of {n} values")).unwrap_or_default();
        let missing = match column.missing {
            0 => String::new(),
            n => format!(", missing in {n} rows"),
        };
        println!("column     {}: {}{values}{missing}", column.name, column.kind);
    }
    for column in &schema.ignored {
        println!("left out   {}: {}", column.name, column.why);
    }
}

fn print(request: &Request<'_>, report: &TableReport, to: &Path) {
    println!(
        "rows       {} used, {} of customers who were lost ({:.1} %), {} rejected",
        report.used,
        report.lost,
        100.0 * report.lost as f64 / report.used as f64,
        report.rejected
    );
    if let Some(rejects) = &report.rejects {
        println!("rejected   see {} for the reasons", rejects.display());
    }
    if report.trials > 0 {
        println!("search     {} sets of parameters tried, anew in each fold", report.trials);
    }
    let Folds { folds, repeats, seed } = request.folds;
    let times = if repeats == 1 { "once".to_owned() } else { format!("{repeats} times") };
    println!("judged     on customers not seen: {folds} folds, {times}, seed {seed}");
    let interval = report.auc_interval.map(|e| format!(", {:.4} to {:.4} over customers", e.low, e.high));
    println!("AUC        {}{}", with_spread(&report.model), interval.unwrap_or_default());
    if let Some(q) = &report.model.mean.test {
        println!("lift       {:.2} at 1 %, {:.2} at 5 %, {:.2} at 10 %", q.lift_1, q.lift_5, q.lift_10);
        println!(
            "honesty    Brier score {:.4} (skill {:.3}), calibration error {:.4}",
            q.brier, q.brier_skill, q.calibration_error
        );
        if let Some(pooled) = report.model.pooled.test.as_ref().filter(|_| repeats > 1) {
            println!(
                "pooled     Brier score {:.4}, calibration error {:.4}: of {repeats} models' mean probability, which no bundle gives",
                pooled.brier, pooled.calibration_error
            );
        }
    }
    for other in &report.baselines {
        let pair = report.paired.iter().find(|pair| pair.algorithm == other.algorithm);
        let verdict = pair.map(|pair| format!(": {}", pair.verdict())).unwrap_or_default();
        println!("beside it  {}: AUC {}{verdict}", other.algorithm, with_spread(other));
    }
    println!(
        "bundle     {} ({}, {} trees) in {}",
        report.bundle,
        report.model.algorithm,
        report.trees,
        to.display()
    );
}

/// The mean over folds, with the lowest and the highest.
fn with_spread(report: &CrossReport) -> String {
    let lowest = report.folds.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = report.folds.iter().copied().fold(0.0, f64::max);
    format!("{:.4} (folds {lowest:.4} to {highest:.4})", report.auc)
}
