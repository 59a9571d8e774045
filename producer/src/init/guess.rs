//! Which column is what.

use crate::map::Delimiter;

use super::sample::{Column, Sample};
pub(crate) use super::times::{SERIAL, Time};

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
    /// Whether points stand before each three digits.
    pub(crate) thousands: bool,
    /// No entity comes again in the sample.
    pub(crate) one_row_each: bool,
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

const ENTITY_NAMES: [&str; 31] = [
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
    "customerid",
    "accountid",
    "memberid",
    "clientid",
    "subscriberid",
    "visitorid",
    "username",
    "msno",
    "player",
    "playerid",
    "student",
    "learner",
    "char",
    "device",
    "deviceid",
    "session",
    "sessionid",
    "host",
    "ip",
];
const KIND_NAMES: [&str; 8] =
    ["event_type", "event_name", "event", "type", "action", "activity", "page", "what"];
const ID_NAMES: [&str; 4] = ["event_id", "eventid", "message_id", "uuid"];

/// Guesses what the columns mean.
pub(crate) fn guess<'s>(sample: &'s Sample, stem: &str) -> Result<Guess<'s>, NoEvents> {
    if sample.rows == 0 {
        return Err(NoEvents::Empty);
    }
    let time = super::times::find(sample).ok_or(NoEvents::NoTime)?;
    let free = |column: &&Column| !time.columns.contains(&column.name);
    let semicolons = sample.file.layout.delimiter == Some(Delimiter::byte(b';'));
    let thousands = sample.columns.iter().any(Column::is_grouped);
    let decimal_comma =
        thousands || semicolons && sample.columns.iter().any(|c| !c.is_number(false) && c.is_number(true));

    let nameless = sample.file.layout.header == Some(false);
    let entity = best(sample.columns.iter().filter(free), &ENTITY_NAMES, nameless, |column| {
        // An entity does several things, is nearly always there, and is no measurement.
        let fraction = column.values.iter().any(|v| v.contains('.') && v.parse::<f64>().is_ok());
        let fraction = fraction && !column.is_whole_as_float();
        column.distinct.len() > 1 && column.values.len() * 2 > sample.rows && !fraction
    });
    let entity = entity.ok_or(NoEvents::NoEntity)?;
    let one_row_each = sample.rows >= 20 && entity.distinct.len() == sample.rows.min(Column::MOST_DISTINCT);
    let free = |column: &&Column| !time.columns.contains(&column.name) && column.name != entity.name;

    let kind = best(sample.columns.iter().filter(free), &KIND_NAMES, false, |column| {
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
    Ok(Guess {
        time,
        entity,
        kind,
        counts,
        id,
        fields,
        kinds: Vec::new(),
        decimal_comma,
        thousands,
        one_row_each,
    })
}

fn field_kind(column: &Column, comma: bool) -> FieldKind {
    let named_id = column.name.to_lowercase().ends_with("id");
    if (column.typed_number || column.is_number(comma) || column.is_grouped()) && !named_id {
        FieldKind::Number
    } else if column.distinct.len() <= 200 || column.variety() < 0.5 {
        FieldKind::Text
    } else {
        FieldKind::Unused
    }
}

/// The place of a name in a list of customary ones: the lower, the more customary. Names that contain one count less.
pub(super) fn rank(name: &str, list: &[&str]) -> Option<usize> {
    let lower = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    let words: Vec<&str> = lower.split(['_', '-', ' ']).collect();
    let exact = list.iter().position(|known| *known == lower);
    let within = list.iter().position(|known| words.contains(known) || lower.ends_with(&format!("_{known}")));
    exact.or(within.map(|at| at + list.len()))
}

/// Of the columns that fit, the one with the most customary name; without any such name the first that repeats itself;
/// where no column has a name, whole numbers may be ids (`whole`).
fn best<'s>(
    columns: impl Iterator<Item = &'s Column>,
    names: &[&str],
    whole: bool,
    fits: impl Fn(&Column) -> bool,
) -> Option<&'s Column> {
    let fitting: Vec<&Column> = columns.filter(|c| fits(c)).collect();
    let named =
        fitting.iter().filter_map(|c| Some((rank(&c.name, names)?, *c))).min_by_key(|(rank, _)| *rank);
    // A measurement repeats itself too, but is no name.
    let is_name =
        |c: &Column| !c.is_number(true) || c.name.to_lowercase().ends_with("id") || (whole && c.is_whole());
    let nameless = |c: &&Column| c.variety() < 0.9 && is_name(c);
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
