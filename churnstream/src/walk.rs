//! Walk-forward: models refitted as time goes on, each judged on what came next.

use backtest::evaluate::{Judged, Slices, day, measure, number_users, part, resamples_for};
use backtest::report::{Refitted, WalkForward};
use backtest::{LabelledRows, Split, check_split};
use scorer::Manifest;
use trainer::{Params, Reference, Rows};
use types::{EventTime, Millis};
use xxhash_rust::xxh3::xxh3_64;

/// Fewer lost users in a training period teach nothing.
const LEAST_LOST: usize = 20;

/// Refits a model like a bundle's every so often, and judges each on the rows up to the next refit. A fold learns from rows whose label
/// was decided at or before its moment. Columns that give the label away are left out. `progress` is told how many folds are done, of
/// how many.
///
/// # Errors
/// If there is no fold with both outcomes to learn from, fitting fails, or the bundle was fitted in a way that is not known here.
pub fn walk_forward(
    rows: &LabelledRows,
    every: Millis,
    bundle: &Manifest,
    mut progress: impl FnMut(u64, u64),
) -> anyhow::Result<WalkForward> {
    let params = Params::of_bundle(bundle)?;
    let refitted = Refitted {
        chosen_until: params.as_ref().map(|_| bundle.training.labels_decided),
        fitting: params.as_ref().map_or_else(|| Params::default().fitting(), Params::fitting),
        calibration: params.as_ref().map(|_| bundle.calibration.kind().to_owned()),
    };
    let params = params.unwrap_or_default();
    let moments = folds(rows, every);
    anyhow::ensure!(
        !moments.is_empty(),
        "no moment has {LEAST_LOST} lost users decided before it and rows after it: the log is too short to refit every {every}"
    );
    let mut learn = rows.clone();
    learn.exclude();
    let (mut parts, mut judged_rows, mut probability) = (Vec::new(), Vec::new(), vec![0.0; rows.len()]);
    for (number, &from) in moments.iter().enumerate() {
        progress(number as u64, moments.len() as u64);
        let split = |row: usize| match rows.as_of[row] {
            at if at >= from && at < from.plus(every) => Split::Test,
            at if at < from && rows.decided_at[row] <= from => Split::Train,
            _ => Split::Embargo,
        };
        check_split(rows, split)?;
        let of = |wanted: Split| (0..rows.len()).filter(move |row| split(*row) == wanted);
        let fitted = trainer::fit(&rows_of(&learn, of(Split::Train)), &params, |_| ())?;
        let test: Vec<usize> = of(Split::Test).collect();
        let scored = fitted.probabilities(&rows_of(&learn, test.iter().copied()));
        test.iter().zip(scored).for_each(|(row, p)| probability[*row] = p);
        parts.push(part(&day(from), &test, rows, &probability, 100, 1));
        judged_rows.extend(test);
    }
    let pick = |row: &usize| rows.entities[*row].clone();
    let (user, users) = number_users(&judged_rows.iter().map(pick).collect::<Vec<_>>());
    let judged = Judged::new(
        &judged_rows.iter().map(|row| probability[*row]).collect::<Vec<_>>(),
        &judged_rows.iter().map(|row| rows.lost[*row]).collect::<Vec<_>>(),
        &judged_rows.iter().map(|row| rows.weight[*row]).collect::<Vec<_>>(),
        &user,
        users,
    );
    let metrics = measure(&judged, resamples_for(judged.len()), 1);
    Ok(WalkForward { every, refitted, folds: Slices { by: "refit".to_owned(), parts }, metrics })
}

/// The moments of refits: from the first with enough to learn from on, as long as rows follow.
fn folds(rows: &LabelledRows, every: Millis) -> Vec<EventTime> {
    let mut decided: Vec<EventTime> =
        (0..rows.len()).filter(|row| rows.lost[*row]).map(|row| rows.decided_at[row]).collect();
    decided.sort_unstable();
    let (Some(&start), Some(&last)) = (decided.get(LEAST_LOST - 1), rows.as_of.iter().max()) else {
        return Vec::new();
    };
    let has_rows = |from: &EventTime| rows.as_of.iter().any(|at| at >= from && *at < from.plus(every));
    std::iter::successors(Some(start), |from| Some(from.plus(every)))
        .take_while(|from| *from <= last)
        .filter(has_rows)
        .collect()
}

/// Some of the rows as the trainer takes them.
fn rows_of(rows: &LabelledRows, of: impl Iterator<Item = usize>) -> Rows {
    let of: Vec<usize> = of.collect();
    Rows {
        names: rows.names.clone(),
        values: of.iter().flat_map(|row| rows.row(*row)).copied().collect(),
        lost: of.iter().map(|row| rows.lost[*row]).collect(),
        weights: of.iter().map(|row| rows.weight[*row]).collect(),
        groups: of.iter().map(|row| xxh3_64(rows.entities[*row].as_bytes())).collect(),
        as_of: of.iter().map(|row| rows.as_of[*row]).collect(),
        reference: Reference::default(),
    }
}
