use proptest::prelude::*;

use super::*;

/// Margins with outcomes drawn with the probability that `truth` gives to the margin.
fn sample(n: usize, truth: impl Fn(f64) -> f64) -> (Vec<f32>, Vec<bool>) {
    // A small congruential generator: the test needs spread, not quality.
    let mut state = 1_u64;
    let mut uniform = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..n)
        .map(|_| {
            let margin = (uniform() * 10.0 - 6.0) as f32;
            (margin, uniform() < truth(f64::from(margin)))
        })
        .unzip()
}

fn ones(left: &[bool]) -> Vec<f32> {
    vec![1.0; left.len()]
}

fn mean_error(calibration: &Calibration, truth: impl Fn(f64) -> f64) -> f64 {
    let margins = (-600..400).map(|i| f64::from(i) / 100.0);
    margins.map(|m| (f64::from(calibration.apply(m as f32)) - truth(m)).abs()).sum::<f64>() / 1000.0
}

#[test]
fn fits_find_the_truth_that_made_the_sample() {
    let platt_truth = |m: f64| sigmoid(0.6 * m - 0.7);
    let (margins, left) = sample(20_000, platt_truth);
    let Calibration::Platt { slope, intercept } = fit_platt(&margins, &left, &ones(&left)).unwrap() else {
        panic!()
    };
    assert!((slope - 0.6).abs() < 0.03 && (intercept + 0.7).abs() < 0.06, "{slope} {intercept}");
    let isotonic = Calibration::Isotonic(fit_isotonic(&margins, &left, &ones(&left)).unwrap());
    assert!(mean_error(&isotonic, platt_truth) < 0.02);

    let beta_truth = |m: f64| sigmoid(1.5 * ln_sigmoid(m) - 0.4 * ln_sigmoid(-m) + 0.3);
    let (margins, left) = sample(20_000, beta_truth);
    let beta = fit_beta(&margins, &left, &ones(&left)).unwrap();
    assert!(mean_error(&beta, beta_truth) < 0.01, "{beta:?}");
    assert!(mean_error(&Calibration::Identity, beta_truth) > 0.05);
}

#[test]
fn a_model_that_is_the_wrong_way_round_is_flattened_not_turned() {
    let (margins, left) = sample(2_000, |m| sigmoid(-m));
    for calibration in
        [fit_platt(&margins, &left, &ones(&left)).unwrap(), fit_beta(&margins, &left, &ones(&left)).unwrap()]
    {
        calibration.check().unwrap();
        let rate = left.iter().filter(|&&left| left).count() as f64 / 2_000.0;
        assert!(mean_error(&calibration, |_| rate) < 0.01, "{calibration:?}");
    }
}

#[test]
fn isotonic_pools_what_falls_and_keeps_what_rises() {
    // Rates by margin: 0 of 2, 1 of 2, 0 of 1 (pooled with the last: 1 of 3), 1 of 1.
    let line =
        fit_isotonic(&[0.0, 0.0, 1.0, 1.0, 2.0, 3.0], &[false, false, true, false, false, true], &[1.0; 6])
            .unwrap();
    let third = 1.0 / 3.0;
    let (least, most) = (0.5 / 6.0, 1.0 - 0.5 / 6.0);
    assert_eq!(line.points().collect::<Vec<_>>(), [(0.0, least), (1.0, third), (2.0, third), (3.0, most)]);
    assert_eq!([-9.0, 0.0, 1.5, 9.0].map(|m| line.at(m)), [least, least, third, most]);
    assert!((line.at(2.5) - (third + most) / 2.0).abs() < 1e-15);
}

#[test]
fn what_cannot_be_fitted_is_refused() {
    assert_eq!(fit_platt(&[], &[], &[]), Err(FitError::Count { margins: 0, outcomes: 0, weights: 0 }));
    assert_eq!(
        fit_isotonic(&[1.0], &[], &[1.0]),
        Err(FitError::Count { margins: 1, outcomes: 0, weights: 1 })
    );
    assert_eq!(fit_beta(&[1.0, f32::NAN], &[true, false], &[1.0; 2]), Err(FitError::Margin(1)));
    assert_eq!(fit_platt(&[1.0, 2.0], &[true, true], &[1.0; 2]), Err(FitError::OneOutcome));
    assert_eq!(fit_isotonic(&[1.0, 2.0], &[true, false], &[1.0, 0.0]), Err(FitError::Weight(1)));
    assert!(Isotonic::new(vec![], vec![]).is_err());
    assert_eq!(Isotonic::new(vec![0.0, 0.0], vec![0.1, 0.2]), Err(IsotonicError::Point(1)));
    assert_eq!(Isotonic::new(vec![0.0, 1.0], vec![0.3, 0.2]), Err(IsotonicError::Point(1)));
    assert_eq!(Isotonic::new(vec![0.0], vec![1.1]), Err(IsotonicError::Point(0)));
}

