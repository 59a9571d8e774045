//! When a user counts as lost, and which rows are made: the labels file.
//!
//! ```toml
//! horizon = "30d"
//! lead = "3d"                  # default 0: the outcome lies in (t + lead, t + lead + horizon]
//!
//! [outcomes]                   # which events say what; four different things, kept apart
//! cancel_intent = ["cancel_page"]
//! auto_renew_off = ["auto_renew_off"]
//! failed_renewal = ["payment_failed"]
//! end_of_access = ["cancel"]
//!
//! [lost]                       # one of four forms:
//! outcome = "end_of_access"    # lost when one of this outcome's events happens within the horizon,
//! # events = ["cancel"]        # the same with the events named here,
//! # silence = true             # when none of `active` happens (default: any event),
//! # active = ["purchase"]
//! # [lost.table]               # or by a table from outside: see `OutcomeTable`
//!
//! [inputs]                     # what would give the label away
//! implying = ["account_deleted"]   # besides what the outcomes say
//! allow = ["cancel_page"]          # inputs wanted all the same
//!
//! [rows]
//! every = "7d"                 # days with rows: those that begin with ticks so far apart
//! triggers = "live"            # as scored live, events and sweeps (default); or only "sweep" or "event"
//! per_day = 1                  # rows of a user and day at most, chosen by hash; together they weigh 1
//! min_history = "14d"          # since the user's first event
//!
//! [split]
//! test_from = "2025-03-01T00:00:00Z"   # default: the last third of the labelled time
//! ```

mod file;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use scorer::{Bundle, Label, LabelKind};
use types::{EventTime, Millis, Trigger};

pub use table::{Decision, OutcomeTable};

use crate::BacktestError;

/// What counts as lost, and which rows are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// How far ahead a label looks: it is about (as-of + lead, as-of + lead + horizon].
    pub horizon: Millis,
    /// How long before it happens a loss must be foreseen; who is lost sooner has no row.
    pub lead: Millis,
    /// What makes a user lost.
    pub lost: Lost,
    /// Which events stand for which outcome.
    pub outcomes: BTreeMap<Outcome, Vec<String>>,
    /// Types of events that give the label away, sorted: columns that read them are not learnt from.
    pub implying: Vec<String>,
    /// Days with rows begin with ticks at least so far apart.
    pub every: Millis,
    /// Which scores become rows.
    pub triggers: Triggers,
    /// Rows of a user and day at most; from 1.
    pub per_day: u32,
    /// A user has a row only so long after the first event.
    pub min_history: Millis,
    /// The first as-of moment of the test rows; `None` for the last third of the labelled time.
    pub test_from: Option<EventTime>,
}

/// What makes a user lost within the horizon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// One of these events.
    Events(Vec<String>),
    /// None of these events; none at all if the list is empty.
    Silence(Vec<String>),
    /// What a table says.
    Table(OutcomeTable),
}

/// Things that look like leaving and are not the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The user looked for the way out: the page to cancel, a question to the support.
    CancelIntent,
    /// The user will not be charged again; access goes on until the period's end.
    AutoRenewOff,
    /// A payment failed: often nobody wanted to leave.
    FailedRenewal,
    /// The user is out.
    EndOfAccess,
}

/// Which of the scores that would have been written live become rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Triggers {
    /// All, in the mix in which they are written live.
    #[default]
    Live,
    /// Those of the days' sweeps.
    Sweep,
    /// Those of events.
    Event,
}

/// What a label says of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Lost within the horizon.
    Lost,
    /// Still there.
    Stayed,
    /// Lost within the lead already: too late to foresee.
    LeftWithinLead,
    /// The outcome table does not cover it.
    Unknown,
}

impl Triggers {
    /// Whether scores of this trigger become rows.
    #[must_use]
    pub const fn take(self, trigger: Trigger) -> bool {
        matches!(
            (self, trigger),
            (Self::Live, _) | (Self::Sweep, Trigger::Sweep) | (Self::Event, Trigger::Event)
        )
    }
}

