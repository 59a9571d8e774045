//! The whole service, a day at a time: every user lives through the day, and what happened is handed on as it arrives.

use types::{EventTime, Millis};

use super::catalogue::Clock;
use super::draws::Seeded;
use super::happening::{Happening, Whose, tell};
use super::model::Model;
use super::user::{Traits, User};

/// What a simulation depends on. The same gives the same events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// How many users ever sign up.
    pub users: u32,
    /// How many days.
    pub days: u32,
    /// The seed.
    pub seed: u64,
    /// The first day.
    pub start: jiff::civil::Date,
}

impl Setting {
    /// When the first day begins, in UTC.
    #[must_use]
    pub fn first_midnight(&self) -> EventTime {
        let days =
            self.start.since(jiff::civil::Date::constant(1970, 1, 1)).map_or(0, |span| span.get_days());
        EventTime(i64::from(days) * Millis::DAY.0)
    }

    /// When a day begins.
    #[must_use]
    pub fn midnight(&self, day: u32) -> EventTime {
        self.first_midnight().plus(Millis(i64::from(day) * Millis::DAY.0))
    }

    /// When the last day ends. What has not arrived by then is not on the log.
    #[must_use]
    pub fn end(&self) -> EventTime {
        self.midnight(self.days)
    }

    /// A day's weekday; Monday is 0.
    #[must_use]
    pub fn weekday(&self, day: u32) -> u8 {
        ((self.start.weekday().to_monday_zero_offset() as u32 + day) % 7) as u8
    }
}

/// All users, and what has happened and not arrived. Memory: about 40 bytes a user and as much for each event of a day.
#[derive(Debug)]
pub struct Service {
    setting: Setting,
    model: Model,
    seeded: Seeded,
    clock: Clock,
    traits: Vec<Traits>,
    users: Vec<User>,
    /// What arrives in each hour of today and tomorrow.
    hours: Vec<Vec<Happening>>,
    scratch: Vec<Happening>,
}

/// Hours of a day.
pub const HOURS: usize = 24;

impl Service {
    /// The service on the eve of its first day. O(users).
    #[must_use]
    pub fn new(setting: Setting) -> Self {
        let seeded = Seeded::new(setting.seed);
        let traits: Vec<_> = (0..setting.users).map(|user| Traits::draw(&seeded, user)).collect();
        let users = traits.iter().map(User::new).collect();
        Self {
            setting,
            model: Model::new(),
            seeded,
            clock: Clock::new(),
            traits,
            users,
            // A delay is less than a day.
            hours: vec![Vec::new(); 2 * HOURS],
            scratch: Vec::new(),
        }
    }

    /// A user's traits.
    #[must_use]
    pub fn traits(&self, user: u32) -> &Traits {
        &self.traits[user as usize]
    }

    /// Lets a day happen. Days must be asked for in order, from 0, and all their hours be taken in between.
    pub fn live(&mut self, day: u32) {
        let weekday = self.setting.weekday(day);
        let midnight = self.setting.midnight(day);
        for (id, (user, traits)) in (0..).zip(self.users.iter_mut().zip(&self.traits)) {
            if day < traits.join_day {
                continue;
            }
            let mut draws = self.seeded.day(id, day);
            let Some(lived) = user.live(&self.model, traits, &mut draws, day, weekday) else { continue };
            self.scratch.clear();
            tell(Whose { user: id, traits, midnight }, &lived, &self.clock, &mut draws, &mut self.scratch);
            for happening in &self.scratch {
                let hour = happening.arrival.since(midnight).0 / Millis::HOUR.0;
                self.hours[hour as usize].push(*happening);
            }
        }
    }

    /// Takes what arrived in an hour of today, in order of arrival, into `into`, whose memory is kept in turn.
    pub fn take_hour(&mut self, hour: usize, into: &mut Vec<Happening>) {
        into.clear();
        std::mem::swap(into, &mut self.hours[hour]);
        into.sort_unstable();
    }

    /// Ends the day: what arrives tomorrow arrives today now.
    pub fn sleep(&mut self) {
        self.hours.rotate_left(HOURS);
    }
}
