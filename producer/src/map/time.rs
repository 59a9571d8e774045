//! Moments: a column's text or number, the format that the map names, and the zone of naive times.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use types::EventTime;

use super::cell::Cell;
use super::iso;

/// The first and last moment that can be written with a four-digit year: what lies outside is no time but a mistake.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// How a time column is read.
#[derive(Debug, Clone)]
pub struct TimeReader {
    format: Format,
    /// For naive times; `None` where the format cannot be naive.
    zone: Option<Zone>,
}

#[derive(Debug, Clone)]
enum Zone {
    /// By far the most frequent, and it needs no table.
    Utc,
    Named(TimeZone),
}

#[derive(Debug, Clone)]
enum Format {
    /// A count of units since the epoch, `per_ms` of them in a millisecond; for seconds, `ms_per` milliseconds each.
    Epoch { ms_per: i64, per_ms: i64 },
    /// ISO 8601; with an offset if `offset` says so.
    Iso { offset: bool },
    /// Directives as in strptime.
    Pattern(String),
    /// A typed moment (Parquet).
    Native,
}

/// Why a format or zone cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeFormatError {
    /// The name is none of those known.
    #[error(
        "`{0}` is not a time format: write ms, s, us, ns, rfc3339, iso, date, native, or a pattern with % such as %d.%m.%Y %H:%M:%S"
    )]
    UnknownFormat(String),
    /// Such times may come without an offset, and no zone is given.
    #[error(
        "times of the format `{0}` do not say in which zone they are; add `zone`: \"UTC\" or a name such as \"Europe/Berlin\""
    )]
    NaiveWithoutZone(String),
    /// The zone is not in the database.
    #[error("`{0}` is not a time zone: write UTC, an offset such as +02:00, or a name such as Europe/Berlin")]
    UnknownZone(String),
    /// The format says its zone itself.
    #[error("times of the format `{0}` are instants, so `zone` has no meaning; remove it")]
    ZoneWithoutUse(String),
}

/// Why a value is no moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeError {
    /// It is missing or empty.
    Missing,
    /// It does not read as the format says.
    Unreadable(String),
    /// It reads, but is outside the years 1 to 9999.
    OutOfRange(String),
}

impl TimeReader {
    /// A reader of times in `format`; see the module of the map for its names.
    ///
    /// # Errors
    /// If the format or the zone is unknown, or a naive time would have no zone.
    pub fn new(format: &str, zone: Option<&str>) -> Result<Self, TimeFormatError> {
        let own = || format.to_owned();
        let (parsed, naive) = match format {
            "ms" => (Format::Epoch { ms_per: 1, per_ms: 1 }, false),
            "s" => (Format::Epoch { ms_per: 1000, per_ms: 1 }, false),
            "us" => (Format::Epoch { ms_per: 1, per_ms: 1_000 }, false),
            "ns" => (Format::Epoch { ms_per: 1, per_ms: 1_000_000 }, false),
            "rfc3339" => (Format::Iso { offset: true }, false),
            "iso" | "date" => (Format::Iso { offset: false }, true),
            // Whether a typed column is naive is known only when the file is opened.
            "native" => (Format::Native, zone.is_some()),
            pattern if pattern.contains('%') => {
                let instant =
                    ["%z", "%:z", "%s", "%Q", "%:Q"].iter().any(|directive| pattern.contains(directive));
                (Format::Pattern(own()), !instant)
            }
            _ => return Err(TimeFormatError::UnknownFormat(own())),
        };
        let zone = match (zone, naive) {
            (None, true) => return Err(TimeFormatError::NaiveWithoutZone(own())),
            (Some(_), false) => return Err(TimeFormatError::ZoneWithoutUse(own())),
            (None, false) => None,
            (Some(name), true) => Some(zone_named(name)?),
        };
        Ok(Self { format: parsed, zone })
    }

    /// Whether a naive time can be read.
    pub(crate) fn has_zone(&self) -> bool {
        self.zone.is_some()
    }

    /// Reads a moment.
    ///
    /// # Errors
    /// If it is missing, unreadable or out of range.
    pub fn read(&self, cell: &Cell<'_>) -> Result<EventTime, TimeError> {
        let time = match (cell, &self.format) {
            (Cell::Missing, _) => return Err(TimeError::Missing),
            (Cell::Text(text), _) if text.is_empty() => return Err(TimeError::Missing),
            (Cell::Moment { ms, utc: true }, _) => Some(EventTime(*ms)),
            (Cell::Moment { ms, utc: false }, _) => self.in_zone(*ms),
            (Cell::Int(n), Format::Epoch { ms_per, per_ms }) => epoch(i128::from(*n), *ms_per, *per_ms),
            (Cell::Float(n), Format::Epoch { ms_per, per_ms }) => epoch_float(*n, *ms_per, *per_ms),
            (Cell::Text(text), Format::Epoch { ms_per, per_ms }) => epoch_text(text.trim(), *ms_per, *per_ms),
            (Cell::Text(text), Format::Iso { offset }) => self.iso(text.trim(), *offset),
            (Cell::Text(text), Format::Pattern(pattern)) => self.pattern(pattern, text.trim()),
            // A date such as 19970101 is a number in JSON and Parquet.
            (Cell::Int(n), Format::Pattern(pattern)) => self.pattern(pattern, &n.to_string()),
            _ => None,
        };
        let time = time.ok_or_else(|| TimeError::Unreadable(cell.show()))?;
        if YEARS.contains(&time.0) { Ok(time) } else { Err(TimeError::OutOfRange(cell.show())) }
    }

