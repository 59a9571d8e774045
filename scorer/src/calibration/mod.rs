//! From margins to probabilities that can be taken at their word.

mod fit;
mod isotonic;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use fit::{FitError, fit_beta, fit_platt};
pub use isotonic::{Isotonic, IsotonicError, fit_isotonic};

/// How a margin (log-odds) becomes the probability that is shown.
///
/// All kinds look at the margin rather than at the model's probability: it is the same information, but does not run out of
/// digits near 0 and 1. All of them are non-decreasing, so calibration never changes who stands before whom.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Calibration {
    /// The model's own probability.
    #[default]
    Identity,
    /// Platt scaling: `1 / (1 + exp(-(slope * margin + intercept)))`.
    ///
    /// Source: J. Platt, "Probabilistic Outputs for Support Vector Machines" (1999).
    Platt {
        /// Factor of the margin, at least 0.
        slope: f64,
        /// Log-odds at margin 0.
        intercept: f64,
    },
    /// A non-decreasing line through points.
    Isotonic(Isotonic),
    /// Beta calibration: log-odds `a ln(p) - b ln(1 - p) + c` with p the model's probability.
    ///
    /// Source: Kull, Silva Filho, Flach, "Beta calibration" (2017).
    Beta {
        /// Factor of `ln(p)`, at least 0.
        a: f64,
        /// Factor of `-ln(1 - p)`, at least 0.
        b: f64,
        /// Log-odds where both logarithms cancel.
        c: f64,
    },
}

impl Calibration {
    /// The name of its kind: `identity`, `platt`, `beta` or `isotonic`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Platt { .. } => "platt",
            Self::Isotonic(_) => "isotonic",
            Self::Beta { .. } => "beta",
        }
    }

    /// The calibrated probability of a margin, 0 to 1.
    ///
    /// Computed in `f64` with correctly defined functions only, so every processor gives the same bits.
    #[must_use]
    pub fn apply(&self, margin: f32) -> f32 {
        let m = f64::from(margin);
        match self {
            Self::Identity => crate::probability(margin),
            Self::Platt { slope, intercept } => sigmoid(slope * m + intercept) as f32,
            Self::Isotonic(line) => line.at(m) as f32,
            Self::Beta { a, b, c } => sigmoid(a * ln_sigmoid(m) - b * ln_sigmoid(-m) + c) as f32,
        }
    }

    /// Whether the numbers make a non-decreasing function; a text otherwise, for the error.
    pub(crate) fn check(&self) -> Result<(), String> {
        let good = match self {
            Self::Identity | Self::Isotonic(_) => true,
            Self::Platt { slope, intercept } => *slope >= 0.0 && slope.is_finite() && intercept.is_finite(),
            Self::Beta { a, b, c } => *a >= 0.0 && *b >= 0.0 && (a + b + c).is_finite(),
        };
        if good { Ok(()) } else { Err(format!("the calibration {self:?} is not a non-decreasing function")) }
    }
}

/// The logistic function, without overflow.
fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + libm::exp(-x))
    } else {
        let e = libm::exp(x);
        e / (1.0 + e)
    }
}

/// The logarithm of the logistic function, without overflow or cancellation.
fn ln_sigmoid(x: f64) -> f64 {
    x.min(0.0) - libm::log1p(libm::exp(-x.abs()))
}