impl Labels {
    /// Labels by events with everything else as in a file that does not speak of it.
    #[must_use]
    pub fn by_events(horizon: Millis, events: &[&str]) -> Self {
        let events: Vec<String> = events.iter().map(|kind| (*kind).to_owned()).collect();
        Self {
            horizon,
            lead: Millis(0),
            implying: events.clone(),
            lost: Lost::Events(events),
            outcomes: BTreeMap::new(),
            every: Millis(7 * Millis::DAY.0),
            triggers: Triggers::Live,
            per_day: 1,
            min_history: Millis::DAY,
            test_from: None,
        }
    }

    /// Whether an event of this type counts for the label.
    #[must_use]
    pub fn counts(&self, kind: &str) -> bool {
        match &self.lost {
            Lost::Events(kinds) => kinds.iter().any(|k| k == kind),
            Lost::Silence(kinds) => kinds.is_empty() || kinds.iter().any(|k| k == kind),
            Lost::Table(_) => false,
        }
    }

    /// What counts as a loss, as a bundle says it.
    #[must_use]
    pub fn label(&self) -> Label {
        let (kind, events) = match &self.lost {
            Lost::Events(events) => (LabelKind::Events, events.as_slice()),
            Lost::Silence(active) => (LabelKind::Silence, active.as_slice()),
            Lost::Table(_) => (LabelKind::Table, &[][..]),
        };
        let mut events = events.to_vec();
        events.sort_unstable();
        events.dedup();
        Label { kind, events, lead: self.lead }
    }

    /// Checks that a bundle answers the question that these labels ask: horizon, lead and kind of loss are the same. Returns what is to
    /// be said where that is not certain, or where the same kind of loss is of other events.
    ///
    /// # Errors
    /// [`BacktestError::Horizon`] or [`BacktestError::Label`], with both named.
    pub fn check(&self, bundle: &Bundle) -> Result<Option<String>, BacktestError> {
        if bundle.horizon() != self.horizon {
            return Err(BacktestError::Horizon { bundle: bundle.horizon(), labels: self.horizon });
        }
        let ours = self.label();
        let Some(of_bundle) = &bundle.manifest().label else {
            return Ok(Some(format!(
                "the bundle {} does not say which loss it foresees; it is judged by {ours}",
                bundle.hash()
            )));
        };
        if of_bundle.lead != ours.lead || of_bundle.kind != ours.kind {
            return Err(BacktestError::Label { bundle: of_bundle.clone(), labels: ours });
        }
        Ok((of_bundle.events != ours.events).then(|| {
            format!(
                "the bundle {} foresees another loss ({of_bundle}) than it is judged by ({ours})",
                bundle.hash()
            )
        }))
    }

    /// From a row's moment to the end of what its label looks at: lead and horizon.
    #[must_use]
    pub const fn span(&self) -> Millis {
        Millis(self.lead.0.saturating_add(self.horizon.0))
    }

    /// What became of a user after `as_of`, and when that was decided, given the sorted times of the events that count (or
    /// the user's sorted decisions, if a table decides). O(log n).
    ///
    /// Silence knows no moment of leaving, so nobody leaves within the lead there.
    #[must_use]
    pub fn decide(
        &self,
        as_of: EventTime,
        counted: &[EventTime],
        decisions: &[Decision],
    ) -> (Verdict, EventTime) {
        let (from, to) = (as_of.plus(self.lead), as_of.plus(self.span()));
        let happens = |after: EventTime, until: EventTime| {
            let next = counted.partition_point(|ts| *ts <= after);
            counted.get(next).is_some_and(|ts| *ts <= until)
        };
        let verdict = match &self.lost {
            Lost::Events(_) if happens(as_of, from) => Verdict::LeftWithinLead,
            Lost::Events(_) if happens(from, to) => Verdict::Lost,
            Lost::Silence(_) if !happens(from, to) => Verdict::Lost,
            Lost::Events(_) | Lost::Silence(_) => Verdict::Stayed,
            Lost::Table(table) => return table.decide(self, as_of, decisions),
        };
        (verdict, to)
    }
}
