//! Trees padded to perfect ones of one depth: no branches, no leaf tests, several trees in flight.

use std::hint::black_box;

use crate::{Model, Tree};

/// Padding doubles with every level; deeper trees are rare and better walked as they are.
const MAX_DEPTH: usize = 8;

/// Trees walked side by side, so that the loads of one hide the latency of the others.
const LANES: usize = 8;

/// The sizes of the doubled row: fixed, so that no index into it needs a check.
const NARROW: usize = 256;
const WIDE: usize = 4096;

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
    /// Splits tree by tree, `2^depth` each: the root is number 1 (0 is unused), the children of `i` are `2 i` and `2 i + 1`.
    /// The trees are padded to full groups of lanes.
    splits: Vec<Split>,
    /// Leaves tree by tree, left to right.
    leaves: Vec<f32>,
}

impl PerfectTrees {
    /// Pads the trees; `None` if one is too deep, or there are too many features.
    pub(super) fn new(model: &Model) -> Option<Self> {
        let depth = model.depth().max(1);
        if depth > MAX_DEPTH || 2 * model.n_features() > WIDE {
            return None;
        }
        let size = 1 << depth;
        let trees = model.trees.len();
        let padded = trees.next_multiple_of(LANES);
        let mut splits = vec![Split { threshold: 0.0, at: 0 }; padded * size];
        let mut leaves = vec![0.0; padded * size];
        for (number, tree) in model.trees.iter().enumerate() {
            let splits = &mut splits[number * size..][..size];
            let leaves = &mut leaves[number * size..][..size];
            pad(tree, depth, |place, node| {
                let node = &tree.nodes()[node];
                match splits.get_mut(place) {
                    Some(split) if !node.is_leaf() => {
                        let copy = if node.default_left { 0 } else { model.n_features() };
                        *split =
                            Split { threshold: node.value, at: (usize::from(node.feature) + copy) as u32 };
                    }
                    Some(_) => {}
                    None => leaves[place - size] = node.value,
                }
            });
        }
        Some(Self { depth, base: model.base_margin, trees, splits, leaves })
    }

    /// How much working memory [`margin`](Self::margin) needs for rows of a model.
    pub(super) const fn doubled(n_features: usize) -> usize {
        if 2 * n_features <= NARROW { NARROW } else { WIDE }
    }

    /// The margin of a row; `doubled` is working memory.
    pub(super) fn margin(&self, row: &[f32], doubled: &mut [f32]) -> f32 {
        let (go_left, go_right) = doubled.split_at_mut(row.len());
        for ((&value, left), right) in row.iter().zip(go_left).zip(go_right) {
            // Below, or not below, every threshold: a missing value then goes its default way without a test for it.
            // (The larger of NaN and a number is the number.)
            *left = value.max(f32::NEG_INFINITY);
            *right = value.min(f32::INFINITY);
        }
        match doubled.first_chunk::<WIDE>() {
            Some(wide) => self.at_depth(wide),
            // `doubled` has one of the two sizes.
            None => doubled.first_chunk::<NARROW>().map_or(f32::NAN, |narrow| self.at_depth(narrow)),
        }
    }

    fn at_depth<const WIDTH: usize>(&self, row: &[f32; WIDTH]) -> f32 {
        match self.depth {
            1 => self.walk::<2, WIDTH>(row),
            2 => self.walk::<4, WIDTH>(row),
            3 => self.walk::<8, WIDTH>(row),
            4 => self.walk::<16, WIDTH>(row),
            5 => self.walk::<32, WIDTH>(row),
            6 => self.walk::<64, WIDTH>(row),
            7 => self.walk::<128, WIDTH>(row),
            _ => self.walk::<256, WIDTH>(row),
        }
    }

    fn walk<const SIZE: usize, const WIDTH: usize>(&self, row: &[f32; WIDTH]) -> f32 {
        let splits = self.splits.as_chunks::<SIZE>().0.as_chunks::<LANES>().0;
        let leaves = self.leaves.as_chunks::<SIZE>().0.as_chunks::<LANES>().0;
        // The compiler must not know the depth: it would unroll the levels, and the lanes would not fit the registers.
        let depth = black_box(self.depth);
        let mut sum = self.base;
        let mut left = self.trees;
        for (splits, leaves) in splits.iter().zip(leaves) {
            let mut place = [1_usize; LANES];
            for _ in 0..depth {
                for (place, splits) in place.iter_mut().zip(splits) {
                    let split = splits[*place % SIZE];
                    *place = 2 * *place + usize::from(row[split.at as usize % WIDTH] >= split.threshold);
                }
            }
            for (place, leaves) in place.iter().zip(leaves).take(left) {
                sum += leaves[*place % SIZE];
            }
            left = left.saturating_sub(LANES);
        }
        sum
    }
}

/// Visits the places of a perfect tree of a depth, from 1 level by level, with the node of `tree` that each stands for.
///
/// Below a leaf every place stands for that leaf.
pub(super) fn pad(tree: &Tree, depth: usize, mut visit: impl FnMut(usize, usize)) {
    let mut level = vec![0_usize];
    let mut place = 1;
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
