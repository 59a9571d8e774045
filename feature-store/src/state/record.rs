//! Records of a user's log and their bytes.
//!
//! ```text
//! event:  code  value ...                  code = bits << rule_bits | rule
//! pane:   code  code-of-event  n  span  stats ...      with rule 0; span = last ts - first ts
//! stats:  number: sum squares min max last;  text: n hash ...;  category: code
//! ```
//!
//! Every item is a varint. Bits are the conditions that the event meets and the slots that have a value; only those are stored.
//! A pane's events all have the same rule and bits, so that whoever reads one knows what its parts mean.

use crate::spec::plan::{MAX_SLOTS, Plan, Rule, SlotKind};

use super::varint::{get, get_small, get_wide, put, put_wide, unzigzag, unzigzag_wide, zigzag, zigzag_wide};

/// A pane remembers at most so many different texts.
pub(crate) const PANE_TEXTS: usize = 16;

/// A record as it is read: one event, or the events of a pane. Reused from one to the next.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// The time of the (last) event.
    pub(crate) ts: i64,
    /// The time of the first event.
    pub(crate) first: i64,
    /// How many events.
    pub(crate) n: u32,
    pub(crate) rule: usize,
    pub(crate) bits: u64,
    /// An event's values, by slot.
    values: [i64; MAX_SLOTS],
    /// A pane's, by slot; empty for an event.
    pub(crate) stats: Vec<Stats>,
}

/// What a pane knows of a slot.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stats {
    pub(crate) sum: i128,
    pub(crate) squares: i128,
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) last: i64,
    /// Hashes, ascending.
    pub(crate) texts: Vec<i64>,
}

impl Record {
    pub(crate) const fn new() -> Self {
        let values = [0; MAX_SLOTS];
        Self { ts: 0, first: 0, n: 1, rule: 0, bits: 0, values, stats: Vec::new() }
    }

    /// Sets the value of a slot, before [`set_event`](Self::set_event).
    pub(super) const fn set_value(&mut self, slot: usize, value: i64) {
        self.values[slot] = value;
    }

    /// Makes it the record of one event.
    pub(super) fn set_event(&mut self, rule: usize, bits: u64, ts: i64) {
        (self.ts, self.first, self.n) = (ts, ts, 1);
        (self.rule, self.bits) = (rule, bits);
        if !self.stats.is_empty() {
            self.stats.clear();
        }
    }

    #[inline]
    pub(crate) fn sum(&self, slot: u8) -> i128 {
        self.stats.get(usize::from(slot)).map_or_else(|| i128::from(self.value(slot)), |s| s.sum)
    }

    #[inline]
    pub(crate) fn squares(&self, slot: u8) -> i128 {
        let square = || i128::from(self.value(slot)).wrapping_mul(i128::from(self.value(slot)));
        self.stats.get(usize::from(slot)).map_or_else(square, |s| s.squares)
    }

    #[inline]
    pub(crate) fn min(&self, slot: u8) -> i64 {
        self.stats.get(usize::from(slot)).map_or_else(|| self.value(slot), |s| s.min)
    }

    #[inline]
    pub(crate) fn max(&self, slot: u8) -> i64 {
        self.stats.get(usize::from(slot)).map_or_else(|| self.value(slot), |s| s.max)
    }

    #[inline]
    pub(crate) fn last(&self, slot: u8) -> i64 {
        self.stats.get(usize::from(slot)).map_or_else(|| self.value(slot), |s| s.last)
    }

    /// The hashes of the texts in the slot.
    pub(crate) fn texts(&self, slot: u8) -> &[i64] {
        match self.stats.get(usize::from(slot)) {
            Some(stats) => &stats.texts,
            None => std::slice::from_ref(&self.values[usize::from(slot) % MAX_SLOTS]),
        }
    }

    #[inline]
    fn value(&self, slot: u8) -> i64 {
        self.values[usize::from(slot) % MAX_SLOTS]
    }

    /// Appends the record's body. O(values).
    pub(crate) fn write(&self, plan: &Plan, out: &mut Vec<u8>) {
        let rule = &plan.rules[self.rule];
        let code = self.bits << plan.rule_bits | self.rule as u64;
        if self.n > 1 {
            put(out, 0);
            put(out, code);
            put(out, u64::from(self.n));
            put(out, self.ts.wrapping_sub(self.first) as u64);
            for (slot, kind) in present(rule, self.bits) {
                let stats = &self.stats[slot];
                match kind {
                    SlotKind::Number { .. } => {
                        put_wide(out, zigzag_wide(stats.sum));
                        put_wide(out, stats.squares as u128);
                        for number in [stats.min, stats.max, stats.last] {
                            put(out, zigzag(number));
                        }
                    }
                    SlotKind::Text => {
                        put(out, stats.texts.len() as u64);
                        stats.texts.iter().for_each(|text| put(out, *text as u64));
                    }
                    SlotKind::Category(_) => put(out, stats.last as u64),
                }
            }
            return;
        }
        put(out, code);
        for (slot, kind) in present(rule, self.bits) {
            let value = self.values[slot];
            put(out, if matches!(kind, SlotKind::Number { .. }) { zigzag(value) } else { value as u64 });
        }
    }

