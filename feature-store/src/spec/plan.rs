//! A definition compiled for speed: what to do with an event of each type, and where each feature's numbers stand.
//!
//! Per user there is one array of words (64 bits each), laid out as follows.
//!
//! ```text
//! [as-of] [cursor of window 0: next ts, place] ... [cursor of window n] [cells of windows] [life words]
//! ```
//!
//! A *cell* holds a count (one word) or a sum (two words, an i128) of one input over one window. *Life words* are the same over a
//! user's whole life, with first and last times and values; they alone outlive the events that they come from.

use hashbrown::HashMap;

use super::definition::{Attribute, AttributeKind, Condition, Definition, Op, Window};

/// At most so many conditions in a rule: with the slots and the rule's number they must fit a record's code of 64 bits.
pub(crate) const MAX_CONDITIONS: usize = 16;
/// At most so many stored values per event.
pub(crate) const MAX_SLOTS: usize = 32;
/// At most so many different windows: a value's membership in them is a 32-bit mask.
pub(crate) const MAX_WINDOWS: usize = 32;
/// Words before the cursors.
pub(crate) const CURSORS_AT: usize = 1;

#[derive(Debug, Default)]
pub(crate) struct Plan {
    rule_of: HashMap<Box<str>, u16>,
    /// Rule 0 is no rule: its number marks a pane in the log. The last one is for types that the spec does not name.
    pub(crate) rules: Vec<Rule>,
    /// How many low bits of a record's code are the rule's number.
    pub(crate) rule_bits: u32,
    /// Lengths of the windows that have cells, ascending.
    pub(crate) spans: Vec<i64>,
    pub(crate) words: usize,
    /// After a walk, in this order: adds the first cell to the second, the same one over the next longer window; whether it is a wide one.
    pub(crate) sums: Vec<(usize, usize, bool)>,
    /// Where the life words begin.
    pub(crate) life_at: usize,
    /// What the life words are before the first event.
    pub(crate) life_start: Vec<i64>,
    pub(crate) series: Vec<SeriesPlan>,
    pub(crate) reads: Vec<Read>,
    /// Columns that divide others: their positions, the numerators' and the denominators'.
    pub(crate) ratios: Vec<(usize, usize, usize)>,
    /// How far behind a user's newest event state reaches: the longest window (twice it for change) and the lateness.
    pub(crate) reach: i64,
}

/// What to do with events of one type.
#[derive(Debug, Default)]
pub(crate) struct Rule {
    /// Some unconditional part of the spec wants the event, even if it has no values.
    pub(crate) wanted: bool,
    /// It ends (`Some(true)`) or starts or resumes (`Some(false)`) a user's life.
    pub(crate) ends: Option<bool>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) slots: Vec<Slot>,
    /// Which of the slots (bits) are numbers.
    pub(crate) numeric: u64,
    /// By window; `updates[bounds[k]..bounds[k + 1]]` are window k's.
    pub(crate) updates: Vec<Update>,
    pub(crate) bounds: Vec<u16>,
    /// What a walk over all events does with one that falls into window k and no shorter one: it counts in the shortest window from k
    /// on that has the cell, and [`Plan::sums`] carries it to the longer ones.
    pub(crate) bands: Vec<Update>,
    pub(crate) band_bounds: Vec<u16>,
    pub(crate) life: Vec<LifeUpdate>,
    pub(crate) series: Vec<SeriesUpdate>,
}

/// A value of an event that is stored with it.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) field: Box<str>,
    pub(crate) kind: SlotKind,
    /// Stored if any of these conditions (bits) holds, or always.
    pub(crate) conditions: u64,
    pub(crate) always: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SlotKind {
    /// An integer scaled by a power of ten.
    Number { scale: u32 },
    /// A hash of a text.
    Text,
    /// The position in a list of texts, plus one; 0 for others. Here sorted by text, with those codes.
    Category(Vec<(String, u32)>),
}

