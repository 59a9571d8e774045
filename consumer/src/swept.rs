//! What the newest sweep of each partition saw, kept in the store's folder: a restart shows it at once, and not only after the next tick.
//!
//! It is written before the commit that covers a sweep, and removed when nobody saw all of one, or another process had the partition. So whoever begins at a commit
//! finds what the newest sweep before it saw, or what the next one saw, which is made again to the same result.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use feature_store::store::hash_of;
use scorer::Schedule;
use scorer::drift::Counts;
use serde::{Deserialize, Serialize};
use types::{Band, EventTime, PartitionId};

use crate::watch::SweepSeen;

/// The version of the file's format.
const VERSION: u32 = 1;

/// Customers by band, and what else was seen; nothing if there was nobody.
pub(crate) type Swept = ([u64; Band::ALL.len()], Option<Arc<SweepSeen>>);

/// The file of one partition: its checksum in a line, and then JSON.
#[derive(Debug)]
pub(crate) struct SweptFile {
    path: PathBuf,
    /// What the revenue at risk was computed with.
    prices: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    v: u32,
    customers: [u64; Band::ALL.len()],
    seen: Option<KeptSeen>,
}

/// Floats are kept as their bits: they come back as they were.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptSeen {
    as_of: EventTime,
    model: String,
    prices: Option<u64>,
    counts: Vec<Counts>,
    probabilities: Vec<u32>,
    approximate: u64,
    at_risk: Vec<u64>,
}

impl SweptFile {
    /// Of a partition of the store in a folder; `prices` tells one file of prices from another.
    pub(crate) fn new(store: &Path, partition: PartitionId, prices: Option<u64>) -> Self {
        Self { path: store.join(format!("swept-{partition}.json")), prices }
    }

    /// Keeps what a sweep saw; what nobody saw whole is removed. A failure costs figures until the next sweep, and no more.
    pub(crate) fn keep(&self, swept: Option<Swept>) {
        let kept = match swept {
            Some(swept) => self.write(swept),
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        let Err(error) = kept else { return };
        if error.kind() != std::io::ErrorKind::NotFound {
            tracing::warn!(path = %self.path.display(), %error, "what the sweep saw is not kept for a restart");
        }
        // One of before would be taken for the newest.
        if let Err(error) = std::fs::remove_file(&self.path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "an old sweep's file cannot be removed");
        }
    }

    fn write(&self, (customers, seen): Swept) -> std::io::Result<()> {
        let seen = seen.map(|seen| KeptSeen {
            as_of: seen.as_of,
            model: seen.bundle.hash().to_owned(),
            prices: self.prices,
            counts: seen.counts.clone(),
            probabilities: seen.probabilities.iter().map(|p| p.to_bits()).collect(),
            approximate: seen.approximate,
            at_risk: seen.at_risk.iter().map(|sum| sum.to_bits()).collect(),
        });
        let json = serde_json::to_string(&Kept { v: VERSION, customers, seen })?;
        crate::files::replace(&self.path, format!("{:016x}\n{json}", hash_of(json.as_bytes())).as_bytes())
    }

    /// What was kept: customers by band and, if model and prices are still the same, all else. Nothing if there is none, or it is damaged.
    pub(crate) fn load(&self, schedule: &Schedule) -> Option<(Swept, bool)> {
        let text = std::fs::read_to_string(&self.path).ok()?;
        let whole =
            text.split_once('\n').filter(|(sum, json)| *sum == format!("{:016x}", hash_of(json.as_bytes())));
        let kept = whole.and_then(|(_, json)| serde_json::from_str::<Kept>(json).ok());
        let Some(kept) = kept.filter(|kept| kept.v == VERSION) else {
            tracing::warn!(path = %self.path.display(), "it is damaged or of another version: figures of the last sweep come with the next");
            return None;
        };
        let Some(seen) = kept.seen else { return Some(((kept.customers, None), true)) };
        let bundle = Arc::clone(schedule.champion(seen.as_of));
        if bundle.hash() != seen.model || seen.prices != self.prices {
            return Some(((kept.customers, None), false));
        }
        let seen = SweepSeen {
            as_of: seen.as_of,
            counts: seen.counts,
            probabilities: seen.probabilities.into_iter().map(f32::from_bits).collect(),
            approximate: seen.approximate,
            at_risk: seen.at_risk.into_iter().map(f64::from_bits).collect(),
            bundle,
        };
        Some(((kept.customers, Some(Arc::new(seen))), true))
    }
}
