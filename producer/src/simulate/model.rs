//! The hidden chain: moods, how they change, what they make a user do, and when they make one leave.
//!
//! A user alive on a day goes through it in this order:
//!
//! 1. The **mood** changes by [`Model::transition`]; on days when a renewal falls due it may change to payment trouble.
//! 2. A renewal that is due is paid, or fails while there is payment trouble.
//! 3. Sessions, plays (finished or not), searches and a support ticket are drawn, given mood, base activity and weekday.
//! 4. The **plan** may change, given the mood.
//! 5. The user cancels with the **hazard** of mood and plan.
//!
//! Mood and base activity are hidden. Everything else that matters to the future (plan, billing day) shows in the events.
//! All days are UTC days. The distributions are finite tables, drawn from to 2^-32 and with a likelihood that is exact.

use super::tables::{Counts, Powers};

/// What a user feels about the service. Hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Mood {
    /// Watches a lot and finishes what was begun.
    Engaged,
    /// Watches now and then.
    Casual,
    /// Watches less, searches more, breaks off more.
    Drifting,
    /// Hardly watches, and thinks of leaving.
    AtRisk,
    /// A renewal could not be charged; otherwise as before.
    PaymentTrouble,
}

impl Mood {
    /// Every mood, in the order of the tables.
    pub const ALL: [Self; 5] =
        [Self::Engaged, Self::Casual, Self::Drifting, Self::AtRisk, Self::PaymentTrouble];

    /// Its name in the truth file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Engaged => "engaged",
            Self::Casual => "casual",
            Self::Drifting => "drifting",
            Self::AtRisk => "at-risk",
            Self::PaymentTrouble => "payment-trouble",
        }
    }
}

/// What a user pays for. Shows in the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Plan {
    /// Cheapest, with ads.
    Ads,
    /// The usual one.
    Standard,
    /// The dearest.
    Premium,
}

impl Plan {
    /// Every plan, cheapest first.
    pub const ALL: [Self; 3] = [Self::Ads, Self::Standard, Self::Premium];

    /// Its name in the events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ads => "ads",
            Self::Standard => "standard",
            Self::Premium => "premium",
        }
    }
}

/// How many moods there are.
pub const MOODS: usize = Mood::ALL.len();
/// How many plans there are.
pub const PLANS: usize = Plan::ALL.len();
/// How many levels of base activity there are: light, regular, heavy. Hidden, and constant for a user.
pub const ACTIVITIES: usize = 3;
/// Days from one renewal to the next.
pub const BILLING_DAYS: u32 = 30;
/// The most sessions a user has on a day; the distribution's tail is cut there.
pub const MAX_SESSIONS: usize = 12;
/// The most plays on a day.
pub const MAX_PLAYS: usize = 48;
/// The most searches on a day.
pub const MAX_SEARCHES: usize = 24;

/// The chance of each base activity.
pub const ACTIVITY_SHARE: [f64; ACTIVITIES] = [0.35, 0.40, 0.25];
/// The chance of each plan at sign-up, by base activity.
pub const PLAN_SHARE: [[f64; PLANS]; ACTIVITIES] =
    [[0.55, 0.35, 0.10], [0.40, 0.42, 0.18], [0.25, 0.45, 0.30]];
/// The chance of each mood on the first day.
pub const FIRST_MOOD: [f64; MOODS] = [0.48, 0.38, 0.11, 0.03, 0.0];
/// The chance of each mood on the day of a return.
pub const RETURN_MOOD: [f64; MOODS] = [0.35, 0.40, 0.20, 0.05, 0.0];
/// The chance that one who has left returns on a day.
pub const RETURN_CHANCE: f64 = 0.003;

/// Sessions a day on an average weekday, by base activity.
const SESSIONS: [f64; ACTIVITIES] = [0.55, 1.1, 2.1];
/// What the mood makes of that.
const SESSIONS_BY_MOOD: [f64; MOODS] = [1.25, 0.85, 0.42, 0.13, 0.70];
/// What the weekday makes of it, Monday first.
const SESSIONS_BY_WEEKDAY: [f64; 7] = [0.88, 0.85, 0.88, 0.92, 1.08, 1.24, 1.15];
/// Plays a session.
const PLAYS: [f64; MOODS] = [1.9, 1.5, 1.0, 0.7, 1.4];
/// The chance that a play is finished.
const FINISHED: [f64; MOODS] = [0.74, 0.64, 0.46, 0.34, 0.60];
/// Searches a session.
const SEARCHES: [f64; MOODS] = [0.25, 0.35, 0.75, 0.55, 0.35];
/// The chance of a support ticket on a day.
const TICKET: [f64; MOODS] = [0.002, 0.003, 0.009, 0.020, 0.030];
/// The chances of a dearer and of a cheaper plan on a day.
const PLAN_CHANGE: [[f64; 2]; MOODS] =
    [[0.0020, 0.0004], [0.0007, 0.0010], [0.0003, 0.0035], [0.0001, 0.0050], [0.0, 0.0040]];
