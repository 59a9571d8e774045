//! What is true and what could be known, per user and day, and the best ranking that this allows.
//!
//! The days are lived once more, user by user, from the same draws as those on the log; no event is needed for it. So one
//! user's days are in memory at a time, and each day's outcome is known when its row is made.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use telemetry::Shutdown;

use super::draws::Seeded;
use super::encode::push_user;
use super::filter::Belief;
use super::forecast::Forecast;
use super::model::{Model, Mood, Plan};
use super::service::Setting;
use super::user::{Standing, Traits, User};

/// How many days the probabilities and outcomes look ahead.
pub const HORIZON_DAYS: u32 = 30;

/// The end of a user's day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TruthRow {
    /// Who.
    pub user: u32,
    /// The day, counted from 0; not before the sign-up.
    pub day: u32,
    /// `None` if the user is no customer when the day ends.
    pub alive: Option<Alive>,
}

/// What holds for a user who is a customer when a day ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Alive {
    /// The hidden mood.
    pub mood: Mood,
    /// The plan.
    pub plan: Plan,
    /// P(cancel on one of the next [`HORIZON_DAYS`] days | everything, hidden or not).
    pub true_p30: f64,
    /// The same given the events with a time in the days up to this one.
    pub bayes_p30: f64,
    /// Whether the user does cancel on one of them; `None` if not all of them are simulated.
    pub left: Option<bool>,
}

/// How well a ranking of users could do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BestPossible {
    /// Customers ranked.
    pub customers: u64,
    /// How many of them left.
    pub left: u64,
    /// Area under the ROC curve for one who knows all events and the model: no score computed from events is better in
    /// expectation.
    pub auc: f64,
    /// The same for one who sees the hidden state too.
    pub auc_of_hidden_state: f64,
}

/// Why the truth could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}: {source}", path.display())]
pub struct TruthError {
    action: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Works out the rows of one user after the other.
#[derive(Debug)]
pub struct Truth {
    setting: Setting,
    model: Model,
    forecast: Forecast,
    seeded: Seeded,
}

impl Truth {
    /// The truth of a simulation.
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let model = Model::new();
        let forecast = Forecast::new(&model, HORIZON_DAYS);
        Self { setting, model, forecast, seeded: Seeded::new(setting.seed) }
    }

    /// Replaces `rows` with those of a user, in the order of days, from the day of sign-up on. O(days).
    pub fn user(&self, id: u32, rows: &mut Vec<TruthRow>) {
        rows.clear();
        let traits = Traits::draw(&self.seeded, id);
        let mut user = User::new(&traits);
        let mut belief: Option<Belief> = None;
        for day in traits.join_day..self.setting.days {
            let mut draws = self.seeded.day(id, day);
            let lived = user.live(&self.model, &traits, &mut draws, day, self.setting.weekday(day));
            if let Some(lived) = &lived {
                let mut now = match (lived.start, belief.take()) {
                    (None, Some(mut belief)) => {
                        belief.predict(&self.model, lived.calendar.falls_due);
                        belief
                    }
                    (_, before) => Belief::at_start(lived.shown.plan, before.as_ref()),
                };
                now.update(&self.model, lived.calendar, &lived.shown);
                belief = Some(now);
            }
            let alive = match (&belief, user.standing) {
                (Some(belief), Standing::Alive) => {
                    let billing_day = user.billing_day(day);
                    Some(Alive {
                        mood: user.mood,
                        plan: user.plan,
                        true_p30: self.forecast.probability(user.mood, user.plan, billing_day),
                        bayes_p30: belief.probability(&self.forecast, user.plan, billing_day),
                        left: None,
                    })
                }
                _ => None,
            };
            if lived.is_some_and(|lived| lived.shown.cancelled) {
                mark_leaving(rows, day);
            }
            rows.push(TruthRow { user: id, day, alive });
        }
        for row in rows.iter_mut() {
            if let Some(alive) = &mut row.alive {
                let decided = row.day + HORIZON_DAYS < self.setting.days;
                alive.left = decided.then_some(alive.left == Some(true));
            }
        }
    }
}

/// The user cancels on `day`: so the days within the horizon before it end in leaving.
fn mark_leaving(rows: &mut [TruthRow], day: u32) {
    for row in rows.iter_mut().rev().take_while(|row| row.day + HORIZON_DAYS >= day) {
        if let Some(alive) = &mut row.alive {
            alive.left = Some(true);
        }
    }
}

/// Works out how well the customers at the ends of the given days, counted from 0, could be ranked by whether they leave
/// within [`HORIZON_DAYS`] days; all days in one ranking. Days whose outcome is not simulated count for nothing. `None` if
/// nobody or everybody leaves. O(users * days simulated).
#[must_use]
pub fn best_possible(setting: Setting, days: &[u32]) -> Option<BestPossible> {
    let truth = Truth::new(setting);
    let mut rows = Vec::new();
    let mut ranking = Ranking::default();
    for user in 0..setting.users {
        truth.user(user, &mut rows);
        rows.iter().filter(|row| days.contains(&row.day)).for_each(|row| ranking.add(row));
    }
    ranking.best()
}