/// A change of one cell by one event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update {
    pub(crate) kind: CellKind,
    pub(crate) needs: Needs,
    pub(crate) slot: u8,
    pub(crate) word: u16,
    pub(crate) series: u16,
    pub(crate) window: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CellKind {
    /// Events.
    Count,
    /// Events that have the value.
    Values,
    Sum,
    Squares,
    /// Different texts; the series holds the last time of each.
    Distinct,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct LifeUpdate {
    pub(crate) kind: LifeKind,
    pub(crate) needs: Needs,
    pub(crate) slot: u8,
    /// Within the life words.
    pub(crate) word: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LifeKind {
    Count,
    Values,
    Sum,
    Squares,
    Min,
    Max,
    /// Time of the first event.
    First,
    /// Time of the last event.
    Last,
    /// Time of the last event that has the value, and the value.
    LastValue,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesUpdate {
    pub(crate) series: u16,
    pub(crate) needs: Needs,
    pub(crate) slot: u8,
}

/// Which of a record's bits must be set for an update to concern it: its input's condition, and the presence of the value that it uses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs(pub(crate) u64);

impl Needs {
    #[inline]
    pub(crate) const fn met_by(self, bits: u64) -> bool {
        bits & self.0 == self.0
    }
}

/// A structure that answers for every window at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeriesPlan {
    pub(crate) kind: SeriesKind,
    /// The longest window that asks it, in milliseconds.
    pub(crate) reach: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SeriesKind {
    Max,
    Min,
    Days,
    Sessions { gap: i64 },
    Distinct,
}

/// How a column of the row comes about. Words are positions in a user's words; spans are in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Read {
    Count {
        word: usize,
    },
    Sum {
        word: usize,
        unit: f64,
    },
    Mean {
        values: usize,
        sum: usize,
        unit: f64,
    },
    Std {
        values: usize,
        sum: usize,
        squares: usize,
        unit: f64,
    },
    Change {
        now: usize,
        both: usize,
    },
    SumChange {
        now: usize,
        both: usize,
    },
    Extreme {
        series: usize,
        span: i64,
        unit: f64,
    },
    Days {
        series: usize,
        span: i64,
    },
    Sessions {
        series: usize,
        span: i64,
    },
    /// Lifetime minimum or maximum.
    Bound {
        word: usize,
        unset: i64,
        unit: f64,
    },
    /// Last value within a span; numeric attributes have an endless one.
    Last {
        word: usize,
        span: i64,
        unit: f64,
    },
    Recency {
        word: usize,
        span: i64,
    },
    Tenure {
        word: usize,
    },
    /// See [`Plan::ratios`].
    Ratio,
    /// `other` is the code of unseen texts, if they have one.
    Ordinal {
        word: usize,
        other: Option<u32>,
    },
    /// 1 if the stored code is this, 0 if it is another; missing if the code is 0 and unseen texts are missing.
    OneHot {
        word: usize,
        code: i64,
        other: bool,
    },
}

/// Powers of ten: 10^scale.
pub(crate) const POWERS: [f64; 10] = [1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];

/// A span that no time exceeds.
pub(crate) const ENDLESS: i64 = i64::MAX;

impl Plan {
    /// The rule for events of this type. O(1).
    pub(crate) fn rule_of(&self, kind: &str) -> usize {
        self.rule_of.get(kind).map_or(self.rules.len() - 1, |&rule| usize::from(rule))
    }

    pub(crate) fn compile(spec: &Definition) -> Result<Self, String> {
        let mut plan = Self::default();
        plan.make_rules(spec);
        let mut spans: Vec<i64> = spec
            .features
            .iter()
            .filter_map(|f| match (f.window, f.op) {
                (Window::Span(w), Op::Change | Op::SumChange) => Some(vec![w, 2 * w]),
                (Window::Span(w), Op::Count | Op::Sum | Op::Mean | Op::Std | Op::Distinct) => Some(vec![w]),
                _ => None,
            })
            .flatten()
            .collect();
        spans.sort_unstable();
        spans.dedup();
        if spans.len() > MAX_WINDOWS {
            return Err(format!("more than {MAX_WINDOWS} different windows"));
        }
        plan.spans = spans;
        let longest = spec.features.iter().filter_map(|f| match f.window {
            Window::Span(w) if matches!(f.op, Op::Change | Op::SumChange) => Some(2 * w),
            Window::Span(w) => Some(w),
            Window::All => None,
        });
        // A sweep looks back from its tick, whose record may stand behind events up to a grace later.
        let behind = spec.allowed_lateness.0.max(spec.tick.grace.0);
        plan.reach = longest.max().unwrap_or(0) + behind;
        let mut compiler = super::compile::Compiler::new(spec, &mut plan);
        compiler.run();
        plan.check()?;
        Ok(plan)
    }

    /// One rule per type that the spec names, and one for the rest.
    fn make_rules(&mut self, spec: &Definition) {
        let lists = spec
            .inputs
            .iter()
            .map(|i| &i.events)
            .chain(spec.attributes.iter().map(|a: &Attribute| &a.events));
        let life = &spec.lifecycle;
        let mut types: Vec<&String> =
            lists.flatten().flatten().chain(&life.start).chain(&life.end).chain(&life.resume).collect();
        types.sort_unstable();
        types.dedup();
        self.rules.push(Rule::default());
        for kind in types {
            self.rule_of.insert(kind.as_str().into(), self.rules.len() as u16);
            let ends = life.end.contains(kind);
            let starts = life.start.contains(kind) || life.resume.contains(kind);
            let silent = life.silence.is_some();
            self.rules.push(Rule {
                ends: (ends || starts).then_some(ends),
                wanted: ends || starts || silent,
                ..Rule::default()
            });
        }
        self.rules.push(Rule { wanted: life.silence.is_some(), ..Rule::default() });
        self.rule_bits = usize::BITS - (self.rules.len() - 1).leading_zeros();
    }

    /// The rules' numbers whose types are in the list (`None`: every type).
    pub(crate) fn rules_for(&self, events: Option<&[String]>) -> Vec<usize> {
        match events {
            None => (1..self.rules.len()).collect(),
            Some(types) => types.iter().map(|t| self.rule_of(t)).collect(),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.rules.len() > 4096 {
            return Err("more than 4,000 types of events".to_owned());
        }
        if self.words > usize::from(u16::MAX) {
            return Err("too many features".to_owned());
        }
        for rule in &self.rules {
            if rule.slots.len() > MAX_SLOTS || rule.conditions.len() > MAX_CONDITIONS {
                return Err(format!(
                    "more than {MAX_SLOTS} values or {MAX_CONDITIONS} conditions for one type of event"
                ));
            }
        }
        Ok(())
    }
}

impl SlotKind {
    pub(crate) fn of_attribute(kind: &AttributeKind) -> Self {
        match kind {
            AttributeKind::Number { scale } => Self::Number { scale: *scale },
            AttributeKind::Ordinal { categories, .. } | AttributeKind::OneHot { categories, .. } => {
                let mut codes: Vec<_> = categories.iter().cloned().zip(1..).collect();
                codes.sort_unstable();
                Self::Category(codes)
            }
        }
    }
}