/// Mood today (row) to mood tomorrow (column), where no renewal falls due.
const MOOD_CHANGE: [[f64; MOODS]; MOODS] = [
    [0.9900, 0.0080, 0.0020, 0.0000, 0.00],
    [0.0070, 0.9882, 0.0045, 0.0003, 0.00],
    [0.0040, 0.0120, 0.9700, 0.0140, 0.00],
    [0.0010, 0.0040, 0.0070, 0.9880, 0.00],
    [0.0300, 0.0600, 0.0400, 0.0300, 0.84],
];
/// The chance that a renewal fails on the day it falls due, by the mood before. Payment trouble begins in no other way.
const PAYMENT_FAILS: [f64; MOODS] = [0.006, 0.008, 0.015, 0.030, 0.0];
/// The chance that a failed payment is tried again, and fails again, on a later day of payment trouble.
pub const RETRY: f64 = 0.40;
/// The chance of cancelling on a day, by mood.
const HAZARD: [f64; MOODS] = [0.000_02, 0.000_10, 0.0008, 0.028, 0.040];
/// What the plan makes of that.
const HAZARD_BY_PLAN: [f64; PLANS] = [1.15, 1.0, 0.8];

/// The numbers above as the tables that drawing and likelihood read.
#[derive(Debug, Clone)]
pub struct Model {
    sessions: [[[Counts; 7]; MOODS]; ACTIVITIES],
    plays: [Vec<Counts>; MOODS],
    searches: [Vec<Counts>; MOODS],
    finished: [Powers; MOODS],
    /// By whether a renewal falls due.
    transition: [[[f64; MOODS]; MOODS]; 2],
}

/// How a renewal went on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payment {
    /// Paid.
    Renewed,
    /// Not paid.
    Failed,
}

/// What shows of a user's day, beside the plan: all that tells of the mood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Sessions begun.
    pub sessions: u8,
    /// Titles played.
    pub plays: u8,
    /// How many of them were finished.
    pub finished: u8,
    /// Searches.
    pub searches: u8,
    /// Whether a support ticket was opened.
    pub ticket: bool,
    /// What happened to a renewal that was due.
    pub payment: Option<Payment>,
    /// The plan at the day's beginning.
    pub plan: Plan,
    /// The plan at its end.
    pub plan_after: Plan,
    /// Whether the user cancelled.
    pub cancelled: bool,
}

/// What is known of a day before anything is seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// Monday is 0.
    pub weekday: u8,
    /// Whether a renewal falls due today.
    pub falls_due: bool,
    /// Whether one is unpaid, today's included.
    pub owes: bool,
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

impl Model {
    /// Works out the tables.
    #[must_use]
    pub fn new() -> Self {
        use std::array::from_fn;
        Self {
            sessions: from_fn(|a| {
                from_fn(|m| {
                    from_fn(|w| {
                        Counts::poisson(
                            SESSIONS[a] * SESSIONS_BY_MOOD[m] * SESSIONS_BY_WEEKDAY[w],
                            MAX_SESSIONS,
                        )
                    })
                })
            }),
            plays: from_fn(|m| {
                (0..=MAX_SESSIONS).map(|n| Counts::poisson(PLAYS[m] * n as f64, MAX_PLAYS)).collect()
            }),
            searches: from_fn(|m| {
                (0..=MAX_SESSIONS).map(|n| Counts::poisson(SEARCHES[m] * n as f64, MAX_SEARCHES)).collect()
            }),
            finished: from_fn(|m| Powers::new(FINISHED[m], MAX_PLAYS)),
            transition: [MOOD_CHANGE, from_fn(due_row)],
        }
    }

    /// The chance of each mood today, given yesterday's.
    #[must_use]
    pub fn transition(&self, falls_due: bool, yesterday: Mood) -> &[f64; MOODS] {
        &self.transition[usize::from(falls_due)][yesterday as usize]
    }

    /// The chance of cancelling on a day that ends in this mood and on this plan.
    #[must_use]
    pub fn hazard(&self, mood: Mood, plan: Plan) -> f64 {
        HAZARD[mood as usize] * HAZARD_BY_PLAN[plan as usize]
    }

    /// The chance of each plan at the end of the day.
    #[must_use]
    pub fn plan_change(&self, mood: Mood, plan: Plan) -> [f64; PLANS] {
        let [up, down] = PLAN_CHANGE[mood as usize];
        match plan {
            Plan::Ads => [1.0 - up, up, 0.0],
            Plan::Standard => [down, 1.0 - up - down, up],
            Plan::Premium => [0.0, down, 1.0 - down],
        }
    }

    /// How many sessions a day has.
    #[must_use]
    pub fn sessions(&self, activity: usize, mood: Mood, weekday: u8) -> &Counts {
        &self.sessions[activity][mood as usize][usize::from(weekday)]
    }

    /// How many titles are played in so many sessions.
    #[must_use]
    pub fn plays(&self, mood: Mood, sessions: u8) -> &Counts {
        &self.plays[mood as usize][usize::from(sessions)]
    }

    /// How many searches are made in so many sessions.
    #[must_use]
    pub fn searches(&self, mood: Mood, sessions: u8) -> &Counts {
        &self.searches[mood as usize][usize::from(sessions)]
    }

