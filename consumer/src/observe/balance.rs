//! When partitions are placed anew on as many workers as there are: where the loads are skewed, and no more often than the cooldown.

use std::time::Duration;

use autoscaler::{Observation, place};

/// The busiest worker must get this much less to do: a move costs a pause, and loads waver.
const WORTH: f64 = 0.9;

/// The loads of the partitions since the last look at where they lie.
pub(super) struct Balance {
    cooldown: Duration,
    since: Duration,
    /// For each partition, the sum of the loads that were seen, and how many these are.
    seen: Vec<(f64, u32)>,
}

impl Balance {
    pub(super) fn new(partitions: usize, cooldown: Duration) -> Self {
        Self { cooldown, since: Duration::ZERO, seen: vec![(0.0, 0); partitions] }
    }

    /// Takes in what was seen. What is not known of a partition counts as nothing seen, not as no load.
    pub(super) fn see(&mut self, seen: &Observation) {
        for (sum, partition) in self.seen.iter_mut().zip(&seen.partitions) {
            if let Some(lag) = partition.lag_events {
                sum.0 += partition.arrival_rate.unwrap_or(0.0) + lag as f64;
                sum.1 += 1;
            }
        }
    }

    /// Where the partitions are to lie if there are to be `workers`.
    pub(super) fn placement(&self, current: &[usize], workers: u32) -> Vec<usize> {
        let loads: Vec<f64> = self.loads().collect();
        let current: Vec<Option<u32>> = current.iter().map(|&owner| u32::try_from(owner).ok()).collect();
        place(&loads, &current, workers).into_iter().map(|owner| owner as usize).collect()
    }

    /// Where they are to lie now, if that is elsewhere and it is time to. `is_ours` says which partitions this process has.
    pub(super) fn due(
        &mut self,
        at: Duration,
        current: &[usize],
        workers: usize,
        is_ours: impl Fn(usize) -> bool,
    ) -> Option<Vec<usize>> {
        if at.saturating_sub(self.since) < self.cooldown {
            return None;
        }
        let is_known = self.seen.iter().enumerate().all(|(index, (_, looks))| *looks > 0 || !is_ours(index));
        let placement = self.placement(current, u32::try_from(workers).unwrap_or(u32::MAX));
        let worth = self.peak(&placement, workers) < WORTH * self.peak(current, workers);
        self.moved(at);
        (is_known && worth && placement != current).then_some(placement)
    }

    /// Partitions lie elsewhere from now on, or were found to lie well.
    pub(super) fn moved(&mut self, at: Duration) {
        self.since = at;
        self.seen.fill((0.0, 0));
    }

    fn loads(&self) -> impl Iterator<Item = f64> {
        self.seen.iter().map(|(sum, looks)| sum / f64::from((*looks).max(1)))
    }

    /// What the busiest worker has to do.
    fn peak(&self, placement: &[usize], workers: usize) -> f64 {
        let mut totals = vec![0.0; workers];
        placement.iter().zip(self.loads()).for_each(|(owner, load)| totals[*owner] += load);
        totals.into_iter().fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use autoscaler::{PartitionObservation, PartitionStatus};
    use types::PartitionId;

    use super::*;

    const COOLDOWN: Duration = Duration::from_secs(10);

    fn seen(loads: &[Option<u64>]) -> Observation {
        let partitions = loads.iter().zip(0..).map(|(load, partition)| PartitionObservation {
            partition: PartitionId(partition),
            lag_events: load.map(|_| 0),
            lag_seconds: None,
            arrival_rate: load.map(|load| load as f64),
            service_rate: None,
            status: PartitionStatus::Ok,
        });
        Observation { at: Duration::ZERO, workers: 2, partitions: partitions.collect() }
    }

    /// The placement at a moment after these loads were seen.
    fn due(balance: &mut Balance, at: u64, loads: &[Option<u64>], current: &[usize]) -> Option<Vec<usize>> {
        balance.see(&seen(loads));
        balance.due(Duration::from_secs(at), current, 2, |_| true)
    }

    #[test]
    fn two_heavy_partitions_come_to_two_workers_and_stay() {
        let mut balance = Balance::new(4, COOLDOWN);
        let skewed = [900, 10, 800, 10].map(Some);
        assert_eq!(due(&mut balance, 9, &skewed, &[0, 1, 0, 1]), None, "not before the cooldown");
        let placed = due(&mut balance, 10, &skewed, &[0, 1, 0, 1]).expect("skewed");
        assert_ne!(placed[0], placed[2]);
        assert_eq!(due(&mut balance, 19, &skewed, &placed), None);
        assert_eq!(due(&mut balance, 20, &skewed, &placed), None, "it lies well");
        // The other way round it would lie as well.
        assert_eq!(due(&mut balance, 30, &[800, 10, 900, 10].map(Some), &placed), None);
    }

    #[test]
    fn wavering_loads_move_nothing() {
        let mut balance = Balance::new(6, COOLDOWN);
        for at in 1..100 {
            let loads: Vec<_> = (0..6).map(|p| Some(if (at + p) % 2 == 0 { 90 } else { 110 })).collect();
            assert_eq!(due(&mut balance, at, &loads, &[0, 1, 0, 1, 0, 1]), None, "at {at}");
        }
    }

    #[test]
    fn what_is_not_known_moves_nothing_and_what_others_have_does_not_count() {
        let mut balance = Balance::new(4, COOLDOWN);
        let loads = [Some(900), Some(10), Some(800), None];
        assert_eq!(due(&mut balance, 10, &loads, &[0, 1, 0, 1]), None);
        balance.see(&seen(&loads));
        let placed = balance.due(COOLDOWN * 2, &[0, 1, 0, 1], 2, |index| index != 3).expect("skewed");
        assert_ne!(placed[0], placed[2]);
        // Nothing to do at all.
        assert_eq!(due(&mut balance, 30, &[Some(0); 4], &[0, 0, 0, 0]), None);
    }
}
