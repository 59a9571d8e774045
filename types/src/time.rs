//! Event time and spans of it. Nothing here reads a clock.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A moment of event time: milliseconds since 1970-01-01T00:00:00Z; negative before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Before every event.
    pub const MIN: Self = Self(i64::MIN);

    /// Whether something can have happened then: from 1971, because seconds taken for milliseconds and zero fall into 1970, to
    /// 2199.
    #[must_use]
    pub const fn is_possible(self) -> bool {
        self.0 >= 31_536_000_000 && self.0 < 7_258_118_400_000
    }

    /// This moment moved by a span; stops at the ends of the range.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// This moment moved back by a span; stops at the ends of the range.
    #[must_use]
    pub const fn minus(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }

    /// How long after `earlier` this is; negative if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

/// A moment as people write it, in UTC: `2025-03-01T00:00:00Z`, with thousandths of a second where there are some.
#[derive(Debug, Clone, Copy)]
pub struct Written(EventTime);

impl EventTime {
    /// For messages to people. Displayed by itself, a moment is its milliseconds.
    #[must_use]
    pub const fn written(self) -> Written {
        Written(self)
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(at) = self;
        if !at.is_possible() && at.0 != 0 {
            return write!(f, "{at} ms");
        }
        let (days, ms) = (at.0.div_euclid(Millis::DAY.0), at.0.rem_euclid(Millis::DAY.0));
        // Years that begin in March, so that a leap day is the last one.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = 400 * era + year + later;
        let seconds = ms / 1_000;
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match ms % 1_000 {
            0 => f.write_str("Z"),
            rest => write!(f, ".{rest:03}Z"),
        }
    }
}

impl fmt::Display for EventTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A span of time in milliseconds. Written `90d`, `24h`, `15m`, `30s` or `250ms`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Millis(pub i64);

impl Millis {
    /// One second.
    pub const SECOND: Self = Self(1_000);
    /// One minute.
    pub const MINUTE: Self = Self(60_000);
    /// One hour.
    pub const HOUR: Self = Self(3_600_000);
    /// Twenty-four hours.
    pub const DAY: Self = Self(86_400_000);
}

/// What is wrong with a written span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a span of time: write a whole number and a unit, as in 90d, 24h, 15m, 30s or 250ms")]
pub struct DurationError(pub String);

const UNITS: [(&str, i64); 5] = [
    // `ms` first: `m` and `s` are suffixes of it.
    ("ms", 1),
    ("s", Millis::SECOND.0),
    ("m", Millis::MINUTE.0),
    ("h", Millis::HOUR.0),
    ("d", Millis::DAY.0),
];

impl FromStr for Millis {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let error = || DurationError(text.to_owned());
        let (number, unit) =
            UNITS.iter().find_map(|(unit, ms)| Some((text.strip_suffix(unit)?, *ms))).ok_or_else(error)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        number.parse::<i64>().ok().and_then(|n| n.checked_mul(unit)).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, ms) = UNITS.iter().rev().find(|(_, ms)| self.0 % ms == 0).unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.0 / ms)
    }
}

impl Serialize for Millis {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_dates() {
        for (at, expected) in [
            (1_735_689_600_000, "2025-01-01T00:00:00Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (1_709_251_199_000, "2024-02-29T23:59:59Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (1_745_831_345_192, "2025-04-28T09:09:05.192Z"),
            (0, "1970-01-01T00:00:00Z"),
            (i64::MIN, "-9223372036854775808 ms"),
        ] {
            assert_eq!(EventTime(at).written().to_string(), expected);
        }
    }

    #[test]
    fn spans_read_back_as_written() {
        for text in ["90d", "25h", "15m", "30s", "250ms"] {
            assert_eq!(text.parse::<Millis>().unwrap().to_string(), text);
        }
        assert_eq!("24h".parse::<Millis>().unwrap(), Millis::DAY);
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in ["", "d", "1", "-1d", "1.5h", "9223372036854775807d", "1 d", "1w"] {
            assert!(text.parse::<Millis>().is_err(), "{text}");
        }
    }
}
