//! The progress of a training on the terminal.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::training::Stage;

/// Steps of the bar for one fit, whatever its rounds.
const STEPS: u64 = 1_000;

/// A bar that goes through the stages of a training. It stands on standard error, and only where that is a terminal.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar for so many records to replay, or rows to read.
    pub(crate) fn new(records: u64) -> Self {
        let bar = ProgressBar::new(records).with_style(
            ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {per_sec} ETA {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        bar.set_message("replay");
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// A bar for rows of which nobody knows how many there are.
    pub(crate) fn reading() -> Self {
        let bar = ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {msg} {pos} rows {per_sec}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        bar.set_message("reading");
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows how many rows were read.
    pub(crate) fn rows(&self, rows: u64) {
        self.0.set_position(rows);
    }

    /// Lets something else be printed.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Shows where the training is.
    pub(crate) fn show(&self, stage: &Stage<'_>) {
        match stage {
            Stage::Collected(summary) => self.aside(|| super::progress::tell(summary)),
            Stage::Replayed(records) => self.0.set_position(*records),
            Stage::Fold { algorithm, number, of } => {
                self.0.println(format!("{algorithm}: fold {number} of {of}"));
            }
            Stage::Tried(trial) => self.0.println(format!(
                "search {}/{}: loss {:.5}, least {:.5}",
                trial.number, trial.of, trial.loss, trial.least
            )),
            Stage::Round(algorithm, round) => {
                let fits = u64::from(round.fits.max(1));
                if round.number == 1 && round.fit == 1 {
                    self.0.set_message(algorithm.name());
                    self.0.set_style(
                        ProgressStyle::with_template("{msg} {bar:30} {percent} % ETA {eta}")
                            .unwrap_or_else(|_| ProgressStyle::default_bar()),
                    );
                    self.0.set_length(fits * STEPS);
                    self.0.reset_eta();
                }
                let within = STEPS * u64::from(round.number) / u64::from(round.of.max(1));
                self.0.set_position(u64::from(round.fit - 1) * STEPS + within);
            }
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
