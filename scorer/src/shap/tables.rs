//! What of a model does not depend on the row.

use super::quadrature::gauss_legendre;
use super::real::Real;
use crate::{Model, Tree};

/// Quadrature points in a block.
pub(super) const POINTS: usize = 4;

/// A number for each point of a block.
pub(super) type Points<E> = [E; POINTS];

/// Some quadrature points; the weights of surplus ones are 0.
#[derive(Debug)]
pub(super) struct Block<E> {
    pub(super) t: Points<E>,
    /// `1 - t`.
    pub(super) rest: Points<E>,
    /// The weight over `1 - t`: what every product begins with.
    pub(super) root: Points<E>,
}

/// A model's tables.
#[derive(Debug)]
pub(super) struct Tables<E> {
    pub(super) blocks: Vec<Block<E>>,
    pub(super) trees: Vec<TreeTables<E>>,
}

/// A tree's.
#[derive(Debug)]
pub(super) struct TreeTables<E> {
    /// The root first, every split after the one above it.
    pub(super) splits: Vec<Split<E>>,
    /// Node and value.
    pub(super) leaves: Vec<(u32, E)>,
    /// By block, by node: one over the factor of the split above, if the row goes this way at all splits by its feature. Ones
    /// at the root.
    pub(super) inverse: Vec<Vec<Points<E>>>,
}

/// A split as SHAP needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split<E> {
    pub(super) node: u32,
    /// The left child; the right one is next to it.
    pub(super) left: u32,
    /// Where its value stands in the doubled row.
    pub(super) at: u32,
    pub(super) feature: u32,
    pub(super) threshold: f32,
    /// The node that the split by the same feature above leads to on this way; the root if there is none.
    pub(super) before: u32,
    /// The part of the training rows here that went to each child.
    pub(super) share: [E; 2],
    /// The product of the shares at this feature's splits on the way, up to each child: `z`.
    pub(super) weight: [E; 2],
}

/// The average margin of the training rows.
pub(super) fn bias(model: &Model) -> f64 {
    model.trees().iter().fold(f64::from(model.base_margin()), |sum, tree| sum + mean(tree))
}

/// The largest number of different features on a way through any tree.
pub(super) fn most_features(model: &Model) -> usize {
    model.trees().iter().flat_map(|tree| Ways::new(tree).features).max().unwrap_or(0)
}

impl<E: Real> Tables<E> {
    /// The tables of a model with at most `features` different features on a way.
    pub(super) fn new(model: &Model, features: usize) -> Self {
        let mut rule = gauss_legendre(features.div_ceil(2).max(1));
        rule.resize(rule.len().next_multiple_of(POINTS), (0.5, 0.0));
        let block = |block: &[(f64, f64)]| Block {
            t: std::array::from_fn(|k| E::of(block[k].0)),
            rest: std::array::from_fn(|k| E::of(1.0 - block[k].0)),
            root: std::array::from_fn(|k| E::of(block[k].1 / (1.0 - block[k].0))),
        };
        let blocks: Vec<_> = rule.chunks_exact(POINTS).map(block).collect();
        let tree = |tree| TreeTables::new(tree, model.n_features(), &rule);
        Self { trees: model.trees().iter().map(tree).collect(), blocks }
    }
}

/// The parts of the training rows that went to a node's children. A node that no row reached gives nothing to either.
fn shares(tree: &Tree, node: usize) -> [f64; 2] {
    let (nodes, left) = (tree.nodes(), tree.nodes()[node].left as usize);
    let cover = f64::from(nodes[node].cover);
    [left, left + 1].map(|child| if cover > 0.0 { f64::from(nodes[child].cover) / cover } else { 0.0 })
}

/// The average of a tree's leaves over the training rows.
fn mean(tree: &Tree) -> f64 {
    let mut means: Vec<f64> = tree.nodes().iter().map(|node| f64::from(node.value)).collect();
    for (number, node) in tree.nodes().iter().enumerate().rev().filter(|(_, node)| !node.is_leaf()) {
        let (left, share) = (node.left as usize, shares(tree, number));
        means[number] = share[0] * means[left] + share[1] * means[left + 1];
    }
    means[0]
}

/// The ways through a tree.
struct Ways {
    /// By split: the node to which the split by the same feature above leads on this way; 0 if there is none.
    before: Vec<usize>,
    /// By node: the product of the shares at the splits by the feature of the split above, up to here.
    weight: Vec<f64>,
    /// By node: how many different features are on the way to it.
    features: Vec<usize>,
}

impl Ways {
    fn new(tree: &Tree) -> Self {
        let nodes = tree.nodes();
        let mut above: Vec<Option<usize>> = vec![None; nodes.len()];
        let (mut before, mut weight, mut features) =
            (vec![0; nodes.len()], vec![1.0; nodes.len()], vec![0; nodes.len()]);
        for (number, node) in nodes.iter().enumerate().filter(|(_, node)| !node.is_leaf()) {
            let mut at = number;
            while let Some(parent) = above[at] {
                if nodes[parent].feature == node.feature {
                    before[number] = at;
                    break;
                }
                at = parent;
            }
            let (left, share) = (node.left as usize, shares(tree, number));
            for side in 0..2 {
                above[left + side] = Some(number);
                weight[left + side] = weight[before[number]] * share[side];
                features[left + side] = features[number] + usize::from(before[number] == 0);
            }
        }
        Self { before, weight, features }
    }
}

impl<E: Real> TreeTables<E> {
    fn new(tree: &Tree, n_features: usize, rule: &[(f64, f64)]) -> Self {
        let (nodes, ways) = (tree.nodes(), Ways::new(tree));
        let (mut splits, mut leaves) = (Vec::new(), Vec::new());
        for (number, node) in nodes.iter().enumerate() {
            if node.is_leaf() {
                leaves.push((number as u32, E::of(f64::from(node.value))));
                continue;
            }
            let (left, feature) = (node.left, u32::from(node.feature));
            splits.push(Split {
                node: number as u32,
                left,
                at: if node.default_left { feature } else { feature + n_features as u32 },
                feature,
                threshold: node.value,
                before: ways.before[number] as u32,
                share: shares(tree, number).map(E::of),
                weight: [0, 1].map(|side| E::of(ways.weight[left as usize + side])),
            });
        }
        // The root's weight is 1, and so is its factor at every point.
        let factor = |t: f64, weight: f64| t + (1.0 - t) * weight;
        let inverse = |block: &[(f64, f64)]| -> Vec<Points<E>> {
            let of = |weight: &f64| std::array::from_fn(|k| E::of(1.0 / factor(block[k].0, *weight)));
            ways.weight.iter().map(of).collect()
        };
        let mut inverse: Vec<_> = rule.chunks_exact(POINTS).map(inverse).collect();
        for block in &mut inverse {
            block[0] = [E::of(1.0); POINTS];
        }
        Self { splits, leaves, inverse }
    }
}
