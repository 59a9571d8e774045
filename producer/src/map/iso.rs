//! ISO 8601 moments, by hand: most rows of most files carry one, and a general parser costs ten times as much.
//!
//! `YYYY-MM-DD`, then perhaps `T` or a space and `HH:MM`, `:SS`, a fraction after `.` or `,`, and perhaps `Z` or an offset
//! `+HH`, `+HHMM`, `+HH:MM`. Digits of the fraction beyond milliseconds are dropped.

use types::EventTime;

/// A date and time of day as written, and the offset from UTC if it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Milliseconds since the epoch if the wall clock were UTC's.
    pub(crate) wall_ms: i64,
    /// The offset in milliseconds, if there is one.
    pub(crate) offset_ms: Option<i64>,
}

impl Written {
    /// The instant, if the offset is written.
    pub(crate) fn instant(self) -> Option<EventTime> {
        self.offset_ms.map(|offset| EventTime(self.wall_ms - offset))
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar; `None` if there is no such date.
pub(crate) fn days(year: i64, month: u32, day: u32) -> Option<i64> {
    const LENGTHS: [u32; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let length = LENGTHS.get(month.checked_sub(1)? as usize)? + u32::from(month == 2 && leap);
    if day == 0 || day > length {
        return None;
    }
    // Counted in years that begin in March, so that the leap day is the last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let in_year = i64::from((153 * m + 2) / 5 + day - 1);
    Some(365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + in_year - 719_468)
}

/// Reads the whole of `text`; `None` if it is anything else.
pub(crate) fn parse(text: &[u8]) -> Option<Written> {
    let mut at = Cursor { rest: text };
    let year = at.number(4)?;
    at.byte(b'-')?;
    let month = at.number(2)?;
    at.byte(b'-')?;
    let day = at.number(2)?;
    let date_ms = days(i64::from(year), month, day)? * 86_400_000;
    if at.rest.is_empty() {
        return Some(Written { wall_ms: date_ms, offset_ms: None });
    }
    if !matches!(at.next()?, b'T' | b't' | b' ') {
        return None;
    }
    let hour = at.number(2)?;
    at.byte(b':')?;
    let minute = at.number(2)?;
    let mut second = 0;
    let mut fraction_ms = 0;
    if at.rest.first() == Some(&b':') {
        at.next();
        second = at.number(2)?;
        if matches!(at.rest.first(), Some(b'.' | b',')) {
            at.next();
            fraction_ms = at.fraction()?;
        }
    }
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // A leap second is counted as the one before it, as the calendar libraries do.
    let in_day = i64::from(hour * 3600 + minute * 60 + second.min(59)) * 1000 + i64::from(fraction_ms);
    let offset_ms = at.offset()?;
    Some(Written { wall_ms: date_ms + in_day, offset_ms })
}

/// A moment as it is written on command lines: a date (midnight in UTC), a date and a time of day (in UTC, unless it says its offset), or
/// milliseconds since 1970.
///
/// # Errors
/// How it is to be written.
pub fn moment(text: &str) -> Result<EventTime, String> {
    // As milliseconds these would be of 1970: they are meant as a year or a date.
    let is_date = matches!(text.len(), 4 | 8) && text.starts_with(['1', '2']) && !text.ends_with("000");
    if let Ok(ms) = text.parse()
        && !is_date
    {
        return Ok(EventTime(ms));
    }
    let written = parse(text.as_bytes()).ok_or_else(|| {
        format!(
            "`{text}` is no moment: write 2024-03-01 (midnight in UTC), 2024-03-01T00:00:00Z or milliseconds since 1970"
        )
    })?;
    Ok(EventTime(written.wall_ms - written.offset_ms.unwrap_or(0)))
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl Cursor<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn byte(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    fn number(&mut self, digits: usize) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        digits.iter().try_fold(0, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
    }

    fn fraction(&mut self) -> Option<u32> {
        let length = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        let ms = (0..3).fold(0, |n, i| n * 10 + digits.get(i).map_or(0, |b| u32::from(b - b'0')));
        (length > 0).then_some(ms)
    }

    /// The rest of the text, which must be an offset or nothing. The outer `None` means that it is neither.
    fn offset(&mut self) -> Option<Option<i64>> {
        if self.rest.first() == Some(&b' ') {
            self.next();
        }
        let sign = match self.next() {
            None => return Some(None),
            Some(b'Z' | b'z') => return self.rest.is_empty().then_some(Some(0)),
            Some(b'+') => 1,
            Some(b'-') => -1,
            Some(_) => return None,
        };
        let hours = self.number(2)?;
        if self.rest.first() == Some(&b':') {
            self.next();
        }
        let minutes = if self.rest.is_empty() { 0 } else { self.number(2)? };
        let valid = hours <= 25 && minutes <= 59 && self.rest.is_empty();
        valid.then(|| Some(sign * i64::from(hours * 60 + minutes) * 60_000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_date_a_time_or_a_number() {
        let midnight = Ok(EventTime(1_748_563_200_000));
        let same = [
            "2025-05-30",
            "2025-05-30T00:00:00Z",
            "2025-05-30 00:00",
            "1748563200000",
            "2025-05-30T02:00:00+02:00",
        ];
        for text in same {
            assert_eq!(moment(text), midnight, "{text}");
        }
        for text in ["yesterday", "2025-02-30", "2025-05-30T24:30:00Z", "20250530", "2025", ""] {
            assert!(moment(text).unwrap_err().contains("2024-03-01 (midnight in UTC)"), "{text}");
        }
    }
}
