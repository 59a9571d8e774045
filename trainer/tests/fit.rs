//! Fitting on rows whose truth is known.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::num::NonZeroUsize;

use scorer::{Bundle, Manifest};
use trainer::{Algorithm, Direction, Params, Purpose, Rows, TrainError, fit, search};
use types::{Band, EventTime, Millis};

/// Users of whom each has `each` rows; the loss depends on two of four features, one of them often missing.
fn rows(users: u64, each: usize) -> Rows {
    let mut state = 7_u64;
    let mut share = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let mut rows =
        Rows { names: ["use", "age", "noise", "constant"].map(str::to_owned).to_vec(), ..Rows::default() };
    for user in 0..users {
        for month in 0..each {
            let (using, age, noise) = (share(), share() * 100.0, share());
            rows.values.extend([using, if share() < 0.4 { f32::NAN } else { age }, noise, 1.0]);
            rows.lost.push(share() < if using < 0.3 { 0.6 } else { 0.05 } + age / 1_000.0);
            rows.groups.push(user);
            rows.as_of.push(EventTime(month as i64));
        }
    }
    rows
}

fn margins(fitted: &trainer::Fitted, rows: &Rows) -> Vec<f32> {
    (0..rows.len()).map(|row| fitted.model.margin(rows.row(row))).collect()
}

/// The mean margin of those lost minus that of those who stayed.
fn gap(margins: &[f32], lost: &[bool]) -> f32 {
    let mean = |outcome: bool| {
        let of: Vec<f32> =
            margins.iter().zip(lost).filter(|(_, l)| **l == outcome).map(|(m, _)| *m).collect();
        of.iter().sum::<f32>() / of.len() as f32
    };
    mean(true) - mean(false)
}

#[test]
fn it_learns_and_stops_when_held_out_users_gain_nothing() {
    let rows = rows(1_500, 2);
    let mut seen = Vec::new();
    // One thread, so that every fit is heard of.
    let params = Params { patience: 10, threads: NonZeroUsize::new(1), ..Params::default() };
    let fitted = fit(&rows, &params, |round| seen.push(*round)).unwrap();

    let mut best = Vec::new();
    for part in 1..=5 {
        let rounds: Vec<_> = seen.iter().filter(|round| round.fit == part).collect();
        let last = rounds.last().unwrap();
        assert!(last.number < params.max_rounds, "stopped by itself after {}", last.number);
        assert_eq!((last.number - last.best, last.fits), (10, 6), "{last:?}");
        let least = rounds.iter().min_by(|a, b| a.loss.unwrap().total_cmp(&b.loss.unwrap())).unwrap();
        assert_eq!(least.number, last.best);
        best.push(f64::from(last.best));
    }
    let mean = (best.iter().sum::<f64>() / 5.0).round() as u32;
    assert_eq!((fitted.trees, fitted.model.trees().len()), (mean, mean as usize));
    assert_eq!(seen.last().map(|round| (round.fit, round.number, round.loss)), Some((6, mean, None)));

    let held_out = fitted.held_out.as_ref().unwrap();
    assert_eq!(held_out.lost.len(), rows.len(), "every row was held out once");
    assert!(gap(&held_out.margins, &held_out.lost) > 1.0, "users it never saw are told apart");
    assert_eq!(fitted.model.feature_names(), &rows.names[..]);
}

#[test]
fn every_kind_of_model_learns_and_starts_from_what_it_should() {
    let (past, future) = (rows(1_500, 2), rows(3_000, 1).filter(|row| row >= 1_500));
    for algorithm in Algorithm::ALL {
        let fitted = fit(&past, &Params::of(algorithm), |_| {}).unwrap();
        assert_eq!(fitted.algorithm, algorithm);
        assert_eq!(fitted.model.trees().len(), fitted.trees as usize, "{algorithm}");
        assert!(fitted.model.depth() <= 8, "{algorithm}");
        let told_apart = gap(&margins(&fitted, &future), &future.lost);
        assert!(told_apart > 0.5, "{algorithm}: {told_apart}");
        let said = fitted.probabilities(&future).iter().sum::<f32>() / future.len() as f32;
        let happened = future.lost.iter().filter(|lost| **lost).count() as f32 / future.len() as f32;
        assert!((said - happened).abs() < 0.03, "{algorithm}: {said} said, {happened} happened");
        assert!(
            fit(&past, &Params::of(algorithm), |_| {}).unwrap().json == fitted.json,
            "{algorithm} repeats"
        );
    }
}

