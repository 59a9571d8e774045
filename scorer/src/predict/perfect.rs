//! Trees padded to perfect ones of one depth: no branches, no leaf tests, several trees in flight.

use crate::{Model, Tree};

/// Padding doubles with every level; deeper trees are rare and better walked as they are.
const MAX_DEPTH: usize = 8;

/// Trees walked side by side, so that the loads of one hide the latency of the others.
const LANES: usize = 8;

/// A split of a padded tree.
#[derive(Debug, Clone, Copy)]
struct Split {
    threshold: f32,
    /// Where its value stands in the doubled row.
    at: u32,
}

/// The trees of a model, each padded to a perfect one of the model's depth.
///
/// A padded node sends every row either way to copies of the leaf it stands for.
#[derive(Debug, Clone)]
pub(super) struct PerfectTrees {
    depth: usize,
    base: f32,
    trees: usize,
    /// Splits tree by tree, level by level: the children of `i` are `2 i + 1` and `2 i + 2`. Padded to full groups of lanes.
    splits: Vec<Split>,
    leaves: Vec<f32>,
}

impl PerfectTrees {
    /// Pads the trees; `None` if one is too deep.
    pub(super) fn new(model: &Model) -> Option<Self> {
        let depth = model.depth().max(1);
        if depth > MAX_DEPTH {
            return None;
        }
        let (n_splits, n_leaves) = ((1 << depth) - 1, 1 << depth);
        let trees = model.trees.len();
        let padded = trees.next_multiple_of(LANES);
        let mut splits = vec![Split { threshold: 0.0, at: 0 }; padded * n_splits];
        let mut leaves = vec![0.0; padded * n_leaves];
        if model.n_features() == 0 {
            return None;
        }
        for (number, tree) in model.trees.iter().enumerate() {
            let splits = &mut splits[number * n_splits..][..n_splits];
            let leaves = &mut leaves[number * n_leaves..][..n_leaves];
            pad(tree, depth, |place, node| {
                let node = &tree.nodes()[node];
                match splits.get_mut(place) {
                    Some(split) if !node.is_leaf() => {
                        let copy = if node.default_left { 0 } else { model.n_features() };
                        *split =
                            Split { threshold: node.value, at: (usize::from(node.feature) + copy) as u32 };
                    }
                    Some(_) => {}
                    None => leaves[place - n_splits] = node.value,
                }
            });
        }
        Some(Self { depth, base: model.base_margin, trees, splits, leaves })
    }

    /// The margin of a row; `doubled` has room for twice its values.
    pub(super) fn margin(&self, row: &[f32], doubled: &mut [f32]) -> f32 {
        let (go_left, go_right) = doubled.split_at_mut(row.len());
        for ((&value, left), right) in row.iter().zip(go_left).zip(go_right) {
            // Below, or not below, every threshold: a missing value then goes its default way without a test for it.
            *left = if value.is_nan() { f32::NEG_INFINITY } else { value };
            *right = if value.is_nan() { f32::INFINITY } else { value };
        }
        match self.depth {
            1 => self.walk::<1>(doubled),
            2 => self.walk::<2>(doubled),
            3 => self.walk::<3>(doubled),
            4 => self.walk::<4>(doubled),
            5 => self.walk::<5>(doubled),
            6 => self.walk::<6>(doubled),
            7 => self.walk::<7>(doubled),
            _ => self.walk::<8>(doubled),
        }
    }

    fn walk<const DEPTH: usize>(&self, row: &[f32]) -> f32 {
        let (n_splits, n_leaves) = (const { (1 << DEPTH) - 1 }, const { 1 << DEPTH });
        let mut sum = self.base;
        let mut left = self.trees;
        let groups =
            self.splits.chunks_exact(n_splits * LANES).zip(self.leaves.chunks_exact(n_leaves * LANES));
        for (splits, leaves) in groups {
            let mut place = [0_usize; LANES];
            for _ in 0..DEPTH {
                for (lane, place) in place.iter_mut().enumerate() {
                    let split = splits[lane * n_splits + *place];
                    *place = 2 * *place + 1 + usize::from(row[split.at as usize] >= split.threshold);
                }
            }
            for (lane, place) in place.iter().enumerate().take(left) {
                sum += leaves[lane * n_leaves + place - n_splits];
            }
            left = left.saturating_sub(LANES);
        }
        sum
    }
}

/// Visits the places of a perfect tree of a depth, level by level, with the node of `tree` that each stands for.
///
/// Below a leaf every place stands for that leaf.
pub(super) fn pad(tree: &Tree, depth: usize, mut visit: impl FnMut(usize, usize)) {
    let mut level = vec![0_usize];
    let mut place = 0;
    for _ in 0..=depth {
        let mut next = Vec::with_capacity(2 * level.len());
        for &number in &level {
            visit(place, number);
            place += 1;
            let node = &tree.nodes()[number];
            let left = node.left as usize;
            next.extend(if node.is_leaf() { [number; 2] } else { [left, left + 1] });
        }
        level = next;
    }
}
