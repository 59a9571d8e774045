//! Which column is the time, and how it is written.

use super::guess::rank;
use super::sample::{Column, Sample};
use crate::map::{Cell, TimeReader};

/// When a row's event happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Time {
    pub(crate) columns: Vec<String>,
    pub(crate) format: String,
    /// Whether the format leaves the zone open.
    pub(crate) naive: bool,
    /// The first and the last moment of the sample, in milliseconds.
    pub(crate) span: (i64, i64),
    /// Where days begin to be counted.
    pub(crate) since: Option<String>,
}

/// Where spreadsheets begin to count days.
pub(crate) const SERIAL: &str = "1899-12-30";
/// A day to be replaced by the right one.
const SOME_DAY: &str = "2000-01-01";

const TIME_NAMES: [&str; 15] = [
    "timestamp",
    "event_time",
    "ts",
    "time",
    "datetime",
    "date",
    "created",
    "day",
    "at",
    "epoch",
    "when",
    "datum",
    "zeitstempel",
    "zeitpunkt",
    "zeit",
];
/// Columns of counts: first those of days, the others of seconds.
const DAYS: [&str; 7] = ["day", "date", "days", "dt", "day_number", "when", "datum"];
const SECONDS: [&str; 7] = ["timestamp", "event_time", "ts", "time", "datetime", "created", "at"];

/// Formats to be tried, with whether they leave the zone open.
const FORMATS: [(&str, bool); 53] = [
    ("rfc3339", false),
    ("iso", true),
    ("%Y%m%d", true),
    ("%d.%m.%Y %H:%M:%S", true),
    ("%d.%m.%Y %H:%M", true),
    ("%d.%m.%Y", true),
    ("%m/%d/%Y %H:%M:%S", true),
    ("%m/%d/%Y %H:%M", true),
    ("%m/%d/%Y", true),
    ("%d/%m/%Y %H:%M:%S", true),
    ("%d/%m/%Y", true),
    ("%Y/%m/%d %H:%M:%S", true),
    ("%Y/%m/%d", true),
    ("%d/%b/%Y:%H:%M:%S %z", false),
    ("%Y-%m-%d %H:%M:%S UTC", true),
    ("%Y-%m-%d %H:%M:%S%.f UTC", true),
    ("%d/%m/%Y %H:%M", true),
    ("%Y/%m/%d %H:%M", true),
    ("%d-%m-%Y %H:%M:%S", true),
    ("%d-%m-%Y %H:%M", true),
    ("%d-%m-%Y", true),
    ("%m/%d/%Y %I:%M:%S %p", true),
    ("%m/%d/%Y %I:%M %p", true),
    ("%d/%m/%Y %I:%M:%S %p", true),
    ("%d/%m/%Y %I:%M %p", true),
    ("%d %b %Y %H:%M:%S", true),
    ("%d %b %Y %H:%M", true),
    ("%d %b %Y", true),
    ("%d-%b-%Y %H:%M:%S", true),
    ("%d-%b-%Y", true),
    ("%a, %d %b %Y %H:%M:%S %z", false),
    ("%Y%m%d%H%M%S", true),
    ("%m/%d/%y %H:%M:%S", true),
    ("%m/%d/%y %H:%M", true),
    ("%m/%d/%y", true),
    ("%d/%m/%y %H:%M:%S", true),
    ("%d/%m/%y", true),
    ("%d.%m.%y", true),
    ("%Y%m%d %H", true),
    ("%a %b %d %H:%M:%S %z %Y", false),
    ("%a %b %d %H:%M:%S %Y", true),
    ("%b %d, %Y, %I:%M:%S %p", true),
    ("%b %d, %Y, %I:%M %p", true),
    ("%b %d, %Y", true),
    ("%Y-%m-%d %H", true),
    ("%Y%m%d %H%M%S", true),
    ("%Y%m%dT%H%M%SZ", true),
    ("%Y%m%dT%H%M%S", true),
    ("%d-%b-%Y %H:%M", true),
    ("%B %d, %Y %H:%M:%S", true),
    ("%B %d, %Y %H:%M", true),
    ("%B %d, %Y", true),
    ("%d.%m.%Y %H%M%S", true),
];

