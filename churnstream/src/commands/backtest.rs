//! `churnstream backtest`: judges a bundle on the part of a log that it was not made with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use backtest::evaluate::Metric;
use backtest::money::{self, MoneySettings};
use backtest::report::{Report, WalkForward};
use backtest::{LabelledRows, Labels, Scored};
use clap::Args;
use feature_store::Spec;
use scorer::Bundle;
use types::Millis;

use super::progress;
use crate::commands::through::Replayed;
use crate::training;
use crate::walk::walk_forward;

/// Judges a model bundle on rows after the last label that it was made with, and writes a report.
///
/// The log is replayed through the live pipeline, so the scores judged are those that production would have written. Earlier rows are
/// shown apart, and are in no metric. The report is one HTML page that loads nothing; report.json and scores.csv lie beside it.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream backtest --from file:log --model model --labels labels.toml \\
      --report report
  churnstream backtest --from file:log --model model --labels labels.toml \\
      --report report --money money.toml --json
  churnstream backtest --from file:log --model model --labels labels.toml \\
      --report report --walk-forward 28d")]
pub(crate) struct Backtest {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    #[command(flatten)]
    through: Replayed,
    /// The bundle to judge.
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// When a user counts as lost.
    #[arg(long, value_name = "LABELS.toml")]
    labels: PathBuf,
    /// The feature spec; the one that lies in the bundle unless given.
    #[arg(long, value_name = "SPEC.toml")]
    features: Option<PathBuf>,
    /// The folder that the report is written to; made if it is not there, an earlier report in it is replaced.
    #[arg(long, value_name = "DIR")]
    report: PathBuf,
    /// Prices and the terms of a campaign: what leaving costs and what contacting users brings.
    #[arg(long, value_name = "MONEY.toml")]
    money: Option<PathBuf>,
    /// Another bundle to compare with on the same rows; may be given again.
    #[arg(long, value_name = "BUNDLE")]
    baseline: Vec<PathBuf>,
    /// Refit a model this often, of the bundle's kind and with its settings, each judged on what came next, and show that beside the
    /// bundle.
    #[arg(long, value_name = "SPAN")]
    walk_forward: Option<Millis>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Backtest {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = load(&self.model)?;
        let spec = spec_for(&bundle, self.features.as_deref())?;
        let labels = Labels::load(&self.labels)?;
        let settings = self.money.as_deref().map(MoneySettings::load).transpose()?;
        let mut rivals = Vec::new();
        for path in &self.baseline {
            let rival = load(path)?;
            rival.check_spec(spec.hash().as_str(), spec.feature_names())?;
            rivals.push((path.display().to_string(), rival));
        }
        let log = self.through.open(&self.from, &self.topic)?;
        let bar = progress::bar(training::records(log.as_ref(), &self.topic)?, "replay");
        let rows = backtest::collect(log.as_ref(), &self.topic, &spec, &labels, |at| bar.set_position(at));
        bar.finish_and_clear();
        let rows = rows?;
        progress::tell(&rows.summary);
        let (found, scored) =
            backtest::backtest(log.as_ref(), &self.topic, &spec, &labels, &rows, &bundle, &rivals)?;
        let money = settings
            .map(|settings| money::simulate(&scored.rows, &scored.probability, &spec, &labels, &settings))
            .transpose()?;
        let walk_forward = self.walk_forward.map(|every| refit(&rows, every, &bundle)).transpose()?;
        let report = Report { backtest: found, money, walk_forward };

        let title = format!("Churn backtest: {}", self.model.display());
        fs::create_dir_all(&self.report).with_context(|| format!("make {}", self.report.display()))?;
        let json = serde_json::to_string(&report)?;
        write(&self.report.join("index.html"), report.html(&title, &labels).as_bytes())?;
        write(&self.report.join("report.json"), json.as_bytes())?;
        write(&self.report.join("scores.csv"), scores(&scored).as_bytes())?;
        for doubt in &report.backtest.doubts {
            eprintln!("mind: {doubt}");
        }
        if self.json {
            println!("{json}");
        } else {
            self.print(&report);
        }
        Ok(())
    }

