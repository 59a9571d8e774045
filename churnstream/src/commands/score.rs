//! `churnstream score`: scores the customers of a table.

use std::path::PathBuf;

use clap::Args;
use scorer::Bundle;

use super::fitting::Bar;
use crate::tables::{self, ScoreReport};

/// Scores the customers of a table with a model that was trained on one (`churnstream train --table`). Columns are found by name;
/// what the model does not know of a row is said in its remarks.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream score --model model --in customers.csv --out scores.csv
  churnstream score --model model --in customers.xlsx --out scores.csv \\
      --rejects not-scored.csv
  churnstream score --model model --in customers.csv --out scores.csv \\
      --reasons 3

The output has the columns ID, probability, band and remarks, ID being the column that names the customer, or `row`; with --reasons
also reasons, strongest first, in words and divided by semicolons.")]
pub(crate) struct Score {
    /// The model bundle.
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// The table: .csv, .tsv, .xlsx or .parquet.
    #[arg(long = "in", value_name = "FILE")]
    input: PathBuf,
    /// The file of scores, CSV; what stands there is replaced.
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Where rows go that cannot be scored, with the reason; by default OUT.rejected.csv.
    #[arg(long, value_name = "FILE.csv")]
    rejects: Option<PathBuf>,
    /// Say for each row so many reasons for its score.
    #[arg(long, value_name = "N", default_value_t = 0)]
    reasons: usize,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Score {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        anyhow::ensure!(self.input != self.out, "--in and --out are the same file");
        let bundle = Bundle::load(&self.model)?;
        let rejects = self.rejects.clone().unwrap_or_else(|| {
            let mut beside = self.out.as_os_str().to_owned();
            beside.push(".rejected.csv");
            PathBuf::from(beside)
        });
        let bar = Bar::reading(None);
        let report =
            tables::score(&bundle, &self.input, &self.out, &rejects, self.reasons, |rows| bar.rows(rows));
        bar.clear();
        let report = report?;
        if self.json {
            println!("{}", serde_json::to_string(&report)?);
        } else {
            self.print(&report);
        }
        Ok(())
    }

    fn print(&self, report: &ScoreReport) {
        let band = |name: &str| report.bands.get(name).copied().unwrap_or(0);
        println!(
            "scored     {} of {} rows: {} high, {} medium, {} low",
            report.scored,
            report.rows,
            band("high"),
            band("medium"),
            band("low")
        );
        if !report.absent_columns.is_empty() {
            println!(
                "caution    the table lacks {}: missing in every row, so scores are weaker than the model's figures",
                report.absent_columns.join(", ")
            );
        }
        if !report.unused_columns.is_empty() {
            println!("not used   {}", report.unused_columns.join(", "));
        }
        for (column, rows) in &report.missing {
            println!("missing    {column} in {rows} rows");
        }
        for (column, values) in &report.unseen {
            let shown: Vec<String> =
                values.iter().map(|(value, rows)| format!("{value} ({rows} rows)")).collect();
            println!("not seen   {column} in training: {}", shown.join(", "));
        }
        if let Some(path) = &report.rejects {
            println!("rejected   {} rows: see {} for the reasons", report.rejected, path.display());
        }
        println!("scores     in {}", self.out.display());
    }
}
