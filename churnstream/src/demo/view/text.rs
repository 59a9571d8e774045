//! Numbers and spans for people.

use std::time::Duration;

/// What is shown in place of what was not measured.
pub(super) const UNKNOWN: &str = "unknown";

/// A whole number with its thousands apart: `1,234,567`.
pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate or count of which the last digits mean nothing, rounded to a whole number with its thousands apart.
pub(super) fn whole(n: f64) -> String {
    // `as` takes what is negative or no number to 0 and what is too large to the end of the range.
    thousands(n.round() as u64)
}

/// A number in at most six characters: `987`, `12.3k`, `999.9M`.
pub(super) fn short(n: u64) -> String {
    const UNITS: [(u64, char); 4] =
        [(1_000_000_000_000, 'T'), (1_000_000_000, 'G'), (1_000_000, 'M'), (1_000, 'k')];
    match UNITS.iter().find(|(unit, _)| n >= *unit) {
        None => n.to_string(),
        Some((unit, name)) if n / unit >= 1000 => format!(">999{name}"),
        // Rounded down, so that 999,999 does not become 1000.0k.
        Some((unit, name)) => format!("{}.{}{name}", n / unit, n % unit * 10 / unit),
    }
}

/// A running time: `0:42`, `12:05`, `1:02:03`.
pub(super) fn clock(span: Duration) -> String {
    let seconds = span.as_secs();
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// An age: `0.4 s`, `12 s`, `3 min`.
pub(super) fn age(span: Duration) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 10.0 {
        format!("{seconds:.1} s")
    } else if seconds < 120.0 {
        format!("{} s", span.as_secs())
    } else {
        format!("{} min", span.as_secs() / 60)
    }
}

/// An age, or that it is unknown.
pub(super) fn age_or_unknown(span: Option<Duration>) -> String {
    span.map_or_else(|| UNKNOWN.to_owned(), age)
}

/// A share of 1 as a percentage without a fraction, where neither end is claimed before it is reached.
pub(super) fn percent(share: f64) -> String {
    let percent = (share * 100.0).clamp(0.0, 100.0);
    let whole = if percent < 1.0 {
        percent.ceil()
    } else if percent > 99.0 {
        percent.floor()
    } else {
        percent.round()
    };
    format!("{whole:.0} %")
}

/// A bar of at most `width` cells, an eighth of a cell fine; anything above nothing shows.
pub(super) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let share = share.clamp(0.0, 1.0);
    let eighths = (share * width as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    let mut text = "█".repeat(eighths / 8);
    if eighths % 8 > 0 {
        text.push(EIGHTHS[eighths % 8]);
    }
    text
}

/// The text without control characters: ids and reasons come from outside and must not steer a terminal.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(thousands), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 987, 1000, 12_345, 999_999, 1_200_000].map(short),
            ["0", "987", "1.0k", "12.3k", "999.9k", "1.2M"]
        );
        assert_eq!(short(u64::MAX), ">999T");
        assert_eq!((whole(1234.5), whole(-3.0), whole(f64::NAN)), ("1,235".into(), "0".into(), "0".into()));
        assert_eq!([0.0, 0.001, 0.5, 0.999, 1.0].map(percent), ["0 %", "1 %", "50 %", "99 %", "100 %"]);
    }

    #[test]
    fn spans_are_readable() {
        let seconds = |s: f64| Duration::from_secs_f64(s);
        assert_eq!([42.0, 725.0, 3723.0].map(|s| clock(seconds(s))), ["0:42", "12:05", "1:02:03"]);
        assert_eq!([0.44, 12.9, 200.0].map(|s| age(seconds(s))), ["0.4 s", "12 s", "3 min"]);
    }

    #[test]
    fn bars_fill_and_the_least_shows() {
        assert_eq!(
            (bar(0.0, 4), bar(1e-9, 4), bar(0.5, 4), bar(2.0, 4)),
            ("".into(), "▏".into(), "██".into(), "████".into())
        );
        assert_eq!(bar(0.45, 4), "█▊");
    }
}
