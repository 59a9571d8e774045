//! From the map's text to what is applied to every row: names become slots, formats are checked, mistakes get their line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use types::{DurationError, EventTime, Millis};

use super::cell::Cell;
use super::condition::Condition;
use super::error::{KeyError, MapError, syntax};
use super::field::FieldPlan;
use super::file::{
    EntitySection, EventSection, IdSection, JoinSection, MapFile, Names, Normalise, Spread, TimeSection,
    TypeSection, WhenEmpty,
};
use super::layout::Layout;
use super::number::NumberStyle;
use super::table::Join;
use super::time::{TimeFormatError, TimeReader};

/// A map, ready to be applied.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) layout: Layout,
    pub(crate) joins: Vec<Join>,
    /// How many of a row's cells come from joins; they are its first.
    pub(crate) joined: usize,
    /// The columns to read; the rest of a row's cells, in this order.
    pub(crate) columns: Vec<String>,
    pub(crate) numbers: NumberStyle,
    pub(crate) null: Vec<String>,
    pub(crate) entity: EntityPlan,
    pub(crate) arrival: Option<TimePlan>,
    pub(crate) id: Option<IdPlan>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) events: Vec<EventPlan>,
}

#[derive(Debug)]
pub(crate) struct EntityPlan {
    pub(crate) kind: String,
    pub(crate) id: IdPlan,
    pub(crate) empty: WhenEmpty,
    pub(crate) normalise: Vec<Normalise>,
}

#[derive(Debug)]
pub(crate) struct IdPlan {
    pub(crate) slots: Vec<usize>,
    pub(crate) separator: String,
}

#[derive(Debug)]
pub(crate) struct TimePlan {
    pub(crate) slots: Vec<usize>,
    pub(crate) columns: String,
    pub(crate) reader: TimeReader,
    pub(crate) shift: Millis,
    pub(crate) not_before: EventTime,
}

#[derive(Debug)]
pub(crate) struct KindPlan {
    /// No slots: the prefix is the whole type.
    pub(crate) slots: Vec<usize>,
    pub(crate) prefix: String,
    pub(crate) names: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct EventPlan {
    pub(crate) kind: KindPlan,
    pub(crate) time: TimePlan,
    pub(crate) count: Option<(usize, String)>,
    pub(crate) spread: Spread,
    pub(crate) fields: Vec<FieldPlan>,
    pub(crate) conditions: Vec<Condition>,
}

/// Gives every column that a map names its place in a row: joined columns first, then those of the file.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    joined: Vec<String>,
    columns: Vec<String>,
}

impl Slots {
    pub(crate) fn of(&mut self, name: &str) -> usize {
        if let Some(at) = self.joined.iter().position(|n| n == name) {
            return at;
        }
        let at = self.columns.iter().position(|n| n == name).unwrap_or_else(|| {
            self.columns.push(name.to_owned());
            self.columns.len() - 1
        });
        self.joined.len() + at
    }

    fn all(&mut self, names: &Names) -> Vec<usize> {
        names.as_slice().iter().map(|name| self.of(name)).collect()
    }
}

impl Mapping {
    /// Reads a map, and the tables that it joins, which lie in one of the folders `beside` or beside the map.
    ///
    /// # Errors
    /// If it cannot be read or says something that has no meaning; the error names file, line and key.
    pub fn load(path: &Path, beside: &[PathBuf]) -> Result<Self, MapError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| MapError::Io { path: path.to_owned(), source })?;
        let mut mapping = Self::from_toml(&text, path)?;
        let own = path.parent().unwrap_or(Path::new("")).to_owned();
        let places: Vec<PathBuf> = beside.iter().cloned().chain([own]).collect();
        for join in &mut mapping.joins {
            join.load(&places)?;
        }
        Ok(mapping)
    }

    /// Reads a map from its text; `path` is for messages. Joined tables are not read: their columns are missing.
    ///
    /// # Errors
    /// As for [`Mapping::load`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, MapError> {
        let file: MapFile = toml::from_str(text).map_err(|e| syntax(path, text, &e))?;
        compile(file).map_err(|e| e.at(path, text))
    }

    /// The columns that rows must be read for, in the order of a row's cells.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// How the map says that the file is laid out.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether no row gives more than one event.
    #[must_use]
    pub fn gives_one(&self) -> bool {
        matches!(self.events.as_slice(), [event] if event.count.is_none()) && self.layout.each.is_none()
    }

    /// The type of entity that the events are about.
    #[must_use]
    pub fn entity_type(&self) -> &str {
        &self.entity.kind
    }

    /// How many cells a row has, joined ones included.
    pub(crate) fn width(&self) -> usize {
        self.joined + self.columns.len()
    }

    /// The columns that [`Mapping::order_times`] needs, and their places among a row's cells.
    pub(crate) fn order_columns(&self) -> (Vec<usize>, Vec<String>) {
        let mut slots: Vec<usize> = self.order_plans().flat_map(|plan| plan.slots.iter().copied()).collect();
        slots.sort_unstable();
        slots.dedup();
        let named = |slot: usize| Some((slot, self.columns.get(slot.checked_sub(self.joined)?)?.clone()));
        slots.into_iter().filter_map(named).unzip()
    }

    /// The first of the columns (given by their place among the map's) that a time reads and that needs a zone where the map
    /// gives none.
    pub(crate) fn naive_without_zone(&self, naive: &[usize]) -> Option<&str> {
        let times = self.arrival.iter().chain(self.events.iter().map(|event| &event.time));
        let mut without = times.filter(|plan| !plan.reader.has_zone()).flat_map(|plan| &plan.slots);
        without.find_map(|slot| {
            let place = slot.checked_sub(self.joined).filter(|place| naive.contains(place))?;
            self.columns.get(place).map(String::as_str)
        })
    }

    /// Whether a time by which the log is ordered comes from a joined table, which [`Mapping::order_times`] does not see.
    pub(crate) fn is_ordered_by_join(&self) -> bool {
        self.order_plans().any(|plan| plan.slots.iter().any(|slot| *slot < self.joined))
    }

    /// The plans by whose times the log is ordered: arrival where the file has it.
    pub(crate) fn order_plans(&self) -> impl Iterator<Item = &TimePlan> {
        let events = self.events.iter().map(|event| &event.time).filter(|_| self.arrival.is_none());
        self.arrival.iter().chain(events)
    }
}

