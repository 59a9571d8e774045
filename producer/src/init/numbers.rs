//! How numbers stand in the columns of a sample: with a decimal comma, in groups of three digits, with a currency beside them.

use std::borrow::Cow;

use super::sample::Column;

/// What stands beside amounts.
const SIGNS: [&str; 19] = [
    "$", "€", "£", "¥", "₹", "EUR", "USD", "GBP", "CHF", "JPY", "CAD", "AUD", "SEK", "NOK", "DKK", "PLN",
    "CZK", "INR", "BRL",
];

/// The text without the currency beside it, and that.
fn bare(text: &str) -> (Cow<'_, str>, Option<&'static str>) {
    let text = text.trim();
    // Nearly all begin and end with a digit.
    let ends = |c: Option<char>| c.is_some_and(|c| !c.is_ascii_digit());
    if !ends(text.chars().next()) && !ends(text.chars().next_back()) {
        return (text.into(), None);
    }
    let (minus, amount) = text.strip_prefix('-').map_or(("", text), |amount| ("-", amount));
    for sign in SIGNS {
        if let Some(rest) = amount.strip_prefix(sign).or_else(|| amount.strip_suffix(sign)) {
            return (format!("{minus}{}", rest.trim()).into(), Some(sign));
        }
    }
    (text.into(), None)
}

/// Whether the digits before the fraction stand in groups of three, or in none.
fn is_in_groups(text: &str, comma: bool) -> bool {
    let (point, between) = if comma { (',', '.') } else { ('.', ',') };
    let (whole, fraction) = text.split_once(point).unwrap_or((text, ""));
    let mut groups = whole.trim_start_matches('-').split(between);
    let first = groups.next().unwrap_or_default();
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    (1..=if whole.contains(between) { 3 } else { 15 }).contains(&first.len())
        && digits(first)
        && groups.all(|group| group.len() == 3 && digits(group))
        && digits(fraction)
}

impl Column {
    /// Whether every value is a number, with one currency at most beside all of them; commas count as points if `comma`.
    pub(crate) fn is_number(&self, comma: bool) -> bool {
        let number = |text: &str| {
            let text = if comma { text.replace(',', ".").into() } else { Cow::Borrowed(text) };
            text.parse::<f64>().is_ok_and(f64::is_finite)
        };
        // A code such as 007 is none, and neither is what has many leading zeros.
        let code = |text: &str| text.len() > 1 && text.starts_with('0') && !text.contains(['.', ',']);
        self.all_amounts(|text| number(text) && !code(text))
    }

    /// Whether every value is a number, in some of which each three digits are set off, as in 1.234,50 or, without `comma`, 1,234.50.
    pub(crate) fn is_grouped(&self, comma: bool) -> bool {
        let telling =
            |text: &String| text.contains(',') && (text.contains('.') || (!comma && bare(text).1.is_some()));
        self.values.iter().any(telling) && self.all_amounts(|text| is_in_groups(text, comma))
    }

    fn all_amounts(&self, is_number: impl Fn(&str) -> bool) -> bool {
        let mut currency = None;
        !self.values.is_empty()
            && self.values.iter().all(|text| {
                let (bare, sign) = bare(text);
                sign.is_none_or(|sign| *currency.get_or_insert(sign) == sign) && is_number(&bare)
            })
    }

    /// The characters beside the numbers of a column that a map must pass over.
    pub(super) fn beside(&self) -> Option<&'static str> {
        self.values.iter().find_map(|text| bare(text).1)
    }

    /// Whether blanks stand between the numbers and what is beside them.
    pub(super) fn has_blanks(&self) -> bool {
        self.values.iter().any(|text| text.trim().contains(' '))
    }

    /// The largest number, either way, of a column of numbers.
    pub(super) fn largest(&self, comma: bool) -> f64 {
        let grouped = self.is_grouped(comma);
        let number = |text: &String| {
            let (text, _) = bare(text);
            let text = match (comma, grouped) {
                (true, true) => text.replace('.', "").replace(',', "."),
                (true, false) => text.replace(',', "."),
                (false, _) => text.replace(',', ""),
            };
            text.parse::<f64>().unwrap_or_default().abs()
        };
        self.values.iter().map(number).fold(0.0, f64::max)
    }

    /// Whether all are whole numbers of the same, great length, or with a `+` before them: numbers of phones, cards or customers.
    pub(super) fn is_long_number(&self) -> bool {
        let digits = |text: &str| text.strip_prefix('+').unwrap_or(text).bytes().all(|b| b.is_ascii_digit());
        let long = |text: &String| text.starts_with('+') || text.len() == self.values[0].len();
        self.values.first().is_some_and(|first| first.len() >= 6)
            && self.values.iter().all(|text| digits(text) && text.len() >= 6 && long(text))
    }
}

/// The largest number that a feature's input may hold, in units of its last decimal.
const MOST: f64 = (1_u64 << 50) as f64;
/// Numbers may become so much larger than those of the sample.
const ROOM: f64 = 100.0;

/// How many decimals of such numbers a spec can keep, six at most; `None` if they are too large for any.
pub(super) fn scale_for(largest: f64) -> Option<u32> {
    let fits = |scale: &u32, room: f64| largest * room * 10_f64.powi(*scale as i32) <= MOST;
    (0..=6).rev().find(|scale| fits(scale, ROOM)).or_else(|| fits(&0, 2.0).then_some(0))
}
