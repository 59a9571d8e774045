//! Labels from outside: a CSV file that says what became of whom.
//!
//! ```toml
//! [lost.table]
//! file = "renewals.csv"                        # beside the labels file; CSV with a header, also `.csv.zst` and `.csv.gz`
//! user = "account_id"
//! period = ["period_start", "renewal_date"]    # the outcome falls at the end of a period; or:
//! # as_of = "asked_at"                         # a row's label, as of the day that this moment lies in
//! outcome = "churned"
//! lost = ["1"]                                 # the outcomes that mean lost; any other means stayed
//! decided_at = "known_at"                      # default: the period's end, or lead and horizon after as_of
//! zone = "Asia/Shanghai"                       # where the midnight of a date is; default: UTC
//! shift = "1d"                                 # added to `as_of` or both ends of `period`: here dates mean the end of the day
//! ```
//!
//! Moments are RFC 3339, dates (the midnight that they begin with) or milliseconds.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use jiff::tz::TimeZone;
use types::{EventTime, Millis};

use super::file::{TableFile, moment};
use super::{Labels, Verdict};

/// What a table says of users: their outcomes, in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeTable {
    of: BTreeMap<String, Vec<Decision>>,
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    AsOf,
    Period,
}

/// One line of an outcome table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decision {
    /// The period's end, where the outcome falls; or the moment that it is asked for.
    pub at: EventTime,
    /// The period's start; the same as `at` without one.
    pub from: EventTime,
    /// Whether the user was lost.
    pub lost: bool,
    /// When that was known; `None` for lead and horizon after `at`.
    pub decided_at: Option<EventTime>,
}

impl OutcomeTable {
    pub(super) fn read(table: &TableFile, folder: &Path) -> Result<Self, String> {
        let form = match (&table.as_of, &table.period) {
            (Some(_), None) => Form::AsOf,
            (None, Some(_)) => Form::Period,
            _ => return Err("`lost.table` takes `as_of` or `period`, one of the two".to_owned()),
        };
        let path = folder.join(&table.file);
        let named = |what: String| format!("`lost.table`: {}: {what}", path.display());
        let zone = match &table.zone {
            Some(name) => TimeZone::get(name).map_err(|e| format!("`lost.table.zone`: {e}"))?,
            None => TimeZone::UTC,
        };
        let mut reader = csv::Reader::from_reader(open(&path).map_err(|e| named(e.to_string()))?);
        let headers = reader.headers().map_err(|e| named(e.to_string()))?.clone();
        let column = |name: &str| {
            headers.iter().position(|header| header == name).ok_or_else(|| {
                let all: Vec<&str> = headers.iter().collect();
                named(format!("there is no column `{name}` among {}", all.join(", ")))
            })
        };
        let user = column(&table.user)?;
        let outcome = column(&table.outcome)?;
        let decided_at = table.decided_at.as_deref().map(column).transpose()?;
        let (from, at) = match (&table.as_of, &table.period) {
            (_, Some([from, to])) => (column(from)?, column(to)?),
            (as_of, _) => {
                let at = column(as_of.as_deref().unwrap_or_default())?;
                (at, at)
            }
        };
        let mut of: BTreeMap<String, Vec<Decision>> = BTreeMap::new();
        for (line, record) in reader.records().enumerate() {
            let record = record.map_err(|e| named(e.to_string()))?;
            let cell = |column: usize| record.get(column).unwrap_or_default();
            let time = |column: usize| {
                when(cell(column), &zone).map_err(|e| named(format!("line {}: {e}", line + 2)))
            };
            let decided = decided_at.filter(|column| !cell(*column).is_empty()).map(time).transpose()?;
            let at = time(at)?.plus(table.shift);
            let decision = Decision {
                at,
                from: time(from)?.plus(table.shift),
                lost: table.lost.iter().any(|value| value == cell(outcome)),
                decided_at: decided.or((form == Form::Period).then_some(at)),
            };
            of.entry(cell(user).to_owned()).or_default().push(decision);
        }
        of.values_mut().for_each(|decisions| decisions.sort_unstable());
        Ok(Self { of, form })
    }

    /// The user's lines, in the order of time. O(log users).
    #[must_use]
    pub fn of(&self, user: &str) -> &[Decision] {
        self.of.get(user).map_or(&[], Vec::as_slice)
    }

    /// Whether it names the moments of rows, rather than periods.
    #[must_use]
    pub const fn is_as_of(&self) -> bool {
        matches!(self.form, Form::AsOf)
    }

    /// Whether a line asks for a row of the user in the day from `tick` on that is `day` long. O(log lines).
    #[must_use]
    pub fn asks_for(&self, user: &str, tick: EventTime, day: Millis) -> bool {
        next(self.of(user), tick).is_some_and(|decision| decision.at < tick.plus(day))
    }

    pub(super) fn decide(
        &self,
        labels: &Labels,
        as_of: EventTime,
        decisions: &[Decision],
    ) -> (Verdict, EventTime) {
        let nothing = (Verdict::Unknown, as_of.plus(labels.span()));
        if self.form == Form::AsOf {
            let Some(decision) = next(decisions, as_of) else { return nothing };
            let decided = decision.decided_at.unwrap_or_else(|| decision.at.plus(labels.span()));
            return (if decision.lost { Verdict::Lost } else { Verdict::Stayed }, decided);
        }
        let (from, to) = (as_of.plus(labels.lead), as_of.plus(labels.span()));
        let after = decisions.partition_point(|decision| decision.at <= as_of);
        for decision in decisions[after..].iter().take_while(|decision| decision.at <= to) {
            let decided = decision.decided_at.unwrap_or(decision.at).max(decision.at);
            match (decision.at <= from, decision.lost) {
                (true, true) => return (Verdict::LeftWithinLead, decided),
                // Before the lead is over a renewal says nothing of the time after it.
                (true, false) => {}
                (false, true) => return (Verdict::Lost, decided),
                (false, false) => return (Verdict::Stayed, decided),
            }
        }
        nothing
    }
}

/// The first line at or after a moment.
fn next(decisions: &[Decision], at: EventTime) -> Option<&Decision> {
    decisions.get(decisions.partition_point(|decision| decision.at < at))
}

/// A file, decompressed if its name says so.
fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let file = File::open(path)?;
    Ok(match path.extension().and_then(|extension| extension.to_str()) {
        Some("zst") => Box::new(zstd::Decoder::new(file)?),
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    })
}

fn when(text: &str, zone: &TimeZone) -> Result<EventTime, String> {
    if let Ok(ms) = text.parse::<i64>() {
        return Ok(EventTime(ms));
    }
    match text.parse::<jiff::civil::Date>() {
        Ok(date) if text.len() <= 10 => {
            let midnight = date.to_zoned(zone.clone()).map_err(|e| e.to_string())?;
            Ok(EventTime(midnight.timestamp().as_millisecond()))
        }
        _ => moment(text),
    }
}
