//! 64 rows at once, one to each byte of a vector.
//!
//! The bins of a feature are a vector, its *column*. At each level of a tree, the vector of the bins that the rows must look at
//! is blended from the columns of the level's nodes by the decisions above: no lane ever gathers.

use std::arch::x86_64::*;

use super::super::quantised::{Bytes64, Column, MISSING, Quantised};
use super::{Bins, load_bytes, load_floats};

/// The margins of 1 to 64 rows.
///
/// # Panics
/// If `rows` does not hold `width` values for each element of `out`, or there are no rows or more than 64.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) fn margins(model: &Quantised, rows: &[f32], width: usize, out: &mut [f32], bins: &mut Bins) {
    assert!((1..=64).contains(&out.len()) && rows.len() == width * out.len(), "1 to 64 rows");
    let Some(columns) = bins.columns.first_chunk_mut::<256>() else { return };
    for (column, bins) in model.columns.iter().zip(columns.iter_mut()) {
        quantise(column, rows, width, out.len(), bins);
    }
    let sums = match model.depth {
        1 => walk::<1>(model, columns),
        2 => walk::<2>(model, columns),
        3 => walk::<3>(model, columns),
        4 => walk::<4>(model, columns),
        5 => walk::<5>(model, columns),
        _ => walk::<6>(model, columns),
    };
    let mut margins = [0.0; 64];
    for (margins, sum) in margins.as_chunks_mut::<16>().0.iter_mut().zip(sums) {
        // SAFETY: the reference is to 16 floats; the store needs no alignment.
        unsafe { _mm512_storeu_ps(margins.as_mut_ptr(), sum) };
    }
    out.copy_from_slice(&margins[..out.len()]);
}

/// Finds the bins of a feature's values in 64 rows; those from `count` on mean nothing.
#[target_feature(enable = "avx512f,avx512bw")]
fn quantise(column: &Column, rows: &[f32], width: usize, count: usize, bins: &mut Bytes64) {
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let last = _mm512_set1_epi32(count as i32 - 1);
    // Below 64 * 65,536.
    let width_lanes = _mm512_set1_epi32(width as i32);
    let values = &rows[column.feature..];
    assert!(values.len() > (count - 1) * width, "a value in every row");
    let nodes = column.search.as_chunks::<16>().0;
    // The bins beyond the last group are those of an earlier batch; nobody looks at what becomes of them.
    let groups = bins.0.as_chunks_mut::<16>().0.iter_mut().take(count.div_ceil(16));
    for (group, bins) in groups.enumerate() {
        let row = _mm512_min_epi32(_mm512_add_epi32(lanes, _mm512_set1_epi32(16 * group as i32)), last);
        let at = _mm512_mullo_epi32(row, width_lanes);
        // SAFETY: rows are at most `count - 1`, so indices at most `(count - 1) * width`, which the assertion above covers.
        let value = unsafe { _mm512_i32gather_ps::<4>(at, values.as_ptr()) };
        let missing = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(value, value);
        let bin = search(nodes, column.levels, value);
        let bin = _mm512_mask_mov_epi32(bin, missing, _mm512_set1_epi32(MISSING.into()));
        // SAFETY: the reference is to 16 bytes; the store needs no alignment.
        unsafe { _mm_storeu_si128(bins.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(bin)) };
    }
}

/// The number of cuts that are at most each value: a binary search whose probes are permutes of registers.
#[inline]
#[target_feature(enable = "avx512f")]
fn search(nodes: &[[f32; 16]], levels: usize, value: __m512) -> __m512i {
    let two = |at: usize, place: __m512i| {
        _mm512_permutex2var_ps(load_floats(&nodes[at]), place, load_floats(&nodes[at + 1]))
    };
    let bit = |place: __m512i, bit: i32| _mm512_test_epi32_mask(place, _mm512_set1_epi32(bit));
    let first = load_floats(&nodes[0]);
    let mut place = _mm512_set1_epi32(1);
    for level in 0..levels {
        // A permute looks at as many of the place's low bits as it has registers for: the level's bits.
        let cut = match level {
            0..4 => _mm512_permutexvar_ps(place, first),
            4 => _mm512_permutexvar_ps(place, load_floats(&nodes[1])),
            5 => two(2, place),
            6 => _mm512_mask_blend_ps(bit(place, 32), two(4, place), two(6, place)),
            _ => {
                let low = _mm512_mask_blend_ps(bit(place, 32), two(8, place), two(10, place));
                let high = _mm512_mask_blend_ps(bit(place, 32), two(12, place), two(14, place));
                _mm512_mask_blend_ps(bit(place, 64), low, high)
            }
        };
        let above = _mm512_cmp_ps_mask::<_CMP_GE_OQ>(value, cut);
        let double = _mm512_add_epi32(place, place);
        place = _mm512_mask_add_epi32(double, above, double, _mm512_set1_epi32(1));
    }
    _mm512_sub_epi32(place, _mm512_set1_epi32(1 << levels))
}

