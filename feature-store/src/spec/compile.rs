//! Walks the features of a definition and gives each its words, its updates and its way of being read.

use super::definition::{AttributeKind, Definition, Feature, Op, Window};
use super::plan::{
    CURSORS_AT, CellKind, ENDLESS, LifeKind, LifeUpdate, MAX_SLOTS, Needs, POWERS, Plan, Read, SeriesKind,
    SeriesPlan, SeriesUpdate, Slot, SlotKind, Update,
};

/// Unconditional, where a condition's bit is asked for.
const ALWAYS: u8 = u8::MAX;

/// Whose events, and which value of them.
type Source = (usize, Option<(String, SlotKind)>);

pub(super) struct Compiler<'a> {
    spec: &'a Definition,
    plan: &'a mut Plan,
    /// What each cell is, with its window and its first word.
    cells: Vec<(CellKind, Source, usize, usize)>,
    life: Vec<(LifeKind, LifeSource, usize)>,
    series: Vec<(SeriesKind, Source)>,
    next_word: usize,
    /// Per rule: updates with their window, in the order in which they came.
    updates: Vec<Vec<(usize, Update)>>,
}

#[derive(PartialEq, Clone)]
enum LifeSource {
    Input(Source),
    Attribute(usize),
}

impl<'a> Compiler<'a> {
    pub(super) fn new(spec: &'a Definition, plan: &'a mut Plan) -> Self {
        let next_word = CURSORS_AT + 2 * plan.spans.len();
        let updates = plan.rules.iter().map(|_| Vec::new()).collect();
        Self { spec, plan, cells: Vec::new(), life: Vec::new(), series: Vec::new(), next_word, updates }
    }

    pub(super) fn run(&mut self) {
        let reads: Vec<Read> = self.spec.features.iter().map(|f| self.feature(f)).collect();
        self.plan.reads = reads;
        for ratio in &self.spec.ratios {
            self.plan.ratios.push((self.plan.reads.len(), ratio.numerator, ratio.denominator));
            self.plan.reads.push(Read::Ratio);
        }
        for i in 0..self.spec.attributes.len() {
            self.attribute(i);
        }
        // Life words stand behind the cells; until now they were counted from 0.
        let life_at = self.next_word;
        self.plan.life_at = life_at;
        self.plan.words = life_at + self.plan.life_start.len();
        for read in &mut self.plan.reads {
            shift_life(read, life_at);
        }
        for (rule, updates) in self.plan.rules.iter_mut().zip(&mut self.updates) {
            updates.sort_by_key(|(window, _)| *window);
            for window in 0..self.plan.spans.len() {
                rule.bounds.push(updates.iter().filter(|(w, _)| *w < window).count() as u16);
            }
            rule.bounds.push(updates.len() as u16);
            rule.updates = updates.iter().map(|(_, update)| *update).collect();
        }
        for rule in &mut self.plan.rules {
            let conditions = rule.conditions.len() as u32;
            let numeric = |slot: &Slot| u64::from(matches!(slot.kind, SlotKind::Number { .. }));
            rule.numeric = rule.slots.iter().rev().fold(0, |bits, slot| bits << 1 | numeric(slot));
            rule.updates.iter_mut().for_each(|u| u.needs = settle(u.needs, conditions));
            rule.life.iter_mut().for_each(|u| u.needs = settle(u.needs, conditions));
            rule.series.iter_mut().for_each(|u| u.needs = settle(u.needs, conditions));
        }
        self.bands();
    }

