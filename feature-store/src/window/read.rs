//! From whole numbers to columns: the only place where floats are computed. The table of operations in [`spec`](crate::spec)
//! states each expression; all are in f64, in the order written, and rounded to f32 at the end, so they give the same bits everywhere.

use crate::spec::Plan;
use crate::spec::plan::Read;

use super::cells::{Cells, begin, wide};
use super::series::Series;

const DAY: f64 = 86_400_000.0;
const MISSING: f32 = f32::NAN;

/// Writes the row as of the time up to which `cells` has come; `series` are its own, or those that it would have. O(columns), and O(log n) for those that search.
pub(crate) fn read_row(plan: &Plan, cells: &Cells, series: &[Series], out: &mut [f32]) {
    let (at, words, out) = (cells.at(), cells.words(), &mut out[..plan.reads.len()]);
    for (column_out, read) in out.iter_mut().zip(&plan.reads) {
        *column_out = column(read, words, series, at);
    }
    for &(i, numerator, denominator) in &plan.ratios {
        out[i] = ratio(out[numerator], out[denominator]);
    }
}

#[inline]
fn column(read: &Read, words: &[i64], all_series: &[Series], at: i64) -> f32 {
    match *read {
        Read::Count { word } => words[word] as f64 as f32,
        Read::Sum { word, unit } => (float(wide(words, word)) / unit) as f32,
        Read::Mean { values, sum, unit } => match words[values] {
            0 => MISSING,
            n => (float(wide(words, sum)) / (n as f64 * unit)) as f32,
        },
        Read::Std { values, sum, squares, unit } => match words[values] {
            0 => MISSING,
            n => deviation(n, wide(words, sum), wide(words, squares), unit),
        },
        Read::Change { now, both } => {
            let (now, both) = (words[now], words[both]);
            change(i128::from(now), i128::from(both) - i128::from(now))
        }
        Read::SumChange { now, both } => {
            let (now, both) = (wide(words, now), wide(words, both));
            change(now, both.wrapping_sub(now))
        }
        Read::Extreme { series, span, unit } => match all_series[series].greatest(at - span) {
            None => MISSING,
            // The minimum is the maximum of the negated values; its unit is marked by its sign.
            Some(value) if unit < 0.0 => (value.wrapping_neg() as f64 / -unit) as f32,
            Some(value) => (value as f64 / unit) as f32,
        },
        Read::Days { series, span } | Read::Sessions { series, span } => {
            all_series[series].count(at - span) as f64 as f32
        }
        Read::Bound { word, unset, unit } => {
            if words[word] == unset {
                MISSING
            } else {
                (words[word] as f64 / unit) as f32
            }
        }
        Read::Last { word, span, unit } => {
            if seen(words[word], begin(at, span)) {
                (words[word + 1] as f64 / unit) as f32
            } else {
                MISSING
            }
        }
        Read::Recency { word, span } => {
            if seen(words[word], begin(at, span)) {
                (at.wrapping_sub(words[word]) as f64 / DAY) as f32
            } else {
                MISSING
            }
        }
        Read::Tenure { word } => {
            if words[word] == i64::MAX {
                MISSING
            } else {
                (at.wrapping_sub(words[word]) as f64 / DAY) as f32
            }
        }
        Read::Ordinal { word, other } => match (words[word] == i64::MIN, words[word + 1], other) {
            (true, ..) | (_, 0, None) => MISSING,
            (_, 0, Some(other)) => other as f32,
            (_, code, _) => code.wrapping_sub(1) as f32,
        },
        Read::OneHot { word, code, other } => {
            let known = words[word + 1];
            if words[word] == i64::MIN || (known == 0 && !other) {
                MISSING
            } else {
                f32::from(u8::from(known == code))
            }
        }
        // Made of other columns, once those are there.
        Read::Ratio => MISSING,
    }
}

/// The nearest f64; the same as a plain conversion, which for so wide a number is slow.
#[inline]
fn float(number: i128) -> f64 {
    i64::try_from(number).map_or_else(|_| number as f64, |narrow| narrow as f64)
}

/// Whether a last time is one at all, and within sight.
#[inline]
const fn seen(last: i64, after: i64) -> bool {
    last != i64::MIN && last > after
}

fn ratio(numerator: f32, denominator: f32) -> f32 {
    let ratio = numerator / denominator;
    // Processors differ in the sign of a NaN that they make.
    if denominator == 0.0 || ratio.is_nan() { MISSING } else { ratio }
}

/// (now - before) / (|now| + |before|).
fn change(now: i128, before: i128) -> f32 {
    let base = now.wrapping_abs().wrapping_add(before.wrapping_abs());
    if base == 0 { MISSING } else { (now.wrapping_sub(before) as f64 / base as f64) as f32 }
}

/// √((D - r²/n) / n) / unit with Σx = n·m + r, 0 <= r < n, and D = Σ(x-m)² = Σx² - m(Σx + r), all whole numbers.
fn deviation(n: i64, sum: i128, squares: i128, unit: f64) -> f32 {
    let count = i128::from(n);
    let (mean, rest) = (sum.div_euclid(count), sum.rem_euclid(count));
    let spread = squares.wrapping_sub(mean.wrapping_mul(sum.wrapping_add(rest)));
    let (n, rest) = (n as f64, rest as f64);
    let variance = (spread as f64 - rest * rest / n) / n;
    // Rounding can take it a hair below zero.
    (variance.max(0.0).sqrt() / unit) as f32
}
