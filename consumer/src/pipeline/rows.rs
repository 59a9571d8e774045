//! Feature rows on their way to the scorer: one block of memory, reused.

use feature_store::SlotId;
use types::{EventTime, Offset, Trigger};

/// Feature vectors of several moments of several users, row-major, and what each is of.
#[derive(Debug, Default)]
pub struct Rows {
    width: usize,
    features: Vec<f32>,
    metas: Vec<Meta>,
    names: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Meta {
    name: (u32, u32),
    as_of: EventTime,
    offset: Offset,
    trigger: Trigger,
    slot: Option<SlotId>,
    approximate: bool,
}

/// One row, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// Whose it is.
    pub entity: &'a str,
    /// The moment for which it holds.
    pub as_of: EventTime,
    /// The event or tick that caused it; the row knows what came before it, and the event itself.
    pub offset: Offset,
    /// Whether an event or a tick caused it.
    pub trigger: Trigger,
    /// The user's place in the store until the next batch boundary; only for events.
    pub slot: Option<SlotId>,
    /// Whether old events of the user are kept in panes.
    pub approximate: bool,
    /// The values, in the order of the spec's feature names; NaN where there is none.
    pub features: &'a [f32],
}

impl Rows {
    /// An empty block for vectors of `width` values.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self { width, ..Self::default() }
    }

    /// Forgets the rows and keeps the memory.
    pub fn clear(&mut self) {
        self.features.clear();
        self.metas.clear();
        self.names.clear();
    }

    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.metas.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// All values, row after row.
    #[must_use]
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// How many values a row has.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// The rows in the order in which they were made.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.metas.len()).map(|index| self.row(index))
    }

    /// The row at `index`.
    ///
    /// # Panics
    /// If there is no such row.
    #[must_use]
    pub fn row(&self, index: usize) -> Row<'_> {
        let meta = &self.metas[index];
        let name = &self.names[meta.name.0 as usize..meta.name.1 as usize];
        Row {
            // Only whole strings are ever copied into `names`.
            entity: std::str::from_utf8(name).unwrap_or_default(),
            as_of: meta.as_of,
            offset: meta.offset,
            trigger: meta.trigger,
            slot: meta.slot,
            approximate: meta.approximate,
            features: &self.features[index * self.width..(index + 1) * self.width],
        }
    }

    /// Adds a row and returns its values, all missing, to be filled in.
    pub(crate) fn push(
        &mut self,
        entity: &str,
        as_of: EventTime,
        offset: Offset,
        trigger: Trigger,
        slot: Option<SlotId>,
        approximate: bool,
    ) -> &mut [f32] {
        let from = self.names.len();
        self.names.extend_from_slice(entity.as_bytes());
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a block holds about a thousand rows, cleared between"
        )]
        let name = (from as u32, self.names.len() as u32);
        self.metas.push(Meta { name, as_of, offset, trigger, slot, approximate });
        let start = self.features.len();
        self.features.resize(start + self.width, f32::NAN);
        &mut self.features[start..]
    }
}
