//! Conditions on rows: `[[where]]`.

use super::apply::Reject;
use super::cell::Cell;
use super::compile::Slots;
use super::error::KeyError;
use super::file::ConditionSection;
use super::number::{Number, NumberStyle};

/// One condition on one column.
#[derive(Debug)]
pub(crate) struct Condition {
    slot: usize,
    column: String,
    is: Option<Vec<String>>,
    is_not: Option<Vec<String>>,
    present: Option<bool>,
    min: Option<f64>,
    max: Option<f64>,
}

impl Condition {
    pub(crate) fn compile(
        all: Vec<ConditionSection>,
        key: &str,
        slots: &mut Slots,
    ) -> Result<Vec<Self>, KeyError> {
        let mut compiled = Vec::with_capacity(all.len());
        for (i, section) in all.into_iter().enumerate() {
            let ConditionSection { column, is, is_not, present, min, max } = section;
            if is.is_none() && is_not.is_none() && present.is_none() && min.is_none() && max.is_none() {
                let key = format!("{key}[{}]", i + 1);
                return Err(KeyError::new(key, "say what must hold: is, is_not, present, min or max"));
            }
            let list = |names: Option<super::file::Names>| names.map(|n| n.as_slice().to_vec());
            let (is, is_not) = (list(is), list(is_not));
            compiled.push(Self { slot: slots.of(&column), column, is, is_not, present, min, max });
        }
        Ok(compiled)
    }

    /// Whether the row fulfils it. A missing value is no value: `is`, `min` and `max` fail, `is_not` holds.
    ///
    /// # Errors
    /// If `min` or `max` asks for a number and there is something else: whether the row is meant cannot be said.
    pub(crate) fn holds(
        &self,
        cells: &[Cell<'_>],
        numbers: &NumberStyle,
        text: &mut String,
    ) -> Result<bool, Reject> {
        let cell = &cells[self.slot];
        if self.present.is_some_and(|present| present == matches!(cell, Cell::Missing)) {
            return Ok(false);
        }
        if self.is.is_some() || self.is_not.is_some() {
            text.clear();
            cell.write_text(text);
            let missing = matches!(cell, Cell::Missing);
            if self.is.as_ref().is_some_and(|list| missing || !list.contains(text))
                || self.is_not.as_ref().is_some_and(|list| !missing && list.contains(text))
            {
                return Ok(false);
            }
        }
        if self.min.is_none() && self.max.is_none() {
            return Ok(true);
        }
        let n = match numbers.read(cell) {
            Ok(Some(Number::Int(n))) => n as f64,
            Ok(Some(Number::Float(n))) => n,
            Ok(None) => return Ok(false),
            Err(error) => {
                let (reason, wrong) = error.told();
                let detail = format!("where, column `{}`: {} {wrong}", self.column, cell.show());
                return Err(Reject::new(reason, detail));
            }
        };
        Ok(self.min.is_none_or(|min| n >= min) && self.max.is_none_or(|max| n <= max))
    }
}
