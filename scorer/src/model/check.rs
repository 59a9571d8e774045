//! From a file's columns to checked trees.

use super::file::{Learner, LearnerParam, ModelFile, TreeFile};
use super::{MAX_FEATURES, Model, ModelError, Node, Objective, Tree};

fn unsupported(what: impl Into<String>) -> ModelError {
    ModelError::Unsupported { what: what.into() }
}

fn damaged(what: impl Into<String>) -> ModelError {
    ModelError::Damaged { what: what.into() }
}

/// Checks a file and makes it a model.
pub(super) fn model<F: Into<Vec<f32>>>(file: ModelFile<F>) -> Result<Model, ModelError> {
    let Learner { feature_names, gradient_booster, learner_model_param, objective } = file.learner;
    if gradient_booster.name != "gbtree" {
        return Err(unsupported(format!("the booster `{}`", gradient_booster.name)));
    }
    one_output(&learner_model_param)?;
    let objective = objective_of(&objective.name)?;
    let base_margin = base_margin(&learner_model_param.base_score, objective)?;
    let n_features = n_features(&learner_model_param.num_feature)?;
    let trees = gradient_booster.model.ok_or_else(|| damaged("the booster has no model"))?;
    let param = trees.gbtree_model_param.ok_or_else(|| damaged("gbtree_model_param is missing"))?;
    if trees.tree_info.ok_or_else(|| damaged("tree_info is missing"))?.iter().any(|&group| group != 0) {
        return Err(unsupported("several outputs"));
    }
    let trees = trees.trees.ok_or_else(|| damaged("the trees are missing"))?;
    if param.num_trees.parse() != Ok(trees.len()) {
        return Err(damaged(format!("{} trees where {} are announced", trees.len(), param.num_trees)));
    }
    let trees = trees.into_iter().enumerate().map(|(number, columns)| tree(number, columns, n_features));
    let trees = trees.collect::<Result<_, _>>()?;

    let names_in_file = !feature_names.is_empty();
    if names_in_file && feature_names.len() != n_features {
        return Err(damaged(format!("{} feature names for {n_features} features", feature_names.len())));
    }
    let feature_names =
        if names_in_file { feature_names } else { (0..n_features).map(|i| format!("f{i}")).collect() };
    Ok(Model { trees, base_margin, feature_names, names_in_file, objective })
}

/// Refuses models with several outputs. Versions write 0 or 1 for "one", or nothing.
fn one_output(param: &LearnerParam) -> Result<(), ModelError> {
    for (name, count) in [("num_class", &param.num_class), ("num_target", &param.num_target)] {
        match count.as_deref() {
            None | Some("0" | "1") => {}
            Some(count) => return Err(unsupported(format!("several outputs ({name} is {count})"))),
        }
    }
    Ok(())
}

fn objective_of(name: &str) -> Result<Objective, ModelError> {
    match name {
        "binary:logistic" => Ok(Objective::BinaryLogistic),
        "reg:logistic" => Ok(Objective::RegLogistic),
        "binary:logitraw" => Ok(Objective::LogitRaw),
        other => Err(unsupported(format!("the objective `{other}`"))),
    }
}

/// The margin of a base score: `5E-1`, or `[5E-1]` since XGBoost 3.1.
///
/// For `binary:logitraw` it is the margin itself, for the others a probability.
fn base_margin(text: &str, objective: Objective) -> Result<f32, ModelError> {
    let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    if inner.contains(',') {
        return Err(unsupported(format!("several outputs (base_score is {text})")));
    }
    let score: f32 = inner.trim().parse().map_err(|_| damaged(format!("base_score is `{text}`")))?;
    if objective == Objective::LogitRaw {
        return if score.is_finite() { Ok(score) } else { Err(damaged(format!("base_score is {score}"))) };
    }
    if !(0.0..=1.0).contains(&score) {
        return Err(damaged(format!("base_score is {score}, not a probability")));
    }
    Ok(super::sigmoid::margin(score))
}

fn n_features(text: &str) -> Result<usize, ModelError> {
    let count: u64 = text.parse().map_err(|_| damaged(format!("num_feature is `{text}`")))?;
    match usize::try_from(count) {
        Ok(count) if count <= MAX_FEATURES => Ok(count),
        _ => Err(ModelError::TooLarge { what: "features", found: count, limit: MAX_FEATURES as u64 }),
    }
}

