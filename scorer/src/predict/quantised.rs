//! Models whose thresholds are told apart by a byte: rows become bytes, and nodes compare bytes.
//!
//! A feature's *bin* is the number of its thresholds (*cuts*) that are at most the value, so `x < cut[k]` is `bin <= k`.
//! There are at most 254 cuts, so bins end at 254, and 255 stands for a missing value.
//!
//! A node goes right if `bin - from < count` in wrapping bytes: right are the bins `k + 1 ..= 254`, and 255 too where missing
//! values go right. One subtraction and one comparison serve both defaults.

use super::perfect::pad;
use crate::Model;

/// The most cuts that a feature may have here. XGBoost trained with `max_bin` of at most 254 stays below.
pub(super) const MAX_CUTS: usize = 254;

/// The most features that a model may split by here: a column's number is a byte too.
const MAX_COLUMNS: usize = 256;

/// The most levels of splits: a tree's splits are then the bits of a 64-bit word.
const MAX_DEPTH: usize = 6;

/// A missing value's bin.
pub(super) const MISSING: u8 = 255;

/// 64 bytes as a vector register holds them.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Bytes64(pub(super) [u8; 64]);

impl Bytes64 {
    pub(super) const ZERO: Self = Self([0; 64]);
}

/// A feature that the model splits by, and its cuts in the two orders in which they are searched.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// The feature's number in a row.
    pub(super) feature: usize,
    /// Rising, filled up with NaN, which no value is at least.
    pub(super) sorted: Box<[f32; 256]>,
    /// The last of each 16 sorted cuts.
    pub(super) coarse: [f32; 16],
    /// As a binary search tree of `levels` levels: the root is number 1, the children of `i` are `2 i` and `2 i + 1`.
    pub(super) search: Box<[f32; 256]>,
    pub(super) levels: usize,
}

/// The splits of a padded tree by number: the root is 1, the children of `i` are `2 i` and `2 i + 1`; 0 is unused.
#[derive(Debug, Clone)]
pub(super) struct QuantisedTree {
    pub(super) column: Bytes64,
    pub(super) from: Bytes64,
    pub(super) count: Bytes64,
}

/// A model whose trees decide by bytes.
#[derive(Debug, Clone)]
pub(super) struct Quantised {
    pub(super) depth: usize,
    pub(super) base: f32,
    pub(super) columns: Vec<Column>,
    pub(super) trees: Vec<QuantisedTree>,
    /// By tree, left to right; a tree's first `2^depth` count.
    pub(super) leaves: Vec<[f32; 64]>,
}

impl Column {
    fn new(feature: usize, cuts: &[f32]) -> Self {
        let mut sorted = Box::new([f32::NAN; 256]);
        sorted[..cuts.len()].copy_from_slice(cuts);
        let coarse = std::array::from_fn(|block| sorted[16 * block + 15]);
        // Room for one more than there are cuts: as many results as a search can have.
        let levels = (cuts.len() + 1).next_power_of_two().ilog2().max(1) as usize;
        let mut search = Box::new([f32::NAN; 256]);
        for level in 0..levels {
            let apart = 1 << (levels - level);
            for place in 0..1 << level {
                search[(1 << level) + place] = sorted[place * apart + apart / 2 - 1];
            }
        }
        Self { feature, sorted, coarse, search, levels }
    }

    /// The bin of a value: the plain form, which the fast ones are tested against.
    #[cfg(test)]
    pub(super) fn bin(&self, value: f32) -> u8 {
        if value.is_nan() { MISSING } else { self.sorted.iter().filter(|&&cut| value >= cut).count() as u8 }
    }
}

impl Quantised {
    /// Quantises a model; `None` if it has no splits, too deep trees, or too many features or cuts.
    pub(super) fn new(model: &Model) -> Option<Self> {
        let depth = model.depth();
        if !(1..=MAX_DEPTH).contains(&depth) {
            return None;
        }
        let mut cuts = vec![Vec::new(); model.n_features()];
        for node in model.trees.iter().flat_map(|tree| &tree.nodes).filter(|node| !node.is_leaf()) {
            // + 0 makes -0 the 0 that it equals.
            cuts[usize::from(node.feature)].push(node.value + 0.0);
        }
        for cuts in &mut cuts {
            cuts.sort_by(f32::total_cmp);
            cuts.dedup();
        }
        if cuts.iter().any(|cuts| cuts.len() > MAX_CUTS) {
            return None;
        }
        let used: Vec<_> = (0..cuts.len()).filter(|&feature| !cuts[feature].is_empty()).collect();
        if used.len() > MAX_COLUMNS {
            return None;
        }
        let columns = used.iter().map(|&feature| Column::new(feature, &cuts[feature])).collect();

        let size = 1 << depth;
        let (mut trees, mut leaves) = (Vec::new(), Vec::new());
        for tree in &model.trees {
            let (mut column, mut from, mut count) = (Bytes64::ZERO, Bytes64::ZERO, Bytes64::ZERO);
            let mut values = [0.0; 64];
            pad(tree, depth, |place, node| {
                let node = &tree.nodes[node];
                if place >= size {
                    values[place - size] = node.value;
                } else if !node.is_leaf() {
                    let feature = usize::from(node.feature);
                    let below = cuts[feature].partition_point(|&cut| cut < node.value) as u8;
                    column.0[place] = used.partition_point(|&other| other < feature) as u8;
                    from.0[place] = below + 1;
                    count.0[place] = (if node.default_left { 254 } else { 255 }) - below;
                }
                // Elsewhere the count of 0 sends every row left, to a copy of the leaf.
            });
            trees.push(QuantisedTree { column, from, count });
            leaves.push(values);
        }
        Some(Self { depth, base: model.base_margin, columns, trees, leaves })
    }

    /// The margin of a row: the plain form, which the fast ones are tested against.
    #[cfg(test)]
    pub(super) fn margin(&self, row: &[f32]) -> f32 {
        let bins: Vec<_> = self.columns.iter().map(|column| column.bin(row[column.feature])).collect();
        let leaf = |(tree, leaves): (&QuantisedTree, &[f32; 64])| {
            let mut place = 1;
            for _ in 0..self.depth {
                let bin = bins[usize::from(tree.column.0[place])];
                place = 2 * place + usize::from(bin.wrapping_sub(tree.from.0[place]) < tree.count.0[place]);
            }
            leaves[place - (1 << self.depth)]
        };
        self.trees.iter().zip(&self.leaves).map(leaf).fold(self.base, |sum, leaf| sum + leaf)
    }
}
