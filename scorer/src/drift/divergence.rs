//! Population stability index and Jensen-Shannon divergence of two histograms, with intervals.

use std::f64::consts::{LN_2, PI};

use serde::Serialize;

/// Fewer rows than this say nothing.
pub const MIN_ROWS: u64 = 200;

/// From here on a feature is said to have moved: the usual border of the index.
const MOVED: f64 = 0.2;

/// Draws for an interval.
const DRAWS: usize = 400;

/// How far two distributions are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Drift {
    /// How many rows there are now.
    pub rows: u64,
    /// Population stability index: the sum over bins of `(now - then) ln(now / then)` of the shares; 0 for equal ones. What
    /// chance adds on average is taken off; not below 0.
    pub psi: f64,
    /// Where the index lies with 95 % confidence.
    pub psi_interval: Interval,
    /// Jensen-Shannon divergence in bits, 0 to 1; less what chance adds.
    pub js: f64,
    /// Where the divergence lies with 95 % confidence.
    pub js_interval: Interval,
}

/// A confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// What an index means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Below 0.2, whatever chance did.
    Stable,
    /// There are too few rows to tell on which side of 0.2 it lies.
    Unclear,
    /// 0.2 and more, whatever chance did.
    Moved,
}

impl Verdict {
    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Unclear => "unclear",
            Self::Moved => "moved",
        }
    }
}

impl Drift {
    /// What the index means, by its interval.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.psi_interval.low >= MOVED {
            Verdict::Moved
        } else if self.psi_interval.high < MOVED {
            Verdict::Stable
        } else {
            Verdict::Unclear
        }
    }
}

/// Compares two histograms of the same bins, missing values being one of them.
///
/// With `B` occupied bins and `n` and `m` rows of the same distribution, the index has about the mean
/// `(B - 1) (1/n + 1/m)` (Yurdakul, "Statistical properties of population stability index", 2018), and the divergence in nats
/// an eighth of it: that is what chance adds. The interval comes from a parametric bootstrap: shares drawn around the observed
/// ones by the normal approximation to both samples, each with twice what chance adds taken off, since the draws are around
/// shares that chance has moved already.
pub(super) fn compare(now: &[f64], then: &[f64]) -> Drift {
    let (n, m) = (now.iter().sum::<f64>(), then.iter().sum::<f64>());
    let occupied = now.iter().zip(then).filter(|(now, then)| **now + **then > 0.0).count();
    let (p, q) = (shares(now, n, occupied), shares(then, m, occupied));
    let by_chance = (occupied.max(1) - 1) as f64 * (1.0 / n + 1.0 / m);
    let (psi_chance, js_chance) = (by_chance, by_chance / 8.0 / LN_2);

    let mut normal = Normal::new();
    let (mut psis, mut jss) = (Vec::with_capacity(DRAWS), Vec::with_capacity(DRAWS));
    for _ in 0..DRAWS {
        let (p, q) = (normal.around(&p, n), normal.around(&q, m));
        psis.push(psi(&p, &q) - 2.0 * psi_chance);
        jss.push(js(&p, &q) - 2.0 * js_chance);
    }
    Drift {
        rows: n as u64,
        psi: (psi(&p, &q) - psi_chance).max(0.0),
        psi_interval: interval(psis),
        js: (js(&p, &q) - js_chance).clamp(0.0, 1.0),
        js_interval: interval(jss),
    }
}

/// Shares of the rows, none of them 0 where the bin is occupied at all: half a row more in each.
fn shares(counts: &[f64], rows: f64, occupied: usize) -> Vec<f64> {
    counts.iter().map(|count| (count + 0.5) / (rows + 0.5 * occupied as f64)).collect()
}

fn psi(p: &[f64], q: &[f64]) -> f64 {
    p.iter().zip(q).map(|(p, q)| (p - q) * libm::log(p / q)).sum()
}

fn js(p: &[f64], q: &[f64]) -> f64 {
    let part = |a: f64, middle: f64| a * libm::log2(a / middle);
    p.iter().zip(q).map(|(&p, &q)| (part(p, p.midpoint(q)) + part(q, p.midpoint(q))) / 2.0).sum()
}

/// The middle 95 % of draws.
fn interval(mut draws: Vec<f64>) -> Interval {
    draws.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| draws[((DRAWS - 1) as f64 * share).round() as usize].max(0.0);
    Interval { low: at(0.025), high: at(0.975) }
}

/// Normal numbers (Box-Muller from SplitMix64): the same in every run.
struct Normal {
    state: u64,
}

impl Normal {
    const fn new() -> Self {
        Self { state: 20_261_125 }
    }

    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        // In (0, 1].
        (((z ^ (z >> 31)) >> 11) + 1) as f64 / (1_u64 << 53) as f64
    }

    fn next(&mut self) -> f64 {
        libm::sqrt(-2.0 * libm::log(self.uniform())) * libm::cos(2.0 * PI * self.uniform())
    }

    /// Shares as another sample of `rows` rows might have them.
    fn around(&mut self, shares: &[f64], rows: f64) -> Vec<f64> {
        let noise: Vec<f64> = shares.iter().map(|share| libm::sqrt(share / rows) * self.next()).collect();
        let together: f64 = noise.iter().sum();
        let least = 0.5 / rows;
        let drawn: Vec<f64> = shares
            .iter()
            .zip(&noise)
            .map(|(share, noise)| (share + noise - share * together).max(least))
            .collect();
        let sum: f64 = drawn.iter().sum();
        drawn.iter().map(|share| share / sum).collect()
    }
}
