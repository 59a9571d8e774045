//! How features were distributed in training, for noticing later that they have changed.

use scorer::Baseline;

use crate::Rows;

/// Bins at most.
const BINS: usize = 10;

/// For each feature, bins that hold a tenth of its values each, or fewer bins where values repeat; of the reference rows, or of those
/// learnt from if there is none. A feature that no row learnt from has a value of was left out, and so it is here: it cannot change
/// a score. O(n log n) a feature.
pub(crate) fn baselines(rows: &Rows) -> Vec<Baseline> {
    let features = rows.names.len();
    let values = if rows.reference.values.is_empty() { &rows.values } else { &rows.reference.values };
    let count = values.len() / features.max(1);
    let users = worth(if rows.reference.values.is_empty() { &rows.groups } else { &rows.reference.groups });
    let mut column: Vec<f32> = Vec::with_capacity(count);
    let mut of = |feature: usize| {
        let mut learnt = rows.values.iter().skip(feature).step_by(features);
        learnt.any(|value| !value.is_nan()).then(|| {
            column.clear();
            column.extend(values.iter().skip(feature).step_by(features).filter(|value| !value.is_nan()));
            let missing = (count - column.len()) as u64;
            let ageing = rows.reference.ageing.contains(&rows.names[feature]);
            Baseline { ageing, ..baseline(&rows.names[feature], &mut column, missing, users) }
        })
    };
    (0..features).filter_map(&mut of).collect()
}

/// How many independent users rows are worth: as many as there are, if each has one row; less if some have more than others. By
/// Kish's formula, as if a user's rows were all alike: where they are not, an interval is too wide rather than too narrow.
pub(crate) fn worth(groups: &[u64]) -> u64 {
    let mut sorted = groups.to_vec();
    sorted.sort_unstable();
    let squares: f64 = sorted.chunk_by(|a, b| a == b).map(|rows| (rows.len() as f64).powi(2)).sum();
    ((groups.len() as f64).powi(2) / squares.max(1.0)) as u64
}

/// The baseline of the values in a column, which it sorts; none of them is NaN. They are worth so many users.
pub(crate) fn baseline(name: &str, column: &mut [f32], missing: u64, users: u64) -> Baseline {
    column.sort_unstable_by(f32::total_cmp);
    let mut borders: Vec<f32> =
        (1..BINS).filter_map(|bin| column.get(bin * column.len() / BINS).copied()).collect();
    borders.dedup();
    // A border at the least value would leave its first bin empty for ever. Values equal to a border lie above it.
    borders.retain(|border| column.first().is_some_and(|least| border > least));
    let mut counts = vec![0; borders.len() + 1];
    for value in column.iter() {
        counts[borders.partition_point(|border| border <= value)] += 1;
    }
    let median = column.get(column.len() / 2).copied();
    Baseline { feature: name.to_owned(), borders, counts, missing, median, users: Some(users), ageing: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Reference;

    #[test]
    fn every_value_is_in_one_bin() {
        let rows = Rows {
            names: ["spread", "binary", "constant", "empty"].map(str::to_owned).to_vec(),
            values: (0..1_000_u16)
                .flat_map(|n| {
                    let spread = if n % 4 == 0 { f32::NAN } else { f32::from(n) };
                    [spread, f32::from(n % 2), 3.0, f32::NAN]
                })
                .collect(),
            lost: vec![false; 1_000],
            groups: (0..1_000).map(|row| row / 2).collect(),
            ..Rows::default()
        };
        let all = baselines(&rows);
        assert!(all.iter().all(|baseline| baseline.users == Some(500) && !baseline.ageing));
        assert_eq!((all[0].borders.len(), all[0].missing), (9, 250));
        assert!(all[0].counts.iter().all(|count| *count == 75), "{:?}", all[0].counts);
        assert_eq!((&all[1].borders[..], &all[1].counts[..]), (&[1.0][..], &[500, 500][..]));
        assert_eq!((&all[2].borders[..], &all[2].counts[..]), (&[][..], &[1_000][..]));
        assert_eq!([0, 1, 2].map(|at| all[at].median), [Some(501.0), Some(1.0), Some(3.0)]);
        assert_eq!(all.len(), 3, "nothing was learnt of what has no value");
    }

    #[test]
    fn a_watch_is_told_of_the_rows_that_it_will_look_at() {
        let learnt = Rows {
            names: ["use", "left_out"].map(str::to_owned).to_vec(),
            values: (0..100_u8).flat_map(|n| [f32::from(n), f32::NAN]).collect(),
            lost: vec![false; 100],
            ..Rows::default()
        };
        let values = (0..50_u8).flat_map(|n| [1_000.0 + f32::from(n), 7.0]).collect();
        let reference = Reference { values, groups: (0..50).collect(), ageing: vec!["use".to_owned()] };
        let all = baselines(&Rows { reference, ..learnt });
        let names: Vec<&str> = all.iter().map(|baseline| baseline.feature.as_str()).collect();
        assert_eq!(names, ["use"], "and of nothing that was left out of learning");
        assert_eq!((all[0].median, all[0].counts.iter().sum::<u64>()), (Some(1_025.0), 50));
        assert_eq!((all[0].users, all[0].ageing), (Some(50), true));
    }

    #[test]
    fn rows_of_one_user_are_worth_less() {
        assert_eq!(worth(&[]), 0);
        assert_eq!(worth(&[1, 2, 3]), 3);
        assert_eq!(worth(&[1, 2, 3, 1, 2, 3]), 3);
        assert_eq!(worth(&[1, 1, 1, 1, 1, 1, 1, 1, 2, 3]), 1, "100 / 66");
    }
}
