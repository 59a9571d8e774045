//! What the simulator can be told.

use std::path::{Path, PathBuf};

use clap::Args;

use super::service::Setting;
use crate::cli::OutputArgs;

/// A simulated subscription streaming service.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// How many users ever sign up. Five in six do within the first thirty days.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub users: u32,
    /// How many days to simulate. More days of the same seed go on where fewer ended.
    #[arg(long, value_name = "D", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
    /// The same seed gives the same bytes.
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The first day, in UTC.
    #[arg(long, value_name = "DATE", default_value = "2025-01-01")]
    pub start: jiff::civil::Date,
    /// Where the truth goes, a row per user and day; `none` for nowhere; compressed if it ends in .zst
    /// [default: truth.csv.zst in the log's folder]
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
    /// Where and how fast the events go.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl SimulateArgs {
    /// What the simulation depends on.
    #[must_use]
    pub fn setting(&self) -> Setting {
        Setting { users: self.users, days: self.days, seed: self.seed, start: self.start }
    }

    /// The truth file; `None` if none is wanted.
    #[must_use]
    pub fn truth_path(&self) -> Option<PathBuf> {
        const NAME: &str = "truth.csv.zst";
        match &self.truth {
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(path.clone()),
            // Beside a log that is no folder of this machine, the folder at hand.
            None => Some(
                self.output
                    .to
                    .strip_prefix("file:")
                    .map_or_else(|| NAME.into(), |dir| Path::new(dir).join(NAME)),
            ),
        }
    }
}
