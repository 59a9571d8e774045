//! Moments: a column's text or number, the format that the map names, and the zone of naive times.

use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use types::EventTime;

use super::cell::Cell;
use super::count::Count;
use super::iso;

/// The first and last moment that can be written with a four-digit year: what lies outside is no time but a mistake.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

/// How a time column is read.
#[derive(Debug, Clone)]
pub struct TimeReader {
    format: Format,
    /// For naive times; `None` where the format cannot be naive.
    zone: Option<Zone>,
    /// What stands before the fraction of a count in text.
    decimal: u8,
}

#[derive(Debug, Clone)]
enum Zone {
    /// By far the most frequent, and it needs no table.
    Utc,
    Named(TimeZone),
}

#[derive(Debug, Clone)]
enum Format {
    /// A count of units since the epoch or another moment.
    Count(Count),
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
        "`{0}` is not a time format: write s, ms, us, ns, minutes, hours, days, rfc3339, iso, date, native, or a pattern with % such as \
         %d.%m.%Y %H:%M:%S"
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
    /// What is counted from is no moment.
    #[error(
        "`{0}` is no moment to count from: write a date as in 2017-01-01, or an instant as in 2017-01-01T00:00:00Z"
    )]
    BadSince(String),
    /// The format counts nothing.
    #[error("times of the format `{0}` are no counts, so `since` has no meaning; remove it")]
    SinceWithoutUse(String),
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
        Self::counted(format, None, zone)
    }

    /// As [`TimeReader::new`]; what the format counts is counted from `since`. Days from a date are those of the calendar in the zone;
    /// shorter units, and all that is counted from an instant, are time that passed.
    ///
    /// # Errors
    /// As for [`TimeReader::new`]; if `since` is no moment, or the format counts nothing.
    pub fn counted(format: &str, since: Option<&str>, zone: Option<&str>) -> Result<Self, TimeFormatError> {
        let own = || format.to_owned();
        let (parsed, naive) = match (format, Count::named(format)) {
            (_, Some(count)) => {
                let (count, naive) = begun(count, since)?;
                (Format::Count(count), naive)
            }
            ("rfc3339", _) => (Format::Iso { offset: true }, false),
            ("iso" | "date", _) => (Format::Iso { offset: false }, true),
            // Whether a typed column is naive is known only when the file is opened.
            ("native", _) => (Format::Native, zone.is_some()),
            (pattern, _) if pattern.contains('%') => {
                let instant =
                    ["%z", "%:z", "%s", "%Q", "%:Q"].iter().any(|directive| pattern.contains(directive));
                (Format::Pattern(own()), !instant)
            }
            _ => return Err(TimeFormatError::UnknownFormat(own())),
        };
        if since.is_some() && !matches!(parsed, Format::Count(_)) {
            return Err(TimeFormatError::SinceWithoutUse(own()));
        }
        let zone = match (zone, naive) {
            (None, true) => return Err(TimeFormatError::NaiveWithoutZone(own())),
            (Some(_), false) => return Err(TimeFormatError::ZoneWithoutUse(own())),
            (None, false) => None,
            (Some(name), true) => Some(zone_named(name)?),
        };
        let mut reader = Self { format: parsed, zone, decimal: b'.' };
        if let Format::Count(count) = reader.format
            && count.on_wall
            && !count.is_of_days()
        {
            let bad = || TimeFormatError::BadSince(since.unwrap_or_default().to_owned());
            let from_ms = reader.in_zone(count.from_ms).ok_or_else(bad)?.0;
            reader.format = Format::Count(Count { from_ms, on_wall: false, ..count });
        }
        Ok(reader)
    }

    /// The same reader for files in which fractions begin with another character than a point.
    #[must_use]
    pub fn with_decimal(self, decimal: u8) -> Self {
        Self { decimal, ..self }
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
            (Cell::Int(n), Format::Count(count)) => self.count(count, count.whole(*n)),
            (Cell::Float(n), Format::Count(count)) => self.count(count, count.float(*n)),
            (Cell::Text(text), Format::Count(count)) => {
                self.count(count, count.text(text.trim(), self.decimal))
            }
            (Cell::Text(text), Format::Iso { offset }) => self.iso(text.trim(), *offset),
            (Cell::Text(text), Format::Pattern(pattern)) => self.pattern(pattern, text.trim()),
            // A date such as 19970101 is a number in JSON and Parquet.
            (Cell::Int(n), Format::Pattern(pattern)) => self.pattern(pattern, &n.to_string()),
            (Cell::Float(n), Format::Pattern(pattern)) if n.fract() == 0.0 => {
                self.pattern(pattern, &n.to_string())
            }
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

    fn count(&self, count: &Count, ms: Option<i64>) -> Option<EventTime> {
        if count.on_wall { self.in_zone(ms?) } else { ms.map(EventTime) }
    }

    fn pattern(&self, pattern: &str, text: &str) -> Option<EventTime> {
        let parts = BrokenDownTime::parse(pattern, text).or_else(|error| {
            // A data frame writes 20150513.0 where some of the dates are missing.
            text.strip_suffix(".0").map_or(Err(error), |whole| BrokenDownTime::parse(pattern, whole))
        });
        let parts = parts.ok()?;
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

/// The count with its beginning, and whether that is a time on the wall of a zone yet to be named.
fn begun(count: Count, since: Option<&str>) -> Result<(Count, bool), TimeFormatError> {
    let Some(since) = since else {
        // A number of days since 1970 is a date like others.
        let on_wall = count.is_of_days();
        return Ok((Count { on_wall, ..count }, on_wall));
    };
    let written = iso::parse(since.trim().as_bytes());
    let written = written.ok_or_else(|| TimeFormatError::BadSince(since.to_owned()))?;
    Ok(match written.instant() {
        Some(instant) => (Count { from_ms: instant.0, ..count }, false),
        None => (Count { from_ms: written.wall_ms, on_wall: true, ..count }, true),
    })
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

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;