    /// Chains the cells of the same thing over ever longer windows.
    fn bands(&mut self) {
        let mut cells: Vec<_> = self.cells.iter().filter(|(kind, ..)| *kind != CellKind::Distinct).collect();
        cells.sort_by_key(|(_, _, window, _)| *window);
        for (i, (kind, source, window, word)) in cells.iter().enumerate() {
            let longer = cells[i + 1..].iter().find(|(k, s, w, _)| k == kind && s == source && w > window);
            if let Some((.., next)) = longer {
                self.plan.sums.push((*word, *next, matches!(kind, CellKind::Sum | CellKind::Squares)));
            }
        }
        let chained: std::collections::BTreeMap<usize, usize> =
            self.plan.sums.iter().map(|(from, to, _)| (*to, *from)).collect();
        let window_of =
            |word: usize| self.cells.iter().find(|(.., w)| *w == word).map_or(0, |(_, _, window, _)| *window);
        for rule in &mut self.plan.rules {
            rule.band_bounds.push(0);
            for band in 0..self.plan.spans.len() {
                // Of each chain the first cell whose window is not shorter than the band; texts count in each window on their own.
                let first = |u: &&Update| {
                    let shorter = chained.get(&usize::from(u.word)).map(|word| window_of(*word));
                    usize::from(u.window) >= band && shorter.is_none_or(|window| window < band)
                };
                rule.bands.extend(rule.updates.iter().filter(first));
                rule.band_bounds.push(rule.bands.len() as u16);
            }
        }
    }

    fn feature(&mut self, f: &Feature) -> Read {
        let input = &self.spec.inputs[f.input];
        let value =
            input.value.as_ref().map(|(field, scale)| (field.clone(), SlotKind::Number { scale: *scale }));
        let text = input.text.as_ref().map(|field| (field.clone(), SlotKind::Text));
        let unit = input.value.as_ref().map_or(1.0, |(_, scale)| POWERS[*scale as usize]);
        let events: Source = (f.input, None);
        let values: Source = (f.input, value);
        let span = match f.window {
            Window::Span(span) => span,
            Window::All => ENDLESS,
        };
        let all = f.window == Window::All;
        match f.op {
            Op::Count => Read::Count { word: self.total(CellKind::Count, &events, f.window) },
            Op::Sum => Read::Sum { word: self.total(CellKind::Sum, &values, f.window), unit },
            Op::Mean => Read::Mean {
                values: self.total(CellKind::Values, &values, f.window),
                sum: self.total(CellKind::Sum, &values, f.window),
                unit,
            },
            Op::Std => Read::Std {
                values: self.total(CellKind::Values, &values, f.window),
                sum: self.total(CellKind::Sum, &values, f.window),
                squares: self.total(CellKind::Squares, &values, f.window),
                unit,
            },
            Op::Change => Read::Change {
                now: self.total(CellKind::Count, &events, f.window),
                both: self.total(CellKind::Count, &events, Window::Span(2 * span)),
            },
            Op::SumChange => Read::SumChange {
                now: self.total(CellKind::Sum, &values, f.window),
                both: self.total(CellKind::Sum, &values, Window::Span(2 * span)),
            },
            Op::Distinct => Read::Count { word: self.total(CellKind::Distinct, &(f.input, text), f.window) },
            Op::Min if all => {
                Read::Bound { word: self.life_of(LifeKind::Min, values), unset: i64::MAX, unit }
            }
            Op::Max if all => {
                Read::Bound { word: self.life_of(LifeKind::Max, values), unset: i64::MIN, unit }
            }
            // The minimum is kept as the maximum of the negated values.
            Op::Min => {
                Read::Extreme { series: self.series_of(SeriesKind::Min, values, span), span, unit: -unit }
            }
            Op::Max => Read::Extreme { series: self.series_of(SeriesKind::Max, values, span), span, unit },
            Op::Last => Read::Last { word: self.life_of(LifeKind::LastValue, values), span, unit },
            Op::Recency => Read::Recency { word: self.life_of(LifeKind::Last, events), span },
            Op::Tenure => Read::Tenure { word: self.life_of(LifeKind::First, events) },
            Op::ActiveDays => Read::Days { series: self.series_of(SeriesKind::Days, events, span), span },
            Op::Sessions => {
                let kind = SeriesKind::Sessions { gap: f.gap };
                Read::Sessions { series: self.series_of(kind, events, span), span }
            }
        }
    }

