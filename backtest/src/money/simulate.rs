//! The simulation.

use std::collections::BTreeMap;

use feature_store::Spec;
use serde::Serialize;
use types::{EventTime, Millis};

use super::settings::MoneySettings;
use crate::evaluate::{Estimate, draw, number_users};
use crate::{BacktestError, LabelledRows, Labels};

/// What leaving costs and what a campaign would have brought. Money is in `currency` unless it says otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Money {
    /// The settings.
    pub settings: MoneySettings,
    /// The rounds' ticks.
    pub rounds: Vec<EventTime>,
    /// Users in all rounds; one who is in several counts in each.
    pub users: f64,
    /// Of these, who were lost.
    pub churners: Estimate,
    /// What they would have paid.
    pub lost_revenue: Estimate,
    /// Probability times price times the labels' horizon, summed over the users of the last round, by currency, in that currency: what
    /// is at risk at that moment. Over several rounds the same users would count again and again.
    pub at_risk: Vec<AtRisk>,
    /// The same, all in the main currency.
    pub at_risk_total: f64,
    /// The campaign as the settings plan it.
    pub planned: Campaign,
    /// The campaign with the threshold of the highest profit on these very rows.
    pub best: Campaign,
    /// Profit of a threshold chosen on one half of the users, on the other half, both ways together: what to expect of choosing.
    pub best_held_out: f64,
    /// Profit by threshold, the highest threshold first.
    pub by_threshold: Vec<ThresholdPoint>,
}

/// Revenue at risk in one currency.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AtRisk {
    /// The currency.
    pub currency: String,
    /// The sum, in it.
    pub amount: f64,
}

/// Who is contacted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Plan {
    /// The share of users in each round.
    pub share: Option<f64>,
    /// The lowest probability.
    pub threshold: Option<f64>,
}

/// What a campaign brings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Campaign {
    /// Who is contacted.
    pub plan: Plan,
    /// The lowest probability that was contacted in any round; `None` if nobody was.
    pub lowest: Option<f64>,
    /// Users contacted.
    pub contacted: Estimate,
    /// Of these, who would have left.
    pub leavers: Estimate,
    /// Of these, who stay.
    pub prevented: Estimate,
    /// What they go on paying.
    pub saved: Estimate,
    /// What it costs.
    pub cost: Estimate,
    /// Saved less cost.
    pub profit: Estimate,
}

/// A point of the profit curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ThresholdPoint {
    /// Who is at least so likely to leave is contacted.
    pub threshold: f64,
    /// The share of users that is.
    pub share: f64,
    /// Expected saved less cost.
    pub profit: f64,
}

/// A user in a round.
#[derive(Debug, Clone, Copy)]
struct Player {
    round: u32,
    user: u32,
    probability: f64,
    lost: bool,
    weight: f64,
    /// What the user pays while kept, in the main currency.
    value: f64,
}

const RESAMPLES: u32 = 300;
const SEED: u64 = 7;

/// Simulates a campaign on scored rows.
///
/// # Errors
/// If the settings name a column that the spec has not.
pub fn simulate(
    rows: &LabelledRows,
    probability: &[f32],
    spec: &Spec,
    labels: &Labels,
    settings: &MoneySettings,
) -> Result<Money, BacktestError> {
    let prices = settings.prices(&rows.names, spec)?;
    let (numbers, users) = number_users(&rows.entities);
    let rounds = rounds(&rows.tick, labels.span());
    let periods = settings.kept_for().0 as f64 / settings.period.0 as f64;
    let risk_periods = prices.periods(labels.horizon);
    let mut players = Vec::new();
    let mut at_risk: BTreeMap<&str, f64> = BTreeMap::new();
    for row in 0..rows.len() {
        let Some(round) = rounds.iter().position(|round| rows.tick[row] == *round) else { continue };
        let (price, currency) = match prices.of(rows.row(row)) {
            Some((price, currency)) => (price, prices.currencies()[currency].as_str()),
            None => (0.0, settings.currency.as_str()),
        };
        let (p, weight) = (f64::from(probability[row]), f64::from(rows.weight[row]));
        if round + 1 == rounds.len() {
            *at_risk.entry(currency).or_default() += weight * p * price * risk_periods;
        }
        players.push(Player {
            round: round as u32,
            user: numbers[row],
            probability: p,
            lost: rows.lost[row],
            weight,
            value: price * periods * settings.rate(currency),
        });
    }
    players.sort_by(|a, b| {
        a.round.cmp(&b.round).then(b.probability.total_cmp(&a.probability)).then(a.user.cmp(&b.user))
    });
    let game = Game { players: &players, settings, users };
    let planned = game.estimate(Plan { share: settings.offer.share, threshold: None });
    let everybody = vec![1.0; users];
    let by_threshold = game.curve(&everybody);
    let best = best_of(&by_threshold);
    let at_risk_total = at_risk.iter().map(|(currency, amount)| amount * settings.rate(currency)).sum();
    let sum = |of: fn(&Player) -> f64| game.resampled(|player, drawn| drawn * of(player));
    Ok(Money {
        settings: settings.clone(),
        rounds,
        users: players.iter().map(|player| player.weight).sum(),
        churners: sum(|player| if player.lost { player.weight } else { 0.0 }),
        lost_revenue: sum(|player| if player.lost { player.weight * player.value } else { 0.0 }),
        at_risk: at_risk
            .into_iter()
            .map(|(currency, amount)| AtRisk { currency: currency.to_owned(), amount })
            .collect(),
        at_risk_total,
        planned,
        best: game.estimate(Plan { share: None, threshold: Some(best.threshold) }),
        best_held_out: game.held_out(),
        by_threshold,
    })
}

