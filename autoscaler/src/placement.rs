//! Who reads which partition: by load, with few moves.

/// How unequal workers may stay rather than move a partition: a share of a worker's mean load. A move costs a pause, and
/// measured loads waver.
const TOLERANCE: f64 = 0.05;

/// Chooses the owner of each partition, a worker from 0 to `workers - 1`.
///
/// `loads[p]` is partition `p`'s load in any unit (its arrival rate, say); one that is not a finite positive number counts as
/// idle. `current[p]` is who has it now; `None`, or an owner that there is no more, means nobody. Partitions of no owner go,
/// heaviest first, to whoever has the least; then partitions move from the busiest worker to the idlest as long as the
/// receiver stays below the giver by more than 5 % of the mean.
///
/// Afterwards no such move is left: the busiest and the idlest worker differ by no more than the busiest one's smallest
/// partition and those 5 %. A placement of which that is true already comes back unchanged. The same input gives the same
/// output. O(moves x (partitions + workers)).
///
/// # Panics
/// If there are no workers, or `current` is not as long as `loads`.
#[must_use]
pub fn place(loads: &[f64], current: &[Option<u32>], workers: u32) -> Vec<u32> {
    assert!(workers > 0, "partitions need a worker");
    assert_eq!(loads.len(), current.len(), "each partition has a load and an owner or none");
    let weights = weights(loads);
    let mut totals = vec![0.0_f64; workers as usize];
    let mut owners: Vec<Option<u32>> = current.iter().map(|owner| owner.filter(|w| *w < workers)).collect();
    for (owner, weight) in owners.iter().zip(&weights) {
        if let Some(worker) = owner {
            totals[*worker as usize] += weight;
        }
    }

    let mut orphans: Vec<usize> = (0..owners.len()).filter(|p| owners[*p].is_none()).collect();
    orphans.sort_by(|a, b| weights[*b].total_cmp(&weights[*a]).then(a.cmp(b)));
    for partition in orphans {
        let idlest = idlest(&totals);
        totals[idlest] += weights[partition];
        owners[partition] = u32::try_from(idlest).ok();
    }
    let mut owners: Vec<usize> = owners.into_iter().map(|o| o.unwrap_or_default() as usize).collect();

    let tolerance = TOLERANCE * weights.iter().sum::<f64>() / f64::from(workers);
    while let Some((partition, to)) = best_move(&weights, &owners, &totals, tolerance) {
        totals[owners[partition]] -= weights[partition];
        totals[to] += weights[partition];
        owners[partition] = to;
    }
    // Workers were counted by a u32.
    owners.into_iter().map(|worker| u32::try_from(worker).unwrap_or(u32::MAX)).collect()
}

/// Of the partitions whose move from the busiest to the idlest worker leaves the receiver below what the giver had, by more
/// than the tolerance, the one that leaves the busier of the two with the least. Each such move lowers the sum of the squares
/// of all loads, so they end.
fn best_move(weights: &[f64], owners: &[usize], totals: &[f64], tolerance: f64) -> Option<(usize, usize)> {
    let (from, to) = (busiest(totals), idlest(totals));
    let after = |p: usize| (totals[from] - weights[p]).max(totals[to] + weights[p]);
    let best = (0..owners.len())
        .filter(|p| owners[*p] == from && totals[to] + weights[*p] + tolerance < totals[from])
        .min_by(|a, b| after(*a).total_cmp(&after(*b)))?;
    Some((best, to))
}

fn busiest(totals: &[f64]) -> usize {
    // The first of equals, unlike max_by.
    (0..totals.len()).rev().max_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0)
}

fn idlest(totals: &[f64]) -> usize {
    (0..totals.len()).min_by(|a, b| totals[*a].total_cmp(&totals[*b])).unwrap_or(0)
}