    /// Reads the body at `at` of a record whose time is `ts`, and moves `at` behind it. `None` if it is none.
    #[inline]
    pub(crate) fn read(&mut self, plan: &Plan, bytes: &[u8], at: &mut usize, ts: i64) -> Option<()> {
        let code = get_small(bytes, at)?;
        let rule_number = (code & ((1 << plan.rule_bits) - 1)) as usize;
        if rule_number == 0 {
            return self.read_pane(plan, bytes, at, ts);
        }
        let rule = plan.rules.get(rule_number)?;
        self.ts = ts;
        self.first = ts;
        self.n = 1;
        self.rule = rule_number;
        self.bits = code >> plan.rule_bits;
        self.stats.clear();
        let mut slots = self.bits >> rule.conditions.len();
        for (slot, value) in rule.slots.iter().zip(&mut self.values) {
            if slots & 1 == 1 {
                let item = get(bytes, at)?;
                *value =
                    if matches!(slot.kind, SlotKind::Number { .. }) { unzigzag(item) } else { item as i64 };
            }
            slots >>= 1;
        }
        Some(())
    }

    #[cold]
    fn read_pane(&mut self, plan: &Plan, bytes: &[u8], at: &mut usize, ts: i64) -> Option<()> {
        let code = get(bytes, at)?;
        self.rule = (code & ((1 << plan.rule_bits) - 1)) as usize;
        if self.rule == 0 {
            return None;
        }
        let rule = plan.rules.get(self.rule)?;
        self.ts = ts;
        self.bits = code >> plan.rule_bits;
        self.n = u32::try_from(get(bytes, at)?).ok()?;
        self.first = ts.saturating_sub(i64::try_from(get(bytes, at)?).ok()?);
        self.stats.clear();
        self.stats.resize_with(rule.slots.len(), Stats::default);
        for (slot, kind) in present(rule, self.bits) {
            let stats = &mut self.stats[slot];
            match kind {
                SlotKind::Number { .. } => {
                    stats.sum = unzigzag_wide(get_wide(bytes, at)?);
                    stats.squares = get_wide(bytes, at)? as i128;
                    stats.min = unzigzag(get(bytes, at)?);
                    stats.max = unzigzag(get(bytes, at)?);
                    stats.last = unzigzag(get(bytes, at)?);
                }
                SlotKind::Text => {
                    for _ in 0..get(bytes, at)?.min(PANE_TEXTS as u64) {
                        stats.texts.push(get(bytes, at)? as i64);
                    }
                }
                SlotKind::Category(_) => stats.last = get(bytes, at)? as i64,
            }
        }
        Some(())
    }

    /// Takes a later record of the same rule and bits into this one, which becomes a pane.
    pub(crate) fn merge(&mut self, plan: &Plan, later: &Self) {
        if self.stats.is_empty() {
            let whole: Vec<_> =
                (0..plan.rules[self.rule].slots.len()).map(|slot| self.stats_of(slot as u8)).collect();
            self.stats = whole;
        }
        self.n = self.n.saturating_add(later.n);
        self.first = self.first.min(later.first);
        self.ts = later.ts;
        for (slot, stats) in self.stats.iter_mut().enumerate() {
            let other = later.stats_of(slot as u8);
            stats.sum = stats.sum.wrapping_add(other.sum);
            stats.squares = stats.squares.wrapping_add(other.squares);
            stats.min = stats.min.min(other.min);
            stats.max = stats.max.max(other.max);
            stats.last = other.last;
            stats.texts.extend(other.texts);
            stats.texts.sort_unstable();
            stats.texts.dedup();
            stats.texts.truncate(PANE_TEXTS);
        }
    }

    fn stats_of(&self, slot: u8) -> Stats {
        let (min, max, last) = (self.min(slot), self.max(slot), self.last(slot));
        Stats {
            sum: self.sum(slot),
            squares: self.squares(slot),
            min,
            max,
            last,
            texts: self.texts(slot).to_vec(),
        }
    }
}

/// The slots that have a value.
fn present(rule: &Rule, bits: u64) -> impl Iterator<Item = (usize, &SlotKind)> {
    let slots = bits >> rule.conditions.len();
    rule.slots.iter().enumerate().filter(move |(i, _)| slots >> i & 1 == 1).map(|(i, slot)| (i, &slot.kind))
}
