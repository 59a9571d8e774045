//! Two guards against rows that know the future: some are made again from nothing but what lay before them, and columns that
//! tell the label too well are suspected aloud.

use std::sync::Arc;

use consumer::pipeline::{Pipeline, Place, Rows, Stop, Work};
use feature_store::{Spec, Store, StoreIdentity, UserState};
use hashbrown::HashMap;
use partition_log::{Log, RecordBuf};
use serde::Serialize;
use types::{EventTime, Offset, PartitionId, Trigger};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::replay::in_memory;
use crate::{BacktestError, LabelledRows, metrics};

/// What came of making rows again.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Audit {
    /// Rows made again.
    pub checked: usize,
    /// Values that differ.
    pub peeks: Vec<Peek>,
}

/// A value that is not a function of what lay before its row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Peek {
    /// The user.
    pub entity: String,
    /// The moment.
    pub as_of: EventTime,
    /// The column.
    pub column: String,
    /// The value in the row.
    pub value: Option<f32>,
    /// The value made of the user's records before the row alone.
    pub known: Option<f32>,
}

/// Makes `sample` rows, chosen by hash, once more: each from a log that ends where the row was made. Every value must have the same
/// bits. O(records of the topic + records of the sampled users x their sampled rows).
///
/// # Errors
/// If the log cannot be read.
pub fn audit(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    rows: &LabelledRows,
    sample: usize,
) -> Result<Audit, BacktestError> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    let hash =
        |row: usize| xxh3_64_with_seed(rows.entities[row].as_bytes(), rows.as_of[row].0.cast_unsigned());
    order.sort_by_cached_key(|row| hash(*row));
    order.truncate(sample);
    order.sort_unstable_by_key(|row| rows.partition[*row]);
    let mut audit = Audit::default();
    for of_partition in order.chunk_by(|a, b| rows.partition[*a] == rows.partition[*b]) {
        let partition = rows.partition[of_partition[0]];
        let wanted = of_partition.iter().map(|row| rows.entities[*row].as_str());
        let records = records_of(log, topic, partition, wanted)?;
        for &row in of_partition {
            let Some(records) = records.get(rows.entities[row].as_str()) else { continue };
            let known = again(spec, partition, records, rows, row)?;
            audit.checked += 1;
            for (column, (value, known)) in rows.row(row).iter().zip(&known).enumerate() {
                let same = value.to_bits() == known.to_bits() || (value.is_nan() && known.is_nan());
                if !same {
                    let number = |value: &f32| Some(*value).filter(|value| !value.is_nan());
                    audit.peeks.push(Peek {
                        entity: rows.entities[row].clone(),
                        as_of: rows.as_of[row],
                        column: rows.names[column].clone(),
                        value: number(value),
                        known: number(known),
                    });
                }
            }
        }
    }
    Ok(audit)
}

/// All records of some users.
fn records_of<'a>(
    log: &dyn Log,
    topic: &str,
    partition: PartitionId,
    wanted: impl Iterator<Item = &'a str>,
) -> Result<HashMap<&'a str, RecordBuf>, BacktestError> {
    let mut of: HashMap<&str, RecordBuf> = wanted.map(|entity| (entity, RecordBuf::default())).collect();
    let mut reader = log.reader(topic, partition, log.bounds(topic, partition)?.start)?;
    let mut records = RecordBuf::default();
    while reader.read(&mut records, 1 << 20)? > 0 {
        for record in records.iter() {
            let Ok(key) = std::str::from_utf8(record.key) else { continue };
            if let Some(list) = of.get_mut(key) {
                list.push(&record);
            }
        }
        records.clear();
    }
    Ok(of)
}

/// A row made of the user's records up to it.
fn again(
    spec: &Arc<Spec>,
    partition: PartitionId,
    records: &RecordBuf,
    rows: &LabelledRows,
    row: usize,
) -> Result<Vec<f32>, BacktestError> {
    // A sweep knows what lies before the tick, an event's row the event too.
    let end = match rows.trigger[row] {
        Trigger::Sweep => rows.position[row],
        Trigger::Event => Offset(rows.position[row].0 + 1),
    };
    let identity = StoreIdentity {
        spec_hash: spec.hash().to_string(),
        topic: String::new(),
        partitions: partition.0 + 1,
    };
    let mut users = Store::in_memory(&identity, in_memory())?.partition::<UserState>(partition)?;
    let pipeline = Pipeline::new(Arc::clone(spec));
    let mut block = Rows::new(rows.names.len());
    let mut rejects = Vec::new();
    let mut place = Place::at(Offset::ZERO);
    let end = records.index_of(end);
    loop {
        let mut work = Work { users: &mut users, rows: &mut block, rejects: &mut rejects };
        let stop = pipeline.advance(&mut place, Offset(u64::MAX), records, end, &mut work)?;
        block.clear();
        rejects.clear();
        if stop == Stop::End {
            break;
        }
    }
    let mut values = vec![f32::NAN; rows.names.len()];
    if let Some(slot) = users.get(&rows.entities[row])? {
        users.state(slot).features_at(spec, rows.as_of[row], &mut values);
    }
    Ok(values)
}

/// A column that tells the label too well to be true.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// The column.
    pub column: String,
    /// Rows with a value other than zero.
    pub rows: usize,
    /// Their loss rate.
    pub rate: f64,
    /// How well the column alone ranks rows: AUC, turned so that it is at least 0.5.
    pub auc: f64,
}

/// Columns that look as if the label were known to them: alone they rank rows almost without error (AUC of at least 0.97), or
/// nearly everybody (nine of ten, and half as many again as of all) who has a value above zero there is lost.
/// O(columns x rows log rows).
#[must_use]
pub fn suspects(rows: &LabelledRows) -> Vec<Suspect> {
    /// Fewer rows say nothing.
    const LEAST: usize = 20;
    let lost_of_all = rows.lost.iter().filter(|lost| **lost).count() as f64 / rows.len().max(1) as f64;
    let mut found = Vec::new();
    for (column, name) in rows.names.iter().enumerate() {
        let values: Vec<f32> = (0..rows.len()).map(|row| rows.row(row)[column]).collect();
        let with = values.iter().zip(&rows.lost).filter(|(value, _)| **value > 0.0);
        let (mut count, mut lost) = (0_usize, 0_usize);
        with.for_each(|(_, outcome)| {
            count += 1;
            lost += usize::from(*outcome);
        });
        let rate = lost as f64 / count.max(1) as f64;
        // Missing values are ranked as the lowest: that there is none may be what tells.
        let ranked: Vec<f32> = values.iter().map(|v| if v.is_nan() { f32::MIN } else { *v }).collect();
        let auc = metrics::auc(&ranked, &rows.lost).map_or(0.5, |auc| auc.max(1.0 - auc));
        let gives_away = count >= LEAST && rate >= 0.9 && rate >= 1.5 * lost_of_all;
        if gives_away || (auc >= 0.97 && rows.len() >= LEAST) {
            found.push(Suspect { column: name.clone(), rows: count, rate, auc });
        }
    }
    found
}
