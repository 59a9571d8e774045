//! A linear model written as XGBoost writes trees.

use serde_json::{Value, json};

use super::Solution;
use super::scale::{Feature, Scale};

/// What XGBoost gives a root as parent.
const NO_PARENT: i64 = 2_147_483_647;

/// XGBoost's JSON of a model, and its number of trees. Features whose weight is nothing have no tree.
pub(super) fn write(names: &[String], scale: &Scale, solution: &Solution) -> (Vec<u8>, u32) {
    let mut trees = Vec::new();
    for (at, feature) in scale.features.iter().enumerate() {
        let weight = |column: Option<usize>| column.map_or(0.0, |column| solution.weights[column]);
        let (slope, missing) = (weight(feature.column), weight(feature.missing_column));
        if slope != 0.0 {
            trees.push(steps(at, feature, slope).json(trees.len(), names.len()));
        }
        // A row without a value follows the first tree to its lowest step: the second takes that back and adds its own.
        let own = missing - slope * feature.levels.first().copied().unwrap_or_default();
        if feature.missing > 0.0 && own != 0.0 && feature.cover.iter().sum::<f64>() > 0.0 {
            trees.push(absence(at, feature, own).json(trees.len(), names.len()));
        }
    }
    if trees.is_empty() {
        // A model has at least one tree.
        trees.push(Tree::default().with_leaf(0.0, 1.0).json(0, names.len()));
    }
    let count = trees.len();
    let base = 1.0 / (1.0 + libm::exp(-solution.intercept));
    let model = json!({
        "learner": {
            "attributes": {},
            "feature_names": names,
            "feature_types": [],
            "gradient_booster": {
                "model": {
                    "cats": { "enc": [], "feature_segments": [], "sorted_idx": [] },
                    "gbtree_model_param": { "num_parallel_tree": "1", "num_trees": count.to_string() },
                    "iteration_indptr": (0..=count).collect::<Vec<_>>(),
                    "tree_info": vec![0; count],
                    "trees": trees,
                },
                "name": "gbtree",
            },
            "learner_model_param": {
                "base_score": format!("[{:E}]", base as f32),
                "boost_from_average": "1",
                "num_class": "0",
                "num_feature": names.len().to_string(),
                "num_target": "1",
            },
            "objective": { "name": "binary:logistic", "reg_loss_param": { "scale_pos_weight": "1" } },
        },
        "version": [3, 2, 0],
    });
    // The number of trees is at most twice that of features.
    (model.to_string().into_bytes(), count as u32)
}

/// A leaf for each step, as evenly deep as can be.
fn steps(feature: usize, of: &Feature, slope: f64) -> Tree {
    let mut tree = Tree::default();
    // Rows without a value go left everywhere, to the lowest step.
    tree.grow(feature, of, slope, 0, of.levels.len(), NO_PARENT, of.missing);
    tree
}

/// One leaf for rows without a value, one for the others.
fn absence(feature: usize, of: &Feature, own: f64) -> Tree {
    let with_value: f64 = of.cover.iter().sum();
    let mut tree = Tree::default();
    // No finite number is below the least one.
    tree.push(NO_PARENT, f32::MIN, feature, true, with_value + of.missing);
    (tree.left[0], tree.right[0]) = (1, 2);
    tree.push(0, own as f32, 0, false, of.missing);
    tree.push(0, 0.0, 0, false, with_value);
    tree
}

/// A tree as columns, one value a node.
#[derive(Debug, Default)]
struct Tree {
    parents: Vec<i64>,
    left: Vec<i64>,
    right: Vec<i64>,
    values: Vec<f32>,
    features: Vec<usize>,
    default_left: Vec<u8>,
    cover: Vec<f32>,
}

impl Tree {
    fn push(&mut self, parent: i64, value: f32, feature: usize, default_left: bool, cover: f64) -> i64 {
        self.parents.push(parent);
        self.left.push(-1);
        self.right.push(-1);
        self.values.push(value);
        self.features.push(feature);
        self.default_left.push(u8::from(default_left));
        self.cover.push(cover as f32);
        self.parents.len() as i64 - 1
    }

    fn with_leaf(mut self, value: f32, cover: f64) -> Self {
        self.push(NO_PARENT, value, 0, false, cover);
        self
    }

    /// Adds the steps `from..to` below `parent` and returns the node over them. `missing` rows go to the lowest step.
    #[expect(clippy::too_many_arguments, reason = "a range, where it hangs, and what it is made of")]
    fn grow(
        &mut self,
        feature: usize,
        of: &Feature,
        slope: f64,
        from: usize,
        to: usize,
        parent: i64,
        missing: f64,
    ) -> i64 {
        let cover = of.cover[from..to].iter().sum::<f64>() + missing;
        if to - from == 1 {
            return self.push(parent, (slope * of.levels[from]) as f32, 0, false, cover);
        }
        let middle = from + (to - from).div_ceil(2);
        let node = self.push(parent, of.borders[middle - 1], feature, true, cover);
        let left = self.grow(feature, of, slope, from, middle, node, missing);
        let right = self.grow(feature, of, slope, middle, to, node, 0.0);
        // A node that was pushed has a place.
        (self.left[node as usize], self.right[node as usize]) = (left, right);
        node
    }

    fn json(&self, id: usize, features: usize) -> Value {
        let nodes = self.parents.len();
        // As text made of `f32`s: `f64`s of them would have more digits, and be rounded twice on reading.
        let floats = |values: &[f32]| -> Value {
            let numbers = values.iter().map(|value| f64::from(*value));
            Value::Array(numbers.map(Value::from).collect())
        };
        json!({
            "base_weights": vec![0.0; nodes],
            "categories": [],
            "categories_nodes": [],
            "categories_segments": [],
            "categories_sizes": [],
            "default_left": self.default_left,
            "id": id,
            "left_children": self.left,
            "loss_changes": vec![0.0; nodes],
            "parents": self.parents,
            "right_children": self.right,
            "split_conditions": floats(&self.values),
            "split_indices": self.features,
            "split_type": vec![0; nodes],
            "sum_hessian": floats(&self.cover),
            "tree_param": {
                "num_deleted": "0",
                "num_feature": features.to_string(),
                "num_nodes": nodes.to_string(),
                "size_leaf_vector": "1",
            },
        })
    }
}
