//! The progress of a training on the terminal.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use trainer::Round;

use crate::training::{Stage, Training};

/// Steps of the bar for one fit, whatever its rounds.
const STEPS: u64 = 1_000;
/// Where there is no terminal, a line says so often how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar that goes through the stages of a training. It stands on standard error; where that is no terminal, lines say now and then how far
/// it is.
pub(crate) struct Bar {
    bar: ProgressBar,
    /// How many sets of parameters a search tries.
    trials: u32,
    /// Sets that were tried in the search under way.
    tried: Cell<u32>,
    /// When the last line was written.
    line: Cell<Instant>,
}

impl Bar {
    /// A bar for so many records to replay, or rows to read.
    pub(crate) fn new(records: u64, training: &Training) -> Self {
        let bar = ProgressBar::new(records).with_style(
            ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {per_sec} ETA {eta}")
                .unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self::of(bar, "replay", Some(training))
    }

    /// A bar for rows of which nobody knows how many there are.
    pub(crate) fn reading(training: Option<&Training>) -> Self {
        let bar = ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {msg} {pos} rows {per_sec}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        Self::of(bar, "reading", training)
    }

    fn of(bar: ProgressBar, what: &'static str, training: Option<&Training>) -> Self {
        bar.set_message(what);
        bar.enable_steady_tick(Duration::from_millis(200));
        let trials = training.map_or(0, |training| training.search);
        Self { bar, trials, tried: Cell::new(0), line: Cell::new(Instant::now()) }
    }

    /// Shows how many rows were read.
    pub(crate) fn rows(&self, rows: u64) {
        self.bar.set_position(rows);
        self.line_now_and_then();
    }

    /// Lets something else be printed.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    /// Shows where the training is.
    pub(crate) fn show(&self, stage: &Stage<'_>) {
        match stage {
            Stage::Collected(summary) => self.aside(|| super::progress::tell(summary)),
            Stage::Replayed(records) => self.rows(*records),
            Stage::Fold { algorithm, number, of } => {
                self.say(&format!("{algorithm}: fold {number} of {of}"));
            }
            Stage::Tried(trial) => {
                // The next one begins from none.
                self.tried.set(trial.number % trial.of);
                self.say(&format!(
                    "search {}/{}: loss {:.5}, least {:.5}",
                    trial.number, trial.of, trial.loss, trial.least
                ));
            }
            // Of a search all trials are one way, with one time that is left.
            Stage::Trying(round) => self.round("search", round, (self.tried.get(), self.trials)),
            Stage::Round(algorithm, round) => self.round(algorithm.name(), round, (0, 1)),
        }
    }

    /// Shows a round of a fit that is one of several, of which some are done.
    fn round(&self, what: &'static str, round: &Round, (done, all): (u32, u32)) {
        let steps = |fits: u32| u64::from(fits) * u64::from(round.fits.max(1)) * STEPS;
        if round.number == 1 && round.fit == 1 && done == 0 {
            self.bar.set_message(what);
            self.bar.set_style(
                ProgressStyle::with_template("{msg} {bar:30} {percent} % ETA {eta}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.set_length(steps(all));
            self.bar.reset_eta();
        }
        let within = STEPS * u64::from(round.number) / u64::from(round.of.max(1));
        self.bar.set_position(steps(done) + u64::from(round.fit - 1) * STEPS + within);
        self.line_now_and_then();
    }

    /// A line that stays.
    fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
            self.line.set(Instant::now());
        } else {
            self.bar.println(line);
        }
    }

    fn line_now_and_then(&self) {
        if self.bar.is_hidden() && self.line.get().elapsed() >= LINE_EVERY {
            let (what, at) = (self.bar.message(), self.bar.position());
            self.say(&match self.bar.length().filter(|length| *length > 0) {
                Some(length) => {
                    let done = format!("{what}: {} %", 100 * at.min(length) / length);
                    // Nothing is known of it at first.
                    match self.bar.eta() {
                        Duration::ZERO => done,
                        left => format!("{done}, about {} left", indicatif::HumanDuration(left)),
                    }
                }
                None => format!("{what}: {at} rows"),
            });
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}
