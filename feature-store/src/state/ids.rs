//! The ids of a user's recent events, by which duplicates are known.

use hashbrown::HashMap;

/// Hashes of event ids with the times of their events, as far back as duplicates are looked for.
///
/// 64 bits tell ids apart: among the 10,000 events of a busy user's day, two different ids agree by chance once in 10^11 days.
#[derive(Debug, Clone)]
pub(crate) struct RecentIds {
    /// Those of earlier events are forgotten.
    cutoff: i64,
    ids: Ids,
}

#[derive(Debug, Clone)]
enum Ids {
    /// Up to [`FEW`]: looking through them is quicker than anything else.
    Few(Vec<(u64, i64)>),
    /// Forgotten ones are swept out each time the map has doubled.
    Many { map: HashMap<u64, i64>, sweep_at: usize },
}

const FEW: usize = 32;

impl RecentIds {
    pub(crate) fn hash(id: &str) -> u64 {
        xxhash_rust::xxh3::xxh3_64(id.as_bytes())
    }

    /// Whether the id was seen. O(1).
    pub(crate) fn contains(&self, id: u64) -> bool {
        match &self.ids {
            Ids::Few(list) => list.iter().any(|(known, ts)| *known == id && *ts >= self.cutoff),
            Ids::Many { map, .. } => map.get(&id).is_some_and(|ts| *ts >= self.cutoff),
        }
    }

    /// Forgets ids of events before this time. O(1); the work is done when ids are added.
    pub(crate) const fn forget_before(&mut self, ts: i64) {
        self.cutoff = ts;
    }

    /// Remembers an id that is not there. Amortised O(1).
    pub(crate) fn add(&mut self, id: u64, ts: i64) {
        let cutoff = self.cutoff;
        if ts < cutoff {
            return;
        }
        match &mut self.ids {
            Ids::Few(list) => {
                if list.len() == list.capacity() {
                    list.retain(|(_, ts)| *ts >= cutoff);
                }
                if list.len() < FEW {
                    // Most users have few; room for 4, 8, 16 or 32.
                    if list.len() == list.capacity() {
                        list.reserve_exact(list.len().max(4));
                    }
                    list.push((id, ts));
                } else {
                    let mut map: HashMap<u64, i64> = list.iter().copied().collect();
                    map.insert(id, ts);
                    self.ids = Ids::Many { map, sweep_at: 4 * FEW };
                }
            }
            Ids::Many { map, sweep_at } => {
                if map.len() >= *sweep_at {
                    map.retain(|_, ts| *ts >= cutoff);
                    if map.len() < FEW {
                        self.ids = Ids::Few(map.iter().map(|(id, ts)| (*id, *ts)).collect());
                        return self.add(id, ts);
                    }
                    *sweep_at = 2 * map.len();
                }
                map.insert(id, ts);
            }
        }
    }

    /// Those that are not forgotten, by time and hash.
    pub(crate) fn sorted(&self) -> Vec<(i64, u64)> {
        let live = |(id, ts): (&u64, &i64)| (*ts >= self.cutoff).then_some((*ts, *id));
        let mut all: Vec<_> = match &self.ids {
            Ids::Few(list) => list.iter().filter_map(|(id, ts)| live((id, ts))).collect(),
            Ids::Many { map, .. } => map.iter().filter_map(live).collect(),
        };
        all.sort_unstable();
        all
    }

    /// From what [`sorted`](Self::sorted) gave.
    pub(crate) fn from_sorted(cutoff: i64, all: &[(i64, u64)]) -> Self {
        let ids = if all.len() <= FEW {
            Ids::Few(all.iter().map(|(ts, id)| (*id, *ts)).collect())
        } else {
            Ids::Many { map: all.iter().map(|(ts, id)| (*id, *ts)).collect(), sweep_at: 2 * all.len() }
        };
        Self { cutoff, ids }
    }

    pub(crate) const fn cutoff(&self) -> i64 {
        self.cutoff
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match &self.ids {
            Ids::Few(list) => list.capacity() * 16,
            // A map's allocation: an entry and a control byte for each of its buckets.
            Ids::Many { map, .. } => map.allocation_size(),
        }
    }
}
