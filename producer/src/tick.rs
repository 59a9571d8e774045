//! When ticks are due. A tick is a `$tick` record that stands in every partition at its place between the events.

use types::{Event, EventTime, Millis, SystemEvent};

/// Moments at every whole multiple of a span since the epoch (UTC), moved by an offset, each written a grace later than it is.
///
/// A tick T is *passed* by an event at ts if ts >= T + grace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickPlan {
    every: Millis,
    offset: Millis,
    grace: Millis,
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "ticks every {every}, {offset} later, with a grace of {grace}: the first must be 1s or more, the second less than that, \
     and neither it nor the third negative"
)]
pub struct TickPlanError {
    every: Millis,
    offset: Millis,
    grace: Millis,
}

impl Default for TickPlan {
    /// Each day at 00:00 UTC, with an hour's grace.
    fn default() -> Self {
        Self { every: Millis::DAY, offset: Millis(0), grace: Millis::HOUR }
    }
}

impl TickPlan {
    /// A plan of ticks `every` so often, `offset` after the multiples of that, written `grace` later.
    ///
    /// # Errors
    /// If `every` is less than a second, `offset` is not less than `every`, or one of them is negative.
    pub fn new(every: Millis, offset: Millis, grace: Millis) -> Result<Self, TickPlanError> {
        if every < Millis::SECOND || !(Millis(0)..every).contains(&offset) || grace < Millis(0) {
            return Err(TickPlanError { every, offset, grace });
        }
        Ok(Self { every, offset, grace })
    }

    /// The newest tick that the moment `ts` has passed.
    #[must_use]
    pub const fn passed_by(&self, ts: EventTime) -> EventTime {
        let since = ts.minus(self.grace).minus(self.offset).0;
        EventTime(since.div_euclid(self.every.0).saturating_mul(self.every.0)).plus(self.offset)
    }

    /// The tick after a tick.
    #[must_use]
    pub const fn after(&self, tick: EventTime) -> EventTime {
        tick.plus(self.every)
    }

    /// The tick before a tick.
    #[must_use]
    pub const fn before(&self, tick: EventTime) -> EventTime {
        tick.minus(self.every)
    }

    /// The moment at which a tick counts as passed.
    #[must_use]
    pub const fn due(&self, tick: EventTime) -> EventTime {
        tick.plus(self.grace)
    }
}

/// The tick's record as an event.
#[must_use]
pub fn tick_event(tick: EventTime) -> Event<'static> {
    Event { kind: SystemEvent::TICK.into(), ts: tick, ..Event::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_passed_at_its_grace_and_not_before() {
        let plan = TickPlan::default();
        let day = |d: i64| EventTime(d * Millis::DAY.0);
        for (ts, tick) in [
            (day(3).plus(Millis::HOUR), day(3)),
            (EventTime(day(3).plus(Millis::HOUR).0 - 1), day(2)),
            (day(3), day(2)),
            (EventTime(0), day(-1)),
        ] {
            assert_eq!(plan.passed_by(ts), tick, "{ts}");
            assert!(plan.due(tick) <= ts && plan.due(plan.after(tick)) > ts);
        }
    }

    #[test]
    fn a_plan_of_no_span_is_refused() {
        let plan = |every, offset, grace| TickPlan::new(every, offset, grace);
        assert!(plan(Millis(0), Millis(0), Millis(0)).is_err());
        assert!(plan(Millis::DAY, Millis(0), Millis(-1)).is_err());
        assert!(plan(Millis::DAY, Millis(-1), Millis(0)).is_err());
        assert!(plan(Millis::HOUR, Millis::HOUR, Millis(0)).is_err());
        assert!(plan(Millis::HOUR, Millis(0), Millis(0)).is_ok());
    }

    #[test]
    fn an_offset_moves_every_tick() {
        // Midnight in Shanghai.
        let offset = Millis(16 * Millis::HOUR.0);
        let plan = TickPlan::new(Millis::DAY, offset, Millis::HOUR).unwrap();
        let tick = |d: i64| EventTime(d * Millis::DAY.0).plus(offset);
        assert_eq!(plan.passed_by(tick(3).plus(Millis::HOUR)), tick(3));
        assert_eq!(plan.passed_by(EventTime(tick(3).plus(Millis::HOUR).0 - 1)), tick(2));
        assert_eq!(plan.passed_by(EventTime(0)), tick(-1));
    }
}
