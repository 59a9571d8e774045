//! Whether the mix or the volume of events changed from one day to the next: a watch that needs neither model nor labels.
//!
//! A day is looked at with those before it in its window, against the days of a reference before that.
//!
//! - **Mix**, a signal for each type of event: of the users active on a day, the share who had the type. The two shares are
//!   compared by the usual test of two proportions. One user's days are alike, and days differ among themselves, so the
//!   variance is multiplied by what the reference's days show beyond that of independent users (never less than 1).
//! - **Volume**: the logarithm of a day's events, against the straight line through those of the reference, with the line's own
//!   uncertainty. So growth is no alarm, and a jump is one.
//!
//! A signal's alarm begins where its distance reaches the threshold, and ends where it is below half of that. Window and
//! reference of whole weeks leave the weekdays out of it.

use serde::Serialize;

/// What happened on a day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DayCounts {
    /// Events.
    pub events: u64,
    /// Users with an event.
    pub users: u64,
    /// Of these, those with each type of event; the types are the same for all days.
    pub with: Vec<u64>,
}

/// How closely to look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Watch {
    /// Days that are looked at; from 1.
    pub window: usize,
    /// Days before them to compare with; from 3.
    pub reference: usize,
    /// From how many standard deviations on there is an alarm.
    pub threshold: f64,
}

/// What a signal did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Alarm {
    /// The type's place among those of the days; `None` for the volume.
    pub kind: Option<usize>,
    /// The first day, a place in the days.
    pub from: usize,
    /// The first day on which it was over; `None` if it lasts.
    pub until: Option<usize>,
    /// On the first day, how far off it was, in standard deviations: above 0 for more than before.
    pub distance: f64,
    /// What it was then against what was to be expected: 2 for twice as much; `None` if there was nothing of it before.
    pub ratio: Option<f64>,
}

/// How far off a signal is, and its ratio.
type Distance = Option<(f64, Option<f64>)>;

/// A comparison needs so many users with a type, and as many without.
const LEAST: u64 = 10;

impl Watch {
    /// How many days must lie before the first that can be judged.
    #[must_use]
    pub const fn needs(&self) -> usize {
        self.window + self.reference - 1
    }

    /// The alarms of consecutive days, in the order in which they begin; those of one day in the order of the types, the
    /// volume first. O(days x types x (window + reference)).
    #[must_use]
    pub fn alarms(&self, days: &[DayCounts]) -> Vec<Alarm> {
        let kinds = days.first().map_or(0, |day| day.with.len());
        let mut alarms: Vec<Alarm> = Vec::new();
        for kind in std::iter::once(None).chain((0..kinds).map(Some)) {
            let mut open: Option<Alarm> = None;
            for at in self.needs()..days.len() {
                let found = self.distance(days, kind, at);
                // Where there is too little to say, an alarm that was is not over.
                match (open, found) {
                    (None, Some((distance, ratio))) if distance.abs() >= self.threshold => {
                        open = Some(Alarm { kind, from: at, until: None, distance, ratio });
                    }
                    (Some(alarm), Some((distance, _))) if distance.abs() < self.threshold / 2.0 => {
                        alarms.push(Alarm { until: Some(at), ..alarm });
                        open = None;
                    }
                    _ => {}
                }
            }
            alarms.extend(open);
        }
        alarms.sort_by_key(|alarm| (alarm.from, alarm.kind));
        alarms
    }

    /// On how many days the volume can be judged: not where the reference has a day without events.
    #[must_use]
    pub fn judges_volume(&self, days: &[DayCounts]) -> usize {
        (self.needs()..days.len()).filter(|at| self.distance(days, None, *at).is_some()).count()
    }

    /// How far off a signal is on a day; `None` if there is too little to say.
    fn distance(&self, days: &[DayCounts], kind: Option<usize>, at: usize) -> Distance {
        let from = (at + 1).checked_sub(self.window)?;
        let reference = &days[from.checked_sub(self.reference)?..from];
        let window = &days[from..=at];
        match kind {
            Some(kind) => share(window, reference, kind),
            None => volume(window, reference),
        }
    }
}

fn share(window: &[DayCounts], reference: &[DayCounts], kind: usize) -> Distance {
    let sum = |days: &[DayCounts]| {
        days.iter().fold((0, 0), |(all, with), day| (all + day.users, with + day.with[kind]))
    };
    let ((all, with), (all_before, with_before)) = (sum(window), sum(reference));
    if all == 0
        || all_before == 0
        || with + with_before < LEAST
        || all + all_before - with - with_before < LEAST
    {
        return None;
    }
    let (now, before) = (with as f64 / all as f64, with_before as f64 / all_before as f64);
    let pooled = (with + with_before) as f64 / (all + all_before) as f64;
    let (mut excess, mut counted) = (0.0, 0_u32);
    for day in reference.iter().filter(|day| day.users > 0) {
        let off = day.with[kind] as f64 - before * day.users as f64;
        excess += off * off / (day.users as f64 * pooled * (1.0 - pooled));
        counted += 1;
    }
    let dispersion = (excess / f64::from(counted.max(2) - 1)).max(1.0);
    let variance = dispersion * pooled * (1.0 - pooled) * (1.0 / all as f64 + 1.0 / all_before as f64);
    Some(((now - before) / variance.sqrt(), (before > 0.0).then(|| now / before)))
}

