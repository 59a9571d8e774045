//! One user: what an event changes, and what can be asked.

use std::cell::RefCell;

use types::{Event, EventTime, RejectReason};

use crate::spec::Spec;
use crate::window::{Cells, absorb_life, read_row};

use super::compact::compact;
use super::ids::RecentIds;
use super::log::EventLog;
use super::prefetch::prefetch;
use super::record::Record;
use super::refused::Refused;

/// As-of times are taken to lie within this, so that spans can be added without a thought.
pub(super) const FAR: i64 = 1 << 60;
/// Users with up to so many stored events are computed anew each time: that takes no longer, and spares them the memory of cursors.
const SCAN_UP_TO: u32 = 2;

/// What came of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It is part of the user's state now; score as of this moment.
    Accepted {
        /// The later of its time and the user's newest.
        as_of: EventTime,
    },
    /// It is not, and the state is what it was.
    Rejected {
        /// Under which reason it is counted and kept.
        reason: RejectReason,
        /// What exactly was wrong, with the numbers.
        detail: String,
    },
}

/// All that is known of one user, as far back as the spec reaches.
///
/// It is a pure function of the spec and of the records applied to it, in order. It must be used with the one spec that it was
/// made for; with another the answers mean nothing (the store sees to that by the spec's hash).
#[derive(Debug, Clone)]
pub struct UserState {
    pub(super) newest: i64,
    pub(super) first_seen: i64,
    /// Time of the last event that starts, resumes or ends a life, and whether it ends it.
    pub(super) turned: i64,
    pub(super) ended: bool,
    /// Whether the last such event among those dropped from the log ends a life, and the time of the last one dropped.
    pub(super) dropped_ended: bool,
    pub(super) dropped_last: i64,
    pub(super) approximate: bool,
    pub(super) tag: u8,
    /// Events stored since the last compaction.
    pub(super) fresh: u32,
    pub(super) log: EventLog,
    /// Life words of the records that were dropped from the log; empty until there are some.
    pub(super) dropped: Box<[i64]>,
    /// Only of users whose events have ids.
    pub(super) ids: Option<Box<RecentIds>>,
    /// Derived from the rest; built when worth it.
    pub(super) cells: Cells,
}

impl Default for UserState {
    fn default() -> Self {
        Self::new()
    }
}

