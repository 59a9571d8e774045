//! Distributions over small whole numbers, to draw from and to weigh by the very same numbers.

use super::draws::Draws;

/// A distribution over 0..=cap.
#[derive(Debug, Clone)]
pub struct Counts {
    probability: Vec<f64>,
    cumulative: Vec<f64>,
}

impl Counts {
    /// Poisson's with this mean; what lies beyond `cap` is counted as `cap`.
    #[must_use]
    pub fn poisson(mean: f64, cap: usize) -> Self {
        let mut p = libm::exp(-mean);
        let mut total = 0.0;
        let mut probability = Vec::with_capacity(cap + 1);
        let mut cumulative = Vec::with_capacity(cap + 1);
        for n in 0..cap {
            probability.push(p);
            total += p;
            cumulative.push(total);
            p *= mean / (n + 1) as f64;
        }
        probability.push((1.0 - total).max(0.0));
        cumulative.push(1.0);
        Self { probability, cumulative }
    }

    /// Draws one. O(result).
    pub fn draw(&self, draws: &mut Draws) -> u8 {
        let unit = draws.unit();
        self.cumulative.iter().position(|c| unit < *c).unwrap_or(self.cumulative.len() - 1) as u8
    }

    /// The probability of `n`; 0 beyond the cap.
    #[must_use]
    pub fn probability(&self, n: u8) -> f64 {
        self.probability.get(usize::from(n)).copied().unwrap_or(0.0)
    }
}

/// Powers of a chance and of its opposite.
#[derive(Debug, Clone)]
pub struct Powers {
    yes: Vec<f64>,
    no: Vec<f64>,
}

impl Powers {
    /// Those of `p` up to `most`.
    #[must_use]
    pub fn new(p: f64, most: usize) -> Self {
        let powers =
            |base: f64| std::iter::successors(Some(1.0), |x| Some(x * base)).take(most + 1).collect();
        Self { yes: powers(p), no: powers(1.0 - p) }
    }

    /// The chance of one given sequence of so many successes and failures.
    ///
    /// # Panics
    /// If there are more of either than the table was made for.
    #[must_use]
    pub fn of(&self, yes: u8, no: u8) -> f64 {
        self.yes[usize::from(yes)] * self.no[usize::from(no)]
    }
}

#[cfg(test)]
mod tests {
    use super::super::draws::Seeded;
    use super::*;

    #[test]
    fn poisson_draws_follow_their_probabilities() {
        for mean in [0.0, 0.3, 2.0, 9.0] {
            let counts = Counts::poisson(mean, 12);
            let sum: f64 = (0..=12).map(|n| counts.probability(n)).sum();
            assert!((sum - 1.0).abs() < 1e-12);
            let mut draws = Seeded::new(3).traits(0);
            let mut seen = [0.0; 13];
            const N: u32 = 40_000;
            for _ in 0..N {
                seen[usize::from(counts.draw(&mut draws))] += 1.0;
            }
            for (n, count) in seen.iter().enumerate() {
                let p = counts.probability(n as u8);
                let allowed = 5.0 * libm::sqrt(p * (1.0 - p) / f64::from(N)) + 1e-9;
                assert!(
                    (count / f64::from(N) - p).abs() <= allowed,
                    "mean {mean}, {n}: {count} of {N} for {p}"
                );
            }
        }
    }
}
