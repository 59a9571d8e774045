//! What a model must beat: the loss rates of a table over one feature.

use crate::LabelledRows;

/// Loss rates by the bins of one column, learnt from rows that came before.
#[derive(Debug, Clone)]
pub struct OneColumn {
    column: usize,
    /// A value is in bin `i` if `i` borders are at most it.
    borders: Vec<f32>,
    rates: Vec<f32>,
    missing: f32,
}

impl OneColumn {
    /// Learns from rows: up to ten bins of as many rows each. `None` without rows.
    #[must_use]
    pub fn fit(rows: &LabelledRows, column: usize) -> Option<Self> {
        let mut values: Vec<f32> =
            (0..rows.len()).map(|row| rows.row(row)[column]).filter(|value| !value.is_nan()).collect();
        values.sort_unstable_by(f32::total_cmp);
        let mut borders: Vec<f32> =
            (1..10).filter_map(|tenth| values.get(values.len() * tenth / 10)).copied().collect();
        borders.dedup();
        let (mut all, mut lost) = (vec![0.0_f64; borders.len() + 2], vec![0.0_f64; borders.len() + 2]);
        for row in 0..rows.len() {
            let value = rows.row(row)[column];
            let bin = if value.is_nan() { borders.len() + 1 } else { bin(&borders, value) };
            all[bin] += f64::from(rows.weight[row]);
            lost[bin] += if rows.lost[row] { f64::from(rows.weight[row]) } else { 0.0 };
        }
        let (total, total_lost): (f64, f64) = (all.iter().sum(), lost.iter().sum());
        if total == 0.0 {
            return None;
        }
        let rate = total_lost / total;
        // A bin of few rows is drawn to the rate of all, as if it held ten rows more.
        let mut rates: Vec<f32> =
            all.iter().zip(&lost).map(|(all, lost)| ((lost + 10.0 * rate) / (all + 10.0)) as f32).collect();
        let missing = rates.pop()?;
        Some(Self { column, borders, rates, missing })
    }

    /// The probabilities that it gives rows.
    #[must_use]
    pub fn probabilities(&self, rows: &LabelledRows) -> Vec<f32> {
        let of = |row: usize| {
            let value = rows.row(row)[self.column];
            if value.is_nan() { self.missing } else { self.rates[bin(&self.borders, value)] }
        };
        (0..rows.len()).map(of).collect()
    }
}

fn bin(borders: &[f32], value: f32) -> usize {
    borders.partition_point(|border| *border <= value)
}

/// The columns that simple rules look at, with names for people: how long a user is there, and how long silent.
#[must_use]
pub fn simple_columns(names: &[String]) -> Vec<(&'static str, usize)> {
    let find = |is: &dyn Fn(&str) -> bool| names.iter().position(|name| is(name));
    let tenure = find(&|name| name.ends_with("_tenure_all"));
    let recency =
        find(&|name| name.starts_with("all_recency_")).or_else(|| find(&|name| name.contains("_recency_")));
    [("tenure alone", tenure), ("recency alone", recency)]
        .into_iter()
        .filter_map(|(name, column)| Some((name, column?)))
        .collect()
}