    fn iso(&self, text: &str, offset: bool) -> Option<EventTime> {
        let written = iso::parse(text.as_bytes())?;
        match written.instant() {
            Some(instant) => Some(instant),
            None if offset => None,
            None => self.in_zone(written.wall_ms),
        }
    }

    fn pattern(&self, pattern: &str, text: &str) -> Option<EventTime> {
        let parts = BrokenDownTime::parse(pattern, text).ok()?;
        if let Ok(instant) = parts.to_timestamp() {
            return Some(EventTime(instant.as_millisecond()));
        }
        let date = parts.to_date().ok()?;
        // No time of day means the day's beginning; an hour that cannot be means that the text is wrong.
        let time = if parts.hour().is_some() { parts.to_time().ok()? } else { jiff::civil::Time::midnight() };
        self.in_zone(wall_ms(date.to_datetime(time)))
    }

    /// The instant at which the wall clock of the zone shows so many milliseconds since the epoch. Of a time that comes twice
    /// the first is meant; one that a change of the clocks leaves out is moved by the change (RFC 5545's rule).
    fn in_zone(&self, wall_ms: i64) -> Option<EventTime> {
        match self.zone.as_ref()? {
            Zone::Utc => Some(EventTime(wall_ms)),
            Zone::Named(zone) => {
                let wall = jiff::Timestamp::from_millisecond(wall_ms).ok()?;
                let civil = jiff::tz::Offset::UTC.to_datetime(wall);
                zone.to_ambiguous_timestamp(civil).compatible().ok().map(|t| EventTime(t.as_millisecond()))
            }
        }
    }
}

/// The zone of that name. From the database built in, so that every machine reads the same moments.
fn zone_named(name: &str) -> Result<Zone, TimeFormatError> {
    if matches!(name, "UTC" | "utc" | "Z" | "Etc/UTC") {
        return Ok(Zone::Utc);
    }
    let unknown = || TimeFormatError::UnknownZone(name.to_owned());
    if name.starts_with(['+', '-']) {
        let text = format!("1970-01-01T00:00{name}");
        let offset_ms = iso::parse(text.as_bytes()).and_then(|w| w.offset_ms).ok_or_else(unknown)?;
        let seconds = i32::try_from(offset_ms / 1000).map_err(|_| unknown())?;
        let offset = jiff::tz::Offset::from_seconds(seconds).map_err(|_| unknown())?;
        return Ok(Zone::Named(offset.to_time_zone()));
    }
    TimeZoneDatabase::bundled().get(name).map(Zone::Named).map_err(|_| unknown())
}

fn wall_ms(civil: DateTime) -> i64 {
    // Every civil time in jiff's range is within the range of i64 milliseconds; days() refuses only dates that are none.
    let days = iso::days(
        i64::from(civil.year()),
        civil.month().unsigned_abs().into(),
        civil.day().unsigned_abs().into(),
    );
    let in_day =
        (i64::from(civil.hour()) * 3600 + i64::from(civil.minute()) * 60 + i64::from(civil.second())) * 1000;
    days.unwrap_or_default() * 86_400_000 + in_day + i64::from(civil.millisecond())
}

fn epoch(n: i128, ms_per: i64, per_ms: i64) -> Option<EventTime> {
    i64::try_from((n * i128::from(ms_per)).div_euclid(i128::from(per_ms))).ok().map(EventTime)
}

fn epoch_float(n: f64, ms_per: i64, per_ms: i64) -> Option<EventTime> {
    let ms = (n * ms_per as f64 / per_ms as f64).round();
    // Beyond 2^53 a float says nothing exact any more; the range check then refuses it.
    (ms.abs() < 9.0e15).then_some(EventTime(ms as i64))
}

