//! `churnstream init`: drafts the map, the spec and the labels of a file from a sample of it.
//!
//! Everything is a guess, said in comments that people can check; nothing is decided behind their back. Above all, a time
//! that does not say its zone gets `zone = "UTC"` with a remark that cannot be overlooked.

mod entity;
mod guess;
mod head;
mod numbers;
mod sample;
mod times;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use types::{Event, EventTime, Millis};

use crate::import::SourceError;
use crate::import::source::Rows;
use crate::map::{Cell, MapError, MappedRow, Mapping, RowMapper};
use guess::{NoEvents, guess};
use sample::{Column, Sample};

/// How many events a preview has, and how many rejected rows it names.
const PREVIEW: usize = 10;
/// How many rows are tried for the preview.
const TRIED: usize = 1_000;
/// How many rows are read to learn what stretch of time they cover: a second or two.
const SPANNED: usize = 1_000_000;
/// So many types of events are told apart.
const MOST_KINDS: usize = 2_000;

/// Drafts of the three files that an event log needs, and what they make of the sample.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The map, as commented TOML.
    pub map: String,
    /// The feature spec, as commented TOML.
    pub spec: String,
    /// The labels, as commented TOML.
    pub labels: String,
    /// The first ten events that the map makes of the file, as JSON.
    pub preview: Vec<String>,
    /// The first ten rows of the first thousand that the map cannot read: line and reason.
    pub rejects: Vec<(u64, String)>,
    /// How many of the rows tried were read, and how many not.
    pub tried: (usize, usize),
    /// Whom the events are about: the column, how many different values it has in the sample, and in how many rows.
    pub entity: (String, usize, usize),
    /// Why another column may say whom they are about; empty if nothing speaks against it.
    pub doubts: Vec<String>,
}

/// Why there is no draft.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// The file cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The file has no rows.
    #[error("{}: there are no rows in it", .0.display())]
    Empty(PathBuf),
    /// The file says what customers are, not what they did.
    #[error("{}: {explanation}", path.display())]
    NotEvents {
        /// The file.
        path: PathBuf,
        /// What it seems to be and what can be done with it.
        explanation: String,
    },
    /// The draft is no map: a mistake in the guessing.
    #[error("the draft cannot be used, please report this with the file's first lines: {0}")]
    Draft(#[from] MapError),
}

/// Drafts map, spec and labels from the first rows of a file: a few thousand for what the columns are, a million at most for
/// the time that they cover and the types of events.
///
/// # Errors
/// If the file cannot be read, is empty, or holds no events; see [`InitError`].
pub fn draft(path: &Path) -> Result<Draft, InitError> {
    let mut sample = Sample::read(path, None)?;
    if times::find(&sample).is_none() {
        // Where nothing in an object is a time, its events may be the items of a list in it.
        for list in sample.file.lists.clone() {
            let items = Sample::read(path, Some(&list))?;
            if times::find(&items).is_some() {
                sample = items;
                break;
            }
        }
    }
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    let mut guess = guess(&sample, stem).map_err(|why| no_events(path, &sample, &why))?;
    if guess.one_row_each {
        let (entities, rows) = counted(path, &sample, guess.entity)?;
        // A few that are there twice are mistakes.
        if entities * 100 >= rows * 99 {
            let why = NoEvents::OneRowEach(guess.entity.name.clone(), entities, rows);
            return Err(no_events(path, &sample, &why));
        }
    }
    let map = write::map(&name, &sample, &guess);
    let mapping = Mapping::from_toml(&map, Path::new("map.toml"))?;
    // The first rows of a sorted file are a few hours of it: windows, horizon and types of events follow the whole.
    (guess.time.span, guess.kinds) = whole(path, &mapping, guess.time.span)?;
    let map = write::map(&name, &sample, &guess);
    let mut draft = Draft {
        spec: write::spec(&sample, &guess),
        labels: write::labels(&guess),
        map,
        preview: Vec::new(),
        rejects: Vec::new(),
        tried: (0, 0),
        entity: (guess.entity.name.clone(), entity::different(guess.entity), guess.entity.values.len()),
        doubts: guess.doubts.clone(),
    };
    preview(path, &mapping, &mut draft)?;
    Ok(draft)
}

fn no_events(path: &Path, sample: &Sample, why: &NoEvents) -> InitError {
    let path = path.to_owned();
    let columns: Vec<&str> = sample.columns.iter().map(|c| c.name.as_str()).collect();
    // Such as the days since the order before.
    let relative = sample.columns.iter().find(|c| c.name.to_lowercase().contains("since"));
    let explanation = match why {
        NoEvents::Empty => return InitError::Empty(path),
        NoEvents::NoTime if let Some(column) = relative => format!(
            "no column is a time; `{0}` counts from another row, and which moment that was, no row says. No map can turn that into \
             times: add it up for each user to the number of a day, in a column of its own, and import that with format = \"days\" and \
             since = \"...\". Columns: {1}",
            column.name,
            columns.join(", ")
        ),
        NoEvents::NoTime => format!(
            "no column is a time, so this is a table of what somebody is, not a log of what somebody did and when. \
             churnstream learns from events: give it the log, and add this table's columns by a [[join]] in the map. \
             Columns: {}",
            columns.join(", ")
        ),
        NoEvents::OneRowEach(entity, entities, rows) => format!(
            "{}every `{entity}` has one row{}, so this is a table of what somebody is, not a log of what somebody did and when. \
             churnstream learns from events: give it the log, and add this table's columns by a [[join]] in the map. Columns \
             that tell how it ended (left, churned, end date) must not be joined: they are what is to be foretold. If \
             its dates are events by themselves (signed up, ended), write a map with an [[event]] for each. Columns: {}",
            if entities == rows { "" } else { "nearly " },
            if entities == rows { String::new() } else { format!(" ({entities} of them in {rows} rows)") },
            columns.join(", ")
        ),
        NoEvents::NoEntity => format!(
            "there is a time, but no column says whose event a row is (no id that repeats), so it seems to be a series of \
             measurements. If a column does name the user or account, write it as entity.id into a map by hand. Columns: {}",
            columns.join(", ")
        ),
    };
    InitError::NotEvents { path, explanation }
}