/// The bins that rows look at once the given decisions are made, the root's first: blended from all nodes of a level.
///
/// A macro, because a loop over a table of registers would be one over memory.
macro_rules! looked_at {
    ($column:ident, $node:expr;) => {
        $column($node)
    };
    ($column:ident, $node:expr; $right:ident $($below:ident)*) => {
        _mm512_mask_blend_epi8(
            $right,
            looked_at!($column, 2 * $node; $($below)*),
            looked_at!($column, 2 * $node + 1; $($below)*),
        )
    };
}

/// Sends 64 rows through all trees; the sums are those of 16 rows each.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn walk<const DEPTH: usize>(model: &Quantised, columns: &[Bytes64; 256]) -> [__m512; 4] {
    let mut sums = [_mm512_set1_ps(model.base); 4];
    let one = _mm512_set1_epi8(1);
    for (tree, leaves) in model.trees.iter().zip(&model.leaves) {
        let (from, count) = (load_bytes(&tree.from), load_bytes(&tree.count));
        let column = |node: usize| load_bytes(&columns[usize::from(tree.column.0[node])]);
        let mut place = one;
        // Whether each row goes right, by its bin and the place that it is at.
        let mut decide = |bins: __m512i| {
            let (from, count) = (_mm512_permutexvar_epi8(place, from), _mm512_permutexvar_epi8(place, count));
            let right = _mm512_cmplt_epu8_mask(_mm512_sub_epi8(bins, from), count);
            let double = _mm512_add_epi8(place, place);
            place = _mm512_mask_add_epi8(double, right, double, one);
            right
        };
        let a = decide(looked_at!(column, 1;));
        if DEPTH > 1 {
            let b = decide(looked_at!(column, 1; a));
            if DEPTH > 2 {
                let c = decide(looked_at!(column, 1; a b));
                if DEPTH > 3 {
                    let d = decide(looked_at!(column, 1; a b c));
                    if DEPTH > 4 {
                        let e = decide(looked_at!(column, 1; a b c d));
                        if DEPTH > 5 {
                            decide(looked_at!(column, 1; a b c d e));
                        }
                    }
                }
            }
        }
        add_leaves::<DEPTH>(&mut sums, place, leaves);
    }
    sums
}

/// Adds the leaf that each row came to.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn add_leaves<const DEPTH: usize>(sums: &mut [__m512; 4], place: __m512i, leaves: &[f32; 64]) {
    let leaf = _mm512_sub_epi8(place, _mm512_set1_epi8(1 << DEPTH));
    let leaves = leaves.as_chunks::<16>().0;
    let quarters = [
        _mm512_castsi512_si128(leaf),
        _mm512_extracti32x4_epi32::<1>(leaf),
        _mm512_extracti32x4_epi32::<2>(leaf),
        _mm512_extracti32x4_epi32::<3>(leaf),
    ];
    for (sum, quarter) in sums.iter_mut().zip(quarters) {
        let leaf = _mm512_cvtepu8_epi32(quarter);
        let mut value = _mm512_permutex2var_ps(load_floats(&leaves[0]), leaf, load_floats(&leaves[1]));
        if DEPTH == 6 {
            let high = _mm512_permutex2var_ps(load_floats(&leaves[2]), leaf, load_floats(&leaves[3]));
            value = _mm512_mask_blend_ps(_mm512_test_epi32_mask(leaf, _mm512_set1_epi32(32)), value, high);
        }
        *sum = _mm512_add_ps(*sum, value);
    }
}