    fn print(&self, report: &Report) {
        let found = &report.backtest;
        let test = &found.test;
        println!(
            "judged     {} rows of {} users, {} of whom were lost ({:.1} % of the rows)",
            test.rows,
            test.users,
            test.leavers,
            100.0 * test.rate
        );
        if let Some(before) = &found.in_sample {
            println!("in sample  {} rows, in no figure here", before.rows);
        }
        let shown = [
            ("auc", "AUC"),
            ("pr_auc", "PR-AUC"),
            ("lift_10", "lift at 10 %"),
            ("captured_10", "caught at 10 %"),
            ("brier_skill", "Brier skill"),
            ("calibration_error", "calibration error"),
        ];
        for (name, title) in shown {
            if let Some(Metric { estimate: e, .. }) = found.metrics.iter().find(|metric| metric.name == name)
            {
                println!("{title:18} {:.4}   {:.4} to {:.4}", e.value, e.low, e.high);
            }
        }
        for baseline in &found.baselines {
            if let Some(auc) = baseline.differences.iter().find(|difference| difference.name == "auc") {
                let e = auc.estimate;
                println!(
                    "AUC above {}: {:.4}   {:.4} to {:.4}, p {:.3}",
                    baseline.name, e.value, e.low, e.high, auc.p_value
                );
            }
        }
        if let Some(money) = &report.money {
            let (best, currency) = (&money.best, &money.settings.currency);
            println!(
                "money      {:.0} {currency} lost with {:.0} leavers in {} rounds of contacts; best: contact {:.0}, keep {:.0}, profit {:.0} {currency}",
                money.lost_revenue.value,
                money.churners.value,
                money.rounds.len(),
                best.contacted.value,
                best.prevented.value,
                best.profit.value
            );
        }
        if let Some(walk) = &report.walk_forward {
            let auc = walk.metrics.iter().find(|metric| metric.name == "auc");
            let auc =
                auc.map_or_else(|| "unknown".to_owned(), |metric| format!("{:.4}", metric.estimate.value));
            println!("refitted   every {}: AUC {auc}. {}", walk.every, walk.refitted);
        }
        let leakage = &found.leakage;
        println!(
            "leakage    {} rows made again, {} values differ",
            leakage.audit.checked,
            leakage.audit.peeks.len()
        );
        for suspect in &leakage.suspects {
            println!(
                "           {} tells the outcome almost alone (AUC {:.3}): is it known in time?",
                suspect.column, suspect.auc
            );
        }
        println!("report     {}", self.report.join("index.html").display());
    }
}

fn refit(rows: &LabelledRows, every: Millis, bundle: &Bundle) -> anyhow::Result<WalkForward> {
    let bar = progress::bar(0, "refit");
    let walked = walk_forward(rows, every, bundle.manifest(), |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    walked
}

pub(super) fn load(path: &Path) -> anyhow::Result<Bundle> {
    Bundle::load(path).with_context(|| format!("load the bundle {}", path.display()))
}

/// The spec whose rows a bundle scores: the one given, or the one that lies beside its model.
pub(super) fn spec_for(bundle: &Bundle, given: Option<&Path>) -> anyhow::Result<Arc<Spec>> {
    let spec = match given {
        Some(path) => Spec::load(path)?,
        None => {
            let text = bundle.spec_text()?.with_context(|| {
                format!(
                    "{} holds no spec.toml: name the feature spec with --features",
                    bundle.path().display()
                )
            })?;
            Spec::from_toml(&text, &bundle.path().join("spec.toml"))?
        }
    };
    bundle.check_spec(spec.hash().as_str(), spec.feature_names())?;
    Ok(Arc::new(spec))
}

/// Writes a file whole or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, bytes)
        .and_then(|()| fs::rename(&partial, path))
        .with_context(|| format!("write {}", path.display()))
}

/// The rows judged, with their scores, as CSV.
fn scores(scored: &Scored) -> String {
    use std::fmt::Write;
    let rows = &scored.rows;
    let mut out = String::from("entity,as_of,trigger,weight,probability,lost\n");
    for row in 0..rows.len() {
        let entity = &rows.entities[row];
        let quoted = if entity.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", entity.replace('"', "\"\""))
        } else {
            entity.clone()
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{quoted},{},{},{},{},{}",
            rows.as_of[row],
            rows.trigger[row].name(),
            rows.weight[row],
            scored.probability[row],
            u8::from(rows.lost[row])
        );
    }
    out
}
