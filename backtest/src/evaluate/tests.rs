//! Metrics against their definitions, and intervals that cover.

use proptest::prelude::*;

use super::*;
use crate::metrics;

/// A stream of numbers from 0 up to 1.
fn shares(mut state: u64) -> impl FnMut() -> f64 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1_u64 << 24) as f64
    }
}

fn value(metrics: &[Metric], name: &str) -> f64 {
    metrics.iter().find(|metric| metric.name == name).unwrap().estimate.value
}

/// Rows with honest probabilities, `rows_each` of each user with one outcome.
fn honest(users: usize, rows_each: usize, seed: u64) -> (Vec<f32>, Vec<bool>, Vec<u32>) {
    let mut share = shares(seed);
    let (mut probability, mut lost, mut user) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..users {
        let p = 0.02 + 0.6 * share() * share();
        let outcome = share() < p;
        for _ in 0..rows_each {
            probability.push(p as f32);
            lost.push(outcome);
            user.push(number as u32);
        }
    }
    (probability, lost, user)
}

#[test]
fn with_equal_weights_the_metrics_are_those_of_single_calls() {
    let (p, lost, user) = honest(3_000, 1, 5);
    let judged = Judged::new(&p, &lost, &vec![1.0; p.len()], &user, 3_000);
    let all = measure(&judged, 3, 1);
    for (name, single) in [
        ("auc", metrics::auc(&p, &lost)),
        ("lift_1", metrics::lift(&p, &lost, 0.01)),
        ("lift_5", metrics::lift(&p, &lost, 0.05)),
        ("lift_10", metrics::lift(&p, &lost, 0.1)),
        ("brier", metrics::brier(&p, &lost, &[])),
        ("log_loss", metrics::log_loss(&p, &lost)),
    ] {
        assert!((value(&all, name) - single.unwrap()).abs() < 1e-9, "{name}: {all:?} against {single:?}");
    }
    let rate = lost.iter().filter(|lost| **lost).count() as f64 / 3_000.0;
    assert!((value(&all, "captured_10") - 0.1 * value(&all, "lift_10")).abs() < 1e-9);
    assert!((value(&all, "precision_1000") - rate * 3.0 * value(&all, "recall_1000")).abs() < 1e-9);
    let skill = 1.0 - value(&all, "brier") / (rate * (1.0 - rate));
    assert!((value(&all, "brier_skill") - skill).abs() < 1e-9);
}

proptest! {
    #[test]
    fn weights_are_repetitions(rows in prop::collection::vec((0_u8..5, any::<bool>(), 1_u8..4), 2..40)) {
        let p = |row: &(u8, bool, u8)| f32::from(row.0) / 5.0 + 0.1;
        let weighted = Judged::new(
            &rows.iter().map(p).collect::<Vec<_>>(),
            &rows.iter().map(|row| row.1).collect::<Vec<_>>(),
            &rows.iter().map(|row| f32::from(row.2)).collect::<Vec<_>>(),
            &(0..rows.len() as u32).collect::<Vec<_>>(),
            rows.len(),
        );
        let repeated: Vec<_> = rows.iter().flat_map(|row| vec![*row; usize::from(row.2)]).collect();
        let plain = Judged::new(
            &repeated.iter().map(p).collect::<Vec<_>>(),
            &repeated.iter().map(|row| row.1).collect::<Vec<_>>(),
            &vec![1.0; repeated.len()],
            &(0..repeated.len() as u32).collect::<Vec<_>>(),
            repeated.len(),
        );
        let (a, b) = (measure(&weighted, 0, 1), measure(&plain, 0, 1));
        prop_assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(&b) {
            // A slope without end is wherever the steps stopped.
            let line = a.name.starts_with("calibration_") && a.estimate.value.abs() > 5.0;
            prop_assert!(line || (a.estimate.value - b.estimate.value).abs() < 1e-4, "{a:?} {b:?}");
        }
        // Precision at each lost row's rank, by the definition.
        let mut sorted: Vec<_> = repeated.iter().map(|row| (p(row), row.1)).collect();
        sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
        let above = |score: f32| sorted.iter().filter(move |row| row.0 >= score);
        let lost: Vec<_> = sorted.iter().filter(|row| row.1).collect();
        let precision = |row: &&(f32, bool)| {
            above(row.0).filter(|row| row.1).count() as f64 / above(row.0).count() as f64
        };
        let average = lost.iter().map(precision).sum::<f64>() / lost.len() as f64;
        if !b.is_empty() {
            prop_assert!((value(&b, "pr_auc") - average).abs() < 1e-9);
        }
    }
}

