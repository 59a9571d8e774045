//! Two models on the same users: a challenger's scores in the shadow against the champion's, now that outcomes are known.

use std::collections::BTreeMap;

use partition_log::{Log, RecordBuf};
use scorer::drift::Interval;
use serde::Serialize;
use types::{EventTime, PartitionId, Score, Trigger};

use crate::{BacktestError, LabelledRows};

/// Draws for an interval.
const DRAWS: usize = 400;

/// A challenger against the champion in whose shadow it scored, on the rows that both scored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The champion's bundle.
    pub champion: String,
    /// The challenger's bundle.
    pub challenger: String,
    /// Rows that both scored at sweeps and whose outcome is known.
    pub rows: usize,
    /// Of so many users.
    pub users: usize,
    /// Rows of users who were lost.
    pub lost: usize,
    /// The champion's quality.
    pub of_champion: Measured,
    /// The challenger's.
    pub of_challenger: Measured,
    /// How much more AUC the challenger has, with a 95 % interval from a paired bootstrap over users; `None` if only one outcome
    /// occurs.
    pub auc_gain: Option<(f64, Interval)>,
}

/// The quality of one model's probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Measured {
    /// Area under the ROC curve; `None` if only one outcome occurs.
    pub auc: Option<f64>,
    /// Mean squared error of the probabilities.
    pub brier: f64,
}

/// Reads the scores of a log and compares, for each pair of champion and challenger, those of the labelled rows from the moment on at
/// which the last label of both was decided. `decided` says when that was for a bundle, by its hash; of a bundle that it does not
/// know, nothing is compared. Memory: the labelled rows and their scores.
///
/// # Errors
/// If the log cannot be read, or a score is not one.
pub fn compare(
    log: &dyn Log,
    labelled: &LabelledRows,
    decided: impl Fn(&str) -> Option<EventTime>,
) -> Result<Vec<Comparison>, BacktestError> {
    let mut rows = Rows::new();
    for ((entity, as_of), &lost) in labelled.entities.iter().zip(&labelled.as_of).zip(&labelled.lost) {
        let row = Row { lost, champion: None, challenger: None };
        rows.entry(entity).or_default().insert(*as_of, row);
    }
    read(log, consumer::SCORES, &mut rows, |row, score| row.champion = Some(score))?;
    read(log, consumer::SHADOW_SCORES, &mut rows, |row, score| row.challenger = Some(score))?;

    let mut pairs: BTreeMap<(String, String), Vec<Paired<'_>>> = BTreeMap::new();
    for (entity, as_of, row) in
        rows.into_iter().flat_map(|(entity, rows)| rows.into_iter().map(move |(at, row)| (entity, at, row)))
    {
        if let (Some((champion, first)), Some((challenger, second))) = (row.champion, row.challenger) {
            // Neither may have learnt from the outcome, or from one that was known with it.
            let since = decided(&champion).zip(decided(&challenger)).map(|(a, b)| a.max(b));
            if since.is_none_or(|since| as_of < since) {
                continue;
            }
            let paired = Paired { entity, lost: row.lost, probabilities: [first, second] };
            pairs.entry((champion, challenger)).or_default().push(paired);
        }
    }
    let compare = |((champion, challenger), rows): ((String, String), Vec<Paired<'_>>)| {
        compared(champion, challenger, &rows)
    };
    Ok(pairs.into_iter().map(compare).collect())
}

/// By user and moment.
type Rows<'a> = BTreeMap<&'a str, BTreeMap<EventTime, Row>>;

struct Row {
    lost: bool,
    champion: Option<(String, f32)>,
    challenger: Option<(String, f32)>,
}

struct Paired<'a> {
    entity: &'a str,
    lost: bool,
    probabilities: [f32; 2],
}

/// Gives the rows the model and probability of a topic's scores.
fn read(
    log: &dyn Log,
    topic: &str,
    rows: &mut Rows<'_>,
    mut take: impl FnMut(&mut Row, (String, f32)),
) -> Result<(), BacktestError> {
    let Some(config) = log.topic(topic)? else { return Ok(()) };
    let mut records = RecordBuf::default();
    for partition in (0..config.partitions).map(PartitionId) {
        let start = log.bounds(topic, partition)?.start;
        let mut reader = log.reader(topic, partition, start)?;
        loop {
            records.clear();
            if reader.read(&mut records, 1 << 20)? == 0 {
                break;
            }
            for record in records.iter() {
                // Scores of others are nobody's business here, and neither are records that are none.
                let Ok(score) = Score::decode(record.value) else { continue };
                if score.trigger == Trigger::Sweep
                    && let Some(row) =
                        rows.get_mut(score.entity.as_str()).and_then(|rows| rows.get_mut(&score.as_of))
                {
                    take(row, (score.model, score.probability));
                }
            }
        }
    }
    Ok(())
}

