//! Whom an event is about: which column names the customer.

use std::collections::HashSet;

use super::guess::{KIND_NAMES, rank};
use super::sample::{Column, Sample};

/// The column that names the customer, and what makes one doubt that it is the right one.
#[derive(Debug)]
pub(crate) struct Whom<'s> {
    pub(crate) column: &'s Column,
    pub(crate) doubts: Vec<String>,
}

/// From so many rows on, few different values are a doubt.
const MANY_ROWS: usize = 200;
/// So many are few.
const FEW: usize = 10;

const NAMES: [&str; 62] = [
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
    "distinct_id",
    "distinctid",
    "pseudo_id",
    "anonymous_id",
    "anonymousid",
    "customernumber",
    "customerno",
    "accountnumber",
    "cust",
    "custid",
    "uid",
    "kunde",
    "kunden",
    "kundennummer",
    "kundennr",
    "kundenid",
    "mitglied",
    "mitgliedsnummer",
    "nutzer",
    "benutzer",
    "vertrag",
    "vertragsnummer",
    "teilnehmer",
    "rufnummer",
    "telefonnummer",
    "msisdn",
    "imsi",
    "phone",
    "email",
    "contact",
    "actor",
    "char",
    "device",
    "deviceid",
    "session",
    "sessionid",
    "host",
    "ip",
];

/// The place of a column's name in the list of those that customers usually have.
pub(super) fn place(name: &str) -> Option<usize> {
    // Of `actor.id` the last word alone says nothing.
    let short =
        name.strip_suffix(".id").map(|whose| format!("{}_id", whose.rsplit('.').next().unwrap_or(whose)));
    rank(short.as_deref().unwrap_or(name), &NAMES)
}

/// Whether a name ends in what ids are called by: `songId`, `order_id`, but not `paid`.
pub(super) fn is_id_name(name: &str) -> bool {
    let lower = name.to_lowercase();
    let word = lower.rsplit(['_', '-', ' ', '.']).next() == Some("id");
    word || name.ends_with("Id") || name.ends_with("ID") || (lower.ends_with("id") && place(name).is_some())
}

/// How many different values a column has.
pub(super) fn different(column: &Column) -> usize {
    column.values.iter().collect::<HashSet<_>>().len()
}

/// Of the columns that are neither the time nor what happened, the one with the most customary name; without any such name the
/// first that repeats itself and has many values. A name that only contains a customary one needs many values too.
pub(super) fn choose<'s>(sample: &'s Sample, columns: &[&'s Column]) -> Option<Whom<'s>> {
    let nameless = sample.file.layout.header == Some(false);
    let is_few = |c: &Column| sample.rows >= MANY_ROWS && c.distinct.len() < FEW;
    // A measurement repeats itself too, but is no name.
    let is_name = |c: &Column| {
        !c.is_number(true) || is_id_name(&c.name) || c.is_long_number() || (nameless && c.is_whole())
    };
    let mut found: Vec<((bool, usize, usize), &Column)> = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        let named = place(&column.name);
        if fits(sample, column) && (named.is_some() || (column.variety() < 0.9 && is_name(column))) {
            let exact = named.is_some_and(|place| place < NAMES.len());
            let few = is_few(column) && !exact && !nameless;
            found.push(((few, named.unwrap_or(usize::MAX), at), column));
        }
    }
    found.sort_by_key(|(order, _)| *order);
    let (_, column) = *found.first()?;
    let mut doubts = Vec::new();
    if place(&column.name).is_none() {
        doubts.push(format!(
            "No column is called as customers usually are; `{}` is the first whose values come again.",
            column.name
        ));
    }
    let (many, rows) = (different(column), column.values.len());
    if is_few(column) {
        doubts.push(format!("`{}` has only {many} different values in {rows} rows.", column.name));
    } else if rows >= 20 && many * 10 > rows * 9 {
        doubts.push(format!(
            "`{}` has {many} different values in {rows} rows, so of nearly everybody there is one event only.",
            column.name
        ));
    }
    let others = found[1..].iter().filter(|(_, other)| !is_few(other)).take(4);
    let others: Vec<String> = others.map(|(_, other)| format!("`{}`", other.name)).collect();
    if !doubts.is_empty() && !others.is_empty() {
        doubts.push(format!("It could also be {}.", others.join(", ")));
    }
    Some(Whom { column, doubts })
}

/// An entity does several things, is nearly always there, and is no measurement.
fn fits(sample: &Sample, column: &Column) -> bool {
    let fraction = column.values.iter().any(|v| v.contains('.') && v.parse::<f64>().is_ok());
    let fraction = fraction && !column.is_whole_as_float() && !is_id_name(&column.name);
    column.distinct.len() > 1 && column.values.len() * 2 > sample.rows && !fraction
}

/// Whether a name is one of a customer rather than of a type: `user_type` is what sort of user it is.
pub(super) fn is_whose(name: &str) -> bool {
    let lower = name.to_lowercase();
    let last = lower.rsplit(['_', '-', ' ', '.']).next().unwrap_or_default();
    place(name).is_some() && !KIND_NAMES.contains(&last)
}
