//! Reading single things of a row: its time, its type, a count, whether conditions hold.

use std::borrow::Cow;

use types::{EventTime, RejectReason};

use super::apply::{MOST_EVENTS_OF_A_ROW, Reject};
use super::cell::{Cell, show};
use super::compile::{KindPlan, TimePlan, join_cells};
use super::condition::Condition;
use super::number::{Number, NumberStyle};
use super::time::TimeError;

impl TimePlan {
    pub(super) fn read(&self, cells: &[Cell<'_>], text: &mut String) -> Result<EventTime, Reject> {
        let time = match self.slots.as_slice() {
            [slot] => self.reader.read(&cells[*slot]),
            several => {
                text.clear();
                if !join_cells(cells, several, " ", text) {
                    return Err(self.reject(TimeError::Missing));
                }
                self.reader.read(&Cell::Text(Cow::Borrowed(text)))
            }
        };
        match time.map(|time| time.plus(self.shift)) {
            Ok(time) if time < self.not_before => Err(self.reject(TimeError::OutOfRange(time.to_string()))),
            other => other.map_err(|e| self.reject(e)),
        }
    }

    fn reject(&self, error: TimeError) -> Reject {
        let (reason, wrong) = match error {
            TimeError::Missing => (RejectReason::MissingField, "it is missing or empty".to_owned()),
            TimeError::Unreadable(text) => {
                (RejectReason::Mapping, format!("{text} is not a time of the map's format"))
            }
            TimeError::OutOfRange(text) => {
                (RejectReason::TimeOutOfRange, format!("{text} cannot be the time of an event"))
            }
        };
        Reject::new(reason, format!("time, column `{}`: {wrong}", self.columns))
    }
}

impl KindPlan {
    pub(super) fn read(
        &self,
        cells: &[Cell<'_>],
        kind: &mut String,
        text: &mut String,
    ) -> Result<(), Reject> {
        kind.clear();
        kind.push_str(&self.prefix);
        if self.slots.is_empty() {
            return Ok(());
        }
        text.clear();
        if !join_cells(cells, &self.slots, ".", text) {
            return Err(Reject::new(RejectReason::MissingField, "the type is missing, empty or no text"));
        }
        kind.push_str(self.names.get(text.as_str()).unwrap_or(text));
        if kind.starts_with('$') {
            let detail =
                format!("type {}: $ marks churnstream's own; give it a prefix or another name", show(kind));
            return Err(Reject::new(RejectReason::UnknownSystemType, detail));
        }
        Ok(())
    }
}

pub(super) fn all_hold(
    conditions: &[Condition],
    cells: &[Cell<'_>],
    numbers: &NumberStyle,
    text: &mut String,
) -> Result<bool, Reject> {
    for condition in conditions {
        if !condition.holds(cells, numbers, text)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn read_count(cell: &Cell<'_>, column: &str, numbers: &NumberStyle) -> Result<i64, Reject> {
    let wrong =
        |reason| Reject::new(reason, format!("count, column `{column}`: {} is no count", cell.show()));
    match numbers.read(cell) {
        Ok(None) => Ok(0),
        Ok(Some(Number::Int(n))) if (0..=MOST_EVENTS_OF_A_ROW).contains(&n) => Ok(n),
        Ok(Some(Number::Float(n)))
            if n.fract() == 0.0 && (0.0..=MOST_EVENTS_OF_A_ROW as f64).contains(&n) =>
        {
            Ok(n as i64)
        }
        Ok(Some(Number::Int(_))) => Err(wrong(RejectReason::NumberOutOfRange)),
        _ => Err(wrong(RejectReason::WrongType)),
    }
}
