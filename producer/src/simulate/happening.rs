//! From a day in numbers to things that happened, each with its moment and its arrival.
//!
//! Nothing here depends on the hidden state beyond the numbers that [`super::user`] drew, so nothing here tells an observer
//! more than those numbers do. All of a day's events lie within the UTC day.

use types::{EventTime, Millis};

use super::catalogue::{AD_SECONDS, Clock, DECLINES, DEVICES, GENRES, REASONS, TOPICS};
use super::draws::Draws;
use super::model::{MAX_SESSIONS, Mood, Payment, Plan};
use super::user::{Lived, Start, Traits};

/// Something that a user did or that was done for one.
///
/// Ordered by arrival; ties by user, then by the order within the user's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Happening {
    /// When it reached us.
    pub arrival: EventTime,
    /// Who.
    pub user: u32,
    /// When it happened.
    pub ts: EventTime,
    /// Which of the user's events of that day, from 0.
    pub index: u16,
    /// What.
    pub what: What,
}

/// What can happen. Numbers without a unit are indices into the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the fields are those of the events, and README's list of them explains each")]
pub enum What {
    /// The user becomes a customer.
    Start { start: Start, plan: Plan },
    /// The price of 30 days was paid.
    Renewal { plan: Plan },
    /// It was not.
    PaymentFailed { plan: Plan, decline: u8 },
    /// A device was opened.
    Session { device: u8 },
    /// A search.
    Search { device: u8, results: u8 },
    /// An ad was shown.
    Ad { device: u8, seconds: u8, skipped: bool },
    /// A title was played.
    Play { device: u8, genre: u8, title: u16, watch_tenths: u32, finished: bool },
    /// A support ticket was opened.
    Ticket { topic: u8 },
    /// Another plan was chosen.
    PlanChange { from: Plan, to: Plan },
    /// The user left.
    Cancel { reason: u8 },
}

impl What {
    /// Whether a device reports it, which may take long; the rest is known at once on the service's own machines.
    const fn is_from_device(self) -> bool {
        matches!(self, Self::Session { .. } | Self::Search { .. } | Self::Ad { .. } | Self::Play { .. })
    }
}

/// Nothing but a cancellation happens later in the day than this, in milliseconds: room for the cancellation.
const LAST_MS: u32 = 86_400_000 - 10 * MINUTE;
const MINUTE: u32 = 60_000;
const SECOND: u32 = 1_000;
/// At most so long before the first session a user signs up.
const SIGNUP: u32 = 20 * MINUTE;
/// Between two sessions of a user.
const PAUSE: u32 = MINUTE;

/// Whose day it is.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The user.
    pub user: u32,
    /// The user's traits.
    pub traits: &'a Traits,
    /// When the day begins.
    pub midnight: EventTime,
}

/// Adds all that happened on a day to `out`, in no particular order. O(events).
pub fn tell(whose: Whose<'_>, lived: &Lived, clock: &Clock, draws: &mut Draws, out: &mut Vec<Happening>) {
    let first = out.len();
    let mut day = Day { whose, clock, draws, out, index: 0, earliest: 0, first };
    if lived.start.is_some() {
        day.earliest = SIGNUP;
    }
    day.sessions(lived);
    if let Some(start) = lived.start {
        // Just before what the user came for.
        let first = day.out[day.first..].iter().map(|h| h.ts).min();
        let at = match first {
            Some(ts) => ts.since(day.whose.midnight).0 as u32 - day.draws.between(MINUTE, SIGNUP),
            None => day.moment().min(LAST_MS - 120 * MINUTE),
        };
        day.add(at, What::Start { start, plan: lived.shown.plan });
        day.earliest = at + SECOND;
    }
    if let Some(payment) = lived.shown.payment {
        // Charged by the service, in the small hours of its machines.
        let at = 3 * 60 * MINUTE + day.draws.below(120 * MINUTE);
        let plan = lived.shown.plan;
        let what = match payment {
            Payment::Renewed => What::Renewal { plan },
            Payment::Failed => {
                What::PaymentFailed { plan, decline: day.draws.below(DECLINES.len() as u32) as u8 }
            }
        };
        day.add(at, what);
    }
    if lived.shown.ticket {
        let at = day.moment();
        let topic = day.draws.below(TOPICS.len() as u32) as u8;
        day.add(at, What::Ticket { topic });
    }
    let Lived { mood, shown, .. } = lived;
    if shown.plan != shown.plan_after {
        let at = day.moment();
        day.add(at, What::PlanChange { from: shown.plan, to: shown.plan_after });
    }
    if shown.cancelled {
        let after = day.latest() + SECOND;
        let at = after + day.draws.below((86_400_000 - after).min(180 * MINUTE));
        let reason = if *mood == Mood::PaymentTrouble {
            0
        } else {
            1 + day.draws.below(REASONS.len() as u32 - 1) as u8
        };
        day.add(at, What::Cancel { reason });
    }
}

