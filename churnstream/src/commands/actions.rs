//! `churnstream actions`: what to do about whom, now.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use backtest::money::{ActionRules, MoneySettings, Suggestion, suggest};
use clap::Args;
use scorer::{Shap, Signals};

use super::backtest::{load, spec_for, write};
use super::progress;
use crate::commands::through::Replayed;
use crate::training;

/// Suggests an action for each user by rules: as of the newest tick of a log, those with most to lose first.
///
/// Rules name an action, for which reasons, risk, value and columns it is, what it costs, and how many users can have it; the first that fits
/// wins. With --dry-run nothing is written: it says how many users each action would reach and what that costs.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream actions --from file:log --model model --money money.toml \\
      --rules actions.toml --dry-run
  churnstream actions --from file:log --model model --money money.toml \\
      --rules actions.toml --to actions.csv")]
pub(crate) struct Actions {
    /// The log: file:DIR or kafka:BROKERS.
    #[arg(long, value_name = "PLACE", value_parser = partition_log::parse_place)]
    from: String,
    /// The topic of events.
    #[arg(long, default_value = "events")]
    topic: String,
    #[command(flatten)]
    through: Replayed,
    /// The bundle that scores.
    #[arg(long, value_name = "BUNDLE")]
    model: PathBuf,
    /// The feature spec; the one that lies in the bundle unless given.
    #[arg(long, value_name = "SPEC.toml")]
    features: Option<PathBuf>,
    /// What users pay.
    #[arg(long, value_name = "MONEY.toml")]
    money: PathBuf,
    /// The rules.
    #[arg(long, value_name = "ACTIONS.toml")]
    rules: PathBuf,
    /// The CSV file to write: a line for each user with an action.
    #[arg(long, value_name = "FILE.csv", required_unless_present = "dry_run")]
    to: Option<PathBuf>,
    /// Only say what would be suggested.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What an action comes to.
#[derive(Debug, Default, serde::Serialize)]
struct Tally {
    users: u64,
    cost: f64,
    /// Probability times value, summed.
    at_risk: f64,
}

impl Actions {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = load(&self.model)?;
        let spec = spec_for(&bundle, self.features.as_deref())?;
        let (settings, rules) = (MoneySettings::load(&self.money)?, ActionRules::load(&self.rules)?);
        let log = self.through.open(&self.from, &self.topic)?;
        let bar = progress::bar(training::records(log.as_ref(), &self.topic)?, "replay");
        let rows = backtest::current(log.as_ref(), &self.topic, &spec, |at| bar.set_position(at));
        bar.finish_and_clear();
        let rows = rows?;
        progress::tell(&rows.summary);
        let probability = backtest::probabilities(&bundle, &rows);
        let mut shap = Shap::new(bundle.model());
        let mut effects = vec![0.0; rows.values.len()];
        shap.explain_batch(&rows.values, &mut effects);
        let signals = Signals::of(&bundle);
        let all = suggest(&rows, &probability, &effects, &signals, &spec, &settings, &rules)?;
        let mut tallies: BTreeMap<&str, Tally> =
            rules.actions.iter().map(|rule| (rule.name.as_str(), Tally::default())).collect();
        for suggestion in &all {
            let tally = tallies.entry(&suggestion.action).or_default();
            tally.users += 1;
            tally.cost += suggestion.cost;
            tally.at_risk += suggestion.probability * suggestion.value;
        }
        if let Some(path) = self.to.as_deref().filter(|_| !self.dry_run) {
            write(path, csv(&all).as_bytes())?;
        }
        if self.json {
            let report = serde_json::json!({
                "as_of": rows.as_of.iter().max(),
                "users": rows.len(),
                "removed": rows.summary.removed,
                "currency": settings.currency,
                "actions": tallies,
                "written": self.to.as_ref().filter(|_| !self.dry_run),
            });
            println!("{report}");
            return Ok(());
        }
        println!("{} users as of the newest tick, {} with an action", rows.len(), all.len());
        for rule in &rules.actions {
            let Tally { users, cost, at_risk } = &tallies[rule.name.as_str()];
            println!(
                "{:20} {users:7} users, cost {cost:10.2} {currency}, at risk {at_risk:12.2} {currency}",
                rule.name,
                currency = settings.currency
            );
        }
        match &self.to {
            Some(path) if !self.dry_run => println!("written to {}", path.display()),
            _ => println!("dry run: nothing was written"),
        }
        Ok(())
    }
}

fn csv(all: &[Suggestion]) -> String {
    let quote = |text: &str| match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let mut out = String::from("entity,probability,value,action,cost,signal,reason\n");
    for one in all {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{},{:.6},{:.2},{},{:.2},{},{}",
            quote(&one.entity),
            one.probability,
            one.value,
            quote(&one.action),
            one.cost,
            quote(one.signal.as_deref().unwrap_or_default()),
            quote(one.reason.as_deref().unwrap_or_default())
        );
    }
    out
}
