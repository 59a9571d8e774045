//! What no policy may overstep.

use std::time::Duration;

/// Bounds and pace, the same for every policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The fewest workers; at least 1.
    min: u32,
    /// The most workers; at least `min`.
    max: u32,
    /// How long after a change the number may not change in the opposite direction, nor fall further.
    pub cooldown: Duration,
    /// How long after growing the number may not grow again: until the new workers can have shown what they do.
    pub settle: Duration,
}

impl Limits {
    /// Between `min` and `max` workers. A `min` of 0 counts as 1, a `max` below `min` as `min`.
    #[must_use]
    pub fn new(min: u32, max: u32, cooldown: Duration, settle: Duration) -> Self {
        let min = min.max(1);
        Self { min, max: max.max(min), cooldown, settle }
    }

    /// For workers that are threads of this process: never more than the machine has `cores`, even if `min` asks for more.
    #[must_use]
    pub fn in_process(min: u32, max: u32, cores: u32, cooldown: Duration, settle: Duration) -> Self {
        let cores = cores.max(1);
        Self::new(min.min(cores), max.min(cores), cooldown, settle)
    }

    /// The fewest workers.
    #[must_use]
    pub fn min(&self) -> u32 {
        self.min
    }

    /// The most workers.
    #[must_use]
    pub fn max(&self) -> u32 {
        self.max
    }

    pub(crate) fn clamp(&self, workers: u32) -> u32 {
        workers.clamp(self.min, self.max)
    }
}

/// Which numbers of workers do more than one fewer would, for partitions of these loads.
///
/// `n` workers are as fast as the one with the most to do. Of 48 equal partitions that one has 4 with 12 workers and still 4
/// with 15, so 13 to 15 are not worth having.
#[derive(Debug)]
pub(crate) struct UsefulCounts {
    /// `peaks[n - 1]`: the load of the busiest of `n` workers; never rises.
    peaks: Vec<f64>,
}

/// A peak this much lower counts as lower: measured loads are never quite equal.
const WORTH: f64 = 0.98;

impl UsefulCounts {
    /// Looks at 1 to `max` workers. O(max x partitions x log partitions).
    pub(crate) fn new(loads: &[f64], max: u32) -> Self {
        let mut sorted = crate::placement::weights(loads);
        sorted.sort_by(|a, b| b.total_cmp(a));
        let mut least = f64::INFINITY;
        let peaks = (1..=max as usize)
            .map(|workers| {
                least = least.min(peak(&sorted, workers));
                least
            })
            .collect();
        Self { peaks }
    }

    /// The fewest workers that do what `workers` do.
    pub(crate) fn same_for_less(&self, workers: u32) -> u32 {
        let peak = self.peak(workers);
        (1..workers).find(|&fewer| self.peak(fewer) * WORTH <= peak).unwrap_or(workers)
    }

    /// The fewest workers that do more than `workers` do, if there are such.
    pub(crate) fn next_above(&self, workers: u32) -> Option<u32> {
        let peak = self.peak(workers) * WORTH;
        (workers + 1..=u32::try_from(self.peaks.len()).unwrap_or(u32::MAX))
            .find(|&more| self.peak(more) < peak)
    }

    fn peak(&self, workers: u32) -> f64 {
        let last = self.peaks.len() - 1;
        self.peaks[(workers.max(1) as usize - 1).min(last)]
    }
}

/// The greatest load when each of the loads, greatest first, goes to the worker that has the least.
fn peak(sorted: &[f64], workers: usize) -> f64 {
    let mut totals = vec![0.0_f64; workers];
    for load in sorted {
        if let Some(least) = totals.iter_mut().min_by(|a, b| a.total_cmp(b)) {
            *least += load;
        }
    }
    totals.into_iter().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_partitions_know_few_useful_counts() {
        let counts = UsefulCounts::new(&[7.0; 48], 50);
        for (workers, same) in
            [(1, 1), (5, 5), (12, 12), (13, 12), (15, 12), (16, 16), (23, 16), (24, 24), (47, 24), (50, 48)]
        {
            assert_eq!(counts.same_for_less(workers), same, "{workers}");
            // The rule for equal partitions: ceil(P / ceil(P / n)).
            let most = 48_u32.div_ceil(workers);
            assert_eq!(48_u32.div_ceil(most), same, "{workers}");
        }
        assert_eq!(
            (counts.next_above(12), counts.next_above(24), counts.next_above(48)),
            (Some(16), Some(48), None)
        );
    }

    #[test]
    fn a_hot_partition_is_not_cured_by_workers() {
        let counts = UsefulCounts::new(&[100.0, 1.0, 1.0, 1.0], 4);
        assert_eq!((counts.next_above(1), counts.next_above(2)), (Some(2), None));
        assert_eq!(counts.same_for_less(4), 2);
    }

    #[test]
    fn nothing_known_counts_as_equal() {
        let counts = UsefulCounts::new(&[0.0; 4], 4);
        assert_eq!(
            (counts.next_above(1), counts.next_above(2), counts.same_for_less(3)),
            (Some(2), Some(4), 2)
        );
        assert_eq!(UsefulCounts::new(&[], 3).next_above(1), None);
    }

    #[test]
    fn bounds_are_made_sound() {
        let limits = |min, max| Limits::new(min, max, Duration::ZERO, Duration::ZERO);
        assert_eq!((limits(0, 0).min(), limits(0, 0).max()), (1, 1));
        assert_eq!((limits(3, 2).min(), limits(3, 2).max()), (3, 3));
        let in_process = Limits::in_process(4, 8, 2, Duration::ZERO, Duration::ZERO);
        assert_eq!((in_process.min(), in_process.max()), (2, 2));
    }
}