#[test]
fn honest_probabilities_have_slope_one_and_boasting_ones_less() {
    let (p, lost, user) = honest(60_000, 1, 3);
    let of = |p: &[f32]| measure(&Judged::new(p, &lost, &vec![1.0; p.len()], &user, 60_000), 0, 1);
    let all = of(&p);
    assert!((value(&all, "calibration_slope") - 1.0).abs() < 0.05, "{all:?}");
    assert!(value(&all, "calibration_intercept").abs() < 0.08, "{all:?}");
    assert!(value(&all, "calibration_error") < 0.008 && value(&all, "brier_skill") > 0.05, "{all:?}");
    let boast = |p: &f32| {
        let odds = 2.0 * f64::from(p / (1.0 - p)).ln();
        (1.0 / (1.0 + (-odds).exp())) as f32
    };
    let all = of(&p.iter().map(boast).collect::<Vec<_>>());
    assert!((value(&all, "calibration_slope") - 0.5).abs() < 0.03, "{all:?}");
}

#[test]
fn intervals_cover_what_other_users_give_and_rows_of_one_user_add_nothing() {
    let truth = {
        let (p, lost, _) = honest(400_000, 1, 99);
        metrics::auc(&p, &lost).unwrap()
    };
    let interval = |users, rows_each, seed| {
        let (p, lost, user) = honest(users, rows_each, seed);
        let judged = Judged::new(&p, &lost, &vec![1.0; p.len()], &user, users);
        measure(&judged, 200, seed)[0].estimate
    };
    let covered = (0..100).filter(|seed| {
        let e = interval(800, 1, *seed);
        e.low <= truth && truth <= e.high
    });
    let covered = covered.count();
    assert!((88..=100).contains(&covered), "{covered} of 100 intervals of 95 % hold the truth");
    let (one, ten) = (interval(800, 1, 7), interval(800, 10, 7));
    let (one, ten) = (one.high - one.low, ten.high - ten.low);
    assert!((ten / one - 1.0).abs() < 0.1, "ten rows of a user are no ten users: {one} {ten}");
}

#[test]
fn a_better_model_is_told_from_an_equal_one() {
    let (p, lost, user) = honest(4_000, 1, 11);
    let mut share = shares(12);
    let noisy: Vec<f32> = p.iter().map(|p| (f64::from(*p) * (0.2 + 1.6 * share())).min(1.0) as f32).collect();
    let judged = |p: &[f32]| Judged::new(p, &lost, &vec![1.0; p.len()], &user, 4_000);
    let differ = compare(&judged(&p), &judged(&noisy), &["auc", "brier"], 300, 1);
    assert_eq!(differ.iter().map(|d| d.name).collect::<Vec<_>>(), ["auc", "brier"]);
    assert!(differ[0].estimate.low > 0.0 && differ[0].p_value < 0.02, "{differ:?}");
    let turned: Vec<f32> = p.iter().map(|p| p * 0.5).collect();
    let same = compare(&judged(&p), &judged(&turned), &["auc"], 300, 1);
    assert_eq!((same[0].estimate.value, same[0].p_value), (0.0, 1.0));
}

#[test]
fn whiskers_of_calibration_are_of_users_not_of_rows() {
    let of = |rows_each: usize| {
        let (p, lost, user) = honest(900, rows_each, 4);
        curves(&Judged::new(&p, &lost, &vec![1.0; p.len()], &user, 900)).calibration
    };
    let (one, ten) = (of(1), of(10));
    assert_eq!((one.len(), ten.len()), (10, 10));
    for (one, ten) in one.iter().zip(&ten) {
        assert!((one.lost - ten.lost).abs() < 1e-9 && (one.weight * 10.0 - ten.weight).abs() < 1e-6);
        assert!((one.low - ten.low).abs() < 1e-9 && (one.high - ten.high).abs() < 1e-9, "{one:?} {ten:?}");
    }
}

#[test]
fn curves_end_where_they_must() {
    let (p, lost, user) = honest(5_000, 1, 2);
    let judged = Judged::new(&p, &lost, &vec![1.0; p.len()], &user, 5_000);
    let curves = curves(&judged);
    assert_eq!((curves.roc[0], *curves.roc.last().unwrap()), ([0.0, 0.0], [1.0, 1.0]));
    assert_eq!(*curves.gains.last().unwrap(), [1.0, 1.0]);
    assert!((curves.lift.last().unwrap()[1] - 1.0).abs() < 1e-12);
    assert!(curves.roc.len() > 50 && curves.roc.len() < 300, "{}", curves.roc.len());
    let area: f64 = curves.roc.windows(2).map(|w| (w[1][0] - w[0][0]) * (w[1][1] + w[0][1]) / 2.0).sum();
    assert!((area - metrics::auc(&p, &lost).unwrap()).abs() < 0.01);
    assert_eq!(curves.calibration.len(), 10);
    assert!(curves.calibration.windows(2).all(|pair| pair[0].promised <= pair[1].promised));
    assert_eq!(curves.histogram.iter().map(|bin| bin[0]).sum::<f64>(), 5_000.0);
}
