//! One row: the quadrature points of a block side by side.

use super::real::Real;
use super::tables::{Block, POINTS, Points, Tables, TreeTables};
use super::{FLUSH, double};

/// Working memory for one row.
#[derive(Debug, Clone)]
pub(super) struct Single<E> {
    doubled: Vec<f32>,
    /// By node: on the way down, the product of the factors on the way to it; on the way up, the sum of the leaves below, each
    /// times all factors on its way.
    sums: Vec<Points<E>>,
    /// By node: whether the row goes this way, at the split above and at those by the same feature further up.
    taken: Vec<bool>,
    /// By split: the side that the row goes to.
    sides: Vec<u8>,
    /// By feature, since the last flush.
    recent: Vec<E>,
    /// By feature.
    totals: Vec<f64>,
}

impl<E: Real> Single<E> {
    pub(super) fn new(nodes: usize, features: usize) -> Self {
        Self {
            doubled: vec![0.0; 2 * features],
            sums: vec![[E::default(); POINTS]; nodes],
            taken: vec![true; nodes],
            sides: vec![0; nodes],
            recent: vec![E::default(); features],
            totals: vec![0.0; features],
        }
    }

    /// Writes the effects on a row's margin.
    pub(super) fn explain(&mut self, tables: &Tables<E>, row: &[f32], out: &mut [f32]) {
        let (low, high) = self.doubled.split_at_mut(row.len());
        for ((&value, low), high) in row.iter().zip(low).zip(high) {
            [[*low], [*high]] = double([value]);
        }
        self.totals.fill(0.0);
        for trees in tables.trees.chunks(FLUSH) {
            self.recent.fill(E::default());
            for tree in trees {
                for (block, inverse) in tables.blocks.iter().zip(&tree.inverse) {
                    self.down(tree, block, inverse);
                    for &(node, value) in &tree.leaves {
                        let sum = &mut self.sums[node as usize];
                        *sum = points(|k| sum[k] * value);
                    }
                    self.up(tree, inverse);
                }
            }
            for (total, recent) in self.totals.iter_mut().zip(&self.recent) {
                *total += recent.wide();
            }
        }
        for (out, total) in out.iter_mut().zip(&self.totals) {
            *out = *total as f32;
        }
    }

    fn down(&mut self, tree: &TreeTables<E>, block: &Block<E>, inverse: &[Points<E>]) {
        let Self { doubled, sums, taken, sides, .. } = self;
        // By the side that the row goes to: what the factors of the children get.
        let (t, none) = (block.t, [E::default(); POINTS]);
        let by_side = [[t, none], [none, t]];
        sums[0] = block.root;
        for (split, went) in tree.splits.iter().zip(sides) {
            let right = doubled[split.at as usize] >= split.threshold;
            *went = u8::from(right);
            let (first, before) = (split.left as usize, split.before as usize);
            let (product, here) = (sums[split.node as usize], taken[before]);
            let t = &by_side[usize::from(right)];
            let goes = [here & !right, here & right];
            let factor = |child: usize| {
                let weight = split.weight[child];
                let factor = points(|k| block.rest[k] * weight + t[child][k]);
                if before == 0 {
                    return factor;
                }
                let old = &inverse[before];
                if here { points(|k| factor[k] * old[k]) } else { [split.share[child]; POINTS] }
            };
            let (a, b) = (factor(0), factor(1));
            let children = &mut sums[first..first + 2];
            children[0] = points(|k| product[k] * a[k]);
            children[1] = points(|k| product[k] * b[k]);
            taken[first..first + 2].copy_from_slice(&goes);
        }
    }

    fn up(&mut self, tree: &TreeTables<E>, inverse: &[Points<E>]) {
        let Self { sums, taken, sides, recent, .. } = self;
        for (split, &side) in tree.splits.iter().zip(&*sides).rev() {
            let (left, side) = (split.left as usize, usize::from(side & 1));
            let (known, sum) = {
                let children = &sums[left..][..2];
                (children[side], points(|k| children[0][k] + children[1][k]))
            };
            sums[split.node as usize] = sum;
            let (new, old) = (&inverse[left + side], &inverse[split.before as usize]);
            let e = points(|k| known[k] * new[k] - sum[k] * old[k]);
            let effect = (e[0] + e[2]) + (e[1] + e[3]);
            recent[split.feature as usize] +=
                if taken[split.before as usize] { effect } else { E::default() };
        }
    }
}

fn points<E>(value: impl FnMut(usize) -> E) -> Points<E> {
    std::array::from_fn(value)
}
