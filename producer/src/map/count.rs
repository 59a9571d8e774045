//! Moments that are counts of a unit since some moment: Unix times, day numbers, the serial numbers of spreadsheets.

/// A unit and the moment from which it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// How many milliseconds a unit has,
    pub(super) ms_per: i64,
    /// or how many units a millisecond has.
    pub(super) per_ms: i64,
    /// Where counting begins, in milliseconds.
    pub(super) from_ms: i64,
    /// Whether it begins on the clock on somebody's wall, whose days need not have 24 hours.
    pub(super) on_wall: bool,
}

impl Count {
    /// Counts since the epoch of the unit of that name.
    pub(super) fn named(unit: &str) -> Option<Self> {
        let (ms_per, per_ms) = match unit {
            "ns" => (1, 1_000_000),
            "us" => (1, 1_000),
            "ms" => (1, 1),
            "s" => (1_000, 1),
            "minutes" => (60_000, 1),
            "hours" => (3_600_000, 1),
            "days" => (86_400_000, 1),
            _ => return None,
        };
        Some(Self { ms_per, per_ms, from_ms: 0, on_wall: false })
    }

    pub(super) fn is_of_days(&self) -> bool {
        self.ms_per == 86_400_000
    }

    pub(super) fn whole(&self, n: i64) -> Option<i64> {
        n.checked_mul(self.ms_per)?.div_euclid(self.per_ms).checked_add(self.from_ms)
    }

    pub(super) fn float(&self, n: f64) -> Option<i64> {
        let ms = (n * self.ms_per as f64 / self.per_ms as f64).round();
        // Beyond 2^53 a float says nothing exact any more; the range check then refuses it.
        if ms.abs() < 9.0e15 { (ms as i64).checked_add(self.from_ms) } else { None }
    }

    /// Digits, perhaps with a sign and a fraction. Of seconds the fraction counts down to the millisecond; of longer units, whose
    /// fractions are what is left of a division, it is rounded to the nearest.
    pub(super) fn text(&self, text: &str, decimal: u8) -> Option<i64> {
        // A count has no thousands apart, so a point begins a fraction however other numbers are written.
        let parts = text.split_once(char::from(decimal)).or_else(|| text.split_once('.'));
        let Some((whole, fraction)) = parts else {
            return self.whole(text.parse().ok()?);
        };
        let n: i64 = whole.parse().ok()?;
        if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.len() > 30 {
            return None;
        }
        // So many digits tell a millisecond of a day from the next ten million times over.
        let digits = &fraction.as_bytes()[..fraction.len().min(15)];
        let scale = 10_i64.pow(digits.len() as u32);
        let part = digits.iter().fold(0, |n, digit| n * 10 + i64::from(digit - b'0'));
        let half = if self.ms_per > 1_000 { scale / 2 } else { 0 };
        let part_ms = (i128::from(part) * i128::from(self.ms_per) + i128::from(half)) / i128::from(scale);
        // Of what is counted in milliseconds or less, a fraction is beyond what an event's time can say.
        let part_ms = if self.ms_per > 1 { i64::try_from(part_ms).ok()? } else { 0 };
        self.whole(n)?.checked_add(if whole.starts_with('-') { -part_ms } else { part_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_long_units_are_rounded() {
        let days = Count::named("days").unwrap();
        for (text, ms) in [
            ("0.5", 43_200_000),
            // 08:30 as spreadsheets write it, with ten digits after the point.
            ("0.3541666667", 30_600_000),
            ("0.3541666666", 30_600_000),
            ("1.99999999999999999999", 172_800_000),
            ("-0.5", -43_200_000),
            ("-1.25", -108_000_000),
            ("3.", 259_200_000),
        ] {
            assert_eq!(days.text(text, b'.'), Some(ms), "{text}");
        }
        assert_eq!(days.text("1,5", b','), Some(129_600_000));
        assert_eq!(days.text("1.5", b','), Some(129_600_000));
        assert_eq!(days.text("1.000,5", b','), None);
        assert_eq!(days.float(0.354_166_666_7), Some(30_600_000));
        assert_eq!(days.whole(-2), Some(-172_800_000));
        for text in
            ["1,5", "1.5.5", "", ".", "1e3", " 1", "9223372036854775807", "1.0000000000000000000000000000001"]
        {
            assert_eq!(days.text(text, b'.'), None, "{text}");
        }
    }

    #[test]
    fn seconds_are_cut_to_the_millisecond() {
        assert_eq!(Count::named("s").unwrap().text("1425583114.1239", b'.'), Some(1_425_583_114_123));
        assert_eq!(Count::named("ms").unwrap().text("17.9", b'.'), Some(17));
        assert_eq!(Count::named("us").unwrap().text("1999.9", b'.'), Some(1));
        let from = Count { from_ms: 500, ..Count::named("hours").unwrap() };
        assert_eq!(from.text("2", b'.'), Some(7_200_500));
        assert_eq!(Count::named("weeks"), None);
    }
}
