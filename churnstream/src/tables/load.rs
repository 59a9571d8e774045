//! From a table to rows to learn from: one look at all rows to say what the columns are, and a second to read them.

use std::path::Path;

use table::{Encoder, Next, Plan, Profile, Record, Schema, Table};
use trainer::Rows;
use types::EventTime;
use xxhash_rust::xxh3::xxh3_64;

use super::Rejects;

/// Rows are shown as read this often.
const SHOW_EVERY: u64 = 10_000;

/// A table in memory: a few bytes a value, whatever its texts are.
#[derive(Debug)]
pub(super) struct Loaded {
    /// What the columns are.
    pub(super) schema: Schema,
    /// What was seen of them.
    pub(super) profile: Profile,
    /// The rows, encoded.
    pub(super) rows: Rows,
    /// Rows in the file.
    pub(super) read: u64,
}

/// Reads a table. What cannot be used goes to `rejects`. `progress` is told the rows read, each row twice.
///
/// # Errors
/// If the file cannot be read, or the plan does not suit it.
pub(super) fn load(
    path: &Path,
    plan: &Plan,
    rejects: &mut Rejects,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<Loaded> {
    let mut record = Record::default();
    let mut table = Table::open(path)?;
    let mut profile = Profile::new(table.columns());
    for name in std::iter::once(&plan.label).chain(&plan.id).chain(&plan.drop) {
        table.column(name)?;
    }
    loop {
        match table.next(&mut record)? {
            Next::Row(row) => {
                profile.see(&record);
                show(row, &mut progress);
            }
            // The second time is early enough to say so.
            Next::Rejected { .. } => {}
            Next::End => break,
        }
    }
    let schema = profile.schema(plan)?;

    let mut table = Table::open(path)?;
    let encoder = Encoder::new(&schema, &table);
    let mut rows = Rows { names: schema.features(), ..Rows::default() };
    // Told once, memory does not grow in leaps: a leap needs the old and the new at a time.
    let expected = usize::try_from(profile.rows())?;
    rows.values.reserve_exact(expected * rows.names.len());
    rows.lost.reserve_exact(expected);
    rows.groups.reserve_exact(expected);
    rows.as_of.reserve_exact(expected);
    let mut notes = Vec::new();
    let (mut read, mut seen) = (0, 0);
    loop {
        notes.clear();
        match table.next(&mut record)? {
            Next::End => break,
            Next::Rejected { row, reason, original } => {
                seen += 1;
                rejects.add(row, &reason, &original)?;
            }
            Next::Row(row) => {
                seen += 1;
                match usable(&encoder, &schema, &record, &mut rows.values, &mut notes) {
                    Err(reason) => rejects.add(row, &reason, &record.shown())?,
                    Ok(lost) => {
                        rows.lost.push(lost);
                        // Rows of one customer stay together when some are held out.
                        let group = encoder
                            .id(&record)
                            .map_or_else(|| xxh3_64(&row.to_le_bytes()), |id| xxh3_64(id.as_bytes()));
                        rows.groups.push(group);
                        rows.as_of.push(EventTime(0));
                        read += 1;
                    }
                }
                show(row, &mut progress);
            }
        }
    }
    anyhow::ensure!(
        read > 0,
        "none of the {seen} rows of {} can be used: see {} for the reasons",
        path.display(),
        rejects.path().display()
    );
    Ok(Loaded { schema, profile, rows, read: seen })
}

/// Adds a row's values, and returns whether the customer was lost; why not, if the row cannot be used.
fn usable(
    encoder: &Encoder<'_>,
    schema: &Schema,
    record: &Record,
    values: &mut Vec<f32>,
    notes: &mut Vec<(usize, table::Note)>,
) -> Result<bool, String> {
    let lost = encoder.lost(record)?;
    if schema.id.is_some() && encoder.id(record).is_none() {
        return Err(format!("the id `{}` is missing", schema.id.as_deref().unwrap_or_default()));
    }
    encoder.encode(record, values, notes)?;
    Ok(lost)
}

fn show(row: u64, progress: &mut impl FnMut(u64)) {
    if row.is_multiple_of(SHOW_EVERY) {
        progress(row);
    }
}
