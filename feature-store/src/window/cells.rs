//! Counts, sums and life words of one user, and the cursors that keep them up to date.

use crate::spec::Plan;
use crate::spec::plan::{CURSORS_AT, CellKind, ENDLESS, LifeKind, SeriesKind, Update};
use crate::state::log::{EventLog, Moved, Place};
use crate::state::prefetch::prefetch_slice;
use crate::state::record::Record;

use super::series::Series;

/// A user's derived numbers: words as laid out by the plan, and series. Empty until built.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cells {
    words: Vec<i64>,
    series: Vec<Series>,
}

impl Cells {
    pub(crate) const EMPTY: Self = Self { words: Vec::new(), series: Vec::new() };

    #[inline]
    pub(crate) const fn is_built(&self) -> bool {
        !self.words.is_empty()
    }

    /// The as-of time up to which the cursors have come.
    #[inline]
    pub(crate) fn at(&self) -> i64 {
        self.words[0]
    }

    pub(crate) fn words(&self) -> &[i64] {
        &self.words
    }

    pub(crate) fn series(&self) -> &[Series] {
        &self.series
    }

    /// Begins to load the words, or as many of them as is worth it.
    #[inline]
    pub(crate) fn warm(&self) {
        prefetch_slice(&self.words, 8);
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let series: usize = self.series.iter().map(|s| size_of::<Series>() + s.heap_bytes()).sum();
        self.words.capacity() * 8 + series
    }

    /// Computes everything as of T from the log and the life words of what was dropped from it. O(records).
    pub(crate) fn build(&mut self, plan: &Plan, log: &EventLog, dropped: &[i64], at: i64) {
        self.words.clear();
        self.words.reserve_exact(plan.words);
        self.words.resize(plan.life_at, 0);
        // Of another length they would be another spec's.
        let fits = dropped.len() == plan.life_start.len();
        self.words.extend_from_slice(if fits { dropped } else { &plan.life_start });
        self.words[0] = at;
        for window in 0..plan.spans.len() {
            self.set_cursor(window, Place::END);
        }
        let fits = self.series.len() == plan.series.len()
            && self.series.iter_mut().zip(&plan.series).all(|(series, p)| series.reset(p.kind));
        if !fits {
            self.series = plan.series.iter().map(|p| Series::new(p.kind)).collect();
        }
        // Events come in the order of time, so they fall into ever shorter windows: this is the shortest so far.
        let mut band = plan.spans.len();
        log.each(plan, log.head(), |place, record| {
            if record.ts > at {
                return false;
            }
            while band > 0 && record.ts > at - plan.spans[band - 1] {
                band -= 1;
                self.set_cursor(band, place);
            }
            let rule = &plan.rules[record.rule];
            if band < plan.spans.len() {
                let updates = usize::from(rule.band_bounds[band])..usize::from(rule.band_bounds[band + 1]);
                enter(&mut self.words, &mut self.series, &rule.bands[updates], record);
            }
            // Nothing that is out of sight comes in, so there is nothing to forget.
            self.add_beyond_windows(plan, record);
            true
        });
        for &(from, to, is_wide) in &plan.sums {
            if is_wide {
                let sum = wide(&self.words, from);
                add_wide(&mut self.words, to, sum);
            } else {
                self.words[to] = self.words[to].wrapping_add(self.words[from]);
            }
        }
    }

    /// Takes a record in that has just been put into the log, at its place; `moved` is what that did to the places of others.
    pub(crate) fn insert(&mut self, plan: &Plan, place: Place, record: &Record, moved: Moved) {
        self.shift(plan, moved);
        self.add(plan, place, record);
        let at = self.words[0];
        for update in &plan.rules[record.rule].series {
            let series = usize::from(update.series);
            self.series[series].forget_up_to(at - plan.series[series].reach);
        }
    }