impl UserState {
    /// A user of whom nothing is known. Allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self {
            newest: i64::MIN,
            first_seen: i64::MAX,
            turned: i64::MIN,
            ended: false,
            dropped_ended: false,
            dropped_last: i64::MIN,
            approximate: false,
            tag: 0,
            fresh: 0,
            log: EventLog::new(),
            dropped: Box::default(),
            ids: None,
            cells: Cells::EMPTY,
        }
    }

    /// Takes an event in, or refuses it and stays as it was. `arrival` is the record's timestamp.
    ///
    /// Refused, in this order: a time outside 1971 to 2199; further ahead of its arrival than the spec allows; further behind the
    /// user's newest event than the spec allows (a `redriven` one: further than state [reaches](Spec::reach)); an id that an event
    /// within the allowed lateness had; a value of the wrong type or beyond range.
    ///
    /// Amortised O(1) for an event behind all others, else O(bytes of the later events); O(log n) more for each minimum,
    /// maximum and the like. Allocates for the growth of the user's own state only.
    pub fn apply(&mut self, spec: &Spec, event: &Event<'_>, arrival: EventTime, redriven: bool) -> Applied {
        self.warm_parts();
        let mut record = Record::new();
        match self.admit(spec, event, arrival, redriven, &mut record) {
            Ok(admitted) => self.take(spec, event.ts.0, admitted, &record),
            Err(refused) => return refused.into_applied(self, spec, event, arrival),
        }
        Applied::Accepted { as_of: EventTime(self.newest) }
    }

    /// Begins to load the user itself. A caller that knows its next users does this some eight events ahead, and
    /// [`warm_parts`](Self::warm_parts) some four ahead: then no event waits for memory.
    #[inline]
    pub fn warm(&self) {
        prefetch(&self.newest);
        prefetch(&self.log);
        prefetch(&self.cells);
        prefetch(&self.dropped);
    }

    /// Begins to load what the user points to and [`apply`](Self::apply) and [`features`](Self::features) will need.
    #[inline]
    pub fn warm_parts(&self) {
        self.cells.warm();
        self.log.warm();
    }

    /// Whether the event may come in, and what of it is stored.
    fn admit<'s>(
        &self,
        spec: &'s Spec,
        event: &Event<'_>,
        arrival: EventTime,
        redriven: bool,
        record: &mut Record,
    ) -> Result<Admitted, Refused<'s>> {
        let ts = event.ts.0;
        if !event.ts.is_possible() {
            return Err(Refused::Time);
        }
        if ts > arrival.plus(spec.max_ahead()).0 {
            return Err(Refused::Future);
        }
        if self.newest != i64::MIN {
            let late = ts < self.newest - spec.allowed_lateness().0;
            if late && !redriven {
                return Err(Refused::Late);
            }
            if late && ts <= self.newest - spec.plan().reach {
                return Err(Refused::OutOfReach);
            }
        }
        let id = event.id.as_deref().map(RecentIds::hash);
        if let (Some(id), Some(ids)) = (id, &self.ids)
            && ids.contains(id)
        {
            return Err(Refused::Duplicate);
        }
        let stored = record.take(spec.plan(), event).map_err(Refused::Unfit)?;
        Ok(Admitted { id, stored })
    }

    fn take(&mut self, spec: &Spec, ts: i64, admitted: Admitted, record: &Record) {
        let plan = spec.plan();
        let newest = self.newest.max(ts);
        if newest > self.newest {
            self.newest = newest;
            if let Some(ids) = &mut self.ids {
                ids.forget_before(newest - spec.allowed_lateness().0);
            }
        }
        self.first_seen = self.first_seen.min(ts);
        if let Some(id) = admitted.id {
            let cutoff = newest - spec.allowed_lateness().0;
            self.ids.get_or_insert_with(|| Box::new(RecentIds::from_sorted(cutoff, &[]))).add(id, ts);
        }
        if let Some(ends) = plan.rules[record.rule].ends
            && ts >= self.turned
        {
            self.turned = ts;
            self.ended = ends;
        }
        if admitted.stored {
            let (place, moved) = self.log.insert(plan, record);
            if self.cells.is_built() {
                self.cells.insert(plan, place, record, moved);
            }
            self.fresh = self.fresh.saturating_add(1);
        }
        self.drop_old(spec);
        // Panes alone can exceed the cap; waiting until half of all is new keeps the work per event bounded.
        if self.log.records() > spec.event_cap() && self.fresh > self.log.records() / 2 {
            self.log = compact(plan, &self.log, self.newest);
            self.fresh = 0;
            self.approximate = true;
            self.cells = Cells::EMPTY;
        }
    }

    /// Drops what no window can see any more; the life words keep what `all` needs of it.
    fn drop_old(&mut self, spec: &Spec) {
        let plan = spec.plan();
        let last = self.newest - plan.reach;
        if self.log.head().ts > last {
            return;
        }
        if self.cells.is_built() && self.cells.at() < self.newest {
            // Cursors must not be left behind on what is dropped.
            self.cells.advance(plan, &self.log, self.newest);
        }
        if self.dropped.len() != plan.life_start.len() {
            self.dropped = plan.life_start.as_slice().into();
        }
        let mut record = Record::new();
        while self.log.head().ts <= last && self.log.pop(plan, &mut record) {
            absorb_life(plan, &mut self.dropped, &record);
            self.dropped_last = record.ts;
            self.dropped_ended = plan.rules[record.rule].ends.unwrap_or(self.dropped_ended);
        }
        if let Some(moved) = self.log.reclaim() {
            self.cells.shift(plan, moved);
        }
    }

    /// Writes the row as of a moment that is not before the user's newest event (else it is
    /// [`features_at`](Self::features_at)): the way to score an event. Missing values are NaN.
    ///
    /// Amortised O(columns), whatever the number of events. Allocates only when it first builds the user's cursors.
    ///
    /// # Panics
    /// If `out` is shorter than the spec's row.
    pub fn features(&mut self, spec: &Spec, as_of: EventTime, out: &mut [f32]) {
        let (plan, at) = (spec.plan(), as_of.0.clamp(-FAR, FAR));
        if at < self.newest || (!self.cells.is_built() && self.log.records() <= SCAN_UP_TO) {
            return self.features_at(spec, as_of, out);
        }
        if self.cells.is_built() && at >= self.cells.at() {
            self.cells.advance(plan, &self.log, at);
        } else {
            self.cells.build(plan, &self.log, &self.dropped, at);
        }
        read_row(plan, &self.cells, self.cells.series(), out);
    }

    /// Writes the row as of any moment, and changes nothing. The same bits as [`features`](Self::features).
    ///
    /// As of a moment further behind the newest event than the allowed lateness, windows see what is still stored.
    /// O(stored events); from the newest event on, only of those that left a window since the last
    /// [`features`](Self::features), and of distinct texts, if the user has cursors.
    ///
    /// # Panics
    /// If `out` is shorter than the spec's row.
    pub fn features_at(&self, spec: &Spec, as_of: EventTime, out: &mut [f32]) {
        thread_local! {
            /// Kept only to spare allocations; it holds nothing from one use to the next.
            static SCRATCH: RefCell<Cells> = const { RefCell::new(Cells::EMPTY) };
        }
        let (plan, at) = (spec.plan(), as_of.0.clamp(-FAR, FAR));
        SCRATCH.with_borrow_mut(|cells| {
            if !(at >= self.newest && cells.advance_copy(&self.cells, plan, &self.log, at)) {
                cells.build(plan, &self.log, &self.dropped, at);
                return read_row(plan, cells, cells.series(), out);
            }
            read_row(plan, cells, self.cells.series(), out);
        });
    }

    /// Whether the user lives as of a moment: has been seen by then, was not ended by the last event up to then that
    /// starts, resumes or ends a life, and has not been silent for longer than the spec's silence.
    ///
    /// O(1) from the user's newest event on, O(stored events) before it.
    #[must_use]
    pub fn is_living(&self, spec: &Spec, as_of: EventTime) -> bool {
        let at = as_of.0.clamp(-FAR, FAR);
        if self.first_seen > at {
            return false;
        }
        let (ended, last) =
            if at >= self.newest { (self.ended, self.newest) } else { self.turn_before(spec, at) };
        !ended && spec.silence().is_none_or(|silence| at.saturating_sub(last) <= silence.0)
    }

    /// Whether the user had ended as of a moment before the newest event, and the time of the last stored event up to then.
    fn turn_before(&self, spec: &Spec, at: i64) -> (bool, i64) {
        let plan = spec.plan();
        // What was dropped is before all that is stored.
        let (mut ended, mut last) = (self.dropped_ended, self.dropped_last.max(self.first_seen));
        self.log.each(plan, self.log.head(), |_, record| {
            if record.ts > at {
                return false;
            }
            if let Some(ends) = plan.rules[record.rule].ends {
                ended = ends;
            }
            last = record.ts;
            true
        });
        (ended, last)
    }

    /// A byte that is the consumer's own (the last band, say): kept and encoded, not read.
    #[must_use]
    pub const fn tag(&self) -> u8 {
        self.tag
    }

    /// Sets the consumer's byte.
    pub const fn set_tag(&mut self, tag: u8) {
        self.tag = tag;
    }

    /// Whether the user was ever compacted into panes, so that windows' edges are no longer exact.
    #[must_use]
    pub const fn is_approximate(&self) -> bool {
        self.approximate
    }

    /// The time of the user's newest event; `None` before the first one.
    #[must_use]
    pub fn newest(&self) -> Option<EventTime> {
        (self.newest != i64::MIN).then_some(EventTime(self.newest))
    }

    /// The time of the user's earliest event ever; `None` before the first one.
    #[must_use]
    pub fn first_seen(&self) -> Option<EventTime> {
        (self.newest != i64::MIN).then_some(EventTime(self.first_seen))
    }

    /// How many records are stored: events that some feature, attribute or lifecycle rule wants, and panes.
    #[must_use]
    pub const fn stored(&self) -> u32 {
        self.log.records()
    }

    /// Gives back the memory that only serves speed: cursors are rebuilt when next needed, at the cost of one walk over the events.
    pub fn trim(&mut self) {
        self.cells = Cells::EMPTY;
        self.log.shrink();
    }
}

/// What an event that may come in brings.
struct Admitted {
    id: Option<u64>,
    /// Whether its record is wanted.
    stored: bool,
}
