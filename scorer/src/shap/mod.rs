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
//! half as many points is exact (Quadrature-TreeSHAP, Wettenstein et al. 2026). At each point the products are carried down
//! the tree and the weighted sums of leaves up, so a tree costs a constant amount of work a node and point. A feature that
//! comes again on the way has its factor exchanged: `tables` has the details.
//!
//! All is plain `f64` multiplication and addition in a fixed order: the same bits on every processor.

mod quadrature;
mod tables;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::Model;
use tables::{LANES, Tables, Walk};

/// Explains margins: for each feature, how much it moved the margin from the model's average.
///
/// Holds its own working memory, so explaining allocates nothing; a clone shares the tables, so each thread can have one.
#[derive(Debug, Clone)]
pub struct Shap {
    tables: Arc<Tables>,
    walk: Walk,
}

impl Shap {
    /// Prepares a model for explaining; O(nodes * depth).
    #[must_use]
    pub fn new(model: &Model) -> Self {
        let nodes = model.trees().iter().map(|tree| tree.nodes().len()).max().unwrap_or(0);
        Self { tables: Arc::new(Tables::new(model)), walk: Walk::new(nodes, model.n_features()) }
    }

    /// The average margin of the training rows (log-odds): what the effects are counted from.
    #[must_use]
    pub fn bias(&self) -> f32 {
        self.tables.bias as f32
    }

    /// Writes the effect of each feature on a row's margin, in log-odds, to `out`, and returns the bias.
    ///
    /// Bias and effects add up to the margin, but for rounding to `f32`. O(nodes * depth / 8).
    ///
    /// # Panics
    /// If `row` or `out` does not hold one value for each of the model's features.
    pub fn explain(&mut self, row: &[f32], out: &mut [f32]) -> f32 {
        assert_eq!(row.len(), self.walk.effects.len(), "values in a row");
        assert_eq!(out.len(), self.walk.effects.len(), "effects");
        self.walk.effects.fill([0.0; LANES]);
        for tree in &self.tables.trees {
            for points in &self.tables.points {
                self.walk.add(tree, points, row);
            }
        }
        for (out, lanes) in out.iter_mut().zip(&self.walk.effects) {
            *out = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) as f32;
        }
        self.bias()
    }
}
