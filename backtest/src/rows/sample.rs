//! Rows of sweeps, evenly chosen: what a watch for drift looks at later, whatever the labels take.

use consumer::pipeline::Row;
use types::{EventTime, PartitionId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// So many rows, since only the last weeks of them are looked at: a twentieth of a long log's days still places a histogram's borders.
const MOST: usize = 60_000;

/// Rows of sweeps on days with rows, each as likely as any other to be here: every living user, with or without a label, new or
/// not.
#[derive(Debug, Clone, Default)]
pub struct Swept {
    /// The values, row after row; NaN where there is none.
    pub values: Vec<f32>,
    /// The moments.
    pub as_of: Vec<EventTime>,
    /// A hash of each row's user.
    pub users: Vec<u64>,
    /// The log's first event: windows that reach further back are not full.
    pub began: EventTime,
}

/// A sample in the making: the rows with the smallest hashes of user and tick, so that it does not depend on the partitions.
#[derive(Debug)]
pub(super) struct Sample {
    width: usize,
    /// Rows with larger hashes do not come in any more.
    limit: u64,
    kept: Vec<Kept>,
    values: Vec<f32>,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    hash: u64,
    user: u64,
    as_of: EventTime,
    /// Where its values begin.
    at: usize,
    /// The user's number among those of the partition.
    number: u32,
    partition: PartitionId,
    erased: bool,
}

impl Sample {
    pub(super) fn new(width: usize) -> Self {
        Self { width, limit: u64::MAX, kept: Vec::new(), values: Vec::new() }
    }

    pub(super) fn offer(&mut self, partition: PartitionId, number: u32, row: &Row<'_>) {
        let name = row.entity.as_bytes();
        let hash = xxh3_64_with_seed(name, row.as_of.0.cast_unsigned() ^ 0x5347);
        if hash > self.limit {
            return;
        }
        let at = self.values.len();
        self.values.extend_from_slice(row.features);
        let (user, as_of) = (xxh3_64(name), row.as_of);
        self.kept.push(Kept { hash, user, as_of, at, number, partition, erased: false });
        if self.kept.len() >= 2 * MOST {
            self.shrink();
        }
    }

    /// Marks the rows of a partition's users who were erased. They keep their places until the end, so that the others do not
    /// depend on when that happened.
    pub(super) fn erase(&mut self, partition: PartitionId, is_erased: impl Fn(u32) -> bool) {
        let of_partition = self.kept.iter_mut().filter(|kept| kept.partition == partition);
        of_partition.for_each(|kept| kept.erased |= is_erased(kept.number));
    }

    fn shrink(&mut self) {
        if self.kept.len() <= MOST {
            return;
        }
        self.kept.select_nth_unstable_by_key(MOST - 1, |kept| kept.hash);
        self.kept.truncate(MOST);
        self.limit = self.kept[MOST - 1].hash;
        self.kept.sort_unstable_by_key(|kept| kept.at);
        for (place, kept) in self.kept.iter_mut().enumerate() {
            let to = place * self.width;
            self.values.copy_within(kept.at..kept.at + self.width, to);
            kept.at = to;
        }
        self.values.truncate(MOST * self.width);
    }

    pub(super) fn finish(mut self) -> Swept {
        self.shrink();
        self.kept.retain(|kept| !kept.erased);
        self.kept.sort_unstable_by_key(|kept| (kept.as_of, kept.hash));
        let mut swept = Swept::default();
        for kept in &self.kept {
            swept.values.extend_from_slice(&self.values[kept.at..kept.at + self.width]);
            swept.as_of.push(kept.as_of);
            swept.users.push(kept.user);
        }
        swept
    }
}

#[cfg(test)]
mod tests {
    use types::{Offset, Trigger};

    use super::*;

    #[test]
    fn the_sample_is_bounded_and_does_not_depend_on_the_order_nor_on_when_users_are_erased() {
        let rows = 3 * MOST;
        let of = |order: &mut dyn Iterator<Item = usize>, erase_at: usize| {
            let mut sample = Sample::new(1);
            for (seen, user) in order.enumerate() {
                let (entity, features) = (format!("u{user}"), [user as f32]);
                let row = Row {
                    entity: &entity,
                    as_of: EventTime(0),
                    offset: Offset(0),
                    trigger: Trigger::Sweep,
                    slot: None,
                    approximate: false,
                    features: &features,
                };
                sample.offer(PartitionId(0), user as u32, &row);
                if seen == erase_at {
                    sample.erase(PartitionId(0), |number| number % 2 == 0);
                }
            }
            sample.erase(PartitionId(0), |number| number % 2 == 0);
            sample.finish()
        };
        let forth = of(&mut (0..rows), 30_000);
        assert!(forth.values.len() < MOST * 11 / 20 && forth.values.len() > MOST * 9 / 20);
        assert!(forth.values.iter().all(|value| value % 2.0 == 1.0));
        let mean = forth.values.iter().sum::<f32>() / forth.values.len() as f32;
        assert!((mean / rows as f32 - 0.5).abs() < 0.02, "{mean}: none is likelier than another");
        assert_eq!(forth.values, of(&mut (0..rows).rev(), 0).values);
    }
}
