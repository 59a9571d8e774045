//! The true probability of leaving, given the hidden state: forward recursion over the chain.

use super::model::{BILLING_DAYS, MOODS, Model, Mood, PLANS, Plan};

/// P(cancel within the next days | mood, plan, day of the billing period, alive), for one number of days.
///
/// With V_k for k days ahead, T the moods' transition, C the plans' and h the hazard:
///
/// V_0 = 0,  V_k(mood, plan, day) = sum over mood' of T(mood' | mood, day + 1) times the sum over plan' of
/// C(plan' | mood', plan) (h(mood', plan') + (1 - h(mood', plan')) V_{k-1}(mood', plan', day + 1)).
///
/// Base activity and what is owed do not enter: what they decide shows, but changes no mood.
#[derive(Debug, Clone)]
pub struct Forecast {
    /// By day of the billing period, plan, mood.
    table: Vec<[[f64; MOODS]; PLANS]>,
}

impl Forecast {
    /// Works out the table for the next `days` days. O(days).
    #[must_use]
    pub fn new(model: &Model, days: u32) -> Self {
        let mut table = vec![[[0.0; MOODS]; PLANS]; BILLING_DAYS as usize];
        for _ in 0..days {
            table = (0..BILLING_DAYS).map(|day| one_day_more(model, day, &table)).collect();
        }
        Self { table }
    }

    /// The probability for a user who, at the end of a day, is alive in this mood, on this plan, `billing_day` days (below
    /// [`BILLING_DAYS`]) after the last renewal fell due or the sign-up.
    #[must_use]
    pub fn probability(&self, mood: Mood, plan: Plan, billing_day: u32) -> f64 {
        self.table[(billing_day % BILLING_DAYS) as usize][plan as usize][mood as usize]
    }
}

fn one_day_more(model: &Model, day: u32, before: &[[[f64; MOODS]; PLANS]]) -> [[f64; MOODS]; PLANS] {
    let tomorrow = (day + 1) % BILLING_DAYS;
    let rest = &before[tomorrow as usize];
    let mut out = [[0.0; MOODS]; PLANS];
    for plan in Plan::ALL {
        // What tomorrow brings, by tomorrow's mood.
        let by_mood = Mood::ALL.map(|mood| {
            let plans = model.plan_change(mood, plan);
            let leaves = |after: Plan| {
                let hazard = model.hazard(mood, after);
                plans[after as usize] * (hazard + (1.0 - hazard) * rest[after as usize][mood as usize])
            };
            Plan::ALL.into_iter().map(leaves).sum::<f64>()
        });
        for mood in Mood::ALL {
            let row = model.transition(tomorrow == 0, mood);
            out[plan as usize][mood as usize] = row.iter().zip(by_mood).map(|(p, leaves)| p * leaves).sum();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same by following every path of moods and plans.
    fn enumerate(model: &Model, mood: Mood, plan: Plan, billing_day: u32, days: u32) -> f64 {
        if days == 0 {
            return 0.0;
        }
        let tomorrow = (billing_day + 1) % BILLING_DAYS;
        let mut sum = 0.0;
        for next in Mood::ALL {
            let to_mood = model.transition(tomorrow == 0, mood)[next as usize];
            if to_mood == 0.0 {
                continue;
            }
            for after in Plan::ALL {
                let to_plan = model.plan_change(next, plan)[after as usize];
                let hazard = model.hazard(next, after);
                let later = enumerate(model, next, after, tomorrow, days - 1);
                sum += to_mood * to_plan * (hazard + (1.0 - hazard) * later);
            }
        }
        sum
    }

    #[test]
    fn the_recursion_equals_the_sum_over_all_paths() {
        let model = Model::new();
        let forecast = Forecast::new(&model, 4);
        for mood in Mood::ALL {
            for (plan, billing_day) in [(Plan::Ads, 27), (Plan::Premium, 29), (Plan::Standard, 3)] {
                let brute = enumerate(&model, mood, plan, billing_day, 4);
                let fast = forecast.probability(mood, plan, billing_day);
                assert!((brute - fast).abs() < 1e-14, "{mood:?} {plan:?} {billing_day}: {brute} {fast}");
            }
        }
    }

    #[test]
    fn moods_are_ordered_by_risk() {
        let forecast = Forecast::new(&Model::new(), 30);
        let p = |mood| forecast.probability(mood, Plan::Standard, 10);
        assert!(p(Mood::Engaged) < p(Mood::Casual) && p(Mood::Casual) < p(Mood::Drifting));
        assert!(p(Mood::Drifting) < p(Mood::AtRisk));
        assert!(p(Mood::PaymentTrouble) > p(Mood::Casual));
        assert!(Mood::ALL.into_iter().all(|m| p(m) > 0.0 && p(m) < 1.0));
    }
}
