use super::*;
use crate::Node;

/// The Shapley value by its definition: every set of features, weighted.
fn by_definition(model: &Model, row: &[f32]) -> Vec<f64> {
    let n = model.n_features();
    let game =
        |set: usize| -> f64 { model.trees().iter().map(|tree| absent(tree.nodes(), 0, row, set)).sum() };
    let factorial = |n: usize| (1..=n).map(|i| i as f64).product::<f64>();
    (0..n)
        .map(|feature| {
            let sets = (0..1_usize << n).filter(|set| set & (1 << feature) == 0);
            sets.map(|set| {
                let size = set.count_ones() as usize;
                let weight = factorial(size) * factorial(n - size - 1) / factorial(n);
                weight * (game(set | 1 << feature) - game(set))
            })
            .sum()
        })
        .collect()
}

/// A tree's value if only the features of a set are known.
fn absent(nodes: &[Node], at: usize, row: &[f32], set: usize) -> f64 {
    let node = &nodes[at];
    if node.is_leaf() {
        return f64::from(node.value);
    }
    if set & (1 << node.feature) != 0 {
        return absent(nodes, node.child(row[usize::from(node.feature)]) as usize, row, set);
    }
    let part = |child: u32| {
        let child = child as usize;
        let share =
            if node.cover > 0.0 { f64::from(nodes[child].cover) / f64::from(node.cover) } else { 0.0 };
        share * absent(nodes, child, row, set)
    };
    part(node.left) + part(node.left + 1)
}

/// A random tree: features come again and again on a way, some covers are 0.
fn random_tree(next: &mut impl FnMut() -> u32, features: u32, levels: usize) -> crate::Tree {
    let mut nodes = vec![];
    let mut open = vec![(0_usize, 0_usize)];
    let leaf = |value: f32, cover: f32| Node { value, cover, left: 0, feature: 0, default_left: false };
    nodes.push(leaf(0.5, 1000.0));
    let mut depth = 0;
    while let Some((at, level)) = open.pop() {
        depth = depth.max(level);
        if level == levels || next().is_multiple_of(8) {
            continue;
        }
        let left = nodes.len() as u32;
        let cover = nodes[at].cover;
        let share = (next() % 9) as f32 / 8.0;
        for part in [share, 1.0 - share] {
            open.push((nodes.len(), level + 1));
            nodes.push(leaf((next() % 100) as f32 / 25.0 - 2.0, cover * part));
        }
        nodes[at] = Node {
            value: (next() % 5) as f32,
            cover,
            left,
            feature: (next() % features) as u16,
            default_left: next().is_multiple_of(2),
        };
    }
    crate::Tree { nodes, depth }
}

/// Numbers that look random.
fn numbers(mut state: u64) -> impl FnMut() -> u32 {
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as u32
    }
}

fn random_model(next: &mut impl FnMut() -> u32, features: u32, levels: usize, trees: usize) -> Model {
    Model {
        trees: (0..trees).map(|_| random_tree(next, features, levels)).collect(),
        base_margin: 0.25,
        feature_names: (0..features).map(|i| format!("f{i}")).collect(),
        names_in_file: false,
        objective: crate::Objective::BinaryLogistic,
    }
}

/// Every form of batches that this processor can do.
fn forms(model: &Model) -> Vec<Shap> {
    let mut forms = vec![Shap::portable(model)];
    #[cfg(target_arch = "x86_64")]
    {
        let nodes = model.trees().iter().map(|tree| tree.nodes().len()).max().unwrap_or(0);
        for one in Wide::all(nodes, model.n_features()) {
            let mut shap = Shap::new(model);
            let Form::Usual { wide, .. } = &mut shap.form else { break };
            *wide = Some(one);
            forms.push(shap);
        }
    }
    forms
}

/// Points or rows side by side, and however many rows there are: a row's effects have the same bits.
#[test]
fn every_form_gives_the_same_bits() {
    let mut next = numbers(11);
    for (levels, features) in [(0, 2), (1, 3), (2, 3), (4, 4), (6, 2), (6, 7), (6, 60), (8, 5), (9, 200)] {
        let model = random_model(&mut next, features, levels, 20);
        let width = features as usize;
        let mut forms = forms(&model);
        for rows in [1, 2, 3, 4, 7, 8, 11, 16, 17, 35] {
            let value = |_| match next() % 9 {
                0 | 1 => f32::NAN,
                2 => f32::NEG_INFINITY,
                3 => f32::INFINITY,
                _ => (next() % 12) as f32 / 2.0 - 0.5,
            };
            let rows: Vec<f32> = (0..rows * width).map(value).collect();
            let mut expected = vec![0.0; rows.len()];
            let single = &mut forms[0];
            for (row, out) in rows.chunks(width).zip(expected.chunks_mut(width)) {
                single.explain(row, out);
            }
            let expected: Vec<_> = expected.iter().map(|effect| effect.to_bits()).collect();
            for shap in &mut forms {
                let mut out = vec![f32::NAN; rows.len()];
                assert_eq!(shap.explain_batch(&rows, &mut out), shap.bias());
                let bits: Vec<_> = out.iter().map(|effect| effect.to_bits()).collect();
                assert_eq!(bits, expected, "{levels} levels, {features} features, {:?}", shap.form);
            }
        }
    }
}

#[test]
fn effects_are_the_shapley_values_of_the_definition() {
    let mut next = numbers(7);
    for features in [1, 2, 3, 5, 9] {
        let model = random_model(&mut next, features, 7, 6);
        let mut shap = Shap::new(&model);
        for _ in 0..20 {
            let value = |_| if next().is_multiple_of(5) { f32::NAN } else { (next() % 6) as f32 - 0.5 };
            let row: Vec<f32> = (0..features).map(value).collect();
            let mut effects = vec![0.0; features as usize];
            let bias = shap.explain(&row, &mut effects);
            for (effect, exact) in effects.iter().zip(by_definition(&model, &row)) {
                assert!((f64::from(*effect) - exact).abs() < 1e-6, "{effect} {exact}");
            }
            let sum = effects.iter().map(|&e| f64::from(e)).sum::<f64>() + f64::from(bias);
            assert!((sum - f64::from(model.margin(&row))).abs() < 1e-5, "{sum} {}", model.margin(&row));
        }
    }
}

#[test]
fn a_model_of_leaves_has_a_bias_and_no_effects() {
    let leaf = Node { value: 0.5, cover: 0.0, left: 0, feature: 0, default_left: false };
    let model = Model {
        trees: vec![crate::Tree { nodes: vec![leaf], depth: 0 }; 3],
        base_margin: -1.0,
        feature_names: vec!["a".into()],
        names_in_file: true,
        objective: crate::Objective::BinaryLogistic,
    };
    let mut effects = [9.0];
    assert_eq!(Shap::new(&model).explain(&[1.0], &mut effects), 0.5);
    assert_eq!(effects, [0.0]);
}
