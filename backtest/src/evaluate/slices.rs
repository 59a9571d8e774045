//! Quality in parts: by trigger, by cohort, over time.

use feature_store::Spec;
use jiff::tz::TimeZone;
use serde::Serialize;
use types::{EventTime, Millis, Trigger};

use super::bootstrap::Metric;
use super::cohorts::{Cohort, cohorts};
use super::{Judged, measure, number_users};
use crate::LabelledRows;

/// Parts of the rows by one property.
#[derive(Debug, Clone, Serialize)]
pub struct Slices {
    /// The property: `trigger`, `plan`, `tenure`, `month` and so on.
    pub by: String,
    /// Its values in order.
    pub parts: Vec<Slice>,
}

/// The rows with one value of a property.
#[derive(Debug, Clone, Serialize)]
pub struct Slice {
    /// The value.
    pub name: String,
    /// Rows.
    pub rows: usize,
    /// Users.
    pub users: usize,
    /// Rows of users who were lost.
    pub lost: usize,
    /// The mean probability, to be compared with the loss rate.
    pub promised: f64,
    /// The loss rate; both by weight.
    pub rate: f64,
    /// Metrics with intervals; empty with fewer than ten rows of each outcome: so few say nothing.
    pub metrics: Vec<Metric>,
}

/// So few rows of an outcome say nothing.
const LEAST: usize = 10;

/// Cuts scored rows by trigger, by attributes of the spec that are texts (plan, country), by tenure, and over time.
#[must_use]
pub fn slices(
    rows: &LabelledRows,
    probability: &[f32],
    spec: &Spec,
    resamples: u32,
    seed: u64,
) -> Vec<Slices> {
    let mut all = Vec::new();
    let mut add = |by: &str, names: &[String], of: &dyn Fn(usize) -> Option<usize>| {
        let mut parts: Vec<Vec<usize>> = vec![Vec::new(); names.len()];
        (0..rows.len()).for_each(|row| {
            if let Some(list) = of(row).and_then(|part| parts.get_mut(part)) {
                list.push(row);
            }
        });
        let parts: Vec<Slice> = (names.iter().zip(&parts))
            .filter(|(_, list)| !list.is_empty())
            .map(|(name, list)| part(name, list, rows, probability, resamples, seed))
            .collect();
        if parts.len() > 1 || by == "trigger" {
            all.push(Slices { by: by.to_owned(), parts });
        }
    };
    let triggers = [Trigger::Event, Trigger::Sweep];
    add("trigger", &triggers.map(|trigger| trigger.name().to_owned()), &|row| {
        triggers.iter().position(|trigger| *trigger == rows.trigger[row])
    });
    for Cohort { by, names, of } in cohorts(rows, spec) {
        add(&by, &names, &|row| Some(of[row]));
    }
    if let Some(column) = rows.names.iter().position(|name| name.ends_with("_tenure_all")) {
        let borders = [30.0, 90.0, 180.0, 365.0];
        let names = ["under 30 days", "30 to 90 days", "90 to 180 days", "180 days to a year", "over a year"];
        add("tenure", &names.map(str::to_owned), &|row| {
            let days = rows.row(row)[column];
            (!days.is_nan()).then(|| borders.partition_point(|border| *border <= days))
        });
    }
    let (unit, names, first) = periods(rows);
    add("time", &names, &|row| Some(((rows.as_of[row].0 - first.0).div_euclid(unit.0)) as usize));
    all
}

/// Periods that the rows' moments fall into: days, weeks or four weeks, at most about thirty of them.
fn periods(rows: &LabelledRows) -> (Millis, Vec<String>, EventTime) {
    let first = rows.as_of.iter().min().copied().unwrap_or_default();
    let last = rows.as_of.iter().max().copied().unwrap_or_default();
    let first = EventTime(first.0.div_euclid(Millis::DAY.0) * Millis::DAY.0);
    let spans = [1, 7, 28, 91, 364].map(|days| Millis(days * Millis::DAY.0));
    let count = |unit: Millis| last.since(first).0 / unit.0 + 1;
    let unit = spans.into_iter().find(|unit| count(*unit) <= 30).unwrap_or(spans[4]);
    let names = (0..count(unit)).map(|number| day(first.plus(Millis(number * unit.0))));
    (unit, names.collect(), first)
}

/// The UTC day of a moment, as people write it.
#[must_use]
pub fn day(at: EventTime) -> String {
    jiff::Timestamp::from_millisecond(at.0)
        .map_or_else(|_| format!("{at} ms"), |time| time.to_zoned(TimeZone::UTC).date().to_string())
}

/// Judges the rows with these numbers.
#[must_use]
pub fn part(
    name: &str,
    of: &[usize],
    rows: &LabelledRows,
    probability: &[f32],
    resamples: u32,
    seed: u64,
) -> Slice {
    let pick = |row: &usize| rows.entities[*row].clone();
    let (numbers, users) = number_users(&of.iter().map(pick).collect::<Vec<_>>());
    let probability: Vec<f32> = of.iter().map(|row| probability[*row]).collect();
    let lost: Vec<bool> = of.iter().map(|row| rows.lost[*row]).collect();
    let weight: Vec<f32> = of.iter().map(|row| rows.weight[*row]).collect();
    let judged = Judged::new(&probability, &lost, &weight, &numbers, users);
    let (all, lost_weight) = judged.weights();
    let promised: f64 = probability.iter().zip(&weight).map(|(p, w)| f64::from(*p) * f64::from(*w)).sum();
    let few = judged.lost() < LEAST || judged.len() - judged.lost() < LEAST;
    Slice {
        name: name.to_owned(),
        rows: of.len(),
        users,
        lost: judged.lost(),
        promised: promised / all,
        rate: lost_weight / all,
        metrics: if few { Vec::new() } else { measure(&judged, resamples, seed) },
    }
}
