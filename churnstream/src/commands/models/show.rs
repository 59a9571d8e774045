//! `churnstream models list` and `show`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::Args;
use scorer::{Bundle, Entry, Role, Schedule};
use serde_json::json;
use types::EventTime;

use super::{champions, date, load};

/// Shows which bundle holds from when: every line of the registry, oldest first, with the quality that each bundle measured on
/// its own test.
#[derive(Args)]
#[command(after_help = "Example:
  churnstream models list --registry registry")]
pub(crate) struct List {
    /// The registry.
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Shows what a bundle says of itself, and its model card.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream models show --registry registry
  churnstream models show model
  churnstream models show --registry registry 3f2a
  churnstream models show --registry registry challenger")]
pub(crate) struct Show {
    /// Which: `champion`, `challenger`, or the beginning of a bundle's hash; without --registry, a bundle's own folder.
    #[arg(default_value = "champion")]
    bundle: String,
    /// The registry, or a bundle's own folder.
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Print the manifest as one JSON object.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let schedule = Schedule::load(&self.registry)?;
        let entries = schedule.entries();
        let bundle = |hash: &str| schedule.bundles().find(|bundle| bundle.hash() == hash);
        // The first champion holds before its own moment too.
        let from = |entry: &Entry| match champions(entries).next() {
            Some(first) if std::ptr::eq(first, entry) => EventTime::MIN,
            _ => entry.from,
        };
        let metric = |hash: &str, name: &str| bundle(hash)?.manifest().metrics.get(name).copied();
        if self.json {
            let entry = |entry: &Entry| {
                json!({"bundle": entry.bundle, "role": entry.role, "from": from(entry),
                    "metrics": bundle(&entry.bundle).map(|bundle| &bundle.manifest().metrics)})
            };
            println!("{}", json!({"entries": entries.iter().map(entry).collect::<Vec<_>>()}));
            return Ok(());
        }
        if entries.is_empty() {
            println!("{} is a bundle, not a registry: it holds always", self.registry.display());
            return Ok(());
        }
        let newest = champions(entries).next_back();
        println!("{:<16}  {:<10}  {:<24} {:>7} {:>12}", "bundle", "role", "from", "AUC", "calibration");
        for entry in entries {
            let number = |name| {
                metric(&entry.bundle, name).map_or_else(|| "unknown".to_owned(), |n| format!("{n:.4}"))
            };
            let role = match entry.role {
                Role::Champion => "champion",
                Role::Challenger => "challenger",
                Role::Retired => "retired",
            };
            let mark = if newest.is_some_and(|newest| std::ptr::eq(newest, entry)) { "  *" } else { "" };
            println!(
                "{}  {role:<10}  {:<24} {:>7} {:>12}{mark}",
                entry.bundle,
                date(from(entry)),
                number("auc"),
                number("calibration_error")
            );
        }
        println!("* the newest champion");
        Ok(())
    }
}

impl Show {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let bundle = match &self.registry {
            Some(registry) => self.find(&Schedule::load(registry)?, registry)?,
            None => Arc::new(load(Path::new(&self.bundle))?),
        };
        let manifest = bundle.manifest();
        if self.json {
            println!("{}", json!({"bundle": bundle.hash(), "manifest": manifest}));
            return Ok(());
        }
        println!("bundle     {} in {}", bundle.hash(), bundle.path().display());
        println!("spec       {} ({} features)", manifest.spec_hash, manifest.feature_names.len());
        if manifest.is_of_table() {
            println!("horizon    unknown: what the table's label means");
            println!("training   {} rows of a customer table", manifest.training.rows);
        } else {
            println!("horizon    {}", manifest.horizon);
            println!(
                "training   {} rows from {} to {}, the last label decided at {}",
                manifest.training.rows,
                date(manifest.training.from),
                date(manifest.training.to),
                date(manifest.training.labels_decided)
            );
        }
        if let Some(fitting) = &manifest.fitting {
            println!("fitted     {fitting}; calibration: {}", manifest.calibration.kind());
        }
        println!("bands      medium from {:.4}, high from {:.4}", manifest.bands.medium, manifest.bands.high);
        for (name, value) in &manifest.metrics {
            println!("{name:<10} {value:.4}");
        }
        if let Ok(card) = std::fs::read_to_string(bundle.path().join("MODEL_CARD.md")) {
            println!("\n{card}");
        }
        Ok(())
    }

    fn find(&self, schedule: &Schedule, registry: &Path) -> anyhow::Result<Arc<Bundle>> {
        let end = EventTime(i64::MAX);
        match self.bundle.as_str() {
            "champion" => Ok(Arc::clone(schedule.champion(end))),
            "challenger" => schedule.challenger(end).cloned().context("there is no challenger"),
            prefix => {
                let mut found: Vec<_> =
                    schedule.bundles().filter(|bundle| bundle.hash().starts_with(prefix)).collect();
                found.sort_by_key(|bundle| bundle.hash());
                found.dedup_by_key(|bundle| bundle.hash());
                ensure!(
                    found.len() == 1,
                    "{} bundles of {} begin with `{prefix}`; `churnstream models list` shows them",
                    found.len(),
                    registry.display()
                );
                Ok(Arc::clone(found[0]))
            }
        }
    }
}
