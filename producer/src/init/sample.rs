//! A sample of a file: its columns with what stands in them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::import::source::{Discovered, Rows, SourceError, discover};
use crate::map::Cell;

/// So many rows are looked at.
pub(super) const ROWS: usize = 5_000;
/// Texts that mean that there is nothing, whoever wrote them.
const NULLS: [&str; 6] = ["NULL", "null", "\\N", "NaN", "nan", "<NA>"];

/// The first rows of a file.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) file: Discovered,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: usize,
    /// The texts in it that mean that there is nothing.
    pub(crate) nulls: BTreeSet<String>,
}

/// One column of the sample.
#[derive(Debug, Default)]
pub(crate) struct Column {
    pub(crate) name: String,
    /// The values that are there, as text.
    pub(crate) values: Vec<String>,
    /// How often each text occurs, of the first so many different ones.
    pub(crate) distinct: BTreeMap<String, usize>,
    /// Whether JSON or Parquet type them as numbers.
    pub(crate) typed_number: bool,
    /// Whether they type them as true or false.
    pub(crate) typed_bool: bool,
    /// Whether they are typed times, and if so, whether instants.
    pub(crate) moment: Option<bool>,
}

impl Column {
    /// So many different texts of a column are told apart.
    pub(crate) const MOST_DISTINCT: usize = 2_000;

    pub(crate) fn is_whole(&self) -> bool {
        !self.values.is_empty() && self.values.iter().all(|v| v.trim().parse::<i64>().is_ok())
    }

    /// Whether whole numbers are written as `12.0`: a data frame does so to ids of which some are missing.
    pub(crate) fn is_whole_as_float(&self) -> bool {
        let whole = |text: &String| text.parse::<f64>().is_ok_and(|n| n.fract() == 0.0);
        let ends = |text: &String| text.ends_with(".0");
        self.values.iter().any(ends) && self.values.iter().all(whole)
    }

    /// Different values for each value: 1 for a column of ids that never repeat.
    pub(crate) fn variety(&self) -> f64 {
        self.distinct.len() as f64 / self.values.len().clamp(1, Self::MOST_DISTINCT) as f64
    }

    /// The texts by how often they occur, the most frequent first.
    pub(crate) fn by_frequency(&self) -> Vec<&str> {
        let mut all: Vec<(&String, &usize)> = self.distinct.iter().collect();
        all.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        all.into_iter().map(|(text, _)| text.as_str()).collect()
    }
}

impl Sample {
    /// Reads the first rows of a file. Rows that cannot be split into columns are passed over.
    /// Of JSON, the items of the list `each` are rows.
    pub(crate) fn read(path: &Path, each: Option<&str>) -> Result<Self, SourceError> {
        let file = discover(path, ROWS, each)?;
        let mut rows = Rows::open(path, &file.layout, &file.columns, 1 << 20, &Arc::default())?;
        let mut columns: Vec<Column> =
            file.columns.iter().map(|name| Column { name: name.clone(), ..Column::default() }).collect();
        for column in &mut columns {
            column.moment = file.moments.iter().find(|(name, _)| *name == column.name).map(|(_, utc)| *utc);
        }
        let mut numbers: BTreeSet<usize> = (0..columns.len()).collect();
        let mut truths = numbers.clone();
        let mut nulls = BTreeSet::new();
        let mut count = 0;
        while count < ROWS
            && let Some(row) = rows.next()?
        {
            let mut cells = Vec::with_capacity(columns.len());
            if row.cells(&mut cells).is_err() {
                continue;
            }
            for item in cells.chunks(columns.len().max(1)) {
                count += 1;
                for (place, (cell, column)) in item.iter().zip(&mut columns).enumerate() {
                    let mut text = String::new();
                    if matches!(cell, Cell::Missing) || !cell.write_text(&mut text) || text.is_empty() {
                        continue;
                    }
                    if NULLS.contains(&text.as_str()) || (file.layout.brackets && text == "-") {
                        nulls.insert(text);
                        continue;
                    }
                    if !matches!(cell, Cell::Int(_) | Cell::Float(_)) {
                        numbers.remove(&place);
                    }
                    if !matches!(cell, Cell::Bool(_)) {
                        truths.remove(&place);
                    }
                    if column.distinct.len() < Column::MOST_DISTINCT || column.distinct.contains_key(&text) {
                        *column.distinct.entry(text.clone()).or_default() += 1;
                    }
                    column.values.push(text);
                }
            }
        }
        for (place, column) in columns.iter_mut().enumerate() {
            column.typed_number = numbers.contains(&place) && !column.values.is_empty();
            column.typed_bool = truths.contains(&place) && !column.values.is_empty();
        }
        Ok(Self { file, columns, rows: count, nulls })
    }
}
