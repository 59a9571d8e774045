//! Evaluation with 512-bit vectors of bytes (AVX-512 with VBMI): [`columns`] takes 64 rows at once, [`mask`] one.
//!
//! The functions here and below need the processor features of [`available`]; the two `margins` entries are the only ones
//! called from outside, by [`Avx512`], which exists only where the features do.

#![allow(unsafe_code)] // vector loads and gathers take pointers; each has its SAFETY comment, and tests compare with safe code

mod columns;
mod mask;

#[cfg(test)]
mod tests;

use std::arch::x86_64::{__m512, __m512i, _mm512_load_si512, _mm512_loadu_ps};

use super::quantised::{Bytes64, Quantised};
use crate::Model;

/// Fewer rows than this are quicker one by one: 16 at once cost about as much as 12 of them.
const FEW: usize = 12;

/// A quantised model on a processor that has the vectors for it.
#[derive(Debug, Clone)]
pub(super) struct Avx512 {
    model: Quantised,
}

/// Working memory.
#[derive(Debug, Clone)]
pub(super) struct Bins {
    /// A column's bins of 64 rows; for a single row, the columns' bins are the first bytes instead.
    columns: Vec<Bytes64>,
    /// By tree, padded to groups of 8: a bit for each split of one row, set if it goes right.
    masks: Vec<u64>,
}

/// Which rows are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grouping {
    /// As is best for their number.
    Best,
    /// 64, the last ones filled up.
    Columns,
    /// Each by itself.
    Single,
}

/// Whether the processor can do it.
fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi")
        && is_x86_feature_detected!("popcnt")
}

impl Avx512 {
    /// Prepares a model; `None` if the model or the processor does not suit.
    pub(super) fn new(model: &Model) -> Option<Self> {
        if available() { Quantised::new(model).map(|model| Self { model }) } else { None }
    }

    pub(super) fn bins(&self) -> Bins {
        Bins { columns: vec![Bytes64::ZERO; 256], masks: vec![0; self.model.trees.len().next_multiple_of(8)] }
    }

    /// The margins of rows of `width` values each.
    ///
    /// # Panics
    /// If `bins` is of a model with another number of trees.
    pub(super) fn margins(
        &self,
        rows: &[f32],
        width: usize,
        out: &mut [f32],
        bins: &mut Bins,
        grouping: Grouping,
    ) {
        assert_eq!(
            bins.masks.len(),
            self.model.trees.len().next_multiple_of(8),
            "scratch of another predictor"
        );
        for (rows, out) in rows.chunks(64 * width).zip(out.chunks_mut(64)) {
            let single = grouping == Grouping::Single || (grouping == Grouping::Best && out.len() < FEW);
            if single {
                for (row, out) in rows.chunks_exact(width).zip(out) {
                    // SAFETY: `new` made sure that the processor has the features.
                    *out = unsafe { mask::margin(&self.model, row, bins) };
                }
            } else {
                // SAFETY: as above.
                unsafe { columns::margins(&self.model, rows, width, out, bins) };
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_bytes(bytes: &Bytes64) -> __m512i {
    // SAFETY: the reference is to 64 bytes, aligned to 64.
    unsafe { _mm512_load_si512(std::ptr::from_ref(bytes).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_floats(floats: &[f32; 16]) -> __m512 {
    // SAFETY: the reference is to 16 floats; the load needs no alignment.
    unsafe { _mm512_loadu_ps(floats.as_ptr()) }
}
