//! A user's life, a day at a time: what is decided for good, and what changes.

use super::draws::{Draws, Seeded};
use super::model::{
    ACTIVITY_SHARE, BILLING_DAYS, Calendar, FIRST_MOOD, Model, Mood, PLAN_SHARE, Payment, Plan,
    RETURN_CHANCE, RETURN_MOOD, Shown,
};

/// What a user keeps for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// The day of sign-up, counted from 0.
    pub join_day: u32,
    /// Base activity: 0 light to 2 heavy. Hidden.
    pub activity: u8,
    /// The plan at sign-up.
    pub plan: Plan,
    /// Index into [`super::catalogue::COUNTRIES`].
    pub country: u8,
    /// Index into [`super::catalogue::HABITS`]: when in the day the user watches.
    pub habit: u8,
    /// Index into [`super::catalogue::DEVICES`]: what the user watches on mostly.
    pub device: u8,
    /// Index into [`super::catalogue::CHANNELS`]: where the user came from.
    pub channel: u8,
}

/// Most users sign up in the first so many days, a third of those on the very first.
const LAUNCH_DAYS: u32 = 30;
const LAUNCH_SHARE: f64 = 0.85;
/// The mean number of days after the launch in which the others do.
const LATER_DAYS: f64 = 90.0;

impl Traits {
    /// Those of a user. The same whatever the number of users and days.
    #[must_use]
    pub fn draw(seeded: &Seeded, user: u32) -> Self {
        use super::catalogue::{CHANNELS, COUNTRIES, DEVICES, HABITS};
        let mut draws = seeded.traits(user);
        let join_day = if draws.chance(LAUNCH_SHARE) {
            let unit = draws.unit();
            (f64::from(LAUNCH_DAYS) * unit * unit * unit) as u32
        } else {
            let wait = -LATER_DAYS * libm::log(1.0 - draws.unit());
            LAUNCH_DAYS.saturating_add(wait as u32)
        };
        let activity = draws.pick(&ACTIVITY_SHARE);
        Self {
            join_day,
            activity: activity as u8,
            plan: Plan::ALL[draws.pick(&PLAN_SHARE[activity])],
            country: draws.pick(&COUNTRIES.map(|c| c.share)) as u8,
            habit: draws.pick(&HABITS.map(|h| h.share)) as u8,
            device: draws.below(DEVICES.len() as u32) as u8,
            channel: draws.below(CHANNELS.len() as u32) as u8,
        }
    }
}

/// Whether a user has an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not signed up yet.
    Future,
    /// Signed up.
    Alive,
    /// Has cancelled.
    Gone,
}

/// Where a user's life stands at the end of a day.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// Whether there is an account.
    pub standing: Standing,
    /// The mood. Hidden; without meaning unless alive.
    pub mood: Mood,
    /// The plan, kept while gone.
    pub plan: Plan,
    owes: bool,
    /// The day of sign-up or of the last return: renewals are counted from it.
    billed_from: u32,
}

/// How a user's time as a customer begins on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Start {
    /// For the first time.
    Signup,
    /// After having left.
    Return,
}

/// A day that a user spent as a customer, in numbers.
#[derive(Debug, Clone, Copy)]
pub struct Lived {
    /// Whether it is the first day, and of which kind.
    pub start: Option<Start>,
    /// The hidden mood.
    pub mood: Mood,
    /// What was known of the day before it.
    pub calendar: Calendar,
    /// What shows of it.
    pub shown: Shown,
    /// Which plays were finished: bit i is the i-th play.
    pub finished: u64,
}

impl User {
    /// One who has not signed up yet.
    #[must_use]
    pub fn new(traits: &Traits) -> Self {
        Self {
            standing: Standing::Future,
            mood: Mood::Casual,
            plan: traits.plan,
            owes: false,
            billed_from: 0,
        }
    }

    /// How many days after a renewal fell due (or the start) a day is.
    #[must_use]
    pub fn billing_day(&self, day: u32) -> u32 {
        (day - self.billed_from) % BILLING_DAYS
    }

    /// Lives through a day; `None` if the user is no customer on it. Days must come in order. O(plays).
    #[must_use]
    pub fn live(
        &mut self,
        model: &Model,
        traits: &Traits,
        draws: &mut Draws,
        day: u32,
        weekday: u8,
    ) -> Option<Lived> {
        let (start, falls_due) = match self.standing {
            Standing::Future if day >= traits.join_day => (Some(Start::Signup), false),
            Standing::Gone if draws.chance(RETURN_CHANCE) => (Some(Start::Return), false),
            Standing::Alive => (None, self.billing_day(day) == 0),
            Standing::Future | Standing::Gone => return None,
        };
        self.mood = Mood::ALL[match start {
            Some(Start::Signup) => draws.pick(&FIRST_MOOD),
            Some(Start::Return) => draws.pick(&RETURN_MOOD),
            None => draws.pick(model.transition(falls_due, self.mood)),
        }];
        if start.is_some() {
            self.standing = Standing::Alive;
            self.billed_from = day;
            self.owes = false;
        }
        self.owes |= falls_due;
        let calendar = Calendar { weekday, falls_due, owes: self.owes };
        let shown = self.show(model, traits, draws, calendar);
        let finished_bits = shown.1;
        self.plan = shown.0.plan_after;
        if shown.0.cancelled {
            self.standing = Standing::Gone;
        }
        Some(Lived { start, mood: self.mood, calendar, shown: shown.0, finished: finished_bits })
    }

    fn show(
        &mut self,
        model: &Model,
        traits: &Traits,
        draws: &mut Draws,
        calendar: Calendar,
    ) -> (Shown, u64) {
        let mood = self.mood;
        let payment = self.pay(model, draws, calendar);
        let sessions = model.sessions(usize::from(traits.activity), mood, calendar.weekday).draw(draws);
        let plays = model.plays(mood, sessions).draw(draws);
        let finished =
            (0..plays).fold(0, |bits, i| bits | u64::from(draws.chance(model.finished(mood))) << i);
        let searches = model.searches(mood, sessions).draw(draws);
        let ticket = draws.chance(model.ticket(mood));
        let plan_after = Plan::ALL[draws.pick(&model.plan_change(mood, self.plan))];
        let cancelled = draws.chance(model.hazard(mood, plan_after));
        let shown = Shown {
            sessions,
            plays,
            finished: finished.count_ones() as u8,
            searches,
            ticket,
            payment,
            plan: self.plan,
            plan_after,
            cancelled,
        };
        (shown, finished)
    }

    fn pay(&mut self, model: &Model, draws: &mut Draws, calendar: Calendar) -> Option<Payment> {
        if !self.owes {
            None
        } else if self.mood != Mood::PaymentTrouble {
            self.owes = false;
            Some(Payment::Renewed)
        } else {
            draws.chance(model.payment_fails(self.mood, calendar)).then_some(Payment::Failed)
        }
    }
}