/// Probabilities of both observers, and outcomes.
#[derive(Debug, Default)]
struct Ranking(Vec<(f64, f64, bool)>);

impl Ranking {
    fn add(&mut self, row: &TruthRow) {
        if let Some(Alive { bayes_p30, true_p30, left: Some(left), .. }) = row.alive {
            self.0.push((bayes_p30, true_p30, left));
        }
    }

    fn best(&self) -> Option<BestPossible> {
        let auc_by =
            |p: fn(&(f64, f64, bool)) -> f64| auc(self.0.iter().map(|row| (p(row), row.2)).collect());
        Some(BestPossible {
            customers: self.0.len() as u64,
            left: self.0.iter().filter(|row| row.2).count() as u64,
            auc: auc_by(|row| row.0)?,
            auc_of_hidden_state: auc_by(|row| row.1)?,
        })
    }
}

/// The chance that one of those who leave has a higher score than one who stays, ties counted half. `None` if there are not
/// both. O(n log n).
fn auc(mut scored: Vec<(f64, bool)>) -> Option<f64> {
    scored.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut left) = (0_u64, 0.0, 0_u64);
    for ties in scored.chunk_by(|a, b| a.0 == b.0) {
        let leaving = ties.iter().filter(|(_, left)| *left).count() as u64;
        let staying = ties.len() as u64 - leaving;
        wins += leaving as f64 * (below as f64 + staying as f64 / 2.0);
        below += staying;
        left += leaving;
    }
    (left > 0 && below > 0).then(|| wins / (left as f64 * below as f64))
}

/// The first line of the truth file.
const COLUMNS: &str = "user,day,date,alive,state,plan,true_p30,bayes_p30,left_within_30d\n";

/// Writes the truth as CSV, users in order, a row for each day from the sign-up on; compressed with zstd if the name ends in
/// `.zst`. An existing file is replaced once the new one is whole. Columns: user, day (from 0), date, alive (0 or 1) when
/// the day ends, and for those alive state, plan, true_p30, bayes_p30, left_within_30d (0 or 1; empty if not decided within
/// the simulated days). Returns how well the users could be ranked at the end of `ranked_day`. Stopped halfway, it leaves
/// what was there.
///
/// # Errors
/// If the file cannot be written.
pub fn write(
    setting: Setting,
    path: &Path,
    ranked_day: Option<u32>,
    shutdown: &Shutdown,
) -> Result<Option<BestPossible>, TruthError> {
    let error = |action| move |source| TruthError { action, path: path.to_owned(), source };
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let file = BufWriter::new(File::create(&unfinished).map_err(error("cannot create"))?);
    let best = if path.extension().is_some_and(|e| e == "zst") {
        let mut encoder = zstd::Encoder::new(file, 1).map_err(error("cannot write"))?;
        let best = rows(setting, &mut encoder, ranked_day, shutdown).map_err(error("cannot write"))?;
        encoder.finish().and_then(|mut file| file.flush()).map_err(error("cannot write"))?;
        best
    } else {
        let mut file = file;
        let best = rows(setting, &mut file, ranked_day, shutdown).map_err(error("cannot write"))?;
        file.flush().map_err(error("cannot write"))?;
        best
    };
    if shutdown.is_requested() {
        let _ = fs::remove_file(&unfinished);
        return Ok(None);
    }
    fs::rename(&unfinished, path).map_err(error("cannot replace"))?;
    Ok(best)
}

fn rows(
    setting: Setting,
    out: &mut dyn Write,
    ranked_day: Option<u32>,
    shutdown: &Shutdown,
) -> io::Result<Option<BestPossible>> {
    let truth = Truth::new(setting);
    let dates: Vec<String> = (0..setting.days)
        .map(|day| setting.start.saturating_add(jiff::Span::new().days(i64::from(day))).to_string())
        .collect();
    let mut ranking = Ranking::default();
    let mut rows = Vec::new();
    let mut text = String::from(COLUMNS);
    for user in 0..setting.users {
        if shutdown.is_requested() {
            return Ok(None);
        }
        truth.user(user, &mut rows);
        for row in &rows {
            push_row(&mut text, row, &dates);
            if Some(row.day) == ranked_day {
                ranking.add(row);
            }
        }
        if text.len() > 1 << 16 {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    out.write_all(text.as_bytes())?;
    Ok(ranking.best())
}

fn push_row(text: &mut String, row: &TruthRow, dates: &[String]) {
    push_user(text, row.user);
    let date = &dates[row.day as usize];
    // Writing to a string cannot fail.
    let _ = match &row.alive {
        None => writeln!(text, ",{},{date},0,,,,,", row.day),
        Some(alive) => {
            let left = alive.left.map_or("", |left| if left { "1" } else { "0" });
            let (state, plan) = (alive.mood.name(), alive.plan.name());
            writeln!(
                text,
                ",{},{date},1,{state},{plan},{:.8},{:.8},{left}",
                row.day, alive.true_p30, alive.bayes_p30
            )
        }
    };
}

#[cfg(test)]
#[path = "truth_tests.rs"]
mod tests;