#[test]
fn separated_classes_still_give_finite_numbers() {
    let (margins, left) = ([-2.0, -1.0, 1.0, 2.0], [false, false, true, true]);
    for calibration in
        [fit_platt(&margins, &left, &ones(&left)).unwrap(), fit_beta(&margins, &left, &ones(&left)).unwrap()]
    {
        calibration.check().unwrap();
        assert!(calibration.apply(3.0) < 1.0 && calibration.apply(-3.0) > 0.0, "{calibration:?}");
    }
}

fn any_calibration() -> impl Strategy<Value = Calibration> {
    let number = -5.0..5.0_f64;
    prop_oneof![
        Just(Calibration::Identity),
        (0.0..5.0_f64, number.clone()).prop_map(|(slope, intercept)| Calibration::Platt { slope, intercept }),
        (0.0..5.0_f64, 0.0..5.0_f64, number).prop_map(|(a, b, c)| Calibration::Beta { a, b, c }),
        proptest::collection::vec((-9.0..9.0_f32, any::<bool>()), 1..50).prop_map(|rows| {
            let (margins, left): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            Calibration::Isotonic(fit_isotonic(&margins, &left, &ones(&left)).unwrap())
        }),
    ]
}

proptest! {
    #[test]
    fn calibrations_never_fall_and_survive_being_written(
        calibration in any_calibration(), mut margins in proptest::collection::vec(-100.0..100.0_f32, 2..30)
    ) {
        margins.extend([f32::MIN, f32::MAX, 0.0, -0.0]);
        margins.sort_by(f32::total_cmp);
        let probabilities: Vec<_> = margins.iter().map(|&m| calibration.apply(m)).collect();
        prop_assert!(probabilities.is_sorted(), "{:?}", probabilities);
        prop_assert!(probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
        let text = toml::to_string(&calibration).unwrap();
        prop_assert_eq!(toml::from_str::<Calibration>(&text).unwrap(), calibration, "{}", text);
    }

    #[test]
    fn a_row_of_weight_two_is_two_rows(
        rows in proptest::collection::vec((-3.0..3.0_f32, any::<bool>(), 1..4_usize), 2..40)
    ) {
        let margins: Vec<f32> = rows.iter().map(|row| row.0).collect();
        let left: Vec<bool> = rows.iter().map(|row| row.1).collect();
        let weights: Vec<f32> = rows.iter().map(|row| row.2 as f32).collect();
        let repeated = rows.iter().flat_map(|row| std::iter::repeat_n((row.0, row.1), row.2));
        let (margins2, left2): (Vec<f32>, Vec<bool>) = repeated.unzip();
        prop_assert_eq!(fit_isotonic(&margins, &left, &weights), fit_isotonic(&margins2, &left2, &ones(&left2)));
        for fit in [fit_platt, fit_beta] {
            match (fit(&margins, &left, &weights), fit(&margins2, &left2, &ones(&left2))) {
                (Ok(one), Ok(other)) => for margin in &margins {
                    let (one, other) = (one.apply(*margin), other.apply(*margin));
                    prop_assert!((one - other).abs() < 1e-3, "{} {} at {}", one, other, margin);
                },
                (one, other) => prop_assert_eq!(one, other),
            }
        }
    }

    #[test]
    fn isotonic_does_not_depend_on_the_order(rows in proptest::collection::vec((-3..3_i8, any::<bool>()), 1..40)) {
        let fit = |rows: &[(i8, bool)]| {
            let (margins, left): (Vec<_>, Vec<_>) = rows.iter().map(|&(m, left)| (f32::from(m), left)).unzip();
            fit_isotonic(&margins, &left, &ones(&left)).unwrap()
        };
        let reversed: Vec<_> = rows.iter().rev().copied().collect();
        prop_assert_eq!(fit(&rows), fit(&reversed));
    }
}