    /// The chance that a play is finished.
    #[must_use]
    pub fn finished(&self, mood: Mood) -> f64 {
        FINISHED[mood as usize]
    }

    /// The chance of a support ticket on a day.
    #[must_use]
    pub fn ticket(&self, mood: Mood) -> f64 {
        TICKET[mood as usize]
    }

    /// What happens to payments: the chance of a failure today, given that one is owed; what is owed and does not fail in
    /// payment trouble waits, what is owed in any other mood is paid.
    #[must_use]
    pub fn payment_fails(&self, mood: Mood, day: Calendar) -> f64 {
        match (mood, day.falls_due) {
            (Mood::PaymentTrouble, true) => 1.0,
            (Mood::PaymentTrouble, false) => RETRY,
            _ => 0.0,
        }
    }

    /// The part of a day's likelihood that the mood alone decides, sessions given, cancelling included: P(plays, finished
    /// ones in their order, searches, ticket, payment, plan, cancel | sessions, mood). O(1).
    #[must_use]
    pub fn likelihood_given_sessions(&self, mood: Mood, day: Calendar, shown: &Shown) -> f64 {
        let m = mood as usize;
        let ticket = if shown.ticket { TICKET[m] } else { 1.0 - TICKET[m] };
        let payment = match (day.owes, shown.payment) {
            (false, None) => 1.0,
            (false, Some(_)) => 0.0,
            (true, Some(Payment::Failed)) => self.payment_fails(mood, day),
            (true, Some(Payment::Renewed)) => f64::from(u8::from(mood != Mood::PaymentTrouble)),
            (true, None) if mood == Mood::PaymentTrouble => 1.0 - self.payment_fails(mood, day),
            (true, None) => 0.0,
        };
        let hazard = self.hazard(mood, shown.plan_after);
        self.plays(mood, shown.sessions).probability(shown.plays)
            * self.finished[m].of(shown.finished, shown.plays - shown.finished)
            * self.searches(mood, shown.sessions).probability(shown.searches)
            * ticket
            * payment
            * self.plan_change(mood, shown.plan)[shown.plan_after as usize]
            * if shown.cancelled { hazard } else { 1.0 - hazard }
    }
}

/// The row of moods on a day when a renewal falls due: first it fails or not, then the mood changes as on any other day.
fn due_row(from: usize) -> [f64; MOODS] {
    let fails = PAYMENT_FAILS[from];
    let mut row = MOOD_CHANGE[from].map(|p| p * (1.0 - fails));
    row[Mood::PaymentTrouble as usize] += fails;
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_chances_sum_to_one() {
        let model = Model::new();
        let near_one =
            |row: &[f64]| (row.iter().sum::<f64>() - 1.0).abs() < 1e-12 && row.iter().all(|p| *p >= 0.0);
        for mood in Mood::ALL {
            assert!(
                near_one(model.transition(false, mood)) && near_one(model.transition(true, mood)),
                "{mood:?}"
            );
            for plan in Plan::ALL {
                assert!(near_one(&model.plan_change(mood, plan)), "{mood:?} {plan:?}");
            }
        }
        assert!(near_one(&FIRST_MOOD) && near_one(&RETURN_MOOD) && near_one(&ACTIVITY_SHARE));
        assert!(PLAN_SHARE.iter().all(|row| near_one(row)));
    }

    /// Over everything that a day can show, the likelihood sums to one: none is counted twice or left out.
    #[test]
    fn the_likelihood_of_all_days_sums_to_one() {
        let model = Model::new();
        for mood in Mood::ALL {
            for (falls_due, owes) in [(false, false), (true, true), (false, true)] {
                let day = Calendar { weekday: 2, falls_due, owes };
                let mut sum = 0.0;
                for payment in [None, Some(Payment::Failed), Some(Payment::Renewed)] {
                    for plan_after in Plan::ALL {
                        for bits in 0..4 {
                            sum += over_counts(&model, mood, day, payment, plan_after, bits);
                        }
                    }
                }
                assert!((sum - 1.0).abs() < 1e-9, "{mood:?} {day:?}: {sum}");
            }
        }
    }

    fn over_counts(
        model: &Model,
        mood: Mood,
        day: Calendar,
        payment: Option<Payment>,
        plan_after: Plan,
        bits: u8,
    ) -> f64 {
        let mut sum = 0.0;
        let mut choose = vec![1.0];
        for plays in 0..=20_u8 {
            for finished in 0..=plays {
                for searches in 0..=12 {
                    let shown = Shown {
                        sessions: 1,
                        plays,
                        finished,
                        searches,
                        ticket: bits & 1 != 0,
                        payment,
                        plan: Plan::Standard,
                        plan_after,
                        cancelled: bits & 2 != 0,
                    };
                    // The likelihood is of one order of finished and broken-off plays.
                    sum += choose[usize::from(finished)] * model.likelihood_given_sessions(mood, day, &shown);
                }
            }
            let mut next = vec![1.0; choose.len() + 1];
            for i in 1..choose.len() {
                next[i] = choose[i - 1] + choose[i];
            }
            choose = next;
        }
        sum
    }
}
