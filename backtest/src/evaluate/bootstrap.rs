//! Intervals by drawing users again: rows of one user are alike, so whole users are drawn, not rows.
//!
//! Each resample takes every user a number of times that is Poisson of mean 1, the limit of drawing with replacement (Hanley
//! and MacGibbon 2006). The draws are a function of seed, resample and user's number. Intervals are the 2.5 and 97.5 percentiles.

use serde::Serialize;

use super::Judged;
use super::measure::{COUNT, NAMES, Prepared};

/// A figure and the interval of 95 % that other users of the same kind would have given.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// What was measured.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A named figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Metric {
    /// See [`super::measure`].
    pub name: &'static str,
    /// The figure.
    #[serde(flatten)]
    pub estimate: Estimate,
}

/// How a model differs from another on the same users: this one's figure less the other's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The metric.
    pub name: &'static str,
    /// The difference.
    #[serde(flatten)]
    pub estimate: Estimate,
    /// How often chance alone would show a difference as large, both ways; never below 1 in the number of resamples.
    pub p_value: f64,
}

/// How many resamples so many rows are worth: 400, fewer for millions of rows.
#[must_use]
pub fn resamples_for(rows: usize) -> u32 {
    (200_000_000 / rows.max(1)).clamp(100, 400) as u32
}

/// Measures rows with intervals. Empty if one of the outcomes does not occur. Metrics that are not defined are left out.
/// O(resamples x rows).
#[must_use]
pub fn measure(judged: &Judged, resamples: u32, seed: u64) -> Vec<Metric> {
    let prepared = Prepared::new(judged);
    let mut drawn = vec![1.0; judged.users];
    let Some(values) = prepared.measure(&drawn) else { return Vec::new() };
    let mut samples = vec![Vec::new(); COUNT];
    for resample in 0..resamples {
        draw(&mut drawn, seed, resample);
        if let Some(again) = prepared.measure(&drawn) {
            samples.iter_mut().zip(again).for_each(|(list, value)| list.push(value));
        }
    }
    let metrics = NAMES.iter().zip(values).zip(&mut samples).filter(|((_, value), _)| value.is_finite());
    metrics.map(|((name, value), list)| Metric { name, estimate: Estimate::of(value, list) }).collect()
}

/// Compares two scorings of the same rows, drawing the same users for both. The metrics asked for only.
#[must_use]
pub fn compare(
    ours: &Judged,
    theirs: &Judged,
    metrics: &[&str],
    resamples: u32,
    seed: u64,
) -> Vec<Difference> {
    let (ours_prepared, theirs_prepared) = (Prepared::new(ours), Prepared::new(theirs));
    let mut drawn = vec![1.0; ours.users];
    let both = |drawn: &[f64]| Some((ours_prepared.measure(drawn)?, theirs_prepared.measure(drawn)?));
    let Some((a, b)) = both(&drawn) else { return Vec::new() };
    let mut samples = vec![Vec::new(); COUNT];
    for resample in 0..resamples {
        draw(&mut drawn, seed, resample);
        let Some((a, b)) = both(&drawn) else { continue };
        samples.iter_mut().enumerate().for_each(|(at, list)| list.push(a[at] - b[at]));
    }
    let wanted = NAMES.iter().enumerate().filter(|(_, name)| metrics.contains(name));
    wanted
        .filter(|(at, _)| (a[*at] - b[*at]).is_finite())
        .map(|(at, name)| {
            let list = &mut samples[at];
            let (below, above) = (count(list, |d| d <= 0.0), count(list, |d| d >= 0.0));
            let tail = below.min(above).max(1) as f64 / list.len().max(1) as f64;
            let estimate = Estimate::of(a[at] - b[at], list);
            Difference { name, estimate, p_value: (2.0 * tail).min(1.0) }
        })
        .collect()
}

fn count(list: &[f64], is: impl Fn(f64) -> bool) -> usize {
    list.iter().filter(|value| is(**value)).count()
}

impl Estimate {
    /// A figure with the percentiles of its resamples; the figure itself at both ends if there are none.
    pub(crate) fn of(value: f64, samples: &mut Vec<f64>) -> Self {
        samples.retain(|sample| sample.is_finite());
        samples.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let last = samples.len().checked_sub(1)?;
            samples.get((share * last as f64 + 0.5) as usize).copied()
        };
        Self { value, low: at(0.025).unwrap_or(value), high: at(0.975).unwrap_or(value) }
    }
}

/// Draws how often each user is taken.
pub(crate) fn draw(drawn: &mut [f64], seed: u64, resample: u32) {
    /// P(at most k) of Poisson(1), scaled to 32 bits, for k from 0: e⁻¹ Σ 1/i!.
    const AT_MOST: [u32; 7] = [
        1_580_030_168,
        3_160_060_337,
        3_950_075_421,
        4_213_413_783,
        4_279_248_373,
        4_292_415_291,
        4_294_609_777,
    ];
    for (user, times) in drawn.iter_mut().enumerate() {
        let mixed = mix(seed ^ mix((u64::from(resample) << 32) | user as u64));
        let draw = (mixed >> 32) as u32;
        *times = AT_MOST.iter().take_while(|limit| draw >= **limit).count() as f64;
    }
}

/// The finisher of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input changes half the bits of the output.
const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