fn compared(champion: String, challenger: String, rows: &[Paired<'_>]) -> Comparison {
    let mut users = 0;
    let mut user_of = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        users += usize::from(at == 0 || rows[at - 1].entity != row.entity);
        user_of.push(users - 1);
    }
    let sorted = [0, 1].map(|model| {
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| rows[a].probabilities[model].total_cmp(&rows[b].probabilities[model]));
        order
    });
    let auc = |model: usize, weights: &[u32]| auc(rows, &sorted[model], model, &user_of, weights);
    let all = vec![1; users];
    let scored = |model: usize| {
        let squares = rows.iter().map(|row| {
            let error = f64::from(row.probabilities[model]) - f64::from(u8::from(row.lost));
            error * error
        });
        Measured { auc: auc(model, &all), brier: squares.sum::<f64>() / rows.len() as f64 }
    };
    let (of_champion, of_challenger) = (scored(0), scored(1));
    let auc_gain = of_champion.auc.zip(of_challenger.auc).map(|(before, after)| {
        let mut numbers = Numbers(20_261_125);
        let mut gains: Vec<f64> = (0..DRAWS)
            .filter_map(|_| {
                let mut weights = vec![0; users];
                (0..users).for_each(|_| weights[numbers.below(users)] += 1);
                Some(auc(1, &weights)? - auc(0, &weights)?)
            })
            .collect();
        gains.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            gains
                .get((gains.len().saturating_sub(1) as f64 * share).round() as usize)
                .copied()
                .unwrap_or(f64::NAN)
        };
        (after - before, Interval { low: at(0.025), high: at(0.975) })
    });
    Comparison {
        champion,
        challenger,
        rows: rows.len(),
        users,
        lost: rows.iter().filter(|row| row.lost).count(),
        of_champion,
        of_challenger,
        auc_gain,
    }
}

/// The AUC where each user counts so many times; O(rows).
fn auc(
    rows: &[Paired<'_>],
    order: &[usize],
    model: usize,
    user_of: &[usize],
    weights: &[u32],
) -> Option<f64> {
    let (mut right, mut lost, mut kept) = (0.0, 0.0, 0.0);
    let same = |&a: &usize, &b: &usize| rows[a].probabilities[model] == rows[b].probabilities[model];
    for ties in order.chunk_by(same) {
        let (mut lost_here, mut kept_here) = (0.0, 0.0);
        for &row in ties {
            let weight = f64::from(weights[user_of[row]]);
            if rows[row].lost { lost_here += weight } else { kept_here += weight }
        }
        right += lost_here * (kept + kept_here / 2.0);
        lost += lost_here;
        kept += kept_here;
    }
    (lost > 0.0 && kept > 0.0).then(|| right / (lost * kept))
}

/// Numbers that look random (SplitMix64), the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((u128::from(z ^ (z >> 31)) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_better_challenger_gains_and_an_equal_one_does_not() {
        let names: Vec<String> = (0..400).map(|user| format!("u{user:03}")).collect();
        let mut numbers = Numbers(3);
        let mut rows = Vec::new();
        for name in &names {
            let lost = numbers.below(5) == 0;
            for _ in 0..3 {
                let mut noisy = |spread: usize| {
                    (numbers.below(spread) as f32 + if lost { 40.0 } else { 0.0 }) / (spread as f32 + 40.0)
                };
                rows.push(Paired { entity: name, lost, probabilities: [noisy(200), noisy(60)] });
            }
        }
        let better = compared("a".into(), "b".into(), &rows);
        assert_eq!((better.rows, better.users), (1_200, 400));
        let (gain, interval) = better.auc_gain.unwrap();
        assert!(interval.low > 0.0 && interval.low < gain && gain < interval.high, "{better:?}");
        rows.iter_mut().for_each(|row| row.probabilities[1] = row.probabilities[0]);
        let same = compared("a".into(), "a".into(), &rows);
        assert_eq!(same.auc_gain, Some((0.0, Interval { low: 0.0, high: 0.0 })));
        assert_eq!(same.of_champion, same.of_challenger);
    }
}
