//! One row through the map: its events, or why it has none.

use std::borrow::Cow;

use types::{Event, EventTime, Field, RejectReason, Value};

use super::cell::{Cell, show};
use super::compile::{EventPlan, IdPlan, Mapping, join_cells};
use super::file::{Normalise, Spread, WhenEmpty, WhenMissing};
use super::read::{all_hold, read_count};

/// More events than a row can mean: a count beyond it is a mistake.
pub(super) const MOST_EVENTS_OF_A_ROW: i64 = 100_000;

/// Nor more bytes of events: a row of a long text and a great count would take all memory there is.
pub(crate) const MOST_BYTES_OF_A_ROW: usize = 64 << 20;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It gave the events in the output.
    Events,
    /// It does not fulfil the conditions, or all its counts are 0.
    Filtered,
    /// The list whose items are read has none, or is not there.
    NoItems,
    /// It has no entity, and the map says to skip such rows.
    EmptyEntity,
    /// A joined table has no row for it, and the map says to skip such rows.
    NotJoined,
}

/// Why a row cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Reject {
    /// Under which reason it is counted and kept.
    pub reason: RejectReason,
    /// What is wrong, with the field's and the column's name.
    pub detail: String,
}

impl Reject {
    pub(crate) fn new(reason: RejectReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }

    pub(crate) fn field(reason: RejectReason, field: &str, column: &str, wrong: &str) -> Self {
        Self::new(reason, format!("field `{field}`, column `{column}`: {wrong}"))
    }
}

/// One event of a row, encoded: ranges of [`MappedRow`]'s bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapped {
    key: (usize, usize),
    value: (usize, usize),
    /// When it happened.
    pub ts: EventTime,
    /// When it arrived, if the map reads that.
    pub arrival: Option<EventTime>,
}

/// The events of one row, in order of time. Reused from row to row.
#[derive(Debug, Default)]
pub struct MappedRow {
    bytes: Vec<u8>,
    events: Vec<Mapped>,
}

impl MappedRow {
    /// How many events there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// One of the events, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&Mapped, &[u8], &[u8])> {
        let event = self.events.get(index)?;
        let part = |(from, to): (usize, usize)| &self.bytes[from..to];
        Some((event, part(event.key), part(event.value)))
    }

    /// Forgets the events and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.events.clear();
    }
}

/// Applies a map to rows; holds the memory that is reused between them.
#[derive(Debug)]
pub struct RowMapper<'m> {
    mapping: &'m Mapping,
    entity: String,
    id: String,
    kind: String,
    text: String,
    /// The empty field list of the last event, for its memory.
    fields: Vec<Field<'static>>,
}

/// What all events of a row have in common.
struct Shared<'r> {
    entity: &'r str,
    arrival: Option<EventTime>,
    key: (usize, usize),
}

impl<'m> RowMapper<'m> {
    /// A mapper that has seen no row.
    #[must_use]
    pub fn new(mapping: &'m Mapping) -> Self {
        let text = String::new;
        Self { mapping, entity: text(), id: text(), kind: text(), text: text(), fields: Vec::new() }
    }

    /// The cells of a row before its columns: empty places for what is joined. The reader adds the columns.
    #[must_use]
    pub fn joined_cells(&self) -> usize {
        self.mapping.joined
    }