#[test]
fn a_bound_probability_never_moves_the_other_way() {
    let rows = rows(1_500, 2);
    for algorithm in Algorithm::ALL {
        for direction in [Direction::Rising, Direction::Falling] {
            let monotone = [("use".to_owned(), direction), ("age".to_owned(), direction)].into();
            let fitted = fit(&rows, &Params { monotone, ..Params::of(algorithm) }, |_| {}).unwrap();
            for age in [f32::NAN, 5.0, 50.0] {
                let along: Vec<f32> = (0..=50_u8)
                    .map(|at| fitted.model.margin(&[f32::from(at) / 50.0, age, 0.5, 1.0]))
                    .collect();
                let holds = |pair: &[f32]| match direction {
                    Direction::Rising => pair[0] <= pair[1] + 1e-5,
                    Direction::Falling => pair[0] + 1e-5 >= pair[1],
                };
                assert!(along.windows(2).all(holds), "{algorithm} {direction:?} {along:?}");
            }
        }
    }
}

#[test]
fn a_linear_model_is_xgboosts_too_and_its_trees_are_what_was_fitted() {
    let rows = rows(600, 2);
    let fitted = fit(&rows, &Params::of(Algorithm::Logistic), |_| {}).unwrap();
    let booster = xgb::Booster::load_buffer(&fitted.json).unwrap();
    let matrix = xgb::DMatrix::from_dense(&rows.values, rows.len()).unwrap();
    let theirs = booster.predict_margin(&matrix).unwrap();
    let ours = margins(&fitted, &rows);
    assert!(theirs.iter().zip(&ours).all(|(theirs, ours)| theirs.to_bits() == ours.to_bits()));
    // Additive: what one feature's value changes does not depend on the others.
    let at = |using: f32, age: f32| fitted.model.margin(&[using, age, 0.5, 1.0]);
    for age in [f32::NAN, 10.0, 90.0] {
        assert!((at(0.9, age) - at(0.1, age) - at(0.9, 50.0) + at(0.1, 50.0)).abs() < 1e-5);
    }
    assert!(at(0.1, 50.0) > at(0.9, 50.0) + 1.0, "those who use little leave");
}

#[test]
fn a_search_keeps_the_best_and_repeats() {
    let rows = rows(500, 1);
    let start =
        Params { learning_rate: 1.0, max_depth: 8, min_child_weight: 0.0, patience: 5, ..Params::default() };
    let mut trials = Vec::new();
    let found = search(&rows, &start, 6, |_| {}, |trial| trials.push(trial.clone())).unwrap();
    assert_eq!((found.trials, trials.len(), &trials[0].params), (6, 6, &start));
    assert!(found.loss < found.began, "{found:?}");
    assert!(trials.iter().all(|trial| trial.least >= found.loss));
    assert_eq!(search(&rows, &start, 6, |_| {}, |_| {}).unwrap(), found);
    let none = search(&rows, &Params::of(Algorithm::Logistic), 6, |_| {}, |_| {}).unwrap();
    assert_eq!(none.trials, 0);
}

#[test]
fn trees_start_from_the_loss_rate() {
    let rows = rows(300, 1);
    let fitted = fit(&rows, &Params { folds: 1, max_rounds: 1, ..Params::default() }, |_| {}).unwrap();
    let rate = rows.loss_rate().unwrap();
    assert_eq!((fitted.loss_rate, fitted.rows, &fitted.held_out), (rate, rows.len(), &None));
    assert!((f64::from(fitted.model.base_margin()) - (rate / (1.0 - rate)).ln()).abs() < 1e-6);
}

