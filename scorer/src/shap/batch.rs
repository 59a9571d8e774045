//! Several rows side by side in a vector, the quadrature points one after the other.
//!
//! The operations on a row and their order are those of [`super::single`], so the bits are the same.

use super::tables::{Block, POINTS, Tables, TreeTables};
use super::vector::Vector;
use super::{FLUSH, double};

/// The longest vector.
const MOST_ROWS: usize = 16;

/// Working memory for as many rows as a vector holds.
#[derive(Debug, Clone)]
pub(super) struct Batch<V: Vector> {
    /// The rows, doubled, by value and then by row.
    columns: Vec<V>,
    /// By node and point: as in the single form.
    sums: Vec<V>,
    /// By node: which rows go this way, at the split above and at those by the same feature further up.
    taken: Vec<V::Mask>,
    /// By split: which rows go left.
    left: Vec<V::Mask>,
    /// By feature, since the last flush.
    recent: Vec<V>,
    /// By feature, then by row.
    totals: Vec<f64>,
}

impl<V: Vector> Batch<V> {
    pub(super) fn new(nodes: usize, features: usize) -> Self {
        Self {
            columns: vec![V::splat(0.0); 2 * features],
            sums: vec![V::splat(0.0); POINTS * nodes],
            taken: vec![V::all(); nodes],
            left: vec![V::all(); nodes],
            recent: vec![V::splat(0.0); features],
            totals: vec![0.0; V::ROWS * features],
        }
    }

    /// Writes the effects on the margins of 1 to [`Vector::ROWS`] rows of `width` values.
    #[inline(always)]
    pub(super) fn explain(&mut self, tables: &Tables<f32>, width: usize, rows: &[f32], out: &mut [f32]) {
        // The tables of `f32`s have one block; its surplus points add nothing, so the fewer the quicker.
        let Some(block) = tables.blocks.first() else { return };
        match block.root.iter().filter(|&&root| root != 0.0).count() {
            ..=1 => self.by_points::<1>(tables, block, width, rows, out),
            2 => self.by_points::<2>(tables, block, width, rows, out),
            3 => self.by_points::<3>(tables, block, width, rows, out),
            _ => self.by_points::<POINTS>(tables, block, width, rows, out),
        }
    }

    #[inline(always)]
    fn by_points<const N: usize>(
        &mut self,
        tables: &Tables<f32>,
        block: &Block<f32>,
        width: usize,
        rows: &[f32],
        out: &mut [f32],
    ) {
        self.transpose(width, rows);
        self.totals.fill(0.0);
        for trees in tables.trees.chunks(FLUSH) {
            self.recent.fill(V::splat(0.0));
            for tree in trees {
                self.down::<N>(tree, block);
                let sums = self.sums.as_chunks_mut::<N>().0;
                for &(node, value) in &tree.leaves {
                    let value = V::splat(value);
                    for sum in &mut sums[node as usize] {
                        *sum = sum.mul(value);
                    }
                }
                self.up::<N>(tree);
            }
            for (totals, recent) in self.totals.chunks_exact_mut(V::ROWS).zip(&self.recent) {
                let mut values = [0.0; MOST_ROWS];
                recent.store(&mut values);
                for (total, value) in totals.iter_mut().zip(values) {
                    *total += f64::from(value);
                }
            }
        }
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            for (out, totals) in out.iter_mut().zip(self.totals.chunks_exact(V::ROWS)) {
                *out = totals[row] as f32;
            }
        }
    }

    /// Brings the rows side by side, missing values as both of [`double`]'s. Surplus rows keep what they held.
    #[inline(always)]
    fn transpose(&mut self, width: usize, rows: &[f32]) {
        let mut values = [0.0; MOST_ROWS];
        let (low, high) = self.columns.split_at_mut(width);
        for (feature, (low, high)) in low.iter_mut().zip(high).enumerate() {
            for (value, row) in values.iter_mut().zip(rows.chunks_exact(width)) {
                *value = row[feature];
            }
            let [below, above] = double(values);
            (*low, *high) = (V::load(&below), V::load(&above));
        }
    }

    #[inline(always)]
    fn down<const N: usize>(&mut self, tree: &TreeTables<f32>, block: &Block<f32>) {
        let Self { columns, sums, taken, left, .. } = self;
        let (sums, inverse) = (sums.as_chunks_mut::<N>().0, &tree.inverse[0][..]);
        let (mut t, mut rest) = ([V::splat(0.0); N], [V::splat(0.0); N]);
        for k in 0..N {
            sums[0][k] = V::splat(block.root[k]);
            (t[k], rest[k]) = (V::splat(block.t[k]), V::splat(block.rest[k]));
        }
        for (split, goes) in tree.splits.iter().zip(left) {
            *goes = columns[split.at as usize].below(split.threshold);
            let product = sums[split.node as usize];
            let (first, before) = (split.left as usize, split.before as usize);
            let here = taken[before];
            let goes = [V::and(here, *goes), V::and_not(here, *goes)];
            let (taken, children) = (&mut taken[first..first + 2], &mut sums[first..first + 2]);
            for side in 0..2 {
                taken[side] = goes[side];
                let weight = V::splat(split.weight[side]);
                for k in 0..N {
                    let away = rest[k].mul(weight);
                    let mut factor = away.add(V::only(goes[side], t[k]));
                    if before != 0 {
                        factor = factor.mul(V::splat(inverse[before][k]));
                        factor = V::select(here, factor, V::splat(split.share[side]));
                    }
                    children[side][k] = product[k].mul(factor);
                }
            }
        }
    }

    #[inline(always)]
    fn up<const N: usize>(&mut self, tree: &TreeTables<f32>) {
        let Self { sums, taken, left, recent, .. } = self;
        let (sums, inverse) = (sums.as_chunks_mut::<N>().0, &tree.inverse[0][..]);
        let nothing = V::splat(0.0);
        for (split, &goes) in tree.splits.iter().zip(&*left).rev() {
            let (first, before) = (split.left as usize, split.before as usize);
            let (children, new) = (&sums[first..first + 2], &inverse[first..first + 2]);
            let (mut sum, mut e) = ([nothing; N], [nothing; POINTS]);
            for k in 0..N {
                let (a, b) = (children[0][k], children[1][k]);
                sum[k] = a.add(b);
                let known = V::select(goes, a.mul(V::splat(new[0][k])), b.mul(V::splat(new[1][k])));
                e[k] = known.sub(if before == 0 { sum[k] } else { sum[k].mul(V::splat(inverse[before][k])) });
            }
            sums[split.node as usize] = sum;
            let mut effect = match N {
                1 => e[0],
                2 => e[0].add(e[1]),
                3 => e[0].add(e[2]).add(e[1]),
                _ => e[0].add(e[2]).add(e[1].add(e[3])),
            };
            if before != 0 {
                effect = V::only(taken[before], effect);
            }
            let recent = &mut recent[split.feature as usize];
            *recent = recent.add(effect);
        }
    }
}
