//! The numbers that SHAP computes with: `f32` for trees of usual depth, `f64` for deep ones.

use std::ops::{Add, AddAssign, Mul, Sub};

/// A floating-point number.
pub(super) trait Real:
    Copy + Default + PartialEq + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + AddAssign
{
    /// The nearest one to an `f64`.
    fn of(value: f64) -> Self;
    /// The same number as an `f64`.
    fn wide(self) -> f64;
}

impl Real for f32 {
    fn of(value: f64) -> Self {
        value as Self
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }
}

impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }
}