    /// The word of a count or sum over a window; a life word, counted from 0 and marked, for `all`.
    fn total(&mut self, kind: CellKind, source: &Source, window: Window) -> usize {
        let span = match window {
            Window::Span(span) => span,
            Window::All => {
                let life = match kind {
                    CellKind::Count | CellKind::Distinct => LifeKind::Count,
                    CellKind::Values => LifeKind::Values,
                    CellKind::Sum => LifeKind::Sum,
                    CellKind::Squares => LifeKind::Squares,
                };
                return self.life_of(life, source.clone());
            }
        };
        let at = self.plan.spans.partition_point(|s| *s < span);
        if let Some((.., word)) = self.cells.iter().find(|(k, s, w, _)| *k == kind && s == source && *w == at)
        {
            return *word;
        }
        let word = self.next_word;
        self.next_word += if matches!(kind, CellKind::Sum | CellKind::Squares) { 2 } else { 1 };
        self.cells.push((kind, source.clone(), at, word));
        let series = match kind {
            CellKind::Distinct => self.series_of(SeriesKind::Distinct, source.clone(), span) as u16,
            _ => 0,
        };
        let uses_slot = source.1.is_some();
        for (rule, condition, slot) in self.uses(source) {
            let needs = needs(condition, slot, uses_slot);
            let update = Update { kind, needs, slot, word: word as u16, series, window: at as u8 };
            self.updates[rule].push((at, update));
        }
        word
    }

    fn life_of(&mut self, kind: LifeKind, source: Source) -> usize {
        let source = LifeSource::Input(source);
        self.life_word(kind, source)
    }

    fn life_word(&mut self, kind: LifeKind, source: LifeSource) -> usize {
        if let Some((.., word)) = self.life.iter().find(|(k, s, _)| *k == kind && *s == source) {
            return LIFE_MARK | *word;
        }
        let word = self.plan.life_start.len();
        let start: &[i64] = match kind {
            LifeKind::Count | LifeKind::Values => &[0],
            LifeKind::Sum | LifeKind::Squares => &[0, 0],
            LifeKind::Min | LifeKind::First => &[i64::MAX],
            LifeKind::Max | LifeKind::Last => &[i64::MIN],
            LifeKind::LastValue => &[i64::MIN, 0],
        };
        self.plan.life_start.extend_from_slice(start);
        let uses = match &source {
            LifeSource::Input(source) => self.uses(source),
            LifeSource::Attribute(i) => {
                let attribute = &self.spec.attributes[*i];
                let kind = SlotKind::of_attribute(&attribute.kind);
                let rules = self.plan.rules_for(attribute.events.as_deref());
                let slot =
                    |rule: usize, plan: &mut Plan| slot_of(plan, rule, &attribute.field, &kind, ALWAYS);
                rules.into_iter().map(|rule| (rule, ALWAYS, slot(rule, self.plan))).collect()
            }
        };
        let uses_slot = !matches!(kind, LifeKind::Count | LifeKind::First | LifeKind::Last);
        for (rule, condition, slot) in uses {
            let needs = needs(condition, slot, uses_slot);
            self.plan.rules[rule].life.push(LifeUpdate { kind, needs, slot, word: word as u16 });
        }
        self.life.push((kind, source, word));
        LIFE_MARK | word
    }

    fn series_of(&mut self, kind: SeriesKind, source: Source, span: i64) -> usize {
        let found = self.series.iter().position(|(k, s)| *k == kind && *s == source);
        if let Some(i) = found {
            let reach = &mut self.plan.series[i].reach;
            *reach = span.max(*reach);
            return i;
        }
        let i = self.series.len();
        self.plan.series.push(SeriesPlan { kind, reach: span });
        if kind != SeriesKind::Distinct {
            let uses_slot = source.1.is_some();
            for (rule, condition, slot) in self.uses(&source) {
                let needs = needs(condition, slot, uses_slot);
                self.plan.rules[rule].series.push(SeriesUpdate { series: i as u16, needs, slot });
            }
        }
        self.series.push((kind, source));
        i
    }

