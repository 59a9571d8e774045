//! `churnstream demo`.

use std::path::PathBuf;

use crate::demo::{self, DemoOptions};
use clap::Args;

/// Simulates a subscription service's history, trains a model on it, streams new days through a pool of workers that grows
/// and shrinks by lag, and shows it live. Takes under three minutes; Ctrl-C ends it in order.
#[derive(Args)]
#[command(after_help = "Examples:
  churnstream demo
  churnstream demo --users 2000 --stream-days 14 --plain")]
pub(crate) struct Demo {
    /// Where everything is put; what an earlier demo left there is replaced.
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    dir: PathBuf,
    /// Users who ever sign up.
    #[arg(long, default_value_t = 8_000, value_parser = clap::value_parser!(u32).range(500..))]
    users: u32,
    /// Days of history before the stream begins.
    #[arg(long, default_value_t = 150, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(100..))]
    history_days: u32,
    /// Days that are streamed.
    #[arg(long, default_value_t = 24, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..))]
    stream_days: u32,
    /// The same seed gives the same events, the same model and the same scores.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Lines instead of a screen; so it is anyway where there is no terminal.
    #[arg(long)]
    plain: bool,
}

impl Demo {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let summary = demo::run(&DemoOptions {
            dir: self.dir,
            users: self.users,
            history_days: self.history_days,
            stream_days: self.stream_days,
            seed: self.seed,
            plain: self.plain,
        })?;
        println!("{summary}");
        Ok(())
    }
}
