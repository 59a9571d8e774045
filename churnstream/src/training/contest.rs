//! A bundle against the champion that it is to replace, on the same rows.

use std::collections::BTreeMap;

use backtest::LabelledRows;
use backtest::evaluate::{Judged, compare, day, measure, number_users, resamples_for};
use scorer::{Bundle, Gain, SameRows};
use types::{EventTime, Trigger};

use super::judged::LEAST_OF_TRIGGER;

/// Seeds the draws of users.
const SEED: u64 = 1;

/// What a bundle says of rows of its spec. It sees the columns that give the label away too, if it learnt from them: so it does live.
pub(super) fn probabilities(bundle: &Bundle, rows: &LabelledRows) -> Vec<f32> {
    let mut margins = vec![0.0; rows.len()];
    bundle.predictor().margins(&rows.values, &mut margins, &mut bundle.predictor().scratch());
    margins.into_iter().map(|margin| bundle.probability(margin)).collect()
}

/// Two bundles on the rows after both had learnt their last label; why not, if they cannot be compared.
///
/// # Errors
/// If a bundle is not of these rows' spec, or too few outcomes are known after both.
pub fn of_bundles(bundle: &Bundle, champion: &Bundle, rows: &LabelledRows) -> Result<SameRows, String> {
    fits(champion, bundle.spec_hash(), &rows.names)?;
    let (ours, theirs) = (probabilities(bundle, rows), probabilities(champion, rows));
    let since = bundle.manifest().training.labels_decided.max(champion.manifest().training.labels_decided);
    let both: Vec<usize> = (0..rows.len()).filter(|row| rows.as_of[*row] >= since).collect();
    let pick = |of: &[f32]| both.iter().map(|row| of[*row]).collect::<Vec<_>>();
    on_rows(rows, &both, [&pick(&ours), &pick(&theirs)], since)
}

/// A model on its test rows, against a champion's probabilities of all rows, from the moment on at which the champion had learnt its
/// last label.
pub(super) fn of_test(
    rows: &LabelledRows,
    test: &[usize],
    ours: &[f32],
    champion: &[f32],
    champion_decided: EventTime,
) -> Result<SameRows, String> {
    let both = || (0..test.len()).filter(|at| rows.as_of[test[*at]] >= champion_decided);
    let of: Vec<usize> = both().map(|at| test[at]).collect();
    let ours: Vec<f32> = both().map(|at| ours[at]).collect();
    let theirs: Vec<f32> = of.iter().map(|row| champion[*row]).collect();
    on_rows(rows, &of, [&ours, &theirs], champion_decided)
}

/// Whether a champion scores rows of this spec.
pub(super) fn fits(champion: &Bundle, spec_hash: &str, names: &[String]) -> Result<(), String> {
    champion.check_spec(spec_hash, names).map_err(|_| "the champion scores rows of another spec".to_owned())
}

/// Both on some of the rows: all of them, those of events, and those of sweeps, where there are enough of both outcomes.
fn on_rows(
    rows: &LabelledRows,
    of: &[usize],
    [ours, theirs]: [&[f32]; 2],
    since: EventTime,
) -> Result<SameRows, String> {
    let part = |keep: &dyn Fn(Trigger) -> bool| {
        let at: Vec<usize> = (0..of.len()).filter(|at| keep(rows.trigger[of[*at]])).collect();
        gain(rows, of, &at, [ours, theirs])
    };
    let lost = of.iter().filter(|row| rows.lost[**row]).count();
    let all = part(&|_| true).ok_or_else(|| {
        format!(
            "{lost} rows of users who were lost and {} of others are known from {} on, when the last label of both was decided; \
             {LEAST_OF_TRIGGER} of each are needed",
            of.len() - lost,
            day(since)
        )
    })?;
    let parts = [
        ("_event", part(&|trigger| trigger == Trigger::Event)),
        ("_sweep", part(&|trigger| trigger == Trigger::Sweep)),
    ];
    let gains: BTreeMap<&'static str, Gain> = std::iter::once(("", all))
        .chain(parts.into_iter().filter_map(|(name, gain)| Some((name, gain?))))
        .collect();
    let (_, users) = number_users(&of.iter().map(|row| rows.entities[*row].clone()).collect::<Vec<_>>());
    let moments = || of.iter().map(|row| rows.as_of[*row]);
    let [from, to] = [moments().min(), moments().max()].map(|at| day(at.unwrap_or(since)));
    let rows = format!(
        "{} rows of {users} users ({lost} rows of those who were lost), from {from} to {to}, after both had learnt their last label",
        of.len()
    );
    Ok(SameRows { rows, gains })
}

/// How much better one is than the other on these rows; `None` with too few of an outcome.
fn gain(rows: &LabelledRows, of: &[usize], at: &[usize], scores: [&[f32]; 2]) -> Option<Gain> {
    let lost: Vec<bool> = at.iter().map(|at| rows.lost[of[*at]]).collect();
    let losses = lost.iter().filter(|lost| **lost).count();
    if (losses.min(lost.len() - losses) as u64) < LEAST_OF_TRIGGER {
        return None;
    }
    let weights: Vec<f32> = at.iter().map(|at| rows.weight[of[*at]]).collect();
    let entities: Vec<String> = at.iter().map(|at| rows.entities[of[*at]].clone()).collect();
    let (user, users) = number_users(&entities);
    let [ours, theirs] = scores.map(|scores| {
        Judged::new(&at.iter().map(|at| scores[*at]).collect::<Vec<_>>(), &lost, &weights, &user, users)
    });
    let auc = |judged: &Judged| {
        let auc = measure(judged, 0, SEED).into_iter().find(|metric| metric.name == "auc")?;
        Some(auc.estimate.value)
    };
    let estimate = compare(&ours, &theirs, &["auc"], resamples_for(at.len()), SEED).pop()?.estimate;
    Some(Gain {
        auc: auc(&ours)?,
        champion: auc(&theirs)?,
        gain: estimate.value,
        low: estimate.low,
        high: estimate.high,
    })
}
