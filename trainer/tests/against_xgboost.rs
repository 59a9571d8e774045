//! The native evaluator against XGBoost itself: random models of every supported kind, random rows with missing values and
//! with values that equal thresholds. `CHURNSTREAM_SOAK=full` tries many more.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use proptest::prelude::*;
use scorer::{Evaluator, Model, Predictor, Shap, probability};
use xgb::parameters::BoosterParameters;
use xgb::{Booster, DMatrix};

/// How a random model is made.
#[derive(Debug, Clone)]
struct Recipe {
    seed: u64,
    features: usize,
    rounds: i32,
    parallel_trees: u32,
    depth: u32,
    leaf_wise: bool,
    base_score: f32,
    objective: &'static str,
    missing: f32,
    gamma: f32,
    tree_method: &'static str,
}

fn recipes() -> impl Strategy<Value = Recipe> {
    let shape = (any::<u64>(), 1_usize..24, 1..25_i32, 1_u32..4, 1_u32..9, any::<bool>());
    let rest = (
        prop_oneof![Just(0.5), 1e-5_f32..0.999],
        prop::sample::select(&["binary:logistic", "binary:logitraw", "reg:logistic"][..]),
        prop_oneof![Just(0.0), 0.0_f32..0.9],
        prop_oneof![3 => Just(0.0), 1 => 0.0_f32..3.0],
        prop::sample::select(&["hist", "exact", "approx"][..]),
    );
    (shape, rest).prop_map(|(shape, (base_score, objective, missing, gamma, tree_method))| {
        let (seed, features, rounds, parallel_trees, depth, leaf_wise) = shape;
        // Only the histogram methods grow leaf by leaf.
        let leaf_wise = leaf_wise && tree_method != "exact";
        Recipe {
            seed,
            features,
            rounds,
            parallel_trees,
            depth,
            leaf_wise,
            base_score,
            objective,
            missing,
            gamma,
            tree_method,
        }
    })
}

/// Numbers that look random (SplitMix64), so that a failure can be run again from its seed.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 up to 1.
    fn share(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 24) as f32
    }

    /// A value of a feature: some features take few values, some any, one is a constant, one spans many magnitudes.
    fn value(&mut self, feature: usize, missing: f32) -> f32 {
        if self.share() < missing {
            return f32::NAN;
        }
        match feature % 5 {
            0 => (self.share() * 6.0).floor() - 2.0,
            1 => self.share() * 100.0 - 50.0,
            2 => {
                10.0_f32.powi((self.share() * 60.0) as i32 - 30) * if self.share() < 0.5 { -1.0 } else { 1.0 }
            }
            3 => f32::from(u8::from(self.share() < 0.1)),
            _ => 7.0,
        }
    }
}

const ROWS: usize = 150;

fn train(recipe: &Recipe) -> (Booster, Vec<f32>) {
    let mut numbers = Numbers(recipe.seed);
    let values: Vec<f32> =
        (0..ROWS * recipe.features).map(|at| numbers.value(at % recipe.features, recipe.missing)).collect();
    let labels: Vec<f32> = (0..ROWS)
        .map(|row| {
            let signal = values[row * recipe.features];
            let known = if signal.is_nan() { 0.0 } else { signal };
            f32::from(u8::from(known + 4.0 * numbers.share() > 2.5))
        })
        .collect();
    let mut matrix = DMatrix::from_dense(&values, ROWS).unwrap();
    matrix.set_labels(&labels).unwrap();
    let mut booster = Booster::new_with_cached_dmats(&BoosterParameters::default(), &[&matrix]).unwrap();
    let mut set = |name: &str, value: String| booster.set_param(name, &value).unwrap();
    set("verbosity", "0".to_owned());
    set("nthread", "1".to_owned());
    set("objective", recipe.objective.to_owned());
    set("base_score", recipe.base_score.to_string());
    set("tree_method", recipe.tree_method.to_owned());
    set("max_depth", recipe.depth.to_string());
    set("num_parallel_tree", recipe.parallel_trees.to_string());
    set("gamma", recipe.gamma.to_string());
    set("subsample", "0.7".to_owned());
    set("min_child_weight", "0.01".to_owned());
    set("lambda", "0.1".to_owned());
    set("seed", (recipe.seed % 1_000_000).to_string());
    if recipe.leaf_wise {
        set("grow_policy", "lossguide".to_owned());
        set("max_leaves", "20".to_owned());
    }
    for round in 0..recipe.rounds {
        booster.update(&matrix, round).unwrap();
    }
    (booster, values)
}

/// Rows that the model has not seen: random ones, and ones made of its own thresholds and their neighbours.
fn rows_for(model: &Model, recipe: &Recipe) -> Vec<f32> {
    let mut numbers = Numbers(!recipe.seed);
    let mut thresholds: Vec<Vec<f32>> = vec![Vec::new(); recipe.features];
    for node in model.trees().iter().flat_map(|tree| tree.nodes()).filter(|node| !node.is_leaf()) {
        thresholds[usize::from(node.feature)].push(node.value);
    }
    (0..ROWS * recipe.features)
        .map(|at| {
            let feature = at % recipe.features;
            let cuts = &thresholds[feature];
            if cuts.is_empty() || numbers.share() < 0.3 {
                return numbers.value(feature, 0.3);
            }
            let cut = cuts[numbers.next() as usize % cuts.len()];
            match numbers.next() % 3 {
                0 => cut,
                1 => cut.next_up(),
                _ => cut.next_down(),
            }
        })
        .collect()
}