fn volume(window: &[DayCounts], reference: &[DayCounts]) -> Distance {
    let log = |day: &DayCounts| libm::log1p(day.events as f64);
    let n = reference.len() as f64;
    if reference.len() < 3 || reference.iter().any(|day| day.events == 0) {
        return None;
    }
    let mean = reference.iter().map(log).sum::<f64>() / n;
    let middle = (n - 1.0) / 2.0;
    let (mut across, mut along) = (0.0, 0.0);
    for (at, day) in reference.iter().enumerate() {
        across += (at as f64 - middle) * (log(day) - mean);
        along += (at as f64 - middle) * (at as f64 - middle);
    }
    let slope = across / along;
    let line = |at: f64| mean + slope * (at - middle);
    let residuals: f64 =
        reference.iter().enumerate().map(|(at, day)| square(log(day) - line(at as f64))).sum();
    // At least what chance alone does to counts of this size.
    let spread = (residuals / (n - 2.0)).max(1.0 / (libm::exp(mean).max(1.0)));
    let w = window.len() as f64;
    let center = n + (w - 1.0) / 2.0;
    let off = window.iter().map(log).sum::<f64>() / w - line(center);
    let variance = spread * (1.0 / w + 1.0 / n + square(center - middle) / along);
    Some((off / variance.sqrt(), Some(libm::exp(off))))
}

fn square(x: f64) -> f64 {
    x * x
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: Watch = Watch { window: 7, reference: 28, threshold: 4.5 };

    /// Days of users of whom each has the first type with chance `share(day)`, and so many users as `users(day)` says.
    fn days(count: usize, users: impl Fn(usize) -> u64, share: impl Fn(usize) -> f64) -> Vec<DayCounts> {
        let mut state = 7_u64;
        let mut random = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1_u64 << 24) as f64
        };
        (0..count)
            .map(|day| {
                let all = users(day) + (random() * 10.0) as u64;
                let with = (0..all).filter(|_| random() < share(day)).count() as u64;
                DayCounts { events: all * 5, users: all, with: vec![with, all / 2] }
            })
            .collect()
    }

    #[test]
    fn a_year_without_change_gives_no_alarm() {
        assert_eq!(WATCH.alarms(&days(365, |_| 60, |_| 0.2)), []);
    }

    #[test]
    fn growth_is_no_alarm_and_a_jump_is_one() {
        let grows = |day: usize| (40.0 * 1.01_f64.powi(day as i32)) as u64;
        assert_eq!(WATCH.alarms(&days(200, grows, |_| 0.2)), []);
        let jumps = |day: usize| if day >= 120 { 2 * grows(day) } else { grows(day) };
        let alarms = WATCH.alarms(&days(200, jumps, |_| 0.2));
        let first = alarms[0];
        assert!(
            first.kind.is_none() && (120..=124).contains(&first.from) && first.ratio > Some(1.0),
            "{alarms:?}"
        );
    }

    #[test]
    fn a_type_that_doubles_is_seen_within_a_week_and_ends_when_it_is_usual() {
        let share = |day: usize| if day >= 100 { 0.2 } else { 0.1 };
        let alarms = WATCH.alarms(&days(200, |_| 150, share));
        let [alarm] = alarms[..] else { panic!("{alarms:?}") };
        assert_eq!(alarm.kind, Some(0));
        assert!(
            (100..107).contains(&alarm.from) && alarm.distance >= 4.5 && alarm.ratio > Some(1.3),
            "{alarm:?}"
        );
        assert!(alarm.until.is_some_and(|until| until > 110), "{alarm:?}");
    }

    #[test]
    fn an_outage_is_not_over_because_it_blinds() {
        let mut all = days(200, |_| 60, |_| 0.2);
        all[100..110].fill(DayCounts { with: vec![0, 0], ..DayCounts::default() });
        let alarms = WATCH.alarms(&all);
        let volume: Vec<_> = alarms.iter().filter(|alarm| alarm.kind.is_none()).collect();
        // While days of it are in the reference, nothing can be said.
        assert!(volume[0].from == 100 && volume[0].until.is_none_or(|until| until >= 138), "{alarms:?}");
        assert_eq!(WATCH.judges_volume(&all), 200 - 34 - 37);
    }

    #[test]
    fn days_that_differ_among_themselves_are_no_alarm() {
        // Every third day is a sale: twice the share.
        let share = |day: usize| if day.is_multiple_of(3) { 0.4 } else { 0.1 };
        assert_eq!(WATCH.alarms(&days(365, |_| 60, share)), []);
    }

    #[test]
    fn too_few_users_and_too_few_days_say_nothing() {
        assert_eq!(WATCH.alarms(&days(34, |_| 60, |day| if day > 30 { 1.0 } else { 0.0 })), []);
        let rare = DayCounts { events: 4, users: 4, with: vec![0] };
        let mut few = vec![rare; 60];
        few[59].with[0] = 4;
        assert_eq!(WATCH.alarms(&few), []);
        assert_eq!(WATCH.alarms(&[]), []);
    }
}