    /// Which rules concern the source: the rule, the bit of the input's condition there, and the value's slot.
    fn uses(&mut self, source: &Source) -> Vec<(usize, u8, u8)> {
        let input = &self.spec.inputs[source.0];
        let mut uses = Vec::new();
        for rule in self.plan.rules_for(input.events.as_deref()) {
            let condition = match &input.condition {
                None => {
                    self.plan.rules[rule].wanted |= source.1.is_none();
                    ALWAYS
                }
                Some(condition) => {
                    let conditions = &mut self.plan.rules[rule].conditions;
                    // Conditions that say the same share a bit.
                    let same =
                        |c: &super::definition::Condition| format!("{c:?}") == format!("{condition:?}");
                    let at = conditions.iter().position(same).unwrap_or_else(|| {
                        conditions.push(condition.clone());
                        conditions.len() - 1
                    });
                    at as u8
                }
            };
            let slot = match &source.1 {
                None => 0,
                Some((field, kind)) => slot_of(self.plan, rule, field, kind, condition),
            };
            uses.push((rule, condition, slot));
        }
        uses
    }

    fn attribute(&mut self, i: usize) {
        let word = self.life_word(LifeKind::LastValue, LifeSource::Attribute(i));
        let reads = &mut self.plan.reads;
        match &self.spec.attributes[i].kind {
            AttributeKind::Number { scale } => {
                reads.push(Read::Last { word, span: ENDLESS, unit: POWERS[*scale as usize] });
            }
            AttributeKind::Ordinal { categories, other } => {
                reads.push(Read::Ordinal { word, other: other.then_some(categories.len() as u32) });
            }
            AttributeKind::OneHot { categories, other } => {
                for code in 1..=categories.len() {
                    reads.push(Read::OneHot { word, code: code as i64, other: *other });
                }
                if *other {
                    reads.push(Read::OneHot { word, code: 0, other: true });
                }
            }
        }
    }
}

/// The slot of a value in a rule, made if it is not there.
fn slot_of(plan: &mut Plan, rule: usize, field: &str, kind: &SlotKind, condition: u8) -> u8 {
    let slots = &mut plan.rules[rule].slots;
    let at = slots.iter().position(|s| *s.field == *field && s.kind == *kind).unwrap_or_else(|| {
        slots.push(Slot { field: field.into(), kind: kind.clone(), conditions: 0, always: false });
        slots.len() - 1
    });
    if condition == ALWAYS {
        slots[at].always = true;
    } else {
        slots[at].conditions |= 1_u64.checked_shl(u32::from(condition)).unwrap_or(0);
    }
    at as u8
}

/// The bits of a condition and a slot. Slots stand behind the conditions, but how many there will be is not known yet: for now the
/// slots' bits are counted from the highest.
fn needs(condition: u8, slot: u8, uses_slot: bool) -> Needs {
    let condition =
        if condition == ALWAYS { 0 } else { 1_u64.checked_shl(u32::from(condition)).unwrap_or(0) };
    let slot = if uses_slot { (1_u64 << 63).checked_shr(u32::from(slot)).unwrap_or(0) } else { 0 };
    Needs(condition | slot)
}

/// Puts a slot's bit in its place.
const fn settle(needs: Needs, conditions: u32) -> Needs {
    const SLOTS: u64 = u64::MAX << (64 - MAX_SLOTS);
    let slot = (needs.0 & SLOTS).reverse_bits();
    Needs(needs.0 & !SLOTS | slot << conditions)
}

/// Marks words of the life part until it is known where that begins.
const LIFE_MARK: usize = 1 << 40;

fn shift_life(read: &mut Read, life_at: usize) {
    let shift = |word: &mut usize| {
        if *word & LIFE_MARK != 0 {
            *word = (*word & !LIFE_MARK) + life_at;
        }
    };
    match read {
        Read::Count { word }
        | Read::Sum { word, .. }
        | Read::Bound { word, .. }
        | Read::Last { word, .. }
        | Read::Recency { word, .. }
        | Read::Tenure { word }
        | Read::Ordinal { word, .. }
        | Read::OneHot { word, .. } => shift(word),
        Read::Mean { values, sum, .. } => [values, sum].into_iter().for_each(shift),
        Read::Std { values, sum, squares, .. } => [values, sum, squares].into_iter().for_each(shift),
        Read::Change { .. }
        | Read::SumChange { .. }
        | Read::Extreme { .. }
        | Read::Days { .. }
        | Read::Sessions { .. }
        | Read::Ratio => {}
    }
}
