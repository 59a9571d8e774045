//! Which column is what.

use crate::map::Delimiter;

use super::entity;
use super::sample::{Column, Sample};
pub(crate) use super::times::{SERIAL, Time};

/// What the columns of an event log seem to mean.
#[derive(Debug)]
pub(crate) struct Guess<'s> {
    pub(crate) time: Time,
    pub(crate) entity: &'s Column,
    /// Why another column may be the entity.
    pub(crate) doubts: Vec<String>,
    /// What happened: a column, or one word for all.
    pub(crate) kind: Kind<'s>,
    /// Columns of counts, each of one type of event.
    pub(crate) counts: Vec<&'s Column>,
    pub(crate) id: Option<&'s Column>,
    pub(crate) fields: Vec<(&'s Column, FieldKind)>,
    /// The types of events of the whole file, the most frequent first; empty until it was read.
    pub(crate) kinds: Vec<String>,
    pub(crate) decimal_comma: bool,
    /// Whether each three digits are set off: by points if the decimals are by a comma, otherwise by commas.
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
    Bool,
    /// A moment, which is no quantity: mentioned, not taken.
    Time,
    /// Too many different texts to be of use: mentioned, not taken.
    Unused,
}

/// Why there is no guess: the file is no event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoEvents {
    Empty,
    NoTime,
    NoEntity,
    /// Nearly every entity has exactly one row: the column that names it, how many there are, and in how many rows.
    OneRowEach(String, usize, usize),
}

pub(super) const KIND_NAMES: [&str; 14] = [
    "event_type",
    "event_name",
    "event",
    "type",
    "action",
    "activity",
    "page",
    "what",
    "ereignis",
    "aktion",
    "art",
    "vorgang",
    "kind",
    "verb",
];
const ID_NAMES: [&str; 6] = ["event_id", "eventid", "message_id", "messageid", "insert_id", "uuid"];

/// Guesses what the columns mean.
pub(crate) fn guess<'s>(sample: &'s Sample, stem: &str) -> Result<Guess<'s>, NoEvents> {
    if sample.rows == 0 {
        return Err(NoEvents::Empty);
    }
    let time = super::times::find(sample).ok_or(NoEvents::NoTime)?;
    let free = |column: &&Column| !time.columns.contains(&column.name);
    let semicolons = sample.file.layout.delimiter == Some(Delimiter::byte(b';'));
    let comma_groups = sample.columns.iter().any(|c| c.is_grouped(true));
    let decimal_comma =
        comma_groups || semicolons && sample.columns.iter().any(|c| !c.is_number(false) && c.is_number(true));
    let thousands = comma_groups || (!decimal_comma && sample.columns.iter().any(|c| c.is_grouped(false)));

    let is_kind = |column: &&Column| {
        (2..=300).contains(&column.distinct.len())
            && column.variety() < 0.5
            && !column.is_number(decimal_comma)
            && !entity::is_whose(&column.name)
    };
    let kinds = sample.columns.iter().filter(free).filter(is_kind);
    let kinds = kinds.filter_map(|column| Some((rank(&column.name, &KIND_NAMES)?, column)));
    let kind = kinds.min_by_key(|(rank, _)| *rank).map(|(_, column)| column);
    // What says what happened cannot say to whom.
    let free = |column: &&Column| free(column) && kind.is_none_or(|kind| kind.name != column.name);
    let columns: Vec<&Column> = sample.columns.iter().filter(free).collect();
    let whom = entity::choose(sample, &columns).ok_or(NoEvents::NoEntity)?;
    let entity = whom.column;
    let one_row_each = sample.rows >= 20 && entity.distinct.len() == sample.rows.min(Column::MOST_DISTINCT);
    let free = |column: &&Column| free(column) && column.name != entity.name;

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
        doubts: whom.doubts,
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
    let number = column.typed_number || column.is_number(comma) || column.is_grouped(comma);
    if column.moment.is_some() || super::times::counts_time(column) {
        FieldKind::Time
    } else if column.typed_bool {
        FieldKind::Bool
    } else if number && !entity::is_id_name(&column.name) && !is_number_of(column) {
        FieldKind::Number
    } else if column.distinct.len() <= 200 || column.variety() < 0.5 {
        FieldKind::Text
    } else {
        FieldKind::Unused
    }
}

/// Numbers of phones and the like, which are no quantities.
fn is_number_of(column: &Column) -> bool {
    let long = column.values.iter().all(|text| text.len() >= 9);
    column.is_long_number() && (long || entity::place(&column.name).is_some())
}

/// The place of a name in a list of customary ones: the lower, the more customary. Names that contain one count less.
pub(super) fn rank(name: &str, list: &[&str]) -> Option<usize> {
    let lower = name.rsplit('.').next().unwrap_or(name).trim_start_matches('$').to_lowercase();
    let words: Vec<&str> = lower.split(['_', '-', ' ']).collect();
    let exact = list.iter().position(|known| *known == lower);
    let within = list.iter().position(|known| words.contains(known) || lower.ends_with(&format!("_{known}")));
    exact.or(within.map(|at| at + list.len()))
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
