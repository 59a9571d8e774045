//! How much each feature moved a margin: exact SHAP values of trees.
//!
//! The values are those of path-dependent TreeSHAP (Lundberg et al., "From local explanations to global understanding with
//! explainable AI for trees", 2020), which XGBoost's `pred_contribs` gives too: a feature that is "absent" goes both ways at
//! its splits, weighted by how many training rows did.
//!
//! # How
//!
//! For one leaf, let `z_f` be the product of those weights over the splits by `f` on the way to it, and `o_f` 1 if the row
//! goes the leaf's way at all of them, else 0. The Shapley value of `i` for that leaf is
//!
//! ```text
//! leaf * (o_i - z_i) * integral from 0 to 1 of  product over f != i of (t o_f + (1 - t) z_f)  dt
//! ```
//!
//! The integrand is a polynomial in `t`, one degree less than there are features on the way, so Gauss-Legendre quadrature with
//! half as many points is exact (Quadrature-TreeSHAP, Wettenstein et al. 2026).
//!
//! At a point, let `F_f = t o_f + (1 - t) z_f`, and `H` of a node the sum of its leaves, each times all factors on its way.
//! `(o - z) / F` is `(1 / F - 1) / (1 - t)` where the row goes the way, and `-1 / (1 - t)` where it does not. So a split by `i`
//! whose taken child has the factor `F` adds, for the node's and the child's sums,
//!
//! ```text
//! (H(taken child) / F - H(node) / F_before) / (1 - t)
//! ```
//!
//! to the value of `i`, where `F_before` is the factor of `i` above the split (1 if this is its first on the way); and nothing
//! if the row has left the way of `i` already. `1 / F` does not depend on the row. One walk down makes the products, one walk
//! up the sums: a constant amount of work a node and point, without a division.
//!
//! # The same bits everywhere
//!
//! All is multiplication, addition and subtraction in a fixed order for each row, without fused operations, whether points or
//! rows lie side by side in a vector, and however long that is. Trees of usual depth take `f32`, summed up in `f64` every few
//! trees; deep ones, where the points lie close to the ends, take `f64`.

mod batch;
mod quadrature;
mod real;
mod single;
mod tables;
mod vector;
#[cfg(target_arch = "x86_64")]
mod wide;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::Model;
use batch::Batch;
use single::Single;
use tables::{POINTS, Tables, bias, most_features};
#[cfg(target_arch = "x86_64")]
use wide::Wide;

/// After so many trees the effects are added up in `f64`.
const FLUSH: usize = 16;

/// From so many rows on, a vector costs less than single rows, though some of it may be empty.
const FEW: usize = 3;

/// Explains margins: for each feature, how much it moved the margin from the model's average.
///
/// Holds its own working memory, so explaining allocates nothing; a clone shares the tables, so each thread can have one.
#[derive(Debug, Clone)]
pub struct Shap {
    bias: f32,
    n_features: usize,
    form: Form,
}

#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant)] // there is one for each thread, and its buffers are far larger
enum Form {
    /// At most 8 features on a way.
    Usual {
        tables: Arc<Tables<f32>>,
        single: Single<f32>,
        any: Batch<[f32; vector::ANY]>,
        #[cfg(target_arch = "x86_64")]
        wide: Option<Wide>,
    },
    Deep {
        tables: Arc<Tables<f64>>,
        single: Single<f64>,
    },
}

impl Shap {
    /// Prepares a model for explaining, by the fastest means that the processor has; O(nodes * depth).
    #[must_use]
    pub fn new(model: &Model) -> Self {
        let nodes = model.trees().iter().map(|tree| tree.nodes().len()).max().unwrap_or(0);
        let (n_features, most) = (model.n_features(), most_features(model));
        let form = if most <= 2 * POINTS {
            Form::Usual {
                tables: Arc::new(Tables::new(model, most)),
                single: Single::new(nodes, n_features),
                any: Batch::new(nodes, n_features),
                #[cfg(target_arch = "x86_64")]
                wide: Wide::all(nodes, n_features).into_iter().next(),
            }
        } else {
            Form::Deep { tables: Arc::new(Tables::new(model, most)), single: Single::new(nodes, n_features) }
        };
        Self { bias: bias(model) as f32, n_features, form }
    }