fn compile(file: MapFile) -> Result<Mapping, KeyError> {
    let layout = Layout::compile(&file)?;
    let numbers = number_style(file.number)?;
    let mut slots = Slots::default();
    let joins = joins(file.join, &mut slots)?;
    let entity = entity(file.entity, &mut slots)?;
    let arrival = file.arrival.map(|section| time(section, "arrival", &numbers, &mut slots)).transpose()?;
    if let (Some(each), Some(id)) = (&layout.each, &file.event_id)
        && !id.column.as_slice().iter().any(|column| is_within(column, each))
    {
        let wrong =
            format!("names no column of the items of `{each}`, so all of a row would have the same id");
        return Err(KeyError::new("event_id.column", wrong));
    }
    let id = file.event_id.map(|IdSection { column, separator }| IdPlan {
        slots: slots.all(&column),
        separator: separator.unwrap_or_else(|| "-".to_owned()),
    });
    let conditions = Condition::compile(file.conditions, "where", &mut slots)?;
    let sections = if file.event.is_empty() { vec![EventSection::whole_row()] } else { file.event };
    let listed = sections.len() > 1;
    let mut events = Vec::with_capacity(sections.len());
    for (i, section) in sections.into_iter().enumerate() {
        let key = format!("event[{}]", i + 1);
        let kind = match (section.kind, &file.kind) {
            (Some(kind), _) => kind_plan(kind, &format!("{key}.type"), &mut slots)?,
            (None, Some(kind)) => kind_plan(kind.clone(), "type", &mut slots)?,
            (None, None) if listed => {
                return Err(KeyError::new(key, "`type` is missing here and at the top"));
            }
            (None, None) => return Err(KeyError::new("type", "the section `[type]` is missing")),
        };
        let own_time = section.time.map(|time| (time, format!("{key}.time")));
        let (time_section, time_key) = own_time.unwrap_or_else(|| (file.time.clone(), "time".to_owned()));
        let mut fields = file.fields.clone();
        fields.extend(section.fields);
        events.push(EventPlan {
            kind,
            time: time(time_section, &time_key, &numbers, &mut slots)?,
            count: section.count.map(|column| (slots.of(&column), column)),
            spread: section.spread,
            fields: FieldPlan::compile(fields, "fields", &mut slots)?,
            conditions: Condition::compile(section.conditions, &format!("{key}.where"), &mut slots)?,
        });
    }
    let mapping = Mapping {
        layout,
        joins,
        joined: slots.joined.len(),
        columns: slots.columns,
        numbers,
        null: file.null,
        entity,
        arrival,
        id,
        conditions,
        events,
    };
    Ok(mapping)
}

impl EventSection {
    fn whole_row() -> Self {
        let (fields, conditions) = (BTreeMap::new(), Vec::new());
        Self { kind: None, time: None, count: None, spread: Spread::None, fields, conditions }
    }
}