/// A tree as the file has it, and which one it is.
struct Columns {
    number: usize,
    left: Vec<i32>,
    right: Vec<i32>,
    feature: Vec<i64>,
    value: Vec<f32>,
    default_left: Vec<bool>,
    cover: Vec<f32>,
}

/// Checks a tree and lays its nodes out afresh: breadth first, children side by side.
///
/// Nodes that no way from the root comes to (XGBoost keeps pruned ones) are left out.
fn tree<F: Into<Vec<f32>>>(number: usize, file: TreeFile<F>, n_features: usize) -> Result<Tree, ModelError> {
    if !matches!(file.tree_param.size_leaf_vector.as_deref(), None | Some("0" | "1")) {
        return Err(unsupported("leaves with several outputs"));
    }
    if !file.categories_nodes.is_empty() || file.split_type.iter().any(|&kind| kind != 0) {
        return Err(unsupported("categorical splits"));
    }
    let columns = Columns {
        number,
        left: file.left_children,
        right: file.right_children,
        feature: file.split_indices,
        value: file.split_conditions.into(),
        default_left: file.default_left.into_iter().map(|flag| flag.0).collect(),
        cover: file.sum_hessian.into(),
    };
    let n = columns.left.len();
    let lengths = [
        ("right_children", columns.right.len()),
        ("split_indices", columns.feature.len()),
        ("split_conditions", columns.value.len()),
        ("default_left", columns.default_left.len()),
        ("sum_hessian", columns.cover.len()),
    ];
    if let Some((name, other)) = lengths.into_iter().find(|&(_, other)| other != n) {
        return Err(columns.damaged(format!("{n} nodes, but {other} values in {name}")));
    }
    if n == 0 {
        return Err(columns.damaged("it has no nodes".into()));
    }

    let mut seen = vec![false; n];
    seen[0] = true;
    // Position in the file and depth of the nodes laid out; their children are appended behind, so this is the queue too.
    let mut order = vec![(0_usize, 0_usize)];
    let mut nodes: Vec<Node> = Vec::with_capacity(n);
    let mut depth = 0;
    while let Some(&(at, level)) = order.get(nodes.len()) {
        let mut node = columns.node(at, n_features)?;
        if let Some(children) = columns.children(at)? {
            // A child number fits: there are fewer nodes than the file has bytes.
            node.left = order.len() as u32;
            for child in children {
                if std::mem::replace(&mut seen[child], true) {
                    return Err(
                        columns.damaged(format!("node {child} has two parents, or is its own ancestor"))
                    );
                }
                order.push((child, level + 1));
            }
        }
        depth = depth.max(level);
        nodes.push(node);
    }
    Ok(Tree { nodes, depth })
}

impl Columns {
    fn damaged(&self, what: String) -> ModelError {
        ModelError::DamagedTree { tree: self.number, what }
    }

    /// The positions of a split's children; `None` for a leaf.
    fn children(&self, at: usize) -> Result<Option<[usize; 2]>, ModelError> {
        let position = |child: i32| usize::try_from(child).ok().filter(|&child| child < self.left.len());
        match (self.left[at], self.right[at]) {
            (-1, -1) => Ok(None),
            (left, right) => match (position(left), position(right)) {
                (Some(left), Some(right)) => Ok(Some([left, right])),
                _ => Err(self.damaged(format!("node {at} has the children {left} and {right}"))),
            },
        }
    }

    /// A node without its children. A leaf's feature is not looked at: pruning leaves any number there.
    fn node(&self, at: usize, n_features: usize) -> Result<Node, ModelError> {
        let (value, cover) = (self.value[at], self.cover[at]);
        if !value.is_finite() {
            return Err(self.damaged(format!("node {at} has the value {value}")));
        }
        if !(cover.is_finite() && cover >= 0.0) {
            return Err(self.damaged(format!("node {at} has the cover {cover}")));
        }
        let is_leaf = self.left[at] == -1;
        let feature = if is_leaf { Some(0) } else { u16::try_from(self.feature[at]).ok() };
        let feature = feature.filter(|&f| is_leaf || usize::from(f) < n_features).ok_or_else(|| {
            self.damaged(format!("node {at} splits by feature {} of {n_features}", self.feature[at]))
        })?;
        Ok(Node { value, cover, left: 0, feature, default_left: !is_leaf && self.default_left[at] })
    }
}
