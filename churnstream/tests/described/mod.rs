//! Data made to the description of a monthly batch system.

#![allow(dead_code, clippy::unwrap_used, reason = "helpers of tests, each of which uses its part")]

use backtest::LabelledRows;
use trainer::{Params, Rows};
use types::{EventTime, Millis, Offset, PartitionId, Trigger};

pub(crate) const USERS: usize = 20_000;
pub(crate) const NAMES: [&str; 6] =
    ["tenure", "price", "sessions", "watched", "sessions_before", "watched_before"];
pub(crate) const MONTH: i64 = 30 * Millis::DAY.0;

/// Numbers that look random.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (u, v) = (self.next().max(1e-300), self.next());
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }

    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.next(), 0.0);
        while product > limit {
            product *= self.next();
            count += 1.0;
        }
        count
    }
}

/// What the description leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halving {
    /// Who has left stays in the table with half the use; half of five sessions is two and a half.
    ForEver,
    /// Use is as before from the month after the one of leaving; half of five sessions is two.
    UntilLeft,
}

/// Six monthly rows of each user. The label of a row says whether the user leaves in the next month.
///
/// Users have a tenure of 1 to 23 months, sessions that are Poisson around a base that is Poisson of 5 itself, minutes that are normal
/// (sd 100) around a base of 800 (sd 200), and one of three prices. 15 % leave in month 3 to 6 and halve their use from two months before.
pub(crate) fn table(seed: u64, halving: Halving) -> (LabelledRows, Vec<u32>) {
    let mut random = Random(seed);
    let mut rows = LabelledRows { names: NAMES.map(str::to_owned).to_vec(), ..LabelledRows::default() };
    let mut left = Vec::new();
    for user in 0..USERS {
        let tenure = 1.0 + (random.next() * 23.0).floor();
        let price = [8.0, 12.0, 16.0][(random.next() * 3.0) as usize];
        let sessions = random.poisson(5.0);
        let watched = 800.0 + 200.0 * random.normal();
        let leaves = (random.next() < 0.15).then(|| 3 + (random.next() * 4.0) as i64);
        let mut before = [f32::NAN; 2];
        for month in 1..=6_i64 {
            let is_halved = leaves.is_some_and(|leaves| {
                leaves - 2 <= month && (halving == Halving::ForEver || month <= leaves)
            });
            let use_ = if is_halved { 0.5 } else { 1.0 };
            let sessions = random.poisson(sessions) * use_;
            let now = [
                if halving == Halving::ForEver { sessions } else { sessions.floor() } as f32,
                ((watched + 100.0 * random.normal()) * use_) as f32,
            ];
            rows.values.extend([(tenure as f32) + month as f32, price, now[0], now[1], before[0], before[1]]);
            rows.lost.push(leaves == Some(month + 1));
            rows.as_of.push(EventTime(month * MONTH));
            rows.tick.push(EventTime(month * MONTH));
            rows.decided_at.push(EventTime((month + 1) * MONTH));
            rows.trigger.push(Trigger::Sweep);
            rows.weight.push(1.0);
            rows.entities.push(format!("u{user}"));
            rows.partition.push(PartitionId(0));
            rows.position.push(Offset(0));
            left.push(u32::from(leaves.is_some_and(|leaves| leaves <= month)));
            before = now;
        }
    }
    (rows, left)
}

pub(crate) fn for_trainer(rows: &LabelledRows) -> Rows {
    Rows {
        names: rows.names.clone(),
        values: rows.values.clone(),
        lost: rows.lost.clone(),
        weights: Vec::new(),
        groups: rows.entities.iter().map(|name| name[1..].parse().unwrap()).collect(),
        as_of: rows.as_of.clone(),
        ..Rows::default()
    }
}

/// Fits on the months whose labels are decided when month 4 ends, and scores month 4.
pub(crate) fn scored(rows: &LabelledRows) -> (LabelledRows, Vec<f32>) {
    let past = rows.filter(|row| rows.decided_at[row].0 <= 4 * MONTH);
    let test = rows.filter(|row| rows.as_of[row].0 == 4 * MONTH);
    let fitted = trainer::fit(&for_trainer(&past), &Params::default(), |_| ()).unwrap();
    let probability = fitted.probabilities(&for_trainer(&test));
    (test, probability)
}

/// The same rows with the first features only.
pub(crate) fn with_features(rows: &LabelledRows, features: usize) -> LabelledRows {
    LabelledRows {
        names: rows.names[..features].to_vec(),
        values: rows.values.chunks(rows.names.len()).flat_map(|row| &row[..features]).copied().collect(),
        ..rows.clone()
    }
}
