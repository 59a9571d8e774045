//! What of a model does not depend on the row, and the two walks over a tree.
//!
//! Let `f` be a feature's factor `t o + (1 - t) z` at one point. Where `i` comes for the first time on a way, its factor
//! joins the product of those above. Where it comes again, `o` and `z` shrink, and the product must hold the new factor
//! instead of the old: it is multiplied by their ratio. If the row has left the way of `i` already (`o = 0`), the ratio is
//! the split's own weight. Otherwise the old factor is `t + (1 - t) z`, at least `t`, so dividing by it is harmless.
//!
//! With the product above `P` (old factor included), the ratio `r` and the sum below `R`, the leaves below a child count
//!
//! ```text
//! first time:  P R (o - z)                              for i
//! again:       P R ((o - z) - (old o - old z) r) / old  for i: its new part, less what the split above counts for them
//! ```
//!
//! and with old `o = 0` the last line is 0.

use super::quadrature::gauss_legendre;
use crate::{Model, Tree};

/// Quadrature points taken at once.
pub(super) const LANES: usize = 4;

/// A number for each of the points at work.
pub(super) type Lanes = [f64; LANES];

/// Some quadrature points: `t`, `1 - t` and the weight; the weights of surplus lanes are 0.
#[derive(Debug)]
pub(super) struct Points {
    pub(super) t: Lanes,
    pub(super) rest: Lanes,
    pub(super) weight: Lanes,
}

/// A model's tables.
#[derive(Debug)]
pub(super) struct Tables {
    pub(super) bias: f64,
    pub(super) points: Vec<Points>,
    pub(super) trees: Vec<TreeTables>,
}

/// A tree's.
#[derive(Debug)]
pub(super) struct TreeTables {
    /// The root first, every split after the one above it.
    pub(super) splits: Vec<Split>,
    /// Node and value.
    pub(super) leaves: Vec<(u32, f64)>,
}

/// A split as SHAP needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Split {
    pub(super) node: u32,
    /// The left child; the right one is next to it.
    pub(super) left: u32,
    pub(super) feature: u16,
    pub(super) default_left: bool,
    pub(super) threshold: f32,
    /// The part of the training rows here that went to each child.
    pub(super) share: [f64; 2],
    /// The node that the split by the same feature above leads to on this way, and the product of the shares up to there.
    pub(super) again: Option<(u32, f64)>,
}

impl Tables {
    pub(super) fn new(model: &Model) -> Self {
        let (mut bias, mut trees, mut most) = (f64::from(model.base_margin()), Vec::new(), 0);
        for tree in model.trees() {
            bias += mean(tree);
            let (tables, features) = TreeTables::new(tree);
            trees.push(tables);
            most = most.max(features);
        }
        let mut rule = gauss_legendre(most.div_ceil(2));
        rule.resize(rule.len().next_multiple_of(LANES), (0.5, 0.0));
        let block = |block: &[(f64, f64)]| Points {
            t: std::array::from_fn(|lane| block[lane].0),
            rest: std::array::from_fn(|lane| 1.0 - block[lane].0),
            weight: std::array::from_fn(|lane| block[lane].1),
        };
        Self { bias, points: rule.chunks_exact(LANES).map(block).collect(), trees }
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

impl TreeTables {
    /// A tree's tables and the largest number of different features on a way through it.
    fn new(tree: &Tree) -> (Self, usize) {
        let nodes = tree.nodes();
        // By node: the split above, so that the way up can be followed, and how many features are on it.
        let mut above: Vec<Option<usize>> = vec![None; nodes.len()];
        let mut features = vec![0_usize; nodes.len()];
        let (mut splits, mut leaves): (Vec<Split>, Vec<_>) = (Vec::new(), Vec::new());
        // By node: the place of its split.
        let mut place = vec![0_usize; nodes.len()];
        for (number, node) in nodes.iter().enumerate() {
            if node.is_leaf() {
                leaves.push((number as u32, f64::from(node.value)));
                continue;
            }
            let mut again = None;
            let mut at = number;
            while let Some(parent) = above[at] {
                let split = splits[place[parent]];
                if split.feature == node.feature {
                    let before = split.again.map_or(1.0, |(_, share)| share);
                    again = Some((at as u32, before * split.share[at - split.left as usize]));
                    break;
                }
                at = parent;
            }
            let left = node.left as usize;
            for child in [left, left + 1] {
                above[child] = Some(number);
                features[child] = features[number] + usize::from(again.is_none());
            }
            place[number] = splits.len();
            splits.push(Split {
                node: number as u32,
                left: node.left,
                feature: node.feature,
                default_left: node.default_left,
                threshold: node.value,
                share: shares(tree, number),
                again,
            });
        }
        let most = features.iter().copied().max().unwrap_or(0);
        (Self { splits, leaves }, most)
    }
}

/// Working memory for one tree, and the effects that all trees add to.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    /// By node: the product of the factors on the way to it.
    above: Vec<Lanes>,
    /// By node: the sum of the leaves below, each times the factors on the way from here.
    below: Vec<Lanes>,
    /// By node: the factor, or ratio of factors, that the last step to it brought.
    ratio: Vec<Lanes>,
    /// By node: whether the row goes this way, at the split above and those by the same feature further up.
    taken: Vec<bool>,
    /// By feature.
    pub(super) effects: Vec<Lanes>,
}

fn lanes(value: impl FnMut(usize) -> f64) -> Lanes {
    std::array::from_fn(value)
}

impl Walk {
    pub(super) fn new(nodes: usize, features: usize) -> Self {
        let zero = [0.0; LANES];
        Self {
            above: vec![zero; nodes],
            below: vec![zero; nodes],
            ratio: vec![zero; nodes],
            taken: vec![false; nodes],
            effects: vec![zero; features],
        }
    }