/// Loads made sound, each with a little added: idle partitions are spread too, since they may wake, and cost their polling.
pub(crate) fn weights(loads: &[f64]) -> Vec<f64> {
    let sound = |load: &f64| if load.is_finite() && *load > 0.0 { *load } else { 0.0 };
    let mean = loads.iter().map(sound).sum::<f64>() / loads.len().max(1) as f64;
    let least = if mean > 0.0 && mean.is_finite() { mean / 100.0 } else { 1.0 };
    loads.iter().map(|load| sound(load) + least).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_new_worker_gets_its_share_and_no_more_moves() {
        let owners: Vec<_> = (0..12).map(|p| Some(p % 2)).collect();
        let placed = place(&[5.0; 12], &owners, 3);
        let moved: Vec<_> = (0..12).filter(|p| Some(placed[*p]) != owners[*p]).collect();
        assert_eq!(moved.len(), 4);
        assert!(moved.iter().all(|p| placed[*p] == 2));
    }

    #[test]
    fn only_a_lost_workers_partitions_move_when_loads_are_equal() {
        let owners: Vec<_> = (0..12).map(|p| Some(p % 4)).collect();
        let placed = place(&[5.0; 12], &owners, 3);
        for p in 0..12 {
            assert!(owners[p] == Some(3) || Some(placed[p]) == owners[p], "{p} moved for nothing");
        }
        assert_eq!([0, 1, 2].map(|w| placed.iter().filter(|o| **o == w).count()), [4, 4, 4]);
    }

    #[test]
    fn a_hot_partition_gets_a_worker_of_its_own() {
        let placed = place(&[90.0, 30.0, 30.0, 30.0], &[Some(0), Some(0), Some(1), Some(1)], 2);
        assert_eq!(placed, [0, 1, 1, 1]);
    }

    #[test]
    fn idle_partitions_are_spread_too() {
        let placed = place(&[0.0, f64::NAN, -1.0, f64::INFINITY], &[None; 4], 2);
        assert_eq!(placed.iter().filter(|w| **w == 0).count(), 2);
    }

    fn cases() -> impl Strategy<Value = (Vec<f64>, Vec<Option<u32>>, u32)> {
        let load = prop_oneof![4 => 0.0..1000.0, 1 => Just(0.0), 1 => Just(1e6)];
        (prop::collection::vec((load, prop::option::of(0_u32..10)), 1..60), 1_u32..10).prop_map(
            |(parts, workers)| {
                let (loads, owners) = parts.into_iter().unzip();
                (loads, owners, workers)
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn balanced_settled_and_repeatable((loads, owners, workers) in cases()) {
            let placed = place(&loads, &owners, workers);
            prop_assert!(placed.iter().all(|w| *w < workers));
            prop_assert_eq!(&placed, &place(&loads, &owners, workers));

            let weights = weights(&loads);
            let total = |w: u32| (0..loads.len()).filter(|p| placed[*p] == w).map(|p| weights[p]).sum::<f64>();
            let totals: Vec<f64> = (0..workers).map(total).collect();
            let mean = totals.iter().sum::<f64>() / f64::from(workers);
            let busiest = busiest(&totals);
            let least = totals.iter().copied().fold(f64::INFINITY, f64::min);
            let smallest = (0..loads.len()).filter(|p| placed[*p] as usize == busiest).map(|p| weights[p])
                .fold(f64::INFINITY, f64::min);
            let bound = smallest + TOLERANCE * mean;
            prop_assert!(totals[busiest] - least <= bound * (1.0 + 1e-9), "{totals:?}, bound {bound}");
            // Graham's bound for a list schedule, the tolerance added.
            let heaviest = weights.iter().copied().fold(0.0, f64::max);
            prop_assert!(totals[busiest] <= (mean * (1.0 + TOLERANCE) + heaviest) * (1.0 + 1e-9));

            // What is placed well is left alone.
            let settled: Vec<_> = placed.iter().copied().map(Some).collect();
            prop_assert_eq!(&placed, &place(&loads, &settled, workers));
        }

        #[test]
        fn a_step_down_moves_orphans_and_few_others(partitions in 1_usize..60, workers in 2_u32..10) {
            let before: Vec<_> = place(&vec![1.0; partitions], &vec![None; partitions], workers).into_iter().map(Some).collect();
            let after = place(&vec![1.0; partitions], &before, workers - 1);
            let needless = (0..partitions).filter(|p| before[*p] != Some(workers - 1) && before[*p] != Some(after[*p])).count();
            prop_assert_eq!(needless, 0);
        }
    }
}