/// Ticks so far apart that no label of one reaches into the next. A tick with less than a fifth of the rows of the fullest one is
/// passed over: what a campaign brings is not read off the few users of a log's beginning.
fn rounds(ticks: &[EventTime], span: Millis) -> Vec<EventTime> {
    let mut sizes: BTreeMap<EventTime, usize> = BTreeMap::new();
    ticks.iter().for_each(|tick| *sizes.entry(*tick).or_default() += 1);
    let fullest = sizes.values().max().copied().unwrap_or(0);
    let mut rounds: Vec<EventTime> = Vec::new();
    for (tick, _) in sizes.into_iter().filter(|(_, size)| 5 * size >= fullest) {
        if rounds.last().is_none_or(|last| tick.since(*last).0 >= span.0) {
            rounds.push(tick);
        }
    }
    rounds
}

fn best_of(points: &[ThresholdPoint]) -> ThresholdPoint {
    let nobody = ThresholdPoint { threshold: f64::INFINITY, share: 0.0, profit: 0.0 };
    points.iter().fold(nobody, |best, point| if point.profit > best.profit { *point } else { best })
}

struct Game<'a> {
    players: &'a [Player],
    settings: &'a MoneySettings,
    users: usize,
}

/// Sums over a campaign.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    contacted: f64,
    leavers: f64,
    prevented: f64,
    saved: f64,
    cost: f64,
    lowest: Option<f64>,
}

