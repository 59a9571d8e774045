//! From the labels file to [`Labels`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use types::{EventTime, Millis};

use super::{Labels, Lost, Outcome, OutcomeTable, Triggers};
use crate::BacktestError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    horizon: Millis,
    #[serde(default)]
    lead: Millis,
    #[serde(default)]
    outcomes: BTreeMap<Outcome, Vec<String>>,
    lost: LostTable,
    #[serde(default)]
    inputs: InputsTable,
    #[serde(default)]
    rows: RowsTable,
    #[serde(default)]
    split: SplitTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LostTable {
    outcome: Option<Outcome>,
    #[serde(default)]
    events: Vec<String>,
    #[serde(default)]
    silence: bool,
    #[serde(default)]
    active: Vec<String>,
    table: Option<TableFile>,
}

/// `[lost.table]`.
#[derive(Deserialize, Debug, Clone)]
#[serde(deny_unknown_fields)]
pub(super) struct TableFile {
    pub(super) file: PathBuf,
    pub(super) user: String,
    pub(super) as_of: Option<String>,
    pub(super) period: Option<[String; 2]>,
    pub(super) outcome: String,
    pub(super) lost: Vec<String>,
    pub(super) decided_at: Option<String>,
    pub(super) zone: Option<String>,
    #[serde(default)]
    pub(super) shift: Millis,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct InputsTable {
    implying: Vec<String>,
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RowsTable {
    every: Millis,
    triggers: Triggers,
    per_day: u32,
    min_history: Millis,
}

impl Default for RowsTable {
    fn default() -> Self {
        Self {
            every: Millis(7 * Millis::DAY.0),
            triggers: Triggers::Live,
            per_day: 1,
            min_history: Millis::DAY,
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct SplitTable {
    test_from: Option<String>,
}

impl Labels {
    /// Reads a labels file, and the outcome table that it names, from the folder that the file lies in.
    ///
    /// # Errors
    /// If one cannot be read, or a field is missing, unknown or makes no sense; the message names file and field.
    pub fn load(path: &Path) -> Result<Self, BacktestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BacktestError::Read { path: path.into(), source })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::from_toml(&text, folder).map_err(|detail| BacktestError::Labels { path: path.into(), detail })
    }

    /// Reads labels from TOML; an outcome table lies in `folder`.
    pub(super) fn from_toml(text: &str, folder: &Path) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
        for (name, span) in [("horizon", file.horizon), ("rows.every", file.rows.every)] {
            if span.0 <= 0 {
                return Err(format!("`{name}` must be longer than nothing"));
            }
        }
        if file.rows.per_day == 0 {
            return Err("`rows.per_day` must be at least 1".to_owned());
        }
        let lost = file.lost.check(&file.outcomes, folder)?;
        let RowsTable { every, triggers, per_day, min_history } = file.rows;
        if matches!(&lost, Lost::Table(table) if table.is_as_of()) && triggers == Triggers::Event {
            return Err("`lost.table.as_of` speaks of days: it goes with `triggers = \"sweep\"`".to_owned());
        }
        let test_from = file
            .split
            .test_from
            .map(|text| moment(&text).map_err(|e| format!("`split.test_from`: {e}")))
            .transpose()?;
        Ok(Self {
            horizon: file.horizon,
            lead: file.lead,
            implying: implying(&lost, &file.outcomes, file.inputs),
            lost,
            outcomes: file.outcomes,
            every,
            triggers,
            per_day,
            min_history,
            test_from,
        })
    }
}

impl LostTable {
    fn check(self, outcomes: &BTreeMap<Outcome, Vec<String>>, folder: &Path) -> Result<Lost, String> {
        let forms = [self.outcome.is_some(), !self.events.is_empty(), self.silence, self.table.is_some()];
        match forms.iter().filter(|given| **given).count() {
            0 => {
                return Err("`lost` needs `outcome`, `events = [...]`, `silence = true` or a `table`".into());
            }
            1 => {}
            _ => {
                return Err(
                    "`lost` takes one of `outcome`, `events`, `silence` and `table`, not both or more".into(),
                );
            }
        }
        if !self.active.is_empty() && !self.silence {
            return Err("`lost.active` belongs to `lost.silence`".to_owned());
        }
        if let Some(outcome) = self.outcome {
            let events = outcomes.get(&outcome).filter(|events| !events.is_empty());
            let events = events.ok_or("`lost.outcome` is not among the `[outcomes]` with events")?;
            return Ok(Lost::Events(events.clone()));
        }
        match self.table {
            Some(table) => OutcomeTable::read(&table, folder).map(Lost::Table),
            None if self.silence => Ok(Lost::Silence(self.active)),
            None => Ok(Lost::Events(self.events)),
        }
    }
}

/// Types of events that give the label away: the label's own, those of steps that end in it, and what the file names.
///
/// A failed payment is not among them: it comes before some losses and is the very thing to learn from.
fn implying(lost: &Lost, outcomes: &BTreeMap<Outcome, Vec<String>>, inputs: InputsTable) -> Vec<String> {
    let mut all = inputs.implying;
    if let Lost::Events(events) = lost {
        all.extend(events.iter().cloned());
    }
    if !matches!(lost, Lost::Silence(_)) {
        let steps = outcomes.iter().filter(|(outcome, _)| **outcome != Outcome::FailedRenewal);
        all.extend(steps.flat_map(|(_, events)| events.iter().cloned()));
    }
    all.retain(|kind| !inputs.allow.contains(kind));
    all.sort_unstable();
    all.dedup();
    all
}

/// A moment as RFC 3339.
pub(super) fn moment(text: &str) -> Result<EventTime, String> {
    let time: jiff::Timestamp =
        text.parse().map_err(|e| format!("`{text}` is no moment such as 2025-03-01T00:00:00Z: {e}"))?;
    Ok(EventTime(time.as_millisecond()))
}