struct Day<'a> {
    whose: Whose<'a>,
    clock: &'a Clock,
    draws: &'a mut Draws,
    out: &'a mut Vec<Happening>,
    index: u16,
    /// Nothing happens before this moment of the day.
    earliest: u32,
    /// Where the day begins in `out`.
    first: usize,
}

impl Day<'_> {
    fn moment(&mut self) -> u32 {
        let Traits { habit, country, .. } = *self.whose.traits;
        let at = self.clock.moment(habit, country, self.draws);
        // On the first day what the habit would put before the start follows it within the hour.
        let at = if at < self.earliest { self.earliest + self.draws.below(60 * MINUTE) } else { at };
        at.min(LAST_MS)
    }

    fn add(&mut self, at: u32, what: What) {
        let ts = self.whose.midnight.plus(Millis(i64::from(at)));
        let arrival = ts.plus(Millis(i64::from(delay(what, self.draws))));
        self.out.push(Happening { arrival, user: self.whose.user, ts, index: self.index, what });
        self.index += 1;
    }

    /// Spreads the day's plays and searches over its sessions and tells one session after the other.
    fn sessions(&mut self, lived: &Lived) {
        let sessions = usize::from(lived.shown.sessions);
        let mut searches = [0_u8; MAX_SESSIONS];
        let mut plays = [0_u8; MAX_SESSIONS];
        for _ in 0..lived.shown.searches {
            searches[self.draws.below(sessions as u32) as usize] += 1;
        }
        for _ in 0..lived.shown.plays {
            plays[self.draws.below(sessions as u32) as usize] += 1;
        }
        let mut begins = [0_u32; MAX_SESSIONS];
        for begin in &mut begins[..sessions] {
            *begin = self.moment();
        }
        begins[..sessions].sort_unstable();

        let mut spans = [Span::default(); MAX_SESSIONS];
        let mut finished = lived.finished;
        let mut free_from = self.earliest;
        for i in 0..sessions {
            let first = self.out.len();
            let begin = begins[i].max(free_from);
            let end = self.session(begin, searches[i], plays[i], &mut finished, lived.shown.plan);
            spans[i] = Span { first, begin, end };
            free_from = end + PAUSE;
        }
        self.fit(&spans[..sessions]);
    }

    /// Returns when it ended.
    fn session(&mut self, begin: u32, searches: u8, plays: u8, finished: &mut u64, plan: Plan) -> u32 {
        let device = match self.draws.below(5) {
            0 => self.draws.below(DEVICES.len() as u32) as u8,
            _ => self.whose.traits.device,
        };
        let mut at = begin;
        self.add(at, What::Session { device });
        for _ in 0..searches {
            at += self.draws.between(4 * SECOND, 50 * SECOND);
            let results = self.draws.below(40) as u8;
            self.add(at, What::Search { device, results });
        }
        for _ in 0..plays {
            at += self.draws.between(5 * SECOND, 90 * SECOND);
            if plan == Plan::Ads {
                let seconds = AD_SECONDS[self.draws.below(AD_SECONDS.len() as u32) as usize];
                let skipped = self.draws.chance(0.3);
                self.add(at, What::Ad { device, seconds: seconds as u8, skipped });
                at += seconds * SECOND;
            }
            let is_finished = *finished & 1 == 1;
            *finished >>= 1;
            at += self.play(at, device, is_finished);
        }
        at
    }

    /// Returns how long was watched, in milliseconds.
    fn play(&mut self, at: u32, device: u8, finished: bool) -> u32 {
        let genre = self.draws.below(GENRES.len() as u32);
        let (shortest, longest) = GENRES[genre as usize].seconds;
        let length_tenths = self.draws.between(shortest * 10, longest * 10);
        let watch_tenths = if finished {
            length_tenths
        } else {
            (f64::from(length_tenths) * (0.02 + 0.6 * self.draws.unit())) as u32
        };
        let title = self.draws.below(6_000) as u16;
        self.add(at, What::Play { device, genre: genre as u8, title, watch_tenths, finished });
        watch_tenths * 100
    }

    /// Moves sessions that would run beyond the day: each so much earlier that it ends before the next one begins. On the
    /// rare day with more to watch than there are hours, everything happens faster.
    fn fit(&mut self, sessions: &[Span]) {
        let Some(end) = sessions.last().map(|last| last.end).filter(|end| *end > LAST_MS) else { return };
        let room = LAST_MS - self.earliest;
        let needed: u32 = sessions.iter().map(|s| s.end - s.begin + PAUSE).sum();
        if needed > room {
            let (from, length) = (self.earliest, end - self.earliest);
            let faster = |at: u32| from + (u64::from(at - from) * u64::from(room) / u64::from(length)) as u32;
            return self.shift(sessions[0].first, self.out.len(), faster);
        }
        let mut ends_by = LAST_MS;
        let mut until = self.out.len();
        for session in sessions.iter().rev() {
            let earlier = session.end.saturating_sub(ends_by);
            self.shift(session.first, until, |at| at - earlier);
            ends_by = session.begin - earlier - PAUSE.min(session.begin - earlier);
            until = session.first;
        }
    }

    /// Moves what happened from index `from` to before `to` to other moments; it takes as long to arrive as before.
    fn shift(&mut self, from: usize, to: usize, moved: impl Fn(u32) -> u32) {
        let midnight = self.whose.midnight;
        for happening in &mut self.out[from..to] {
            let delay = happening.arrival.since(happening.ts);
            let at = happening.ts.since(midnight).0 as u32;
            happening.ts = midnight.plus(Millis(i64::from(moved(at))));
            happening.arrival = happening.ts.plus(delay);
        }
    }

    /// When the last thing of the day so far happened.
    fn latest(&self) -> u32 {
        self.out[self.first..].iter().map(|h| h.ts.since(self.whose.midnight).0 as u32).max().unwrap_or(0)
    }
}