    /// The same without vectors that only some processors have: slower, and the same bits.
    #[must_use]
    pub fn portable(model: &Model) -> Self {
        #[cfg_attr(not(target_arch = "x86_64"), expect(unused_mut, reason = "nothing to take away"))]
        let mut portable = Self::new(model);
        #[cfg(target_arch = "x86_64")]
        if let Form::Usual { wide, .. } = &mut portable.form {
            *wide = None;
        }
        portable
    }

    /// The average margin of the training rows (log-odds): what the effects are counted from.
    #[must_use]
    pub const fn bias(&self) -> f32 {
        self.bias
    }

    /// Writes the effect of each feature on a row's margin, in log-odds, to `out`, and returns the bias.
    ///
    /// Bias and effects add up to the margin, but for rounding to `f32`. O(nodes * depth / 8).
    ///
    /// # Panics
    /// If `row` or `out` does not hold one value for each of the model's features.
    pub fn explain(&mut self, row: &[f32], out: &mut [f32]) -> f32 {
        assert_eq!(row.len(), self.n_features, "values in a row");
        assert_eq!(out.len(), self.n_features, "effects");
        match &mut self.form {
            Form::Usual { tables, single, .. } => single.explain(tables, row, out),
            Form::Deep { tables, single } => single.explain(tables, row, out),
        }
        self.bias
    }

    /// As [`explain`](Self::explain) for any number of rows, one after the other in `rows` as in `out`, with the same bits for
    /// each, and several times as fast: best in batches of 16 and more.
    ///
    /// # Panics
    /// If `rows` does not hold whole rows, or `out` is not as long.
    pub fn explain_batch(&mut self, rows: &[f32], out: &mut [f32]) -> f32 {
        let width = self.n_features;
        assert_eq!(rows.len(), out.len(), "values and effects");
        if width == 0 {
            return self.bias;
        }
        assert!(rows.len().is_multiple_of(width), "whole rows of {width} values");
        match &mut self.form {
            #[cfg(target_arch = "x86_64")]
            Form::Usual { tables, single, wide: Some(wide), .. } => {
                let length = wide.rows() * width;
                for (rows, out) in rows.chunks(length).zip(out.chunks_mut(length)) {
                    if rows.len() >= FEW * width {
                        wide.explain(tables, width, rows, out);
                    } else {
                        each(width, rows, out, |row, out| single.explain(tables, row, out));
                    }
                }
            }
            Form::Usual { tables, single, any, .. } => {
                let length = vector::ANY * width;
                for (rows, out) in rows.chunks(length).zip(out.chunks_mut(length)) {
                    if rows.len() >= FEW * width {
                        any.explain(tables, width, rows, out);
                    } else {
                        each(width, rows, out, |row, out| single.explain(tables, row, out));
                    }
                }
            }
            Form::Deep { tables, single } => {
                each(width, rows, out, |row, out| single.explain(tables, row, out));
            }
        }
        self.bias
    }
}

fn each(width: usize, rows: &[f32], out: &mut [f32], mut explain: impl FnMut(&[f32], &mut [f32])) {
    rows.chunks_exact(width).zip(out.chunks_exact_mut(width)).for_each(|(row, out)| explain(row, out));
}

/// Values as splits are to see them where missing ones go left, and where they go right: below, or not below, every threshold.
#[inline(always)]
fn double<const N: usize>(values: [f32; N]) -> [[f32; N]; 2] {
    // The larger, and the smaller, of NaN and a number is the number.
    [values.map(|value| value.max(f32::NEG_INFINITY)), values.map(|value| value.min(f32::INFINITY))]
}