    #[inline]
    fn add(&mut self, plan: &Plan, place: Place, record: &Record) {
        let rule = &plan.rules[record.rule];
        let at = self.words[0];
        // Usually it is the newest and falls into all windows, behind all cursors that are not at the end.
        if plan.spans.first().is_none_or(|shortest| record.ts > at - shortest) {
            for window in 0..plan.spans.len() {
                if record.ts < self.cursor(window).0 {
                    self.set_cursor(window, place);
                }
            }
            enter(&mut self.words, &mut self.series, &rule.updates, record);
            return self.add_beyond_windows(plan, record);
        }
        // From the longest: what does not fall into a window falls into no shorter one.
        for (window, span) in plan.spans.iter().enumerate().rev() {
            if record.ts <= at - span {
                break;
            }
            // The cursor stands at the window's first record: at this one if it comes before.
            let (ts, _) = self.cursor(window);
            if record.ts < ts {
                self.set_cursor(window, place);
            }
            let updates = usize::from(rule.bounds[window])..usize::from(rule.bounds[window + 1]);
            enter(&mut self.words, &mut self.series, &rule.updates[updates], record);
        }
        self.add_beyond_windows(plan, record);
    }

    /// To the life words and the series.
    #[inline(always)]
    fn add_beyond_windows(&mut self, plan: &Plan, record: &Record) {
        let (at, rule) = (self.words[0], &plan.rules[record.rule]);
        if !rule.life.is_empty() {
            absorb_life(plan, &mut self.words[plan.life_at..], record);
        }
        for update in &rule.series {
            let p = plan.series[usize::from(update.series)];
            let out_of_sight = at - p.reach;
            if record.ts <= out_of_sight || !update.needs.met_by(record.bits) {
                continue;
            }
            let series = &mut self.series[usize::from(update.series)];
            match p.kind {
                SeriesKind::Max => series.add_value(record.ts, record.max(update.slot)),
                SeriesKind::Min => series.add_value(record.ts, record.min(update.slot).wrapping_neg()),
                SeriesKind::Days | SeriesKind::Sessions { .. } => {
                    series.add_time(p.kind, record.first, record.ts)
                }
                SeriesKind::Distinct => {}
            }
        }
    }

    /// Moves T forward: each window lets go of the records that it leaves. Amortised O(1) per record and window.
    pub(crate) fn advance(&mut self, plan: &Plan, log: &EventLog, at: i64) {
        self.words[0] = at;
        let mut record = Record::new();
        for (window, span) in plan.spans.iter().enumerate() {
            let after = at - span;
            let (ts, body) = self.cursor(window);
            if ts > after {
                continue;
            }
            let mut place = Place { ts, at: body };
            while place.ts <= after {
                let Some(next) = log.read(plan, place, &mut record) else {
                    place = Place::END;
                    break;
                };
                let rule = &plan.rules[record.rule];
                let updates = usize::from(rule.bounds[window])..usize::from(rule.bounds[window + 1]);
                leave(&mut self.words, &mut self.series, &rule.updates[updates], &record, after);
                place = next;
            }
            self.set_cursor(window, place);
        }
    }

    /// Becomes what `other` would be after [`advance`](Self::advance), but for the series that do not change by that: all except those
    /// that count texts. Whether that can be: not if the other has not been built or is ahead already. O(words + texts), and what leaves
    /// windows.
    pub(crate) fn advance_copy(&mut self, other: &Self, plan: &Plan, log: &EventLog, at: i64) -> bool {
        if !other.is_built() || other.at() > at {
            return false;
        }
        self.words.clone_from(&other.words);
        if self.series.len() != plan.series.len() {
            self.series = plan.series.iter().map(|p| Series::new(p.kind)).collect();
        }
        let series = self.series.iter_mut().zip(&other.series);
        for ((ours, theirs), _) in series.zip(&plan.series).filter(|(_, p)| p.kind == SeriesKind::Distinct) {
            ours.copy_texts(theirs);
        }
        self.advance(plan, log, at);
        true
    }

    /// The log's places moved.
    pub(crate) fn shift(&mut self, plan: &Plan, moved: Moved) {
        if moved.by == 0 || !self.is_built() {
            return;
        }
        for window in 0..plan.spans.len() {
            let (ts, mut at) = self.cursor(window);
            moved.shift(&mut at);
            self.set_cursor(window, Place { ts, at });
        }
    }