/// The column, or the two, that say when it happened.
pub(super) fn find(sample: &Sample) -> Option<Time> {
    let typed = sample.columns.iter().find(|c| c.moment.is_some());
    if let Some(column) = typed {
        let naive = column.moment == Some(false);
        let ms: Vec<i64> = column.values.iter().filter_map(|v| v.parse().ok()).collect();
        let span = (*ms.iter().min()?, *ms.iter().max()?);
        return Some(Time {
            columns: vec![column.name.clone()],
            format: "native".to_owned(),
            naive,
            span,
            since: None,
        });
    }
    let nameless = sample.file.layout.header == Some(false);
    let mut found: Vec<((bool, usize), Time)> = Vec::new();
    for (place, column) in sample.columns.iter().enumerate() {
        // Nearly every event has its time.
        if column.values.len() * 20 < sample.rows * 19 {
            continue;
        }
        let named = rank(&column.name, &TIME_NAMES);
        let times = read_as_time(&column.values, named.is_some() || nameless);
        if let Some((format, naive, span)) = times {
            let order = (named.is_none(), named.unwrap_or(place));
            found
                .push((order, Time { columns: vec![column.name.clone()], format, naive, span, since: None }));
        }
    }
    found.sort_by_key(|(order, _)| *order);
    let Some((_, best)) = found.into_iter().next() else { return counted(sample) };
    Some(with_time_of_day(sample, &best).unwrap_or(best))
}

/// Days or seconds that are counted, where nothing else is a time: from the first of a spreadsheet, or from a day that only people know.
fn counted(sample: &Sample) -> Option<Time> {
    let comma = sample.columns.iter().any(|c| !c.is_number(false) && c.is_number(true));
    let often = |column: &&Column| column.values.len() * 20 >= sample.rows * 19;
    // The name itself: `days_since_last` and `tenure_days` are no times.
    let place = |c: &Column| DAYS.iter().chain(&SECONDS).position(|name| c.name.eq_ignore_ascii_case(name));
    // The day of a month that has a column of its own.
    if sample.columns.iter().any(|c| rank(&c.name, &["month", "year"]).is_some()) {
        return None;
    }
    let named = sample.columns.iter().filter(often).filter_map(|c| Some((place(c)?, c)));
    let mut columns: Vec<(usize, &Column)> = named.collect();
    columns.sort_by_key(|(rank, _)| *rank);
    columns.into_iter().find_map(|(_, column)| {
        let number =
            |text: &String| if comma { text.replace(',', ".") } else { text.clone() }.parse::<f64>().ok();
        let numbers: Vec<f64> = column.values.iter().filter_map(number).collect();
        let within = |range: std::ops::Range<f64>| {
            numbers.len() == column.values.len() && numbers.iter().all(|n| range.contains(n))
        };
        let (format, since) = match DAYS.iter().any(|name| column.name.eq_ignore_ascii_case(name)) {
            // 1982 to 2064.
            _ if within(30_000.0..60_000.0) => ("days", SERIAL),
            true if within(0.0..30_000.0) => ("days", SOME_DAY),
            // Up to twenty years.
            false if within(0.0..631_152_000.0) => ("s", SOME_DAY),
            _ => return None,
        };
        let reader = TimeReader::counted(format, Some(since), Some("UTC")).ok()?;
        let ms: Vec<i64> =
            numbers.iter().filter_map(|n| reader.read(&Cell::Float(*n)).ok()).map(|t| t.0).collect();
        let span = (*ms.iter().min()?, *ms.iter().max()?);
        let (columns, format, since) = (vec![column.name.clone()], format.to_owned(), Some(since.to_owned()));
        Some(Time { columns, format, naive: true, span, since })
    })
}

