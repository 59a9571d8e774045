//! Effects over many rows: which features matter (a bar chart) and which way (a beeswarm).

use serde::Serialize;

use super::Signals;
use crate::Shap;

/// What the features of a model do to the margins of some rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EffectSummary {
    /// The average margin of the training rows, in log-odds: what effects are counted from.
    pub bias: f32,
    /// Over how many rows.
    pub rows: usize,
    /// Every feature, the one with the largest mean effect first; equal ones in the model's order.
    pub features: Vec<Bar>,
    /// Every signal likewise: the effects of its features are added up in each row first.
    pub signals: Vec<Bar>,
    /// For the first of `features`: the effect in single rows.
    pub swarms: Vec<Swarm>,
}

/// How much a feature or signal matters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// Which.
    pub name: String,
    /// The mean of the effect's size, in log-odds: the length of its bar.
    pub mean_size: f64,
    /// The mean effect, with its sign.
    pub mean: f64,
}

/// A feature's effects in rows, to be drawn as points: the effect along the axis, coloured by the value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Swarm {
    /// The feature.
    pub feature: String,
    /// By row of the sample: the effect, in log-odds.
    pub effects: Vec<f32>,
    /// By row of the sample: the value; `None` where there is none.
    pub values: Vec<Option<f32>>,
}

impl EffectSummary {
    /// Explains rows (one after the other, NaN where a value is missing) and sums up.
    ///
    /// `swarms` features get points, from at most `points` rows, evenly spread. O(rows * nodes * depth / 8).
    ///
    /// # Panics
    /// If `rows` are not whole rows of the model's features.
    #[must_use]
    pub fn of(shap: &Shap, signals: &Signals, rows: &[f32], swarms: usize, points: usize) -> Self {
        const BLOCK: usize = 1024;
        let (width, mut shap) = (signals.names.len(), shap.clone());
        let count = rows.len().checked_div(width).unwrap_or(0);
        let every = count.div_ceil(points.max(1)).max(1);
        let mut features = vec![(0.0, 0.0); width];
        let mut by_signal = vec![(0.0, 0.0); signals.signal_names.len()];
        let mut together = vec![0.0; by_signal.len()];
        let (mut effects, mut sampled) = (Vec::new(), Vec::new());
        let mut number = 0;
        for block in rows.chunks((BLOCK * width).max(1)) {
            effects.resize(block.len(), 0.0);
            shap.explain_batch(block, &mut effects);
            for effects in effects.chunks_exact(width) {
                together.fill(0.0);
                for ((sums, &effect), &signal) in features.iter_mut().zip(effects).zip(&signals.signal) {
                    add(sums, f64::from(effect));
                    together[signal] += f64::from(effect);
                }
                by_signal.iter_mut().zip(&together).for_each(|(sums, effect)| add(sums, *effect));
                if number % every == 0 {
                    sampled.push((number, effects.to_vec()));
                }
                number += 1;
            }
        }
        let order = order(&features);
        let swarm = |&feature: &usize| Swarm {
            feature: signals.names[feature].clone(),
            effects: sampled.iter().map(|(_, effects)| effects[feature]).collect(),
            values: sampled
                .iter()
                .map(|(row, _)| Some(rows[row * width + feature]).filter(|value| value.is_finite()))
                .collect(),
        };
        Self {
            bias: shap.bias(),
            rows: count,
            swarms: order.iter().take(swarms).map(swarm).collect(),
            features: bars(&signals.names, &features, count),
            signals: bars(&signals.signal_names, &by_signal, count),
        }
    }
}

/// Adds an effect to the sums of sizes and of effects.
fn add(sums: &mut (f64, f64), effect: f64) {
    sums.0 += effect.abs();
    sums.1 += effect;
}

fn order(sums: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<_> = (0..sums.len()).collect();
    order.sort_by(|&a, &b| sums[b].0.total_cmp(&sums[a].0));
    order
}

fn bars(names: &[String], sums: &[(f64, f64)], rows: usize) -> Vec<Bar> {
    let rows = rows.max(1) as f64;
    let bar =
        |at: usize| Bar { name: names[at].clone(), mean_size: sums[at].0 / rows, mean: sums[at].1 / rows };
    order(sums).into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Model, bundle};

    #[test]
    fn effects_are_summed_up_by_feature_and_signal() {
        // One split on `b`, a quarter of the training rows left of it: -1 there, 2 on the other side.
        let model = Model::from_json(bundle::tests::model_json(2.0).as_bytes()).unwrap();
        let names: Vec<_> = ["plays_count_7d", "plays_sum_7d"].map(str::to_owned).to_vec();
        let rows = [9.0, 0.0, 9.0, 1.0, f32::NAN, 1.0, 9.0, f32::NAN];
        let summary = EffectSummary::of(&Shap::new(&model), &Signals::new(&names, &[]), &rows, 1, 2);
        assert_eq!((summary.rows, summary.bias), (4, 1.25));
        // Missing goes left: -2.25 twice, 0.75 twice.
        let bar = |name: &str, mean_size, mean| Bar { name: name.to_owned(), mean_size, mean };
        assert_eq!(summary.features, [bar("plays_sum_7d", 1.5, -0.75), bar("plays_count_7d", 0.0, 0.0)]);
        assert_eq!(summary.signals, [bar("plays", 1.5, -0.75)]);
        let swarm = Swarm {
            feature: "plays_sum_7d".to_owned(),
            effects: vec![-2.25, 0.75],
            values: vec![Some(0.0), Some(1.0)],
        };
        assert_eq!(summary.swarms, [swarm]);
    }

    #[test]
    fn no_rows_have_no_effects() {
        let model = Model::from_json(bundle::tests::model_json(2.0).as_bytes()).unwrap();
        let names: Vec<_> = ["a", "b"].map(str::to_owned).to_vec();
        let summary = EffectSummary::of(&Shap::new(&model), &Signals::new(&names, &[]), &[], 2, 2);
        assert_eq!((summary.rows, summary.features.len(), summary.features[0].mean_size), (0, 2, 0.0));
    }
}
