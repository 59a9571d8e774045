//! Rows side by side: what the batch form needs of a vector, and the form that any processor has.

use std::fmt::Debug;

/// A number for each of some rows.
///
/// All operations are those of IEEE 754 on each row by itself, so a row's bits do not depend on the vector's length.
pub(super) trait Vector: Copy + Debug + Send + Sync {
    /// Rows in a vector.
    const ROWS: usize;
    /// Yes or no for each row.
    type Mask: Copy + Debug + Send + Sync;

    /// The same number for every row.
    fn splat(value: f32) -> Self;
    /// Takes `ROWS` numbers.
    ///
    /// # Panics
    /// If there are fewer.
    fn load(values: &[f32]) -> Self;
    /// Gives `ROWS` numbers.
    ///
    /// # Panics
    /// If `out` has room for fewer.
    fn store(self, out: &mut [f32]);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// Whether each number is below one.
    fn below(self, threshold: f32) -> Self::Mask;
    /// Every row.
    fn all() -> Self::Mask;
    fn and(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    fn and_not(a: Self::Mask, b: Self::Mask) -> Self::Mask;
    /// The number where the mask says so, 0 elsewhere.
    fn only(mask: Self::Mask, yes: Self) -> Self;
    /// `yes` where the mask says so, `no` elsewhere.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
}

/// As many rows as the vectors of every x86-64 and arm64 processor hold.
pub(super) const ANY: usize = 4;

impl Vector for [f32; ANY] {
    const ROWS: usize = ANY;
    /// All bits or none.
    type Mask = [u32; ANY];

    #[inline(always)]
    fn splat(value: f32) -> Self {
        [value; ANY]
    }

    #[inline(always)]
    fn load(values: &[f32]) -> Self {
        std::array::from_fn(|row| values[row])
    }

    #[inline(always)]
    fn store(self, out: &mut [f32]) {
        out[..ANY].copy_from_slice(&self);
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        std::array::from_fn(|row| self[row] + other[row])
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        std::array::from_fn(|row| self[row] - other[row])
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        std::array::from_fn(|row| self[row] * other[row])
    }

    #[inline(always)]
    fn below(self, threshold: f32) -> Self::Mask {
        std::array::from_fn(|row| if self[row] < threshold { u32::MAX } else { 0 })
    }

    #[inline(always)]
    fn all() -> Self::Mask {
        [u32::MAX; ANY]
    }

    #[inline(always)]
    fn and(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        std::array::from_fn(|row| a[row] & b[row])
    }

    #[inline(always)]
    fn and_not(a: Self::Mask, b: Self::Mask) -> Self::Mask {
        std::array::from_fn(|row| a[row] & !b[row])
    }

    #[inline(always)]
    fn only(mask: Self::Mask, yes: Self) -> Self {
        std::array::from_fn(|row| f32::from_bits(yes[row].to_bits() & mask[row]))
    }

    #[inline(always)]
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self {
        std::array::from_fn(|row| {
            f32::from_bits((yes[row].to_bits() & mask[row]) | (no[row].to_bits() & !mask[row]))
        })
    }
}