/// A session's place among what happened, and in the day.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    first: usize,
    begin: u32,
    end: u32,
}

/// How long after it happened an event arrives, in milliseconds: seconds mostly, minutes where the network is bad, hours from
/// devices that were off the network. Less than a day, which consumers allow.
fn delay(what: What, draws: &mut Draws) -> u32 {
    if !what.is_from_device() {
        return 20 + draws.below(2_000);
    }
    match draws.below(1_000) {
        0..5 => draws.between(60 * MINUTE, 23 * 60 * MINUTE + 30 * MINUTE),
        5..25 => draws.between(20 * SECOND, 10 * MINUTE),
        _ => {
            let unit = draws.unit();
            80 + (unit * unit * 20_000.0) as u32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::draws::Seeded;
    use super::super::model::{Calendar, Shown};
    use super::*;

    /// From idle days to days with more to watch than there are hours: what happens lies within the day, once each, and a
    /// cancellation last.
    #[test]
    fn every_day_fits_into_itself() {
        let seeded = Seeded::new(1);
        let clock = Clock::new();
        let midnight = EventTime(1_735_689_600_000);
        let mut out = Vec::new();
        let mut crowded = 0;
        for user in 0..3_000 {
            let traits = Traits::draw(&seeded, user);
            let sessions = (user % 13) as u8;
            let plays = if sessions == 0 { 0 } else { (user % 49) as u8 };
            let shown = Shown {
                sessions,
                plays,
                finished: plays,
                searches: sessions,
                ticket: user % 2 == 0,
                payment: None,
                plan: Plan::Ads,
                plan_after: Plan::Standard,
                cancelled: user % 3 == 0,
            };
            let calendar = Calendar { weekday: 0, falls_due: false, owes: false };
            let start = (user % 5 == 0).then_some(Start::Signup);
            let lived = Lived { start, mood: Mood::Casual, calendar, shown, finished: u64::MAX };
            out.clear();
            tell(
                Whose { user, traits: &traits, midnight },
                &lived,
                &clock,
                &mut seeded.day(user, 0),
                &mut out,
            );

            let count = |is: fn(&What) -> bool| out.iter().filter(|h| is(&h.what)).count();
            assert_eq!(count(|w| matches!(w, What::Session { .. })), usize::from(sessions));
            assert_eq!(count(|w| matches!(w, What::Play { .. })), usize::from(plays));
            assert_eq!(count(|w| matches!(w, What::Ad { .. })), usize::from(plays));
            assert!(
                out.iter()
                    .all(|h| h.ts >= midnight && h.ts < midnight.plus(Millis::DAY) && h.arrival >= h.ts)
            );
            out.sort_by_key(|h| (h.ts, h.index));
            if shown.cancelled {
                assert!(matches!(out[out.len() - 1].what, What::Cancel { .. }), "{user}: {out:?}");
            }
            if start.is_some() {
                assert!(matches!(out[0].what, What::Start { .. }), "{user}: {out:?}");
            }
            // Whoever watches one title does not watch another at that time.
            let watched: i64 = out
                .iter()
                .map(|h| {
                    if let What::Play { watch_tenths, .. } = h.what {
                        i64::from(watch_tenths) * 100
                    } else {
                        0
                    }
                })
                .sum();
            if watched > 16 * 3_600_000 {
                crowded += 1;
                continue;
            }
            let plays: Vec<_> = out.iter().filter(|h| matches!(h.what, What::Play { .. })).collect();
            for pair in plays.windows(2) {
                let What::Play { watch_tenths, .. } = pair[0].what else { continue };
                assert!(pair[1].ts.since(pair[0].ts).0 >= i64::from(watch_tenths) * 100, "{user}: {pair:?}");
            }
        }
        assert!(crowded > 100);
    }
}
