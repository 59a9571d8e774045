//! The progress of a training on the terminal.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use trainer::{Algorithm, Round};

use crate::training::{Stage, Training};

/// Steps of the bar for one fit, whatever its rounds.
const STEPS: u64 = 1_000;
/// Where there is no terminal, a line says so often how far it is.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// A bar that goes through the stages of a training. It stands on standard error; where that is no terminal, lines say now and then how far
/// it is.
pub(crate) struct Bar {
    bar: ProgressBar,
    /// The kind of model that is searched, and how many sets of parameters are tried for it.
    search: Option<(Algorithm, u32)>,
    /// Sets that were tried in the search under way.
    tried: Cell<u32>,
    /// Whether the fit that follows a search has begun: what begins after it is the next search.
    is_fitting: Cell<bool>,
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
        // Logistic regression has nothing to search.
        let search = training
            .map(|training| (training.params.algorithm, training.search))
            .filter(|(algorithm, trials)| *trials > 0 && *algorithm != Algorithm::Logistic);
        Self {
            bar,
            search,
            tried: Cell::new(0),
            is_fitting: Cell::new(false),
            line: Cell::new(Instant::now()),
        }
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
                self.tried.set(0);
                self.say(&format!("{algorithm}: fold {number} of {of}"));
            }
            Stage::Tried(trial) => {
                self.tried.set(trial.number);
                self.say(&format!(
                    "search {}/{}: loss {:.5}, least {:.5}",
                    trial.number, trial.of, trial.loss, trial.least
                ));
            }
            Stage::Round(algorithm, round) => self.round(*algorithm, round),
        }
    }

    /// Shows a round of a fit: of a search all trials are one way, with one time that is left.
    fn round(&self, algorithm: Algorithm, round: &Round) {
        let fits = u64::from(round.fits.max(1));
        let (begins, is_searched) =
            (round.number == 1 && round.fit == 1, self.search.map(|(of, _)| of) == Some(algorithm));
        if begins && is_searched && self.is_fitting.replace(false) {
            self.tried.set(0);
        }
        let tried = self.tried.get();
        let trials = self.search.filter(|(of, trials)| *of == algorithm && tried < *trials);
        let (before, all) = trials.map_or((0, 1), |(_, trials)| (u64::from(tried), u64::from(trials)));
        if begins && trials.is_none() {
            self.is_fitting.set(is_searched);
        }
        if begins && before == 0 {
            self.bar.set_message(if trials.is_some() { "search" } else { algorithm.name() });
            self.bar.set_style(
                ProgressStyle::with_template("{msg} {bar:30} {percent} % ETA {eta}")
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.set_length(all * fits * STEPS);
            self.bar.reset_eta();
        }
        let within = STEPS * u64::from(round.number) / u64::from(round.of.max(1));
        self.bar.set_position((before * fits + u64::from(round.fit - 1)) * STEPS + within);
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
