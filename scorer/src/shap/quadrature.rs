//! Gauss-Legendre quadrature on [0, 1].

use std::f64::consts::PI;

/// Points and weights that integrate polynomials up to degree `2 n - 1` exactly.
///
/// The points are the roots of the Legendre polynomial, found by Newton's method from Tricomi's guess; all by `libm`, so the
/// same bits everywhere. Source: Press et al., "Numerical Recipes", `gauleg`. O(n^2).
pub(super) fn gauss_legendre(n: usize) -> Vec<(f64, f64)> {
    (1..=n)
        .map(|i| {
            let mut x = libm::cos(PI * (i as f64 - 0.25) / (n as f64 + 0.5));
            let mut slope = 1.0;
            // Quadratic convergence from a guess good to 1/n^2: three or four steps are enough.
            for _ in 0..20 {
                let (value, derivative) = legendre(n, x);
                slope = derivative;
                let step = value / derivative;
                x -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            ((1.0 - x) / 2.0, 1.0 / ((1.0 - x * x) * slope * slope))
        })
        .collect()
}

/// The Legendre polynomial of degree `n` and its derivative.
fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut now, mut before) = (1.0, 0.0);
    for j in 1..=n {
        let j = j as f64;
        (now, before) = (((2.0 * j - 1.0) * x * now - (j - 1.0) * before) / j, now);
    }
    (now, n as f64 * (x * now - before) / (x * x - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_are_integrated_exactly() {
        for n in 1..40 {
            let points = gauss_legendre(n);
            for degree in 0..2 * n {
                let integral: f64 = points.iter().map(|(t, w)| w * t.powi(degree as i32)).sum();
                let exact = 1.0 / (degree + 1) as f64;
                assert!((integral - exact).abs() < 1e-14, "{n} points, degree {degree}: {integral}");
            }
        }
    }
}