/// Whether a column is a path into the items of a list, or the items themselves.
pub(crate) fn is_within(column: &str, each: &str) -> bool {
    column.strip_prefix(each).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn ascii(c: Option<char>, key: &str) -> Result<Option<u8>, KeyError> {
    let byte = c.map(|c| u8::try_from(c).ok().filter(u8::is_ascii).ok_or(c)).transpose();
    byte.map_err(|c| KeyError::new(key, format!("`{c}` is not an ASCII character")))
}

fn number_style(section: super::file::NumberSection) -> Result<NumberStyle, KeyError> {
    let decimal = ascii(section.decimal, "number.decimal")?.unwrap_or(b'.');
    let thousands = ascii(section.thousands, "number.thousands")?;
    if thousands == Some(decimal) {
        return Err(KeyError::new("number.thousands", "is the same as `decimal`"));
    }
    Ok(NumberStyle { decimal, thousands, strip: section.strip.chars().collect() })
}

fn joins(sections: Vec<JoinSection>, slots: &mut Slots) -> Result<Vec<Join>, KeyError> {
    for (i, section) in sections.iter().enumerate() {
        let key = format!("join[{}]", i + 1);
        if section.name.is_empty() || section.columns.is_empty() {
            return Err(KeyError::new(key, "a join needs a name and columns"));
        }
        let names: Vec<String> = section.columns.iter().map(|c| format!("{}.{c}", section.name)).collect();
        if names.iter().any(|name| slots.joined.contains(name)) {
            return Err(KeyError::new(key, "the same column is joined twice"));
        }
        slots.joined.extend(names);
    }
    // Only now is it known where the file's own columns begin.
    let mut first = 0;
    let mut joins = Vec::with_capacity(sections.len());
    for section in sections {
        let on = slots.of(&section.on);
        let width = section.columns.len();
        let layout = Join::layout(&section).map_err(|e| e.within(&format!("join[{}]", joins.len() + 1)))?;
        joins.push(Join::new(section, layout, on, first));
        first += width;
    }
    Ok(joins)
}

fn entity(section: EntitySection, slots: &mut Slots) -> Result<EntityPlan, KeyError> {
    let EntitySection { kind, id, separator, empty, normalise } = section;
    if kind.is_empty() {
        return Err(KeyError::new("entity.type", "is empty: write user, account or the like"));
    }
    if id.as_slice().is_empty() {
        return Err(KeyError::new("entity.id", "names no column"));
    }
    let separator = separator.unwrap_or_else(|| ":".to_owned());
    Ok(EntityPlan { kind, id: IdPlan { slots: slots.all(&id), separator }, empty, normalise })
}

fn time(
    section: TimeSection,
    key: &str,
    numbers: &NumberStyle,
    slots: &mut Slots,
) -> Result<TimePlan, KeyError> {
    let TimeSection { column, format, since, zone, shift, not_before } = section;
    if column.as_slice().is_empty() {
        return Err(KeyError::new(format!("{key}.column"), "names no column"));
    }
    let reader = TimeReader::counted(&format, since.as_deref(), zone.as_deref()).map_err(|e| {
        let part = match e {
            TimeFormatError::BadSince(_) | TimeFormatError::SinceWithoutUse(_) => "since",
            TimeFormatError::UnknownZone(_) | TimeFormatError::ZoneWithoutUse(_) => "zone",
            TimeFormatError::UnknownFormat(_) | TimeFormatError::NaiveWithoutZone(_) => "format",
        };
        KeyError::new(format!("{key}.{part}"), e)
    })?;
    let reader = reader.with_decimal(numbers.decimal);
    let shift = shift.map_or(Ok(Millis(0)), |text| match text.strip_prefix('-') {
        Some(back) => back.parse().map(|Millis(ms)| Millis(-ms)),
        None => text.parse(),
    });
    let shift = shift.map_err(|e: DurationError| KeyError::new(format!("{key}.shift"), e))?;
    let not_before = match not_before {
        // A time of zero is what a missing time becomes somewhere on its way.
        None => EventTime(1),
        Some(text) => super::iso::parse(text.as_bytes())
            .map(|written| written.instant().unwrap_or(EventTime(written.wall_ms)))
            .ok_or_else(|| {
                KeyError::new(format!("{key}.not_before"), "write a date (UTC), as in 2015-01-31")
            })?,
    };
    let columns = column.as_slice().join("`, `");
    Ok(TimePlan { slots: slots.all(&column), columns, reader, shift, not_before })
}

fn kind_plan(section: TypeSection, key: &str, slots: &mut Slots) -> Result<KindPlan, KeyError> {
    let TypeSection { column, constant, prefix, names } = section;
    let plan = match (column, constant) {
        (Some(column), None) => KindPlan { slots: slots.all(&column), prefix, names },
        (None, Some(constant)) => {
            KindPlan { slots: Vec::new(), prefix: format!("{prefix}{constant}"), names: BTreeMap::new() }
        }
        _ => return Err(KeyError::new(key, "give either `column` or `constant`")),
    };
    let ours = |name: &str| name.starts_with('$');
    if ours(&plan.prefix) || plan.names.values().any(|name| ours(name)) {
        return Err(KeyError::new(key, "types that begin with $ are churnstream's own"));
    }
    if plan.slots.is_empty() && plan.prefix.is_empty() {
        return Err(KeyError::new(key, "the type is empty"));
    }
    Ok(plan)
}

/// A row's cells joined as one text: the parts with `between` in between. `false` if a part is missing or has no text.
pub(crate) fn join_cells(cells: &[Cell<'_>], slots: &[usize], between: &str, out: &mut String) -> bool {
    for (i, slot) in slots.iter().enumerate() {
        if i > 0 {
            out.push_str(between);
        }
        let cell = &cells[*slot];
        if matches!(cell, Cell::Missing) || !cell.write_text(out) {
            return false;
        }
    }
    true
}
