//! When a user counts as lost: the labels file.
//!
//! ```toml
//! horizon = "30d"
//! [lost]
//! events = ["cancel"]        # lost when one of these happens within the horizon,
//! # silence = true           # or when none of `active` does
//! # active = ["purchase"]    # default: any event
//! [rows]
//! every = "7d"               # as-of moments: ticks so far apart
//! min_history = "14d"        # since the user's first event
//! [split]
//! test_from = "2025-03-01T00:00:00Z"   # default: the last third of the labelled time
//! ```

use std::path::Path;

use serde::Deserialize;
use types::{EventTime, Millis};

use crate::BacktestError;

/// What counts as lost, and which rows are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// How far ahead a label looks: it is about (as-of, as-of + horizon].
    pub horizon: Millis,
    /// What makes a user lost.
    pub lost: Lost,
    /// As-of moments lie at least so far apart.
    pub every: Millis,
    /// A user has a row only so long after the first event.
    pub min_history: Millis,
    /// The first as-of moment of the test rows; `None` for the last third of the labelled time.
    pub test_from: Option<EventTime>,
}

/// What makes a user lost within the horizon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// One of these events.
    Events(Vec<String>),
    /// None of these events; none at all if the list is empty.
    Silence(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    horizon: Millis,
    lost: LostTable,
    #[serde(default)]
    rows: RowsTable,
    #[serde(default)]
    split: SplitTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LostTable {
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    silence: bool,
    #[serde(default)]
    active: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RowsTable {
    every: Millis,
    min_history: Millis,
}

impl Default for RowsTable {
    fn default() -> Self {
        Self { every: Millis(7 * Millis::DAY.0), min_history: Millis::DAY }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SplitTable {
    test_from: Option<String>,
}

impl Labels {
    /// Reads a labels file.
    ///
    /// # Errors
    /// If it cannot be read, or a field is missing, unknown or makes no sense; the message names file and field.
    pub fn load(path: &Path) -> Result<Self, BacktestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BacktestError::Read { path: path.into(), source })?;
        Self::from_toml(&text).map_err(|detail| BacktestError::Labels { path: path.into(), detail })
    }

    fn from_toml(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        for (name, span) in [("horizon", file.horizon), ("rows.every", file.rows.every)] {
            if span.0 <= 0 {
                return Err(format!("`{name}` must be longer than nothing"));
            }
        }
        let lost = match (file.lost.events.is_empty(), file.lost.silence) {
            (false, false) if file.lost.active.is_empty() => Lost::Events(file.lost.events),
            (false, false) => return Err("`lost.active` belongs to `lost.silence`".to_owned()),
            (true, true) => Lost::Silence(file.lost.active),
            (true, false) => return Err("`lost` needs `events = [...]` or `silence = true`".to_owned()),
            (false, true) => return Err("`lost` takes `events` or `silence`, not both".to_owned()),
        };
        let test_from = file.split.test_from.map(|text| moment(&text)).transpose()?;
        let RowsTable { every, min_history } = file.rows;
        Ok(Self { horizon: file.horizon, lost, every, min_history, test_from })
    }

    /// Whether an event of this type counts for the label.
    #[must_use]
    pub fn counts(&self, kind: &str) -> bool {
        match &self.lost {
            Lost::Events(kinds) => kinds.iter().any(|k| k == kind),
            Lost::Silence(kinds) => kinds.is_empty() || kinds.iter().any(|k| k == kind),
        }
    }

    /// Whether the user was lost within the horizon after `as_of`, given the sorted times of the events that count.
    /// O(log n).
    #[must_use]
    pub fn decide(&self, as_of: EventTime, counted: &[EventTime]) -> bool {
        let after = counted.partition_point(|ts| *ts <= as_of);
        let happened = counted.get(after).is_some_and(|ts| *ts <= as_of.plus(self.horizon));
        match self.lost {
            Lost::Events(_) => happened,
            Lost::Silence(_) => !happened,
        }
    }
}

/// A moment as RFC 3339.
fn moment(text: &str) -> Result<EventTime, String> {
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|e| format!("`split.test_from` is no moment such as 2025-03-01T00:00:00Z: {e}"))?;
    Ok(EventTime(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = Millis::DAY.0;

    #[test]
    fn a_label_looks_at_what_lies_after_the_moment_up_to_the_horizon() {
        let labels = Labels::from_toml("horizon = \"30d\"\n[lost]\nevents = [\"cancel\"]").unwrap();
        let at = |days: i64| EventTime(days * DAY);
        assert!(!labels.decide(at(10), &[at(10)]), "an event at the moment itself is known already");
        assert!(labels.decide(at(10), &[at(10), EventTime(10 * DAY + 1)]));
        assert!(labels.decide(at(10), &[at(40)]));
        assert!(!labels.decide(at(10), &[EventTime(40 * DAY + 1)]));
        let silent = Labels::from_toml("horizon = \"30d\"\n[lost]\nsilence = true").unwrap();
        assert!(silent.decide(at(10), &[at(3)]) && !silent.decide(at(10), &[at(3), at(12)]));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_name() {
        let cases = [
            ("[lost]\nevents=[\"c\"]", "horizon"),
            ("horizon=\"0d\"\n[lost]\nevents=[\"c\"]", "horizon"),
            ("horizon=\"1d\"\n[lost]", "lost"),
            ("horizon=\"1d\"\n[lost]\nevents=[\"c\"]\nsilence=true", "not both"),
            ("horizon=\"1d\"\n[lost]\nsilence=true\n[split]\ntest_from=\"2025-03-01\"", "test_from"),
            ("horizon=\"1d\"\n[lost]\nsilence=true\nother=1", "other"),
        ];
        for (text, named) in cases {
            let error = Labels::from_toml(text).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
