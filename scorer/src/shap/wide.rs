//! The long vectors of x86-64: sixteen rows with AVX-512F, eight with AVX2.

#![allow(unsafe_code)] // the vector operations need a processor that has them; tests compare with safe code

use std::arch::x86_64::*;

use super::batch::Batch;
use super::tables::Tables;
use super::vector::Vector;

/// Long vectors, on a processor that has them.
#[derive(Debug, Clone)]
pub(super) enum Wide {
    Avx512(Batch<__m512>),
    Avx2(Batch<__m256>),
}

impl Wide {
    /// Working memory for each kind of long vector that the processor has, the longest first.
    pub(super) fn all(nodes: usize, features: usize) -> Vec<Self> {
        let mut all = Vec::new();
        if is_x86_feature_detected!("avx512f") {
            all.push(Self::Avx512(Batch::new(nodes, features)));
        }
        if is_x86_feature_detected!("avx2") {
            all.push(Self::Avx2(Batch::new(nodes, features)));
        }
        all
    }

    /// Rows at once.
    pub(super) const fn rows(&self) -> usize {
        match self {
            Self::Avx512(_) => <__m512 as Vector>::ROWS,
            Self::Avx2(_) => <__m256 as Vector>::ROWS,
        }
    }

    /// Writes the effects on the margins of 1 to [`rows`](Self::rows) rows of `width` values.
    pub(super) fn explain(&mut self, tables: &Tables<f32>, width: usize, rows: &[f32], out: &mut [f32]) {
        #[target_feature(enable = "avx512f")]
        fn avx512(
            batch: &mut Batch<__m512>,
            tables: &Tables<f32>,
            width: usize,
            rows: &[f32],
            out: &mut [f32],
        ) {
            batch.explain(tables, width, rows, out);
        }
        #[target_feature(enable = "avx2")]
        fn avx2(
            batch: &mut Batch<__m256>,
            tables: &Tables<f32>,
            width: usize,
            rows: &[f32],
            out: &mut [f32],
        ) {
            batch.explain(tables, width, rows, out);
        }
        match self {
            // SAFETY: `all` made sure that the processor has AVX-512F.
            Self::Avx512(batch) => unsafe { avx512(batch, tables, width, rows, out) },
            // SAFETY: and AVX2.
            Self::Avx2(batch) => unsafe { avx2(batch, tables, width, rows, out) },
        }
    }
}

// SAFETY, of all blocks below: only `Wide` makes a `Batch` of these vectors, and only on a processor that has them. The
// functions must be inlined into the two above, since only there may the compiler use the vectors.
impl Vector for __m512 {
    const ROWS: usize = 16;
    type Mask = __mmask16;

    #[inline(always)]
    fn splat(value: f32) -> Self {
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        let values = &values[..Self::ROWS];
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, out: &mut [f32]) {
        let out = &mut out[..Self::ROWS];
        unsafe { _mm512_storeu_ps(out.as_mut_ptr(), self) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { _mm512_add_ps(self, other) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { _mm512_sub_ps(self, other) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { _mm512_mul_ps(self, other) }
    }

    #[inline(always)]
    fn below(self, threshold: f32) -> Self::Mask {
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self, _mm512_set1_ps(threshold)) }
    }

    #[inline(always)]
    fn all() -> Self::Mask {
        u16::MAX
    }

    #[inline(always)]
    fn and(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        a & b
    }

    #[inline(always)]
    fn and_not(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        a & !b
    }

    #[inline(always)]
    fn only(mask: Self::Mask, yes: Self) -> Self {
        unsafe { _mm512_maskz_mov_ps(mask, yes) }
    }

    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        unsafe { _mm512_mask_blend_ps(mask, no, yes) }
    }
}

impl Vector for __m256 {
    const ROWS: usize = 8;
    /// All bits or none.
    type Mask = [u32; 8];

    #[inline(always)]
    fn splat(value: f32) -> Self {
        unsafe { _mm256_set1_ps(value) }
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        let values = &values[..Self::ROWS];
        unsafe { _mm256_loadu_ps(values.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, out: &mut [f32]) {
        let out = &mut out[..Self::ROWS];
        unsafe { _mm256_storeu_ps(out.as_mut_ptr(), self) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        unsafe { _mm256_add_ps(self, other) }
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        unsafe { _mm256_sub_ps(self, other) }
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        unsafe { _mm256_mul_ps(self, other) }
    }

    #[inline(always)]
    fn below(self, threshold: f32) -> Self::Mask {
        unsafe { bits(_mm256_cmp_ps::<_CMP_LT_OQ>(self, _mm256_set1_ps(threshold))) }
    }

    #[inline(always)]
    fn all() -> Self::Mask {
        [u32::MAX; 8]
    }

    #[inline(always)]
    fn and(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        unsafe { bits(_mm256_and_ps(vector(a), vector(b))) }
    }

    #[inline(always)]
    fn and_not(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        unsafe { bits(_mm256_andnot_ps(vector(b), vector(a))) }
    }

    #[inline(always)]
    fn only(mask: Self::Mask, yes: Self) -> Self {
        unsafe { _mm256_and_ps(vector(mask), yes) }
    }

    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        unsafe { _mm256_blendv_ps(no, yes, vector(mask)) }
    }
}

#[inline(always)]
fn bits(vector: __m256) -> [u32; 8] {
    // SAFETY: both are 32 bytes, and any bits are numbers.
    unsafe { std::mem::transmute(vector) }
}

#[inline(always)]
fn vector(bits: [u32; 8]) -> __m256 {
    // SAFETY: as above.
    unsafe { std::mem::transmute(bits) }
}