fn compare(recipe: &Recipe) {
    let (booster, seen) = train(recipe);
    let model = Model::from_bytes(&booster.save_buffer(false).unwrap()).unwrap();
    let binary = Model::from_bytes(&booster.save_buffer(true).unwrap()).unwrap();
    assert_eq!(model, binary, "JSON and UBJSON tell the same model");
    for rows in [&seen, &rows_for(&model, recipe)] {
        let matrix = DMatrix::from_dense(rows, ROWS).unwrap();
        let expected = booster.predict_margin(&matrix).unwrap();
        for evaluator in Evaluator::ALL {
            // What does not suit a model or this processor is not used for it.
            let Some(predictor) = Predictor::with(&model, evaluator) else { continue };
            let mut margins = vec![0.0; ROWS];
            predictor.margins(rows, &mut margins, &mut predictor.scratch());
            for row in 0..ROWS {
                assert_eq!(
                    margins[row].to_bits(),
                    expected[row].to_bits(),
                    "{evaluator:?}, row {row}: {} against {}",
                    margins[row],
                    expected[row]
                );
            }
        }
        if recipe.objective != "binary:logitraw" {
            for (margin, shown) in expected.iter().zip(booster.predict(&matrix).unwrap()) {
                let apart = probability(*margin).to_bits().abs_diff(shown.to_bits());
                assert!(apart <= 1, "probability of {margin}: {} against {shown}", probability(*margin));
            }
        }
    }
}

/// The values of SHAP, for some of the rows: XGBoost is slow at them.
fn compare_shap(recipe: &Recipe) {
    const EXPLAINED: usize = 20;
    let (booster, seen) = train(recipe);
    let model = Model::from_bytes(&booster.save_buffer(false).unwrap()).unwrap();
    let mut shap = Shap::new(&model);
    for rows in [&seen, &rows_for(&model, recipe)] {
        let rows = &rows[..EXPLAINED * recipe.features];
        let matrix = DMatrix::from_dense(rows, EXPLAINED).unwrap();
        let (expected, shape) = booster.predict_contributions(&matrix).unwrap();
        assert_eq!(shape, (EXPLAINED, recipe.features + 1), "the bias comes last");
        for (row, expected) in rows.chunks(recipe.features).zip(expected.chunks(recipe.features + 1)) {
            let mut effects = vec![0.0; recipe.features];
            let bias = shap.explain(row, &mut effects);
            effects.push(bias);
            // Beyond 1, XGBoost's own `f32` sums err by more than that.
            let most = 1e-5 * expected.iter().fold(1.0, |most: f32, effect| most.max(effect.abs()));
            for (feature, (effect, expected)) in effects.iter().zip(expected).enumerate() {
                assert!((effect - expected).abs() < most, "feature {feature}: {effect} against {expected}");
            }
        }
    }
}

fn config() -> ProptestConfig {
    let soak = std::env::var("CHURNSTREAM_SOAK").is_ok_and(|form| form == "full");
    // No regression files: a recipe is its seed, and what failed is worth a test of its own.
    ProptestConfig {
        cases: if soak { 5_000 } else { 100 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn margins_are_xgboosts_bit_for_bit(recipe in recipes()) {
        compare(&recipe);
    }

    #[test]
    fn shap_values_are_xgboosts_within_a_hundred_thousandth(recipe in recipes()) {
        compare_shap(&recipe);
    }
}

#[test]
fn the_probabilities_of_all_magnitudes_are_xgboosts_within_one_unit_in_the_last_place() {
    // A model without trees shows what it is given as base margin.
    let recipe = Recipe {
        seed: 1,
        features: 1,
        rounds: 1,
        parallel_trees: 1,
        depth: 1,
        leaf_wise: false,
        base_score: 0.5,
        objective: "binary:logistic",
        missing: 0.0,
        gamma: 1e9,
        tree_method: "hist",
    };
    let (booster, _) = train(&recipe);
    let tree = Model::from_json(&booster.save_buffer(false).unwrap()).unwrap().margin(&[0.0]);
    let margins: Vec<f32> = (-2_400..2_400).map(|step| step as f32 / 20.0).collect();
    let mut matrix = DMatrix::from_dense(&vec![0.0; margins.len()], margins.len()).unwrap();
    matrix.set_base_margin(&margins).unwrap();
    for (margin, shown) in margins.iter().zip(booster.predict(&matrix).unwrap()) {
        let apart = probability(margin + tree).to_bits().abs_diff(shown.to_bits());
        assert!(apart <= 1, "probability of {margin}: {} against {shown}", probability(margin + tree));
    }
}
