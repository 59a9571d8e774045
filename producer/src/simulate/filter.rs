//! What an observer of the events could know at best: a Bayes filter over the hidden chain.
//!
//! The observer knows the model, and of a user every event of the days so far (late ones included), but neither mood nor
//! base activity. No rule computed from the same events can order users better.

use super::forecast::Forecast;
use super::model::{
    ACTIVITIES, ACTIVITY_SHARE, Calendar, FIRST_MOOD, MOODS, Model, Mood, PLAN_SHARE, Plan, RETURN_MOOD,
    Shown,
};

/// The observer's probabilities of a user's base activity and mood, given all days so far. They sum to one.
#[derive(Debug, Clone, PartialEq)]
pub struct Belief([[f64; MOODS]; ACTIVITIES]);

impl Belief {
    /// Before the first day of a user who signs up for a plan, and on a day of return (`before` is what was believed when
    /// the user left: the base activity is still the same).
    #[must_use]
    pub fn at_start(plan: Plan, before: Option<&Self>) -> Self {
        let first = if before.is_some() { RETURN_MOOD } else { FIRST_MOOD };
        let mut belief = Self(std::array::from_fn(|activity| {
            let weight = match before {
                Some(before) => before.0[activity].iter().sum(),
                None => ACTIVITY_SHARE[activity] * PLAN_SHARE[activity][plan as usize],
            };
            first.map(|p| p * weight)
        }));
        belief.normalise();
        belief
    }

    /// A night passes: the mood may change.
    pub fn predict(&mut self, model: &Model, falls_due: bool) {
        for moods in &mut self.0 {
            let mut next = [0.0; MOODS];
            for from in Mood::ALL {
                let p = moods[from as usize];
                for (to, t) in next.iter_mut().zip(model.transition(falls_due, from)) {
                    *to += p * t;
                }
            }
            *moods = next;
        }
    }

    /// A day is seen.
    pub fn update(&mut self, model: &Model, day: Calendar, shown: &Shown) {
        for mood in Mood::ALL {
            let likelihood = model.likelihood_given_sessions(mood, day, shown);
            for (activity, moods) in self.0.iter_mut().enumerate() {
                moods[mood as usize] *=
                    likelihood * model.sessions(activity, mood, day.weekday).probability(shown.sessions);
            }
        }
        self.normalise();
    }

    /// The probability of leaving that the forecast gives, averaged over what is believed.
    #[must_use]
    pub fn probability(&self, forecast: &Forecast, plan: Plan, billing_day: u32) -> f64 {
        let of_mood = |m: Mood| self.0.iter().map(|moods| moods[m as usize]).sum::<f64>();
        Mood::ALL.into_iter().map(|m| of_mood(m) * forecast.probability(m, plan, billing_day)).sum()
    }

    fn normalise(&mut self) {
        let sum: f64 = self.0.iter().flatten().sum();
        if sum > 0.0 {
            self.0.iter_mut().flatten().for_each(|p| *p /= sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::draws::Seeded;
    use super::super::user::{Traits, User};
    use super::*;

    struct Seen {
        day: Calendar,
        shown: Shown,
    }

    /// P(activity, mood on the last day | everything seen) by summing over every path of moods.
    fn enumerate(model: &Model, plan: Plan, seen: &[Seen]) -> [[f64; MOODS]; ACTIVITIES] {
        let mut sums = [[0.0; MOODS]; ACTIVITIES];
        let paths = MOODS.pow(seen.len() as u32);
        for activity in 0..ACTIVITIES {
            for path in 0..paths {
                let mood = |i: usize| Mood::ALL[path / MOODS.pow(i as u32) % MOODS];
                let mut p = ACTIVITY_SHARE[activity]
                    * PLAN_SHARE[activity][plan as usize]
                    * FIRST_MOOD[mood(0) as usize];
                for (i, Seen { day, shown }) in seen.iter().enumerate() {
                    if i > 0 {
                        p *= model.transition(day.falls_due, mood(i - 1))[mood(i) as usize];
                    }
                    p *= model.sessions(activity, mood(i), day.weekday).probability(shown.sessions);
                    p *= model.likelihood_given_sessions(mood(i), *day, shown);
                }
                sums[activity][mood(seen.len() - 1) as usize] += p;
            }
        }
        let total: f64 = sums.iter().flatten().sum();
        sums.map(|row| row.map(|p| p / total))
    }

    /// The filter equals the sum over all paths, for days that the simulator itself made; to see renewals within a few days,
    /// the days handed to the model are near the end of the billing period.
    #[test]
    fn the_filter_equals_the_sum_over_all_paths() {
        let model = Model::new();
        let seeded = Seeded::new(11);
        let mut with_payment_trouble = 0;
        for id in 0..60 {
            let mut traits = Traits::draw(&seeded, id);
            traits.join_day = 0;
            let mut user = User::new(&traits);
            let mut seen = Vec::new();
            let mut belief: Option<Belief> = None;
            for day in [0, 27, 28, 29, 30, 31] {
                let Some(lived) = user.live(&model, &traits, &mut seeded.day(id, day), day, 2) else { break };
                if let Some(belief) = &mut belief {
                    belief.predict(&model, lived.calendar.falls_due);
                }
                let belief = belief.get_or_insert_with(|| Belief::at_start(lived.shown.plan, None));
                belief.update(&model, lived.calendar, &lived.shown);
                seen.push(Seen { day: lived.calendar, shown: lived.shown });
                with_payment_trouble += usize::from(lived.mood == Mood::PaymentTrouble);
                let brute = enumerate(&model, seen[0].shown.plan, &seen);
                for (a, b) in belief.0.iter().flatten().zip(brute.iter().flatten()) {
                    assert!((a - b).abs() < 1e-12, "user {id}, day {day}: {belief:?} {brute:?}");
                }
            }
        }
        assert!(with_payment_trouble > 0, "the test should see a failed payment");
    }

    #[test]
    fn who_returns_keeps_the_base_activity() {
        let before = Belief([[0.1, 0.0, 0.1, 0.0, 0.0], [0.0; MOODS], [0.3, 0.5, 0.0, 0.0, 0.0]]);
        let after = Belief::at_start(Plan::Ads, Some(&before));
        let share = |b: &Belief, a: usize| b.0[a].iter().sum::<f64>();
        for activity in 0..ACTIVITIES {
            assert!((share(&before, activity) - share(&after, activity)).abs() < 1e-15);
        }
        assert!((after.0[2][1] - 0.8 * RETURN_MOOD[1]).abs() < 1e-15);
    }
}
