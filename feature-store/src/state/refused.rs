//! Why an event is refused, in words: made only when it is.

use types::{Event, EventTime, RejectReason};

use crate::spec::Spec;

use super::intake::Unfit;
use super::user::{Applied, UserState};

/// A refusal, without the words.
pub(super) enum Refused<'s> {
    Time,
    Future,
    Late,
    OutOfReach,
    Duplicate,
    Unfit(Unfit<'s>),
}

impl Refused<'_> {
    #[cold]
    pub(super) fn into_applied(
        self,
        state: &UserState,
        spec: &Spec,
        event: &Event<'_>,
        arrival: EventTime,
    ) -> Applied {
        let behind = |newest: i64| types::Millis(newest - event.ts.0);
        let (reason, detail) = match self {
            Self::Time => {
                (RejectReason::TimeOutOfRange, format!("ts {} is not between 1971 and 2199", event.ts))
            }
            Self::Future => {
                let ahead = event.ts.since(arrival);
                let detail = format!(
                    "ts is {ahead} ahead of its arrival at {arrival}, allowed are {}",
                    spec.max_ahead()
                );
                (RejectReason::Future, detail)
            }
            Self::Late => {
                let (behind, allowed) = (behind(state.newest), spec.allowed_lateness());
                (RejectReason::Late, format!("ts is {behind} behind the newest event, allowed are {allowed}"))
            }
            Self::OutOfReach => {
                let (behind, reach) = (behind(state.newest), spec.reach());
                (
                    RejectReason::Late,
                    format!("redriven, but {behind} behind the newest event; state reaches {reach}"),
                )
            }
            Self::Duplicate => {
                let id = event.id.as_deref().unwrap_or_default();
                (RejectReason::Duplicate, format!("an event with the id {id:?} was seen already"))
            }
            Self::Unfit(Unfit { reason, field }) => {
                let what = if reason == RejectReason::NumberOutOfRange {
                    "beyond range: with the spec's decimals, at most 2^50 either way"
                } else {
                    "of a type that the spec cannot use"
                };
                (reason, format!("the field {field:?} is {what}"))
            }
        };
        Applied::Rejected { reason, detail }
    }
}