impl Game<'_> {
    /// Plays a campaign with every user counted as often as drawn; `kept` says how much of a leaver who is contacted stays.
    fn play(&self, plan: Plan, drawn: &[f64], kept: impl Fn(&Player) -> f64) -> Sums {
        let offer = &self.settings.offer;
        let mut sums = Sums::default();
        for round in self.players.chunk_by(|a, b| a.round == b.round) {
            let size: f64 = round.iter().map(|player| player.weight * drawn[player.user as usize]).sum();
            let most = plan.share.map_or(f64::INFINITY, |share| share * size);
            let mut room = most.min(offer.cap.map_or(f64::INFINITY, |cap| cap as f64));
            let mut budget = offer.budget.unwrap_or(f64::INFINITY);
            for player in round {
                if plan.threshold.is_some_and(|threshold| player.probability < threshold) {
                    break;
                }
                // Who leaves is not known then: the budget holds for what is expected of the probability.
                let stays = 1.0 - player.probability;
                let taken = player.probability * offer.effectiveness + stays * offer.taken_by_stayers;
                let planned = offer.contact_cost + offer.offer_cost * taken;
                let affordable = if planned > 0.0 { budget / planned } else { f64::INFINITY };
                let weight = (player.weight * drawn[player.user as usize]).min(room).min(affordable);
                if weight <= 0.0 {
                    if room <= 0.0 || affordable <= 0.0 {
                        break;
                    }
                    continue;
                }
                room -= weight;
                budget -= weight * planned;
                sums.contacted += weight;
                sums.lowest = Some(sums.lowest.map_or(player.probability, |low| low.min(player.probability)));
                let taken = if player.lost {
                    let kept = kept(player);
                    sums.leavers += weight;
                    sums.prevented += weight * kept;
                    sums.saved += weight * kept * player.value;
                    kept
                } else {
                    offer.taken_by_stayers
                };
                sums.cost += weight * (offer.contact_cost + taken * offer.offer_cost);
            }
        }
        sums
    }

    /// A campaign's figures: what is expected, and intervals over other users and other luck.
    fn estimate(&self, plan: Plan) -> Campaign {
        let effectiveness = self.settings.offer.effectiveness;
        let mut drawn = vec![1.0; self.users];
        let expected = self.play(plan, &drawn, |_| effectiveness);
        let mut samples = Vec::with_capacity(RESAMPLES as usize);
        let mut luck = vec![0.0; self.users];
        for resample in 0..RESAMPLES {
            draw(&mut drawn, SEED, resample);
            chance(&mut luck, resample);
            let kept = |player: &Player| f64::from(u8::from(luck[player.user as usize] < effectiveness));
            samples.push(self.play(plan, &drawn, kept));
        }
        let of = |figure: fn(&Sums) -> f64| {
            Estimate::of(figure(&expected), &mut samples.iter().map(figure).collect())
        };
        Campaign {
            plan,
            lowest: expected.lowest,
            contacted: of(|sums| sums.contacted),
            leavers: of(|sums| sums.leavers),
            prevented: of(|sums| sums.prevented),
            saved: of(|sums| sums.saved),
            cost: of(|sums| sums.cost),
            profit: of(|sums| sums.saved - sums.cost),
        }
    }

    fn resampled(&self, of: impl Fn(&Player, f64) -> f64) -> Estimate {
        let mut drawn = vec![1.0; self.users];
        let sum = |drawn: &[f64]| -> f64 {
            self.players.iter().map(|player| of(player, drawn[player.user as usize])).sum()
        };
        let value = sum(&drawn);
        let mut samples = Vec::with_capacity(RESAMPLES as usize);
        for resample in 0..RESAMPLES {
            draw(&mut drawn, SEED, resample);
            samples.push(sum(&drawn));
        }
        Estimate::of(value, &mut samples)
    }

    /// Expected profit by threshold, at a hundred places between the highest and the lowest probability by rank.
    fn curve(&self, drawn: &[f64]) -> Vec<ThresholdPoint> {
        let mut probabilities: Vec<f64> = self.players.iter().map(|player| player.probability).collect();
        probabilities.sort_unstable_by(|a, b| b.total_cmp(a));
        // Fine at the top, where campaigns are.
        let ranks = (1..=100).map(|step| (f64::from(step) / 100.0).powi(2));
        let mut thresholds: Vec<f64> = ranks
            .filter_map(|rank| {
                probabilities.get(((rank * probabilities.len() as f64) as usize).saturating_sub(1))
            })
            .copied()
            .collect();
        thresholds.dedup();
        let all: f64 = self.players.iter().map(|p| p.weight * drawn[p.user as usize]).sum();
        let effectiveness = self.settings.offer.effectiveness;
        let point = |threshold: f64| {
            let plan = Plan { share: None, threshold: Some(threshold) };
            let sums = self.play(plan, drawn, |_| effectiveness);
            ThresholdPoint { threshold, share: sums.contacted / all, profit: sums.saved - sums.cost }
        };
        thresholds.into_iter().map(point).collect()
    }

    /// Profit of the best threshold of each half of the users on the other half; each half stands for all users, with their
    /// budget and their cap.
    fn held_out(&self) -> f64 {
        let half = |odd: u32| -> Vec<f64> {
            (0..self.users as u32).map(|user| 2.0 * f64::from(u8::from(user % 2 == odd))).collect()
        };
        let effectiveness = self.settings.offer.effectiveness;
        let profit = |chosen: u32| {
            let best = best_of(&self.curve(&half(chosen)));
            let plan = Plan { share: None, threshold: Some(best.threshold) };
            let sums = self.play(plan, &half(1 - chosen), |_| effectiveness);
            sums.saved - sums.cost
        };
        (profit(0) + profit(1)) / 2.0
    }
}

/// A number from 0 up to 1 for each user and resample.
fn chance(luck: &mut [f64], resample: u32) {
    use xxhash_rust::xxh3::xxh3_64_with_seed;
    for (user, luck) in luck.iter_mut().enumerate() {
        let hash = xxh3_64_with_seed(&(user as u64).to_le_bytes(), u64::from(resample));
        *luck = (hash >> 11) as f64 / (1_u64 << 53) as f64;
    }
}