    /// Adds a tree's part for some points.
    pub(super) fn add(&mut self, tree: &TreeTables, points: &Points, row: &[f32]) {
        self.down(tree, points, row);
        for &(node, value) in &tree.leaves {
            self.below[node as usize] = [value; LANES];
        }
        self.up(tree, points);
    }

    fn down(&mut self, tree: &TreeTables, points: &Points, row: &[f32]) {
        self.above[0] = [1.0; LANES];
        for split in &tree.splits {
            let value = row[usize::from(split.feature)];
            let goes_left = value < split.threshold || (value.is_nan() && split.default_left);
            let product = self.above[split.node as usize];
            for (side, share) in split.share.into_iter().enumerate() {
                let child = split.left as usize + side;
                let goes = goes_left == (side == 0);
                let (taken, ratio) = match split.again {
                    None => {
                        let taken = f64::from(u8::from(goes));
                        (goes, lanes(|k| points.t[k] * taken + points.rest[k] * share))
                    }
                    Some((before, _)) if !self.taken[before as usize] => (false, [share; LANES]),
                    Some((_, old)) => {
                        let taken = f64::from(u8::from(goes));
                        let new = |k: usize| points.t[k] * taken + points.rest[k] * (old * share);
                        (goes, lanes(|k| new(k) / (points.t[k] + points.rest[k] * old)))
                    }
                };
                self.taken[child] = taken;
                self.ratio[child] = ratio;
                self.above[child] = lanes(|k| product[k] * ratio[k]);
            }
        }
    }

    fn up(&mut self, tree: &TreeTables, points: &Points) {
        for split in tree.splits.iter().rev() {
            let (node, left) = (split.node as usize, split.left as usize);
            let (below, ratio) =
                ([self.below[left], self.below[left + 1]], [self.ratio[left], self.ratio[left + 1]]);
            self.below[node] = lanes(|k| ratio[0][k] * below[0][k] + ratio[1][k] * below[1][k]);

            let taken = [left, left + 1].map(|child| f64::from(u8::from(self.taken[child])));
            let product = &self.above[node];
            let effect = &mut self.effects[usize::from(split.feature)];
            match split.again {
                None => {
                    let part = [taken[0] - split.share[0], taken[1] - split.share[1]];
                    for k in 0..LANES {
                        let sum = part[0] * below[0][k] + part[1] * below[1][k];
                        effect[k] += points.weight[k] * product[k] * sum;
                    }
                }
                Some((before, old)) if self.taken[before as usize] => {
                    let part = [taken[0] - old * split.share[0], taken[1] - old * split.share[1]];
                    for k in 0..LANES {
                        let counted =
                            |side: usize| (part[side] - (1.0 - old) * ratio[side][k]) * below[side][k];
                        let factor = points.t[k] + points.rest[k] * old;
                        effect[k] += points.weight[k] * product[k] * (counted(0) + counted(1)) / factor;
                    }
                }
                Some(_) => {}
            }
        }
    }
}