#[test]
fn the_same_rows_give_the_same_bytes_whatever_was_trained_before() {
    let rows = rows(300, 1);
    let params = Params { max_rounds: 20, ..Params::default() };
    let first = fit(&rows, &params, |_| {}).unwrap();
    fit(&rows, &Params { seed: 9, row_share: 0.3, ..params.clone() }, |_| {}).unwrap();
    let second = fit(&rows, &params, |_| {}).unwrap();
    assert!(first.json == second.json);
    let one = Params { threads: NonZeroUsize::new(1), ..params.clone() };
    let alone = fit(&rows, &one, |_| {}).unwrap();
    assert!(first.json == alone.json && first.held_out == alone.held_out, "threads change nothing");
    let other = fit(&rows, &Params { seed: 2, ..params }, |_| {}).unwrap();
    assert!(first.json != other.json, "the seed is used");
}

#[test]
fn a_row_that_counts_twice_is_two_rows() {
    let weighted = Rows { weights: (0..100).map(|row| [0.0, 1.0, 2.0][row % 3]).collect(), ..rows(100, 1) };
    let mut repeated = Rows { names: weighted.names.clone(), ..Rows::default() };
    for row in (0..weighted.len()).flat_map(|row| std::iter::repeat_n(row, weighted.weights[row] as usize)) {
        repeated.values.extend_from_slice(weighted.row(row));
        repeated.lost.push(weighted.lost[row]);
        repeated.groups.push(weighted.groups[row]);
        repeated.as_of.push(weighted.as_of[row]);
    }
    let params = Params { row_share: 1.0, folds: 1, max_rounds: 5, ..Params::default() };
    let (a, b) = (fit(&weighted, &params, |_| {}).unwrap(), fit(&repeated, &params, |_| {}).unwrap());
    assert_eq!(a.loss_rate, b.loss_rate);
    for (a, b) in margins(&a, &weighted).iter().zip(margins(&b, &weighted)) {
        assert!((a - b).abs() < 1e-2, "{a} and {b}");
    }
    let unweighted = fit(&Rows { weights: vec![], ..weighted.clone() }, &params, |_| {}).unwrap();
    let apart =
        margins(&a, &weighted).iter().zip(margins(&unweighted, &weighted)).any(|(a, u)| (a - u).abs() > 0.1);
    assert!(apart, "weights matter");
}

#[test]
fn little_data_is_fitted_without_holding_anybody_out() {
    let mut few = rows(6, 1);
    few.lost = vec![true, false, false, false, false, false];
    let fitted =
        fit(&few, &Params { max_rounds: 3, ..Params::default() }, |round| assert_eq!(round.loss, None))
            .unwrap();
    assert_eq!((fitted.rows, fitted.trees, fitted.held_out), (6, 3, None));
}

#[test]
fn infinities_are_refused() {
    let mut bad = rows(50, 1);
    bad.values[6] = f32::INFINITY;
    let error = fit(&bad, &Params::default(), |_| {}).unwrap_err();
    assert!(matches!(&error, TrainError::Infinite { row: 1, feature } if feature == "noise"), "{error}");
}

fn purpose() -> Purpose {
    let metrics = [("auc".to_owned(), 0.75)].into();
    Purpose {
        spec_hash: "00112233aabbccdd".to_owned(),
        horizon: Millis(30 * Millis::DAY.0),
        label: Some(scorer::Label {
            kind: scorer::LabelKind::Silence,
            events: Vec::new(),
            lead: Millis(7 * Millis::DAY.0),
        }),
        bands: None,
        metrics,
        labels_decided: None,
        meanings: [].into(),
        notes: vec!["compared with nothing".to_owned()],
    }
}

