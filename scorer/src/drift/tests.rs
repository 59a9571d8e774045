use super::*;

/// Numbers that look random, from 0 up to 1.
fn uniform(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Ten bins of equal share, a tenth of the rows missing.
fn baseline(rows: u64) -> Baseline {
    Baseline {
        feature: "a".into(),
        borders: (1_u8..10).map(f32::from).collect(),
        counts: vec![rows * 9 / 100; 10],
        missing: rows / 10,
        median: None,
        users: None,
        ageing: false,
    }
}

/// Rows whose first bin holds `more` rather than 9 %, at the cost of the last.
fn sample(baseline: &Baseline, rows: u64, more: f64, seed: u64) -> Counts {
    let (mut counts, mut next) = (Counts::new(baseline), uniform(seed));
    for _ in 0..rows {
        let at = next();
        let value = match at {
            _ if at < more => 0.5,
            _ if at < 0.18 => 9.5,
            _ if at < 0.28 => f64::NAN,
            _ => 1.0 + (at - 0.28) / 0.09,
        };
        counts.add(baseline, value as f32);
    }
    counts
}

#[test]
fn values_are_counted_where_the_baseline_counts_them() {
    let baseline = baseline(1_000);
    let mut counts = Counts::new(&baseline);
    for value in [0.0, 0.99, 1.0, 8.99, 9.0, 1e9, f32::NAN] {
        counts.add(&baseline, value);
    }
    let mut twice = counts.clone();
    twice.merge(&counts);
    assert_eq!((counts.rows(), twice.rows(), twice.missing), (7, 14, 2));
    assert_eq!(counts.counts, [2, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
    assert_eq!(counts.drift(&baseline), Err(7), "not enough data");
}

/// The truth lies in the interval as often as it says, for few and many rows, with and without drift.
#[test]
fn intervals_hold_the_truth() {
    let baseline = baseline(20_000);
    for (rows, more) in [(250, 0.09), (250, 0.15), (1_000, 0.09), (1_000, 0.13), (10_000, 0.17)] {
        let (p, q) = ([more, 0.18 - more], [0.09_f64, 0.09]);
        let psi: f64 = p.iter().zip(q).map(|(p, q)| (p - q) * (p / q).ln()).sum();
        let half = |p: f64, q: f64| p * (p / p.midpoint(q)).log2() / 2.0;
        let js: f64 = p.iter().zip(q).map(|(&p, q)| half(p, q) + half(q, p)).sum();
        let (mut psi_held, mut js_held, mut mean) = (0, 0, 0.0);
        for seed in 0..200 {
            let drift = sample(&baseline, rows, more, seed).drift(&baseline).unwrap();
            let held =
                |interval: Interval, truth: f64| i32::from(interval.low <= truth && truth <= interval.high);
            psi_held += held(drift.psi_interval, psi);
            js_held += held(drift.js_interval, js);
            mean += drift.psi / 200.0;
        }
        assert!(psi_held >= 180 && js_held >= 180, "{rows} rows, {more}: {psi_held} and {js_held} of 200");
        // Values below 0 are shown as 0, which leaves a little of what chance adds.
        assert!((mean - psi).abs() < 0.02, "{rows} rows: mean {mean}, truth {psi}");
    }
}

/// A baseline of several rows of each user, who stays in one bin, knows how few users they are worth: without drift, the interval
/// holds 0 as often as it says.
#[test]
fn rows_of_the_same_users_are_not_taken_for_many() {
    for (users, ticks) in [(300, 26), (1_000, 5)] {
        let (mut held, mut held_by_rows) = (0, 0);
        for seed in 0..200 {
            let bins = baseline(users);
            let of_users = sample(&bins, users, 0.09, seed);
            let then = Baseline {
                counts: of_users.counts.iter().map(|count| count * ticks).collect(),
                missing: of_users.missing * ticks,
                users: Some(users),
                ..bins
            };
            let now = sample(&then, 5_000, 0.09, 1_000 + seed);
            let holds = |then: &Baseline| i32::from(now.drift(then).unwrap().psi_interval.low == 0.0);
            held += holds(&then);
            held_by_rows += holds(&Baseline { users: None, ..then });
        }
        assert!(held >= 190, "{users} users at {ticks} ticks: {held} of 200");
        assert!(held_by_rows < 190, "{users} users at {ticks} ticks: {held_by_rows} of 200 by rows");
    }
    let few = Baseline { users: Some(199), ..baseline(20_000) };
    assert_eq!(sample(&few, 5_000, 0.09, 1).drift(&few), Err(199), "not enough users in training");
}

#[test]
fn few_rows_are_not_taken_for_drift() {
    let baseline = baseline(20_000);
    for seed in 0..100 {
        let few = sample(&baseline, 250, 0.09, seed).drift(&baseline).unwrap();
        assert_ne!(few.verdict(), Verdict::Moved);
        let many = sample(&baseline, 5_000, 0.175, seed).drift(&baseline).unwrap();
        assert_eq!(many.verdict(), Verdict::Moved, "{many:?}");
        let none = sample(&baseline, 5_000, 0.09, seed).drift(&baseline).unwrap();
        assert_eq!(none.verdict(), Verdict::Stable, "{none:?}");
    }
}

/// A business: what is known of a user is one number, and the loss follows it.
fn outcomes(rows: usize, (mean, spread): (f64, f64), slope: f64, seed: u64) -> (Vec<f32>, Vec<bool>) {
    let mut next = uniform(seed);
    (0..rows)
        .map(|_| {
            let x = mean + spread * (next() + next() + next() + next() - 2.0);
            // The model knows the slope 1.5.
            let shown = 1.0 / (1.0 + (2.0 - 1.5 * x).exp());
            let truth = 1.0 / (1.0 + (2.0 - slope * x).exp());
            (shown as f32, next() < truth)
        })
        .unzip()
}

fn auc(probabilities: &[f32], lost: &[bool]) -> f64 {
    let mut rows: Vec<_> = probabilities.iter().zip(lost).collect();
    rows.sort_by(|a, b| a.0.total_cmp(b.0));
    let (mut right, mut kept) = (0.0, 0.0);
    for (_, lost) in rows {
        if *lost { right += kept } else { kept += 1.0 }
    }
    right / (kept * (probabilities.len() as f64 - kept))
}

#[test]
fn the_expected_auc_is_right_on_a_covariate_shift() {
    // Other users, for whom the model is worse or better; what leads to their loss is the same.
    let mut seen = Vec::new();
    for (users, seed) in [((0.0, 2.0), 1), ((1.5, 2.0), 2), ((0.0, 1.0), 3), ((0.5, 0.5), 4)] {
        let (probabilities, lost) = outcomes(6_000, users, 1.5, seed);
        let (expected, realised) = (expected(&probabilities).unwrap(), auc(&probabilities, &lost));
        assert!((expected.auc - realised).abs() < 0.025, "{users:?}: {expected:?}, realised {realised}");
        seen.push(realised);
    }
    assert!(seen[0] - seen[3] > 0.1, "the shift is one: {seen:?}");
}

#[test]
fn the_expected_auc_is_blind_to_another_cause_of_loss() {
    let (probabilities, lost) = outcomes(6_000, (0.0, 2.0), 0.2, 5);
    let (expected, realised) = (expected(&probabilities).unwrap(), auc(&probabilities, &lost));
    let (before, _) = outcomes(6_000, (0.0, 2.0), 1.5, 5);
    assert!((expected.auc - super::expected(&before).unwrap().auc).abs() < 0.02, "it sees no difference");
    assert!(expected.auc - realised > 0.1, "and is wrong: {expected:?}, realised {realised}");
}

#[test]
fn expectations_by_hand() {
    assert_eq!(expected(&[]), None);
    assert_eq!(expected(&[0.0, 0.0]), None);
    assert_eq!(expected(&[0.5]), None);
    // Two rows: the pairs of different outcomes are (lost, kept) with 0.75 * 0.75 and (kept, lost) with 0.25 * 0.25.
    let two = expected(&[0.25, 0.75]).unwrap();
    assert_eq!((two.rows, two.loss_rate, two.auc, two.brier), (2, 0.5, 0.5625 / 0.625, 0.1875));
    assert_eq!(expected(&[0.5, 0.5]).unwrap().auc, 0.5);
}
