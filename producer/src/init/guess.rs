//! Which column is what.

use crate::map::{Cell, Delimiter, Format, TimeReader};

use super::sample::{Column, Sample};

/// What the columns of an event log seem to mean.
#[derive(Debug)]
pub(crate) struct Guess<'s> {
    pub(crate) time: Time,
    pub(crate) entity: &'s Column,
    /// What happened: a column, or one word for all.
    pub(crate) kind: Kind<'s>,
    /// Columns of counts, each of one type of event.
    pub(crate) counts: Vec<&'s Column>,
    pub(crate) id: Option<&'s Column>,
    pub(crate) fields: Vec<(&'s Column, FieldKind)>,
    /// The types of events of the whole file, the most frequent first; empty until it was read.
    pub(crate) kinds: Vec<String>,
    pub(crate) decimal_comma: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Time {
    pub(crate) columns: Vec<String>,
    pub(crate) format: String,
    /// Whether the format leaves the zone open.
    pub(crate) naive: bool,
    /// The first and the last moment of the sample, in milliseconds.
    pub(crate) span: (i64, i64),
}

#[derive(Debug)]
pub(crate) enum Kind<'s> {
    Column(&'s Column),
    Constant(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FieldKind {
    Number,
    Text,
    /// Too many different texts to be of use: mentioned, not taken.
    Unused,
}

/// Why there is no guess: the file is no event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoEvents {
    Empty,
    NoTime,
    NoEntity,
    /// Every entity has exactly one row: the column that names it.
    OneRowEach(String),
}

const TIME_NAMES: [&str; 9] =
    ["timestamp", "event_time", "ts", "time", "datetime", "date", "created", "day", "at"];
const ENTITY_NAMES: [&str; 12] = [
    "user_id",
    "userid",
    "user",
    "customer_id",
    "customer",
    "account_id",
    "account",
    "member",
    "client",
    "subscriber",
    "visitor",
    "enrollment",
];
const KIND_NAMES: [&str; 8] =
    ["event_type", "event_name", "event", "type", "action", "activity", "page", "what"];
const ID_NAMES: [&str; 4] = ["event_id", "eventid", "message_id", "uuid"];

/// Formats to be tried, with whether they leave the zone open.
const FORMATS: [(&str, bool); 32] = [
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
];

/// Guesses what the columns mean.
pub(crate) fn guess<'s>(sample: &'s Sample, stem: &str) -> Result<Guess<'s>, NoEvents> {
    if sample.rows == 0 {
        return Err(NoEvents::Empty);
    }
    let time = find_time(sample).ok_or(NoEvents::NoTime)?;
    let free = |column: &&Column| !time.columns.contains(&column.name);
    let semicolons = sample.file.layout.delimiter == Some(Delimiter::byte(b';'));
    let decimal_comma = semicolons && sample.columns.iter().any(|c| !c.is_number(false) && c.is_number(true));

    let entity = best(sample.columns.iter().filter(free), &ENTITY_NAMES, |column| {
        // An entity does several things, is nearly always there, and is no measurement.
        let fraction = column.values.iter().any(|v| v.contains('.') && v.parse::<f64>().is_ok());
        let fraction = fraction && !column.is_whole_as_float();
        column.distinct.len() > 1 && column.values.len() * 2 > sample.rows && !fraction
    });
    let entity = entity.ok_or(NoEvents::NoEntity)?;
    if sample.rows >= 20 && entity.distinct.len() == sample.rows.min(Column::MOST_DISTINCT) {
        return Err(NoEvents::OneRowEach(entity.name.clone()));
    }
    let free = |column: &&Column| !time.columns.contains(&column.name) && column.name != entity.name;

    let kind = best(sample.columns.iter().filter(free), &KIND_NAMES, |column| {
        (2..=300).contains(&column.distinct.len())
            && column.variety() < 0.5
            && !column.is_number(decimal_comma)
    });
    let kind = kind.filter(|column| rank(&column.name, &KIND_NAMES).is_some());
    let counts = if kind.is_none() { count_columns(sample, &time) } else { Vec::new() };
    let id = sample.columns.iter().filter(free).find(|c| {
        rank(&c.name, &ID_NAMES).is_some()
            && c.distinct.len() == c.values.len()
            && c.values.len() == sample.rows
    });
    let taken = |column: &Column| {
        kind.is_some_and(|k| k.name == column.name)
            || id.is_some_and(|i| i.name == column.name)
            || counts.iter().any(|c| c.name == column.name)
    };
    let fields = sample.columns.iter().filter(free).filter(|c| !taken(c) && !c.values.is_empty());
    let fields = fields.map(|column| (column, field_kind(column, decimal_comma))).collect();
    let word = sanitized(stem);
    let kind = kind
        .map_or_else(|| Kind::Constant(if word.is_empty() { "event".into() } else { word }), Kind::Column);
    Ok(Guess { time, entity, kind, counts, id, fields, kinds: Vec::new(), decimal_comma })
}

