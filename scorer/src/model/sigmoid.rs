//! Between probabilities and log-odds, as XGBoost goes there and back.

use super::elementary::{exp, ln};

/// The probability that XGBoost's logistic objectives show for a margin (log-odds), within one unit in the last place: the very
/// bits where XGBoost runs on glibc 2.27 or later, and the same here on every machine.
///
/// The formula with its guards against overflow and division by zero is XGBoost's own (`Sigmoid` in `common/math.h`).
#[must_use]
pub fn probability(margin: f32) -> f32 {
    1.0 / (exp((-margin).min(88.7)) + 1.0 + 1e-16)
}

/// The margin of a probability: `-ln(1 / p - 1)`, with p kept off 0 and 1 by 1e-6 (`ProbToMargin` in `regression_loss.h`).
pub(super) fn margin(probability: f32) -> f32 {
    -ln(1.0 / probability.clamp(1e-6, 1.0 - 1e-6) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_rise_from_zero_to_one_around_a_half() {
        assert_eq!(probability(0.0), 0.5);
        assert_eq!(probability(f32::INFINITY), 1.0);
        assert_eq!(probability(1e30), 1.0);
        assert!(probability(f32::NEG_INFINITY) > 0.0, "as XGBoost's: never quite zero");
        let mut last = 0.0;
        for step in -9_000..9_000 {
            let p = probability(step as f32 / 100.0);
            assert!(p >= last, "{step}");
            last = p;
        }
    }

    #[test]
    fn there_and_back() {
        for step in 1..100 {
            let p = step as f32 / 100.0;
            assert!((probability(margin(p)) - p).abs() < 1e-6, "{p}");
        }
        assert_eq!(margin(0.0), margin(1e-6));
        assert_eq!(margin(1.0), margin(1.0 - 1e-6));
    }
}