#[test]
fn a_bundle_scores_as_the_fitted_model_does() {
    let rows = rows(1_500, 2);
    let fitted = fit(&rows, &Params::default(), |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models/first");
    fitted.write(&path, &purpose()).unwrap();

    let bundle = Bundle::load(&path).unwrap();
    let scored: Vec<f32> = margins(&fitted, &rows).iter().map(|margin| bundle.probability(*margin)).collect();
    assert_eq!(scored, fitted.probabilities(&rows));
    bundle.check_spec("00112233aabbccdd", &rows.names).unwrap();
    let training = bundle.manifest().training;
    assert_eq!((training.rows, training.from, training.to), (rows.len() as u64, EventTime(0), EventTime(1)));
    assert_eq!(training.labels_decided, EventTime(1).plus(purpose().horizon));
    assert_eq!(bundle.manifest().baselines.len(), rows.names.len() + 1, "each feature's, and the scores'");

    // Of the rows held out, a twentieth is of high risk and a fifth of medium or high, ties aside.
    let high = scored.iter().filter(|p| bundle.band(**p) == Band::High).count() as f64 / scored.len() as f64;
    let low = scored.iter().filter(|p| bundle.band(**p) == Band::Low).count() as f64 / scored.len() as f64;
    assert!((0.02..0.12).contains(&high) && (0.7..0.85).contains(&low), "{high} high, {low} low");

    // It says how to fit another like it.
    let again = Params::of_bundle(bundle.manifest()).unwrap().unwrap();
    assert_eq!(Params { calibration: None, ..again.clone() }, Params::default());
    assert_eq!(fit(&rows, &again, |_| {}).unwrap().json, fitted.json);
    let silent = Manifest { fitting: None, ..bundle.manifest().clone() };
    assert_eq!(Params::of_bundle(&silent).unwrap(), None);

    let card = std::fs::read_to_string(path.join("MODEL_CARD.md")).unwrap();
    for part in [
        "within 30d",
        "What counted as a loss: silence, 7d ahead at least.",
        "spec 00112233aabbccdd",
        "from 1970-01-01T00:00:00Z",
        "| auc | 0.7500 |",
        "- compared with nothing",
        "- settings: xgboost: feature_share 0.5, folds 5, lambda 1, learning_rate 0.05, ",
    ] {
        assert!(card.contains(part), "{part} in\n{card}");
    }
    assert!(fitted.write(&path, &purpose()).is_err(), "a bundle is never overwritten");
}

#[test]
fn every_kind_with_any_settings_says_how_it_was_fitted() {
    let rows = rows(400, 1);
    let folder = tempfile::tempdir().unwrap();
    let monotone = [("noise".to_owned(), Direction::Falling)];
    for algorithm in Algorithm::ALL {
        let params = Params {
            learning_rate: 0.08,
            max_depth: 3,
            lambda: 30.0,
            row_share: 0.9,
            max_rounds: 20,
            forest_trees: 7,
            monotone: monotone.clone().into(),
            seed: 5,
            ..Params::of(algorithm)
        };
        let fitted = fit(&rows, &params, |_| {}).unwrap();
        let bundle = fitted.write(&folder.path().join(algorithm.name()), &purpose()).unwrap();
        let again = Params::of_bundle(bundle.manifest()).unwrap().unwrap();
        assert_eq!((again.algorithm, again.seed, &again.monotone), (algorithm, 5, &params.monotone));
        let refitted = fit(&rows, &again, |_| {}).unwrap();
        assert_eq!((refitted.json, refitted.calibration), (fitted.json, fitted.calibration), "{algorithm}");

        let mut strange = bundle.manifest().clone();
        strange.fitting.as_mut().unwrap().params.insert("gamma".to_owned(), 1.0);
        let error = Params::of_bundle(&strange).unwrap_err().to_string();
        assert_eq!(error, "the bundle was fitted with `gamma`, which this program does not know");
    }
}

#[test]
fn probabilities_can_be_taken_at_their_word() {
    let (past, future) = (rows(3_000, 2), rows(9_000, 1).filter(|row| row >= 6_000));
    let fitted = fit(&past, &Params::default(), |_| {}).unwrap();
    let probabilities = fitted.probabilities(&future);
    for (from, to) in [(0.0, 0.1), (0.1, 0.3), (0.3, 1.0)] {
        let bin: Vec<usize> =
            (0..future.len()).filter(|row| (from..to).contains(&probabilities[*row])).collect();
        let mean =
            |value: &dyn Fn(usize) -> f32| bin.iter().map(|row| value(*row)).sum::<f32>() / bin.len() as f32;
        let (said, happened) =
            (mean(&|row| probabilities[row]), mean(&|row| f32::from(u8::from(future.lost[row]))));
        assert!(
            bin.len() > 100 && (said - happened).abs() < 0.06,
            "{said} said and {happened} happened in {} rows",
            bin.len()
        );
    }
}
