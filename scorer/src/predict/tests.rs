use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Node, Objective, Tree};

/// Thresholds and values: few, so that they meet, and the awkward ones.
fn any_value(cuts: u32) -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => (0..cuts).prop_map(move |i| i as f32 - cuts as f32 / 2.0),
        1 => prop_oneof![Just(-0.0), Just(f32::MIN_POSITIVE), Just(1e-45), Just(-1e-45), Just(f32::MAX), Just(f32::MIN)],
    ]
}

/// A tree from a list of choices: each leaf in turn becomes a split until they are used up.
fn tree(choices: Vec<(u16, f32, bool, bool)>, leaves: &[f32], max_depth: usize) -> Tree {
    let leaf = |value| Node { value, cover: 1.0, left: 0, feature: 0, default_left: false };
    let (mut nodes, mut levels) = (vec![leaf(leaves[0])], vec![0]);
    let mut at = 0;
    for (feature, value, default_left, skip) in choices {
        // Skipping leaves makes trees unbalanced.
        at += usize::from(skip && at + 1 < nodes.len());
        if at == nodes.len() {
            break;
        }
        if levels[at] < max_depth {
            let left = nodes.len() as u32;
            nodes[at] = Node { value, cover: 2.0, left, feature, default_left };
            for _ in 0..2 {
                nodes.push(leaf(leaves[nodes.len() % leaves.len()]));
                levels.push(levels[at] + 1);
            }
        }
        at += 1;
    }
    Tree { depth: levels.into_iter().max().unwrap_or(0), nodes }
}

/// Models of every shape, those that no fast evaluator takes among them.
pub(super) fn any_model() -> impl Strategy<Value = Model> {
    let features = prop_oneof![1_u16..8, 50_u16..70, 120_u16..140, 250_u16..260];
    (features, 0..9_usize, prop_oneof![Just(6_u32), Just(100), Just(250), Just(600)]).prop_flat_map(
        |(features, depth, cuts)| {
            let choice = (0..features, any_value(cuts), any::<bool>(), prop::bool::weighted(0.1));
            let one = (vec(choice, 0..200), vec(-2.0..2.0_f32, 70))
                .prop_map(move |(c, leaves)| tree(c, &leaves, depth));
            (vec(one, 0..40), -1.0..1.0_f32).prop_map(move |(trees, base_margin)| Model {
                trees,
                base_margin,
                feature_names: (0..features).map(|i| format!("f{i}")).collect(),
                names_in_file: false,
                objective: Objective::BinaryLogistic,
            })
        },
    )
}

/// Rows that meet the model's thresholds, with missing and infinite values.
pub(super) fn any_rows(
    model: &Model,
    count: std::ops::Range<usize>,
) -> impl Strategy<Value = Vec<f32>> + use<> {
    let width = model.n_features();
    let nodes = model.trees.iter().flat_map(|tree| tree.nodes.iter());
    let mut known: Vec<_> = nodes.filter(|node| !node.is_leaf()).map(|node| node.value).collect();
    known.extend([0.0, -0.0]);
    let value = prop_oneof![
        6 => prop::sample::select(known.clone()),
        2 => prop::sample::select(known).prop_map(f32::next_down),
        2 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
    ];
    // A few rows drawn, repeated with an offset: drawing 150 rows of 250 values would take its time.
    (vec(value, width * 4 + 13), count)
        .prop_map(move |(values, count)| values.iter().copied().cycle().take(count * width).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_evaluator_gives_the_same_bits((model, rows) in any_model().prop_flat_map(|model| {
        let rows = any_rows(&model, 0..130);
        (Just(model), rows)
    })) {
        let expected: Vec<_> = rows.chunks_exact(model.n_features()).map(|row| model.margin(row).to_bits()).collect();
        let all = Evaluator::ALL.into_iter().filter_map(|evaluator| Predictor::with(&model, evaluator));
        for predictor in all.chain([Predictor::new(&model)]) {
            let mut out = vec![f32::NAN; expected.len()];
            predictor.margins(&rows, &mut out, &mut predictor.scratch());
            let bits: Vec<_> = out.iter().map(|margin| margin.to_bits()).collect();
            prop_assert_eq!(&bits, &expected, "{:?}", predictor);
        }
    }
}

#[test]
fn a_predictor_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Predictor>();
}

#[test]
#[should_panic(expected = "values in 2 rows")]
fn rows_of_another_width_are_a_mistake() {
    let names = vec!["a".into(), "b".into()];
    let objective = Objective::BinaryLogistic;
    let model =
        Model { trees: vec![], base_margin: 0.0, feature_names: names, names_in_file: true, objective };
    let predictor = Predictor::new(&model);
    predictor.margins(&[1.0; 3], &mut [0.0; 2], &mut predictor.scratch());
}