/// Digits, perhaps with a sign and a fraction; the fraction counts down to the millisecond.
fn epoch_text(text: &str, ms_per: i64, per_ms: i64) -> Option<EventTime> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let n: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) || fraction.len() > 30 {
        return None;
    }
    let whole_ms = epoch(i128::from(n), ms_per, per_ms)?;
    let thousandths =
        (0..3).fold(0, |n, i| n * 10 + i64::from(fraction.as_bytes().get(i).map_or(0, |b| b - b'0')));
    let part_ms = thousandths * ms_per / 1000;
    whole_ms.0.checked_add(if whole.starts_with('-') { -part_ms } else { part_ms }).map(EventTime)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, zone: Option<&str>, text: &str) -> Result<i64, TimeError> {
        TimeReader::new(format, zone).unwrap().read(&Cell::Text(text.into())).map(|t| t.0)
    }

    #[test]
    fn formats_read_what_they_name() {
        let cases = [
            ("ms", None, "1538352020000", 1_538_352_020_000),
            ("s", None, "1538352020", 1_538_352_020_000),
            ("s", None, "1538352020.1239", 1_538_352_020_123),
            ("s", None, "-1.5", -1_500),
            ("us", None, "1538405774195002", 1_538_405_774_195),
            ("ns", None, "1538405774195002000", 1_538_405_774_195),
            ("rfc3339", None, "2018-10-01T02:00:20+02:00", 1_538_352_020_000),
            ("iso", Some("UTC"), "2018-10-01 00:00:20.25", 1_538_352_020_250),
            ("iso", Some("UTC"), "2018-10-01T00:00:20Z", 1_538_352_020_000),
            ("date", Some("UTC"), "2018-10-01", 1_538_352_000_000),
            ("date", Some("+02:00"), "2018-10-01", 1_538_344_800_000),
            ("%Y%m%d", Some("UTC"), "20181001", 1_538_352_000_000),
            ("%d.%m.%Y %H:%M", Some("UTC"), "01.10.2018 00:01", 1_538_352_060_000),
            ("%m/%d/%Y %I:%M:%S %p", Some("UTC"), "10/01/2018 12:00:20 AM", 1_538_352_020_000),
            ("%d/%b/%Y:%H:%M:%S %z", None, "01/Oct/2018:02:00:20 +0200", 1_538_352_020_000),
            // Summer time, winter time, an hour that comes twice, and one that is left out.
            ("iso", Some("Europe/Berlin"), "2018-10-01T02:00:20", 1_538_352_020_000),
            ("iso", Some("Europe/Berlin"), "2018-12-01T01:00:00", 1_543_622_400_000),
            ("iso", Some("Europe/Berlin"), "2018-10-28T02:30:00", 1_540_686_600_000),
            ("iso", Some("Europe/Berlin"), "2018-03-25T02:30:00", 1_521_941_400_000),
        ];
        for (format, zone, text, expected) in cases {
            assert_eq!(read(format, zone, text), Ok(expected), "{format} {text}");
        }
    }

    #[test]
    fn a_naive_time_needs_a_zone_and_an_instant_none() {
        for format in ["iso", "date", "%Y-%m-%d"] {
            let error = TimeReader::new(format, None).unwrap_err();
            assert_eq!(error, TimeFormatError::NaiveWithoutZone(format.to_owned()));
        }
        assert!(matches!(TimeReader::new("ms", Some("UTC")), Err(TimeFormatError::ZoneWithoutUse(_))));
        assert!(matches!(TimeReader::new("iso", Some("Mars/Base")), Err(TimeFormatError::UnknownZone(_))));
        assert!(matches!(TimeReader::new("epoch", None), Err(TimeFormatError::UnknownFormat(_))));
        assert!(matches!(read("rfc3339", None, "2018-10-01T00:00:00"), Err(TimeError::Unreadable(_))));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "2018-13-01",
            "2018-02-29",
            "2018-10-01T24:00",
            "2018-10-01x",
            "01.10.2018",
            "2018-1-1",
            "2018-10-01T10:00+1",
        ] {
            assert!(matches!(read("iso", Some("UTC"), text), Err(TimeError::Unreadable(_))), "{text}");
        }
        for text in ["1e9", "12a", "0x10", "1.2.3", "NaN", "99999999999999999999"] {
            assert!(matches!(read("s", None, text), Err(TimeError::Unreadable(_))), "{text}");
        }
        assert_eq!(read("ms", None, ""), Err(TimeError::Missing));
        assert!(matches!(read("s", None, "1538352020000"), Err(TimeError::OutOfRange(_))));
        assert!(matches!(read("ms", None, &i64::MIN.to_string()), Err(TimeError::OutOfRange(_))));
    }

    proptest::proptest! {
        #[test]
        fn iso_agrees_with_the_calendar_library(ms in -62_135_596_800_000_i64..253_402_300_800_000, minutes in -720_i32..720) {
            let instant = jiff::Timestamp::from_millisecond(ms).unwrap();
            let offset = jiff::tz::Offset::from_seconds(minutes * 60).unwrap();
            proptest::prop_assert_eq!(read("rfc3339", None, &instant.to_string()), Ok(ms));
            let wall = offset.to_datetime(instant);
            if (1..=9999).contains(&wall.year()) {
                let written = format!("{wall}{offset}");
                proptest::prop_assert_eq!(read("iso", Some("UTC"), &written), Ok(ms), "{}", written);
                let pattern = read("%Y-%m-%dT%H:%M:%S%.f", Some("UTC"), &wall.to_string());
                proptest::prop_assert_eq!(pattern, read("iso", Some("UTC"), &wall.to_string()));
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}", digits in "[0-9TZ:. +-]{0,40}") {
            for format in ["iso", "%Y-%m-%d %H:%M:%S"] {
                for text in [&text, &digits] {
                    let _ = read(format, Some("America/New_York"), text);
                }
            }
            let _ = read("s", None, &digits);
        }
    }
}
