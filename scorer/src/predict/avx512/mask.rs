//! One row, all splits of a tree at once.
//!
//! A row's bins fit a few registers. One byte permute brings each split of a tree the bin that it looks at, one comparison
//! decides all of them, and the way down is read from the 64 resulting bits, for eight trees side by side.

use std::arch::x86_64::*;

use super::super::quantised::{Bytes64, MISSING, Quantised, QuantisedTree};
use super::{Bins, load_bytes, load_floats};

/// The margin of a row.
///
/// # Panics
/// If the row does not hold a value for each feature that the model splits by.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
pub(super) fn margin(model: &Quantised, row: &[f32], bins: &mut Bins) -> f32 {
    let Some(registers) = bins.columns.first_chunk_mut::<4>() else { return f32::NAN };
    for (bin, column) in registers.iter_mut().flat_map(|register| &mut register.0).zip(&model.columns) {
        let value = row[column.feature];
        let lanes = _mm512_set1_ps(value);
        let at_least =
            |cuts: &[f32; 16]| _mm512_cmp_ps_mask::<_CMP_GE_OQ>(lanes, load_floats(cuts)).count_ones();
        // 16 blocks of 16 cuts: how many are passed as a whole, then how far into the next. At most 15 can be passed.
        let block = at_least(&column.coarse);
        let within = at_least(&column.sorted.as_chunks::<16>().0[block as usize % 16]);
        *bin = if value.is_nan() { MISSING } else { (16 * block + within) as u8 };
    }
    match model.columns.len() {
        0..=64 => decide::<1>(&model.trees, registers, &mut bins.masks),
        65..=128 => decide::<2>(&model.trees, registers, &mut bins.masks),
        _ => decide::<4>(&model.trees, registers, &mut bins.masks),
    }
    walk(model, &bins.masks)
}

/// Decides every split of every tree; the bins stand in `REGISTERS` registers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn decide<const REGISTERS: usize>(trees: &[QuantisedTree], bins: &[Bytes64; 4], masks: &mut [u64]) {
    let [a, b, c, d] =
        [load_bytes(&bins[0]), load_bytes(&bins[1]), load_bytes(&bins[2]), load_bytes(&bins[3])];
    for (tree, mask) in trees.iter().zip(masks) {
        let column = load_bytes(&tree.column);
        let bins = match REGISTERS {
            1 => _mm512_permutexvar_epi8(column, a),
            2 => _mm512_permutex2var_epi8(a, column, b),
            _ => {
                let low = _mm512_permutex2var_epi8(a, column, b);
                let high = _mm512_permutex2var_epi8(c, column, d);
                // The top bit of a column's number says which half.
                _mm512_mask_blend_epi8(_mm512_movepi8_mask(column), low, high)
            }
        };
        *mask =
            _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bins, load_bytes(&tree.from)), load_bytes(&tree.count));
    }
}

/// Follows the decisions down and adds the leaves in the order of the trees.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn walk(model: &Quantised, masks: &[u64]) -> f32 {
    let one = _mm512_set1_epi64(1);
    let mut sum = model.base;
    for (masks, leaves) in masks.as_chunks::<8>().0.iter().zip(model.leaves.chunks(8)) {
        // SAFETY: the reference is to 64 bytes; the load needs no alignment.
        let masks = unsafe { _mm512_loadu_si512(masks.as_ptr().cast()) };
        let mut place = one;
        for _ in 0..model.depth {
            let right = _mm512_and_si512(_mm512_srlv_epi64(masks, place), one);
            place = _mm512_add_epi64(_mm512_add_epi64(place, place), right);
        }
        let mut places = [0_u64; 8];
        // SAFETY: the reference is to 64 bytes; the store needs no alignment.
        unsafe { _mm512_storeu_si512(places.as_mut_ptr().cast(), place) };
        for (leaves, place) in leaves.iter().zip(places) {
            // The top bit of a place is one above the leaf's number, which `depth` bits hold.
            sum += leaves[(place as usize - (1 << model.depth)) % 64];
        }
    }
    sum
}
