//! The quality of past scores, now that their outcomes are known.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use backtest::Labels;
use feature_store::Spec;
use scorer::drift::expected;
use scorer::{Bundle, Schedule};
use serde::Serialize;
use types::EventTime;

use super::{date, known};

/// The quality of the scores of one tick, now that the outcomes are known.
#[derive(Serialize)]
pub(super) struct Realised {
    pub(super) as_of: EventTime,
    /// The champion that held then.
    model: String,
    pub(super) users: usize,
    pub(super) lost: usize,
    expected_auc: Option<f64>,
    pub(super) auc: Option<f64>,
    pub(super) brier: Option<f64>,
}

/// The quality tick by tick, each with the champion that held then: what was acted on, and what goes on being known when a model
/// is replaced before its outcomes are. Of each champion only the ticks from the moment on at which its last label was decided.
pub(super) fn realised(
    log: &dyn partition_log::Log,
    topic: &str,
    spec: &Arc<Spec>,
    schedule: &Schedule,
    labels: &Labels,
    progress: impl FnMut(u64),
) -> anyhow::Result<Vec<Realised>> {
    schedule.check_spec(&spec.hash().to_string(), spec.feature_names())?;
    let rows = backtest::collect(log, topic, spec, labels, progress).context("label the log's rows")?;
    let mut by_tick: BTreeMap<EventTime, Vec<usize>> = BTreeMap::new();
    (0..rows.len()).for_each(|row| by_tick.entry(rows.as_of[row]).or_default().push(row));
    by_tick.retain(|as_of, _| *as_of >= schedule.champion(*as_of).manifest().training.labels_decided);

    let (mut checked, mut realised) = (Vec::new(), Vec::new());
    for (as_of, of_tick) in by_tick {
        let bundle = schedule.champion(as_of);
        if !checked.contains(&bundle.hash()) {
            checked.push(bundle.hash());
            if let Some(doubt) = labels.check(bundle)? {
                eprintln!("mind: {doubt}");
            }
        }
        let probabilities = probabilities(bundle, of_tick.iter().map(|row| rows.row(*row)));
        let lost: Vec<bool> = of_tick.iter().map(|row| rows.lost[*row]).collect();
        realised.push(Realised {
            as_of,
            model: bundle.hash().to_owned(),
            users: lost.len(),
            lost: lost.iter().filter(|lost| **lost).count(),
            expected_auc: expected(&probabilities).map(|expected| expected.auc),
            auc: backtest::metrics::auc(&probabilities, &lost),
            brier: backtest::metrics::brier(&probabilities, &lost, &[]),
        });
    }
    Ok(realised)
}

fn probabilities<'a>(bundle: &Bundle, rows: impl Iterator<Item = &'a [f32]>) -> Vec<f32> {
    let (mut margin, mut scratch) = ([0.0], bundle.predictor().scratch());
    rows.map(|row| {
        bundle.predictor().margins(row, &mut margin, &mut scratch);
        bundle.probability(margin[0])
    })
    .collect()
}

pub(super) fn print(realised: &[Realised]) {
    if realised.is_empty() {
        println!("\nno outcome is known yet of a tick after the training of the champion that held then");
        return;
    }
    println!(
        "\n{:<20} {:>8} {:>6} {:>12} {:>12}  champion",
        "tick", "users", "lost", "expected AUC", "realised AUC"
    );
    for tick in realised {
        println!(
            "{:<20} {:>8} {:>6} {:>12} {:>12}  {}",
            date(tick.as_of),
            tick.users,
            tick.lost,
            known(tick.expected_auc),
            known(tick.auc),
            tick.model
        );
    }
}