/// Whether a column of numbers counts from 1970: no quantity.
pub(super) fn counts_time(column: &Column) -> bool {
    let within = |unit: f64| {
        // 1990 to 2040.
        let range = 631_152_000.0 * unit..2_208_988_800.0 * unit;
        let is_time = |text: &String| text.parse::<f64>().is_ok_and(|n| range.contains(&n));
        !column.values.is_empty() && column.values.iter().all(is_time)
    };
    // Thousand millions may be amounts, where the name says nothing else.
    let lower = column.name.to_lowercase();
    let named = ["time", "date", "login", "seen", "epoch", "expire", "_at", "_ts"];
    let named = rank(&column.name, &TIME_NAMES).is_some() || named.iter().any(|word| lower.contains(word));
    [1e3, 1e6, 1e9].into_iter().any(within) || (named && within(1.0))
}

/// A date whose time of day stands in a column of its own.
fn with_time_of_day(sample: &Sample, date: &Time) -> Option<Time> {
    let dates = sample.columns.iter().find(|c| c.name == date.columns[0])?;
    if dates.values.iter().any(|v| v.contains(':')) || !date.naive {
        return None;
    }
    let beside = |is_clock: &dyn Fn(&Column, &String) -> bool| {
        let all = |c: &&Column| {
            c.name != dates.name
                && c.values.len() == dates.values.len()
                && c.values.iter().all(|v| is_clock(c, v))
        };
        sample.columns.iter().find(all)
    };
    let with_colon =
        beside(&|_, v| v.len() <= 12 && v.contains(':') && v.starts_with(|d: char| d.is_ascii_digit()));
    let is_hour = |v: &String| v.len() <= 2 && v.parse::<u32>().is_ok_and(|hour| hour < 24);
    // As in 134502.
    let is_clock = |v: &String| {
        let part = |at: usize, most: u32| {
            v.get(at..at + 2).is_some_and(|n| n.parse::<u32>().is_ok_and(|n| n < most))
        };
        v.len() == 6 && part(0, 24) && part(2, 60) && part(4, 60)
    };
    let clock = with_colon
        .or_else(|| beside(&|c, v| rank(&c.name, &["hour", "hr"]).is_some() && is_hour(v)))
        .or_else(|| beside(&|c, v| rank(&c.name, &["time", "zeit", "uhrzeit"]).is_some() && is_clock(v)))?;
    let both: Vec<String> = dates.values.iter().zip(&clock.values).map(|(d, t)| format!("{d} {t}")).collect();
    let (format, naive, span) = read_as_time(&both, true)?;
    Some(Time {
        columns: vec![date.columns[0].clone(), clock.name.clone()],
        format,
        naive,
        span,
        since: None,
    })
}

/// The first format that reads nearly all values, and the span of time that they then cover.
fn read_as_time(values: &[String], named: bool) -> Option<(String, bool, (i64, i64))> {
    /// 1990 to 2100: what an event of some data set may be of.
    const PLAUSIBLE: std::ops::Range<i64> = 631_152_000_000..4_102_444_800_000;
    let attempt = |format: &str, naive: bool| {
        let reader = TimeReader::new(format, naive.then_some("UTC")).ok()?;
        let read = |text: &String| reader.read(&Cell::Text(text.as_str().into())).ok().map(|t| t.0);
        let times: Vec<i64> = values.iter().filter_map(read).filter(|t| PLAUSIBLE.contains(t)).collect();
        if times.is_empty() || times.len() * 20 < values.len() * 19 {
            return None;
        }
        Some((format.to_owned(), naive, (*times.iter().min()?, *times.iter().max()?)))
    };
    let epochs = ["ms", "us", "ns", "s"].iter().filter(|_| named).find_map(|unit| attempt(unit, false));
    let patterns = || FORMATS.iter().find_map(|(format, naive)| attempt(format, *naive));
    // 20181001 is a date sooner than seconds of 1970, which the plausible years leave out anyway.
    epochs.or_else(patterns)
}
