//! A model watched on a log: whether the users of a tick are still those of its training, and what quality to expect.

use std::collections::BTreeMap;
use std::sync::Arc;

use feature_store::Spec;
use partition_log::Log;
use scorer::drift::{Counts, Drift, Expected, Verdict, expected};
use scorer::{Baseline, Bundle};
use serde::Serialize;
use types::EventTime;

use crate::{BacktestError, sweeps};

/// The users of a tick against a model's training.
#[derive(Debug, Clone, Serialize)]
pub struct Watched {
    /// The tick.
    pub as_of: EventTime,
    /// How many users lived then.
    pub users: u64,
    /// Every feature that the bundle has a baseline of, in its order, and the scores.
    pub features: Vec<Feature>,
    /// What the probabilities say of themselves; `None` if nothing can be expected of them.
    pub expected: Option<Expected>,
}

/// How far a feature has moved.
#[derive(Debug, Clone, Serialize)]
pub struct Feature {
    /// Its name; [`Baseline::SCORE`] are the probabilities.
    pub name: String,
    /// How far; `None` if there are too few users to say.
    pub drift: Option<Drift>,
    /// What that means; `None` likewise.
    pub verdict: Option<Verdict>,
    /// Whether it moves as the log grows, whatever the users do ([`Baseline::ageing`]): then it decides nothing.
    pub ageing: bool,
}

impl Watched {
    /// The features and scores that tell whether users are others than in training.
    pub fn deciding(&self) -> impl Iterator<Item = &Feature> {
        self.features.iter().filter(|feature| !feature.ageing)
    }

    /// How many of them have a verdict.
    #[must_use]
    pub fn count(&self, verdict: Option<Verdict>) -> usize {
        self.deciding().filter(|feature| feature.verdict == verdict).count()
    }

    /// Whether there are too few users to say anything.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.deciding().all(|feature| feature.verdict.is_none())
    }
}

/// Which ticks to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticks {
    /// The last one before a moment.
    LastBefore(EventTime),
    /// All from a moment on and before another.
    Between(EventTime, EventTime),
}

/// What is counted of a tick.
struct Counted {
    counts: Vec<Counts>,
    probabilities: Vec<f32>,
}

/// Replays a topic and compares the living users of ticks with the training of a bundle, the earliest tick first. Users count
/// once a tick, so that each tick's numbers are of independent users. Memory: the users' state of one partition, and for each
/// tick looked at a number a user. `progress` is told the number of records read.
///
/// # Errors
/// If there is no such topic, or the log cannot be read.
pub fn watch(
    log: &dyn Log,
    topic: &str,
    spec: &Arc<Spec>,
    bundle: &Bundle,
    ticks: Ticks,
    progress: impl FnMut(u64),
) -> Result<Vec<Watched>, BacktestError> {
    let baselines = &bundle.manifest().baselines;
    // Where a row holds what a baseline is of.
    let column = |baseline: &Baseline| spec.feature_names().iter().position(|name| *name == baseline.feature);
    let columns: Vec<_> = baselines.iter().map(column).collect();
    let period = match ticks {
        Ticks::LastBefore(end) => (EventTime::MIN, end),
        Ticks::Between(from, to) => (from, to),
    };
    let mut by_tick: BTreeMap<EventTime, Counted> = BTreeMap::new();
    let (mut scratch, mut margin) = (bundle.predictor().scratch(), [0.0]);
    let one_tick = matches!(ticks, Ticks::LastBefore(_));
    let row = |row: consumer::pipeline::Row<'_>| {
        if one_tick && by_tick.last_key_value().is_some_and(|(newest, _)| *newest > row.as_of) {
            return;
        }
        if one_tick && !by_tick.contains_key(&row.as_of) {
            by_tick.clear();
        }
        bundle.predictor().margins(row.features, &mut margin, &mut scratch);
        let probability = bundle.probability(margin[0]);
        let counted = by_tick.entry(row.as_of).or_insert_with(|| Counted {
            counts: baselines.iter().map(Counts::new).collect(),
            probabilities: Vec::new(),
        });
        counted.probabilities.push(probability);
        for ((baseline, counts), column) in baselines.iter().zip(&mut counted.counts).zip(&columns) {
            counts.add(baseline, column.map_or(probability, |column| row.features[column]));
        }
    };
    sweeps(log, topic, spec, period, row, progress)?;
    let watched = |(as_of, Counted { counts, probabilities }): (EventTime, Counted)| Watched {
        as_of,
        users: probabilities.len() as u64,
        features: baselines
            .iter()
            .zip(counts)
            .map(|(baseline, counts)| {
                let drift = counts.drift(baseline).ok();
                let verdict = drift.as_ref().map(Drift::verdict);
                Feature { name: baseline.feature.clone(), verdict, drift, ageing: baseline.ageing }
            })
            .collect(),
        expected: expected(&probabilities),
    };
    Ok(by_tick.into_iter().map(watched).collect())
}