/// How many different values a column has and how many in all, as far as the file is read.
fn counted(path: &Path, sample: &Sample, column: &Column) -> Result<(usize, usize), InitError> {
    if sample.rows < sample::ROWS {
        return Ok((entity::different(column), column.values.len()));
    }
    let wanted = [column.name.clone()];
    let mut rows = Rows::open(path, &sample.file.layout, &wanted, 1 << 20, &Arc::default())?;
    let mut seen = std::collections::HashSet::new();
    let (mut all, mut text) = (0, String::new());
    let mut cells = Vec::new();
    while all < SPANNED
        && let Some(row) = rows.next()?
    {
        let mut own = crate::import::recycled(std::mem::take(&mut cells));
        if row.cells(&mut own).is_ok() {
            for cell in &own {
                text.clear();
                cell.write_text(&mut text);
                seen.insert(xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
                all += 1;
            }
        }
        cells = crate::import::recycled(own);
    }
    Ok((seen.len(), all))
}

fn preview(path: &Path, mapping: &Mapping, draft: &mut Draft) -> Result<(), InitError> {
    let mut rows = Rows::open(path, mapping.layout(), mapping.columns(), 1 << 20, &Arc::default())?;
    let mut mapper = RowMapper::new(mapping);
    let mut out = MappedRow::default();
    for _ in 0..TRIED {
        let Some(row) = rows.next()? else { break };
        let mut cells = vec![Cell::Missing; mapper.joined_cells()];
        match row.cells(&mut cells).and_then(|()| mapper.map(&mut cells, &mut out)) {
            Ok(_) => {
                draft.tried.0 += 1;
                for index in 0..out.len() {
                    if let Some((_, _, value)) = out.get(index).filter(|_| draft.preview.len() < PREVIEW) {
                        draft.preview.push(String::from_utf8_lossy(value).into_owned());
                    }
                }
            }
            Err(reject) => {
                draft.tried.1 += 1;
                if draft.rejects.len() < PREVIEW {
                    draft.rejects.push((row.line, reject.to_string()));
                }
            }
        }
    }
    Ok(())
}

/// From when to when the events of a file go, as far as it is read, at least what is known already; and their types, the most frequent
/// first. A few stray times at either end, a thousandth of all, do not count.
fn whole(path: &Path, mapping: &Mapping, known: (i64, i64)) -> Result<((i64, i64), Vec<String>), InitError> {
    let mut rows = Rows::open(path, mapping.layout(), mapping.columns(), 1 << 20, &Arc::default())?;
    let mut mapper = RowMapper::new(mapping);
    let mut out = MappedRow::default();
    // For each day how many events, the first and the last of them.
    let mut days = BTreeMap::<i64, (usize, i64, i64)>::new();
    let mut kinds = BTreeMap::<String, usize>::new();
    for _ in 0..SPANNED {
        let Some(row) = rows.next()? else { break };
        let mut cells = vec![Cell::Missing; mapper.joined_cells()];
        if row.cells(&mut cells).and_then(|()| mapper.map(&mut cells, &mut out)).is_err() {
            continue;
        }
        for (mapped, _, value) in (0..out.len()).filter_map(|index| out.get(index)) {
            let (at, mut event) = (mapped.ts.0, Event::default());
            if event.decode(value).is_err() {
                continue;
            }
            if let Some(count) = kinds.get_mut(event.kind.as_ref()) {
                *count += 1;
            } else if kinds.len() < MOST_KINDS {
                kinds.insert(event.kind.clone().into_owned(), 1);
            }
            let day = days.entry(at.div_euclid(Millis::DAY.0)).or_insert((0, at, at));
            *day = (day.0 + 1, day.1.min(at), day.2.max(at));
        }
    }
    let stray = days.values().map(|day| day.0).sum::<usize>() / 1_000;
    let beyond = |(count, from, to): (usize, i64, i64), seen: &mut usize| {
        *seen += count;
        (*seen > stray).then_some((from, to))
    };
    let first = days.values().scan(0, |seen, day| Some(beyond(*day, seen))).flatten().next();
    let last = days.values().rev().scan(0, |seen, day| Some(beyond(*day, seen))).flatten().next();
    let from = first.map_or(known.0, |(from, _)| from.min(known.0));
    let mut kinds: Vec<(String, usize)> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let span = (from, last.map_or(known.1, |(_, to)| to.max(known.1)));
    Ok((span, kinds.into_iter().map(|(kind, _)| kind).collect()))
}

/// A moment as people read it.
fn shown(ms: i64) -> String {
    let moment = jiff::Timestamp::from_millisecond(EventTime(ms).0);
    moment.map_or_else(|_| ms.to_string(), |moment| moment.to_string())
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod shape_tests;

#[cfg(test)]
mod guess_tests;