    /// Replaces `out` by the row's events. `cells` are [`RowMapper::joined_cells`] places and then the map's columns; of a row whose
    /// items are read one by one, the same for each of them. If one of the items cannot be read, neither can the row.
    /// O(size of the row and of its events).
    ///
    /// # Errors
    /// A [`Reject`] if the row cannot be read; `out` is empty then.
    pub fn map<'r>(&mut self, cells: &mut [Cell<'r>], out: &mut MappedRow) -> Result<Fate, Reject>
    where
        'm: 'r,
    {
        out.clear();
        // Only of a list can there be nothing at all.
        let mut fate = Fate::NoItems;
        for (number, item) in cells.chunks_mut(self.mapping.width().max(1)).enumerate() {
            match self.map_into(item, out) {
                Ok(of_item) => fate = of_item,
                Err(reject) => {
                    out.clear();
                    return Err(match &self.mapping.layout.each {
                        Some(each) => {
                            Reject::new(reject.reason, format!("`{each}.{number}`: {}", reject.detail))
                        }
                        None => reject,
                    });
                }
            }
        }
        if out.events.is_empty() {
            out.clear();
            return Ok(fate);
        }
        if out.events.len() > 1 {
            out.events.sort_by_key(|event| event.ts);
        }
        Ok(Fate::Events)
    }

    fn map_into<'r>(&mut self, cells: &mut [Cell<'r>], out: &mut MappedRow) -> Result<Fate, Reject>
    where
        'm: 'r,
    {
        let mapping = self.mapping;
        let clear_nulls = |cells: &mut [Cell<'r>]| {
            for cell in cells {
                if let Cell::Text(text) = cell
                    && (text.is_empty() || mapping.null.iter().any(|null| null == text))
                {
                    *cell = Cell::Missing;
                }
            }
        };
        clear_nulls(cells);
        for join in &mapping.joins {
            self.text.clear();
            let key = &cells[join.on];
            let row = if key.write_text(&mut self.text) { join.row(&self.text) } else { None };
            match (row, join.missing) {
                (Some(row), _) => cells[join.first..join.first + row.len()].clone_from_slice(row),
                (None, WhenMissing::Empty) => {}
                (None, WhenMissing::Skip) => return Ok(Fate::NotJoined),
                (None, WhenMissing::Reject) => {
                    let detail = format!("table `{}` has no row for {}", join.name, show(&self.text));
                    return Err(Reject::new(RejectReason::Mapping, detail));
                }
            }
        }
        clear_nulls(&mut cells[..mapping.joined]);
        let cells = &*cells;
        if !all_hold(&mapping.conditions, cells, &mapping.numbers, &mut self.text)? {
            return Ok(Fate::Filtered);
        }
        if !self.read_entity(cells)? {
            return match mapping.entity.empty {
                WhenEmpty::Skip => Ok(Fate::EmptyEntity),
                WhenEmpty::Reject => {
                    Err(Reject::new(RejectReason::MissingField, "the entity's id is missing or empty"))
                }
            };
        }
        let arrival = mapping.arrival.as_ref().map(|plan| plan.read(cells, &mut self.text)).transpose()?;
        let has_id = match &mapping.id {
            Some(plan) => self.read_id(plan, cells)?,
            None => false,
        };
        let (key, already) = (out.bytes.len(), out.events.len());
        out.bytes.extend_from_slice(self.entity.as_bytes());
        let entity = std::mem::take(&mut self.entity);
        let shared = Shared { entity: &entity, arrival, key: (key, out.bytes.len()) };
        let mut result = Ok(());
        for (number, plan) in mapping.events.iter().enumerate() {
            result = self.add_events(plan, number, cells, &shared, has_id, out);
            if result.is_err() {
                break;
            }
        }
        self.entity = entity;
        result?;
        Ok(if out.events.len() == already { Fate::Filtered } else { Fate::Events })
    }

    fn read_entity(&mut self, cells: &[Cell<'_>]) -> Result<bool, Reject> {
        let plan = &self.mapping.entity;
        self.entity.clear();
        if let Some(other) = plan.id.slots.iter().find(|slot| cells[**slot] == Cell::Other) {
            let column = self.mapping.column_name(*other);
            let detail = format!("the entity's id, column `{column}`: a list or an object");
            return Err(Reject::new(RejectReason::WrongType, detail));
        }
        if !join_cells(cells, &plan.id.slots, &plan.id.separator, &mut self.entity) {
            return Ok(false);
        }
        for step in &plan.normalise {
            match step {
                Normalise::Trim => self.entity = self.entity.trim().to_owned(),
                Normalise::Lowercase => self.entity = self.entity.to_lowercase(),
                Normalise::Integer => {
                    let end = self.entity.trim_end_matches('0').strip_suffix('.').map(str::len);
                    if let Some(end) = end {
                        self.entity.truncate(end);
                    }
                }
            }
        }
        Ok(!self.entity.is_empty())
    }

    fn read_id(&mut self, plan: &IdPlan, cells: &[Cell<'_>]) -> Result<bool, Reject> {
        self.id.clear();
        if plan.slots.iter().any(|slot| cells[*slot] == Cell::Other) {
            return Err(Reject::new(RejectReason::WrongType, "the event's id: a list or an object"));
        }
        // An event without its id is an event that cannot be told from others, not a bad one.
        Ok(join_cells(cells, &plan.slots, &plan.separator, &mut self.id))
    }

    fn add_events(
        &mut self,
        plan: &EventPlan,
        number: usize,
        cells: &[Cell<'_>],
        shared: &Shared<'_>,
        has_id: bool,
        out: &mut MappedRow,
    ) -> Result<(), Reject> {
        let mapping = self.mapping;
        if !all_hold(&plan.conditions, cells, &mapping.numbers, &mut self.text)? {
            return Ok(());
        }
        let count = match &plan.count {
            None => 1,
            Some((slot, column)) => read_count(&cells[*slot], column, &mapping.numbers)?,
        };
        if count == 0 {
            return Ok(());
        }
        let first_ts = plan.time.read(cells, &mut self.text)?;
        plan.kind.read(cells, &mut self.kind, &mut self.text)?;
        let mut fields: Vec<Field<'_>> = std::mem::take(&mut self.fields);
        for field in &plan.fields {
            if let Some(value) = field.value(cells, &mapping.numbers)? {
                fields.push((Cow::Borrowed(&field.name), value));
            }
        }
        let id_length = self.id.len();
        let mut event = Event {
            entity_type: Cow::Borrowed(&mapping.entity.kind),
            entity: Cow::Borrowed(shared.entity),
            kind: Cow::Borrowed(&self.kind),
            ts: first_ts,
            id: None,
            fields,
        };
        for i in 0..count {
            if plan.spread == Spread::Day {
                event.ts = EventTime(first_ts.0 + 86_400_000 * (2 * i + 1) / (2 * count));
            }
            if has_id {
                self.id.truncate(id_length);
                // One row's events must not pass for repetitions of each other.
                if mapping.events.len() > 1 || plan.count.is_some() {
                    use std::fmt::Write as _;
                    // Writing to a String cannot fail.
                    let _ = write!(self.id, "/{}.{}", number + 1, i + 1);
                }
                event.id = Some(Cow::Owned(std::mem::take(&mut self.id)));
            }
            let from = out.bytes.len();
            event.encode(&mut out.bytes);
            let value = (from, out.bytes.len());
            let length = value.1 - value.0;
            let all = length.saturating_mul(usize::try_from(count).unwrap_or(usize::MAX));
            if i == 0 && all.saturating_add(from) > MOST_BYTES_OF_A_ROW {
                let detail = format!("{count} events of {length} bytes from one row are too much");
                return Err(Reject::new(RejectReason::TooLarge, detail));
            }
            out.events.push(Mapped { key: shared.key, value, ts: event.ts, arrival: shared.arrival });
            if let Some(Cow::Owned(id)) = event.id.take() {
                self.id = id;
            }
        }
        self.id.truncate(id_length);
        let mut fields = event.fields;
        fields.clear();
        // An empty list has no element to convert; collecting in place keeps its memory under the longer lifetime.
        self.fields = fields.into_iter().map(|_| (Cow::Borrowed(""), Value::Null)).collect();
        Ok(())
    }
}

impl Mapping {
    fn column_name(&self, slot: usize) -> &str {
        slot.checked_sub(self.joined).and_then(|at| self.columns.get(at)).map_or("of a join", String::as_str)
    }

    /// Calls `visit` with each of the times by which the row's events are ordered in the log. `cells` are as for
    /// [`RowMapper::map`]; only [`Mapping::order_columns`] need be there.
    pub(crate) fn order_times(
        &self,
        cells: &[Cell<'_>],
        text: &mut String,
        mut visit: impl FnMut(EventTime),
    ) {
        if let Some(plan) = &self.arrival {
            if let Ok(time) = plan.read(cells, text) {
                visit(time);
            }
            return;
        }
        for event in &self.events {
            if let Ok(time) = event.time.read(cells, text) {
                visit(time);
                if event.spread == Spread::Day {
                    // The last of them may lie anywhere up to there; how many there are is not read.
                    visit(EventTime(time.0.saturating_add(86_400_000 - 1)));
                }
            }
        }
    }
}
