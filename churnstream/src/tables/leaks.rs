//! Columns that know too much: what tells the label nearly alone is often known only after the customer was lost.

use std::fmt;

use backtest::metrics::auc;
use serde::Serialize;
use table::Schema;
use trainer::Rows;

/// A column that ranks this well alone is suspected.
const SUSPICIOUS: f64 = 0.97;
/// Parts of names that speak of the end.
const TELLING: [&str; 9] =
    ["churn", "cancel", "terminat", "end_date", "closed", "left_", "exit", "attrition", "leaving"];
/// Rows that are looked at, evenly spaced.
const LOOKED_AT: usize = 100_000;

/// A column that may leak the label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// The column.
    pub column: String,
    /// How well it ranks the customers alone, whichever way round: 0.5 to 1. `None` if that is not why.
    pub auc: Option<f64>,
    /// Whether it does so by having a value or none.
    pub by_absence: bool,
}

impl fmt::Display for Suspect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let column = &self.column;
        match (self.auc, self.by_absence) {
            (Some(auc), false) => write!(f, "`{column}` tells the label nearly alone (AUC {auc:.3})"),
            (Some(auc), true) => {
                write!(f, "whether `{column}` has a value tells the label nearly alone (AUC {auc:.3})")
            }
            (None, _) => write!(f, "`{column}` sounds like something known only afterwards"),
        }
    }
}

/// The columns that may leak the label, in the order of the table.
#[must_use]
pub(super) fn suspects(schema: &Schema, rows: &Rows) -> Vec<Suspect> {
    let chosen: Vec<usize> = (0..rows.len()).step_by(rows.len().div_ceil(LOOKED_AT).max(1)).collect();
    let lost: Vec<bool> = chosen.iter().map(|row| rows.lost[*row]).collect();
    let columns = schema.column_of_feature();
    let mut found = Vec::new();
    for (place, column) in schema.columns.iter().enumerate() {
        let features: Vec<usize> = (0..columns.len()).filter(|at| columns[*at] == place).collect();
        let absent: Vec<f32> =
            chosen.iter().map(|row| f32::from(u8::from(rows.row(*row)[features[0]].is_nan()))).collect();
        let by_absence = strength(&absent, &lost);
        let by_value = match features[..] {
            [one] => strength(&filled(&chosen, rows, one), &lost),
            _ => strength(&rates(&chosen, rows, &features), &lost),
        };
        let (auc, absence) = if by_absence >= by_value { (by_absence, true) } else { (by_value, false) };
        let name = column.name.to_lowercase();
        let suspect = |auc, by_absence| Suspect { column: column.name.clone(), auc, by_absence };
        if auc >= SUSPICIOUS {
            found.push(suspect(Some(auc), absence));
        } else if TELLING.iter().any(|part| name.contains(part)) {
            found.push(suspect(None, false));
        }
    }
    found
}

/// How well scores rank, whichever way round.
fn strength(scores: &[f32], lost: &[bool]) -> f64 {
    auc(scores, lost).map_or(0.5, |auc| auc.max(1.0 - auc))
}

/// A feature's values; missing ones below all others.
fn filled(chosen: &[usize], rows: &Rows, feature: usize) -> Vec<f32> {
    let value = |row: &usize| rows.row(*row)[feature];
    chosen.iter().map(value).map(|value| if value.is_nan() { f32::MIN } else { value }).collect()
}

/// For each row, the loss rate of its category among the other half of the rows: a rate that knows the row itself would tell
/// its label.
fn rates(chosen: &[usize], rows: &Rows, features: &[usize]) -> Vec<f32> {
    let category =
        |row: usize| features.iter().position(|at| rows.row(row)[*at] == 1.0).unwrap_or(features.len());
    let mut counts = vec![[[0.0_f32; 2]; 2]; features.len() + 1];
    for (at, row) in chosen.iter().enumerate() {
        let of = &mut counts[category(*row)][at % 2];
        of[0] += 1.0;
        of[1] += f32::from(u8::from(rows.lost[*row]));
    }
    let rate = |(at, row): (usize, &usize)| {
        let [all, lost] = counts[category(*row)][1 - at % 2];
        (lost + 0.5) / (all + 1.0)
    };
    chosen.iter().enumerate().map(rate).collect()
}