    #[inline]
    fn cursor(&self, window: usize) -> (i64, u32) {
        let at = CURSORS_AT + 2 * window;
        (self.words[at], self.words[at + 1] as u32)
    }

    #[inline]
    fn set_cursor(&mut self, window: usize, place: Place) {
        let at = CURSORS_AT + 2 * window;
        self.words[at] = place.ts;
        self.words[at + 1] = i64::from(place.at);
    }
}

/// Counts a record in cells.
#[inline(always)]
fn enter(words: &mut [i64], series: &mut [Series], updates: &[Update], record: &Record) {
    for update in updates.iter().filter(|update| update.needs.met_by(record.bits)) {
        let word = usize::from(update.word);
        match update.kind {
            CellKind::Count | CellKind::Values => words[word] = words[word].wrapping_add(i64::from(record.n)),
            CellKind::Sum => add_wide(words, word, record.sum(update.slot)),
            CellKind::Squares => add_wide(words, word, record.squares(update.slot)),
            CellKind::Distinct => {
                let (texts, window) = (&mut series[usize::from(update.series)], usize::from(update.window));
                let new =
                    record.texts(update.slot).iter().filter(|text| texts.admit(**text, record.ts, window));
                words[word] = words[word].wrapping_add(new.count() as i64);
            }
        }
    }
}

/// Takes a record out of the cells of a window that now begins behind `after`.
#[inline]
fn leave(words: &mut [i64], series: &mut [Series], updates: &[Update], record: &Record, after: i64) {
    for update in updates.iter().filter(|update| update.needs.met_by(record.bits)) {
        let word = usize::from(update.word);
        match update.kind {
            CellKind::Count | CellKind::Values => words[word] = words[word].wrapping_sub(i64::from(record.n)),
            CellKind::Sum => add_wide(words, word, record.sum(update.slot).wrapping_neg()),
            CellKind::Squares => add_wide(words, word, record.squares(update.slot).wrapping_neg()),
            CellKind::Distinct => {
                let (texts, window) = (&mut series[usize::from(update.series)], usize::from(update.window));
                let gone =
                    record.texts(update.slot).iter().filter(|text| texts.dismiss(**text, after, window));
                words[word] = words[word].wrapping_sub(gone.count() as i64);
            }
        }
    }
}

/// Takes a record into life words. Records may come in any order; of the same time, the later arrival must come later.
// One of the four steps of a walk over a user's events: in one piece a sweep takes some 3 % less.
#[inline(always)]
pub(crate) fn absorb_life(plan: &Plan, life: &mut [i64], record: &Record) {
    for update in &plan.rules[record.rule].life {
        if !update.needs.met_by(record.bits) {
            continue;
        }
        let (word, slot) = (usize::from(update.word), update.slot);
        match update.kind {
            LifeKind::Count | LifeKind::Values => life[word] = life[word].wrapping_add(i64::from(record.n)),
            LifeKind::First => life[word] = life[word].min(record.first),
            LifeKind::Last => life[word] = life[word].max(record.ts),
            LifeKind::Sum => add_wide(life, word, record.sum(slot)),
            LifeKind::Squares => add_wide(life, word, record.squares(slot)),
            LifeKind::Min => life[word] = life[word].min(record.min(slot)),
            LifeKind::Max => life[word] = life[word].max(record.max(slot)),
            LifeKind::LastValue => {
                if record.ts >= life[word] {
                    life[word] = record.ts;
                    life[word + 1] = record.last(slot);
                }
            }
        }
    }
}

#[inline]
fn add_wide(words: &mut [i64], at: usize, by: i128) {
    let sum = wide(words, at).wrapping_add(by);
    words[at] = sum as i64;
    words[at + 1] = (sum >> 64) as i64;
}

/// The i128 in two words, the lower one first.
#[inline]
pub(super) fn wide(words: &[i64], at: usize) -> i128 {
    i128::from(words[at + 1]) << 64 | i128::from(words[at] as u64)
}

/// The time behind which a window that ends at `at` sees.
#[inline]
pub(super) const fn begin(at: i64, span: i64) -> i64 {
    if span == ENDLESS { i64::MIN } else { at - span }
}
