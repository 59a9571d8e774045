//! Numbers and money: from text in the customs of its country, scaled, always finite.

use types::RejectReason;

use super::cell::Cell;

/// How numbers are written in text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NumberStyle {
    /// What stands before the fraction: `.` or `,`.
    pub(crate) decimal: u8,
    /// What groups thousands, if anything does.
    pub(crate) thousands: Option<u8>,
    /// Characters that are passed over: currency signs, blanks.
    pub(crate) strip: Vec<char>,
}

impl Default for NumberStyle {
    fn default() -> Self {
        Self { decimal: b'.', thousands: None, strip: Vec::new() }
    }
}

/// A finite number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    Float(f64),
}

/// Why a value is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NumberError {
    /// It is something else.
    NotANumber,
    /// It is not finite, or too large.
    OutOfRange,
}

impl NumberError {
    /// Under which reason a row is rejected for it, and what is wrong with the value.
    pub(crate) const fn told(self) -> (RejectReason, &'static str) {
        match self {
            Self::NotANumber => (RejectReason::WrongType, "is not a number"),
            Self::OutOfRange => (RejectReason::NumberOutOfRange, "is beyond what numbers can be"),
        }
    }
}

impl NumberStyle {
    /// Reads a number; `None` where there is none.
    pub(crate) fn read(&self, cell: &Cell<'_>) -> Result<Option<Number>, NumberError> {
        Ok(Some(match cell {
            Cell::Missing => return Ok(None),
            Cell::Int(n) | Cell::Moment { ms: n, .. } => Number::Int(*n),
            Cell::Float(n) => finite(*n)?,
            Cell::Bool(yes) => Number::Int(i64::from(*yes)),
            Cell::Text(text) => self.parse(text)?,
            Cell::Other => return Err(NumberError::NotANumber),
        }))
    }

    fn parse(&self, text: &str) -> Result<Number, NumberError> {
        let text = text.trim();
        // Almost every number is plain; the others are rewritten into plain ones.
        if text.len() < 16 && text.bytes().all(|b| b.is_ascii_digit()) {
            return text.parse().map(Number::Int).map_err(|_| NumberError::NotANumber);
        }
        let plain = self.plain(text)?;
        if let Ok(n) = plain.parse() {
            return Ok(Number::Int(n));
        }
        finite(plain.parse().map_err(|_| NumberError::NotANumber)?)
    }

    /// The number with nothing but digits, signs, a point and an exponent.
    fn plain(&self, text: &str) -> Result<String, NumberError> {
        let mut plain = String::with_capacity(text.len());
        // Around the number first: of 12.50 EUR the E is no exponent, and of 1.0E7 it is one.
        let around = |c: char| self.strip.contains(&c) && !c.is_ascii_digit() && !matches!(c, '+' | '-');
        for c in text.trim_matches(around).chars() {
            match c {
                '0'..='9' | '+' | '-' | 'e' | 'E' => plain.push(c),
                c if c == char::from(self.decimal) => plain.push('.'),
                c if self.thousands.is_some_and(|t| char::from(t) == c) => {}
                c if self.strip.contains(&c) => {}
                _ if is_not_finite(text) => return Err(NumberError::OutOfRange),
                _ => return Err(NumberError::NotANumber),
            }
        }
        Ok(plain)
    }

    /// Reads an amount into minor units, of which there are 10^`digits` in one; halves go to the even neighbour.
    pub(crate) fn minor(&self, cell: &Cell<'_>, digits: u32) -> Result<Option<i64>, NumberError> {
        let written = match cell {
            Cell::Text(text) => self.plain(text.trim())?,
            Cell::Float(n) => {
                finite(*n)?;
                n.to_string()
            }
            other => match self.read(other)? {
                None => return Ok(None),
                Some(Number::Int(n)) => n.to_string(),
                Some(Number::Float(n)) => n.to_string(),
            },
        };
        decimal_to_minor(&written, digits).map(Some)
    }
}

fn finite(n: f64) -> Result<Number, NumberError> {
    if n.is_finite() { Ok(Number::Float(n)) } else { Err(NumberError::OutOfRange) }
}

fn is_not_finite(text: &str) -> bool {
    let bare = text.trim_start_matches(['+', '-']);
    ["nan", "inf", "infinity"].iter().any(|name| bare.eq_ignore_ascii_case(name))
}

/// `-12.345` in hundredths is -1234 (half to even), exactly: no float comes between.
fn decimal_to_minor(text: &str, digits: u32) -> Result<i64, NumberError> {
    let (negative, bare) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
    if (whole.is_empty() && fraction.is_empty())
        || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit())
    {
        return Err(NumberError::NotANumber);
    }
    let digits = digits as usize;
    let kept = &fraction[..fraction.len().min(digits)];
    let mut minor: i64 = 0;
    let zeros = std::iter::repeat_n(b'0', digits - kept.len());
    for digit in whole.bytes().chain(kept.bytes()).chain(zeros) {
        let next = minor.checked_mul(10).and_then(|m| m.checked_add(i64::from(digit - b'0')));
        minor = next.ok_or(NumberError::OutOfRange)?;
    }
    let rest = &fraction[kept.len()..];
    let above_half = rest.starts_with(['6', '7', '8', '9'])
        || (rest.starts_with('5') && (rest[1..].bytes().any(|b| b != b'0') || minor % 2 == 1));
    minor = minor.checked_add(i64::from(above_half)).ok_or(NumberError::OutOfRange)?;
    Ok(if negative { -minor } else { minor })
}