fn field_kind(column: &Column, comma: bool) -> FieldKind {
    let named_id = column.name.to_lowercase().ends_with("id");
    if (column.typed_number || column.is_number(comma)) && !named_id {
        FieldKind::Number
    } else if column.distinct.len() <= 200 || column.variety() < 0.5 {
        FieldKind::Text
    } else {
        FieldKind::Unused
    }
}

/// The place of a name in a list of customary ones: the lower, the more customary. Names that contain one count less.
fn rank(name: &str, list: &[&str]) -> Option<usize> {
    let lower = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let words: Vec<&str> = lower.split(['_', '-', ' ']).collect();
    let exact = list.iter().position(|known| *known == lower);
    let within = list.iter().position(|known| words.contains(known) || lower.ends_with(&format!("_{known}")));
    exact.or(within.map(|at| at + list.len()))
}

/// Of the columns that fit, the one with the most customary name; without any such name the first that repeats itself.
fn best<'s>(
    columns: impl Iterator<Item = &'s Column>,
    names: &[&str],
    fits: impl Fn(&Column) -> bool,
) -> Option<&'s Column> {
    let fitting: Vec<&Column> = columns.filter(|c| fits(c)).collect();
    let named =
        fitting.iter().filter_map(|c| Some((rank(&c.name, names)?, *c))).min_by_key(|(rank, _)| *rank);
    // A measurement repeats itself too, but is no name.
    let nameless =
        |c: &&Column| c.variety() < 0.9 && (!c.is_number(true) || c.name.to_lowercase().ends_with("id"));
    named.map(|(_, c)| c).or_else(|| fitting.iter().copied().find(nameless))
}

/// Three or more columns of whole numbers with the same first word: counts of types of events.
fn count_columns<'s>(sample: &'s Sample, time: &Time) -> Vec<&'s Column> {
    let whole = sample.columns.iter().filter(|c| c.is_whole() && !time.columns.contains(&c.name));
    let prefix = |c: &Column| c.name.split_once('_').map(|(first, _)| first.to_owned());
    let all: Vec<&Column> = whole.collect();
    let same = |wanted: &str| -> Vec<&Column> {
        all.iter().copied().filter(|c| prefix(c).as_deref() == Some(wanted)).collect()
    };
    ["event", "count", "n", "num"].iter().map(|p| same(p)).find(|group| group.len() >= 3).unwrap_or_default()
}

fn find_time(sample: &Sample) -> Option<Time> {
    let typed = sample.columns.iter().find(|c| c.moment.is_some());
    if let Some(column) = typed {
        let naive = column.moment == Some(false);
        let ms: Vec<i64> = column.values.iter().filter_map(|v| v.parse().ok()).collect();
        let span = (*ms.iter().min()?, *ms.iter().max()?);
        return Some(Time { columns: vec![column.name.clone()], format: "native".to_owned(), naive, span });
    }
    let mut found: Vec<((bool, usize), Time)> = Vec::new();
    for (place, column) in sample.columns.iter().enumerate() {
        // Nearly every event has its time.
        if column.values.len() * 20 < sample.rows * 19 {
            continue;
        }
        let named = rank(&column.name, &TIME_NAMES);
        let times =
            read_as_time(&column.values, named.is_some() || sample.file.layout.format == Format::Whitespace);
        if let Some((format, naive, span)) = times {
            let order = (named.is_none(), named.unwrap_or(place));
            found.push((order, Time { columns: vec![column.name.clone()], format, naive, span }));
        }
    }
    found.sort_by_key(|(order, _)| *order);
    let (_, best) = found.into_iter().next()?;
    Some(with_time_of_day(sample, &best).unwrap_or(best))
}

/// A date whose time of day stands in a column of its own.
fn with_time_of_day(sample: &Sample, date: &Time) -> Option<Time> {
    let dates = sample.columns.iter().find(|c| c.name == date.columns[0])?;
    if dates.values.iter().any(|v| v.contains(':')) || !date.naive {
        return None;
    }
    let clock = sample.columns.iter().find(|c| {
        let is_clock =
            |v: &String| v.len() <= 12 && v.contains(':') && v.starts_with(|d: char| d.is_ascii_digit());
        c.values.len() == dates.values.len() && c.values.iter().all(is_clock)
    })?;
    let both: Vec<String> = dates.values.iter().zip(&clock.values).map(|(d, t)| format!("{d} {t}")).collect();
    let (format, naive, span) = read_as_time(&both, true)?;
    Some(Time { columns: vec![date.columns[0].clone(), clock.name.clone()], format, naive, span })
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

/// A name as it may stand in a spec: lower case, digits and underscores.
pub(crate) fn sanitized(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
    }
    let out = out.trim_end_matches('_').to_owned();
    if out.starts_with(|c: char| c.is_ascii_digit()) { format!("c{out}") } else { out }
}