impl Number {
    /// This number times `factor`. A factor such as 0.001 is applied as the division that it stands for, which rounds once.
    pub(crate) fn scaled(self, factor: f64) -> Result<Self, NumberError> {
        let n = match self {
            Self::Int(n) => n as f64,
            Self::Float(n) => n,
        };
        let inverse = (1.0 / factor).round();
        let scaled = if factor.abs() < 1.0 && 1.0 / inverse == factor { n / inverse } else { n * factor };
        match finite(scaled)? {
            // Whole numbers that a float holds exactly stay whole.
            Self::Float(s) if matches!(self, Self::Int(_)) && s.fract() == 0.0 && s.abs() < 9.0e15 => {
                Ok(Self::Int(s as i64))
            }
            other => Ok(other),
        }
    }
}

/// How many decimal digits the minor unit of a currency has (ISO 4217, the exceptions from two).
pub(crate) fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(style: &NumberStyle, text: &str) -> Result<Number, NumberError> {
        style.read(&Cell::Text(text.into())).map(Option::unwrap)
    }

    #[test]
    fn numbers_are_read_in_the_style_of_the_file() {
        let plain = NumberStyle::default();
        assert_eq!(read(&plain, " 12 "), Ok(Number::Int(12)));
        assert_eq!(read(&plain, "-1.5e3"), Ok(Number::Float(-1500.0)));
        assert_eq!(read(&plain, "9223372036854775808"), Ok(Number::Float(9_223_372_036_854_775_808.0)));
        let german = NumberStyle { decimal: b',', thousands: Some(b'.'), strip: vec!['€', ' '] };
        assert_eq!(read(&german, "1.234,56 €"), Ok(Number::Float(1234.56)));
        let euros =
            NumberStyle { thousands: Some(b','), strip: "EUR ".chars().collect(), ..NumberStyle::default() };
        assert_eq!(read(&euros, "1,257.66 EUR"), Ok(Number::Float(1257.66)));
        assert_eq!(read(&euros, "EUR -1.0E3"), Ok(Number::Float(-1000.0)), "an exponent is not around it");
        for text in ["NaN", "-inf", "1e999", "Infinity"] {
            assert_eq!(read(&plain, text), Err(NumberError::OutOfRange), "{text}");
        }
        for text in ["", "1,5", "x", "0x1", "--1", "nano", "1_000"] {
            assert_eq!(read(&plain, text), Err(NumberError::NotANumber), "{text}");
        }
    }

    #[test]
    fn money_is_exact() {
        let plain = NumberStyle::default();
        let minor = |text: &str, digits| plain.minor(&Cell::Text(text.into()), digits);
        assert_eq!(minor("12.99", 2), Ok(Some(1299)));
        assert_eq!(minor("-12", 2), Ok(Some(-1200)));
        assert_eq!(minor("0.125", 2), Ok(Some(12)));
        assert_eq!(minor("0.135", 2), Ok(Some(14)));
        assert_eq!(minor("0.12500001", 2), Ok(Some(13)));
        assert_eq!(minor("500", 0), Ok(Some(500)));
        assert_eq!(minor("92233720368547758.08", 2), Err(NumberError::OutOfRange));
        assert_eq!(minor("92233720368547758.079", 2), Err(NumberError::OutOfRange), "rounded up");
        assert_eq!(minor("1e3", 2), Err(NumberError::NotANumber));
        assert_eq!(plain.minor(&Cell::Float(0.29), 2), Ok(Some(29)));
        assert_eq!(plain.minor(&Cell::Missing, 2), Ok(None));
        assert_eq!((minor_digits("EUR"), minor_digits("JPY"), minor_digits("KWD")), (2, 0, 3));
    }

    #[test]
    fn scaling_rounds_once() {
        assert_eq!(Number::Int(1234).scaled(0.001), Ok(Number::Float(1.234)));
        assert_eq!(Number::Int(3).scaled(60.0), Ok(Number::Int(180)));
        assert_eq!(Number::Float(1.5).scaled(2.0), Ok(Number::Float(3.0)));
        assert_eq!(Number::Float(1e300).scaled(1e300), Err(NumberError::OutOfRange));
    }

    proptest::proptest! {
        #[test]
        fn amounts_read_back(minor in -1_000_000_000_000_i64..1_000_000_000_000) {
            let text = format!("{}{}.{:02}", if minor < 0 { "-" } else { "" }, minor.abs() / 100, minor.abs() % 100);
            proptest::prop_assert_eq!(NumberStyle::default().minor(&Cell::Text(text.into()), 2), Ok(Some(minor)));
        }
    }
}
