//! From rows to a model.

use std::ops::Range;

use scorer::{Baseline, Calibration, Model, Predictor};
use types::EventTime;

use crate::baseline::{baselines, worth};
use crate::boost::{Round, boost, mean_loss};
use crate::calibrate::choose;
use crate::params::half_of;
use crate::{Algorithm, Params, Rows, TrainError, linear};

/// A fitted model, not yet judged.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The kind of model.
    pub algorithm: Algorithm,
    /// What it was fitted with.
    pub params: Params,
    /// The model in XGBoost's JSON, as it goes into a bundle.
    pub json: Vec<u8>,
    /// The same model, loaded for scoring.
    pub model: Model,
    /// How its margins become probabilities; the identity if nobody was held out.
    pub calibration: Calibration,
    /// Trees in it.
    pub trees: u32,
    /// The share of lost users among all rows, by weight.
    pub loss_rate: f64,
    /// All rows; the model was fitted on each of them.
    pub rows: usize,
    /// The earliest and the latest moment of any row.
    pub window: (EventTime, EventTime),
    /// How the features were distributed.
    pub baselines: Vec<Baseline>,
    /// What models that had not seen them said of the users held out; `None` if nobody was.
    pub held_out: Option<HeldOut>,
    /// The model's own margins of the reference rows, and how many users those are worth.
    pub reference: (Vec<f32>, u64),
}

/// Users held out, each part by a model that has not seen them. In the order of the parts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HeldOut {
    /// The margins (log-odds), a row each.
    pub margins: Vec<f32>,
    /// The outcomes.
    pub lost: Vec<bool>,
    /// The weights.
    pub weights: Vec<f32>,
    /// The hashes of the rows' users.
    pub groups: Vec<u64>,
}

/// A model without what surrounds it.
struct Learned {
    json: Vec<u8>,
    trees: u32,
    /// What a later fit on more rows takes over: rounds, or the place of a penalty.
    size: u32,
}

/// What the parts held out say together.
pub(crate) struct Trial {
    pub(crate) held_out: HeldOut,
    /// The mean loss of a row, in nats, not calibrated; by weight.
    pub(crate) loss: f64,
    /// The same after each part.
    pub(crate) losses: Vec<f64>,
    size: u32,
}

/// Fits a model. The same rows and parameters give the same bytes on any number of threads; beyond 2^25 values (rows times
/// features) on the same number, for there XGBoost sums gradients in parts, one a thread.
///
/// Each part of the users is held out once, while a model learns from the others: that decides how many rounds to run (or how
/// strong a penalty to take) and how to calibrate. Then one more model learns from all rows. If a part or what is left without
/// it has one outcome only, nobody is held out.
///
/// Memory: for each thread the values twice in XGBoost's form, and once more as copies. `progress` is called after every round of
/// one of the fits that run at once.
///
/// # Errors
/// If the rows or the parameters do not pass their checks, or XGBoost fails.
pub fn fit(rows: &Rows, params: &Params, mut progress: impl FnMut(&Round)) -> Result<Fitted, TrainError> {
    rows.check()?;
    params.check(&rows.names)?;
    let fits = params.parts_held_out(rows) + 1;
    let trial = trial(rows, params, &[], &mut |round| progress(&Round { fits, ..round }))?;
    let size = trial.as_ref().map(|trial| trial.size);
    let learned =
        learn(rows, None, size, params, &mut |round| progress(&Round { fit: fits, fits, ..round }))?;
    let model = Model::from_json(&learned.json)?;
    let reference = of_reference(&model, rows);
    let calibration = trial.as_ref().map_or(Calibration::Identity, |trial| {
        let half: Vec<bool> = trial.held_out.groups.iter().map(|group| half_of(*group)).collect();
        choose(&trial.held_out, &half, params.calibration)
    });
    Ok(Fitted {
        algorithm: params.algorithm,
        params: params.clone(),
        json: learned.json,
        model,
        calibration,
        trees: learned.trees,
        loss_rate: rows.loss_rate().unwrap_or_default(),
        rows: rows.len(),
        window: rows.window().unwrap_or_default(),
        baselines: baselines(rows),
        reference,
        held_out: trial.map(|trial| trial.held_out),
    })
}

/// The margins of the reference rows, and how many users they are worth. By the model itself: where scores take few values, models of other users put them elsewhere.
fn of_reference(model: &Model, rows: &Rows) -> (Vec<f32>, u64) {
    let predictor = Predictor::new(model);
    let mut margins = vec![0.0; rows.reference.groups.len()];
    predictor.margins(&rows.reference.values, &mut margins, &mut predictor.scratch());
    (margins, worth(&rows.reference.groups))
}

/// Learns with each part held out in turn, and gathers what the models say of them. `None` if no part can be held out. Given up
/// with what is there once the loss over the parts so far is above what `worth` says of as many parts.
pub(crate) fn trial(
    rows: &Rows,
    params: &Params,
    worth: &[f64],
    progress: &mut dyn FnMut(Round),
) -> Result<Option<Trial>, TrainError> {
    let parts = params.parts_held_out(rows);
    let mut all = HeldOut::default();
    let (mut sizes, mut losses) = (Vec::new(), Vec::new());
    let (mut sum, mut weight) = (0.0, 0.0);
    let at_once = params.fits_at_once(rows);
    'waves: for first in (0..parts).step_by(at_once as usize) {
        let wave = first..parts.min(first + at_once);
        // In the order of the parts, whoever is done first: giving up must not depend on the number of threads.
        for (part, found) in wave.clone().zip(hold_out_each(wave, rows, params, progress)) {
            let Some(Part { size, margins, held_out }) = found? else { return Ok(None) };
            let weights: Vec<f32> = (0..held_out.len()).map(|row| held_out.weight(row)).collect();
            let of_part: f64 = weights.iter().copied().map(f64::from).sum();
            sum += mean_loss(&margins, &held_out) * of_part;
            weight += of_part;
            sizes.push(size);
            all.margins.extend(margins);
            all.lost.extend_from_slice(&held_out.lost);
            all.weights.extend(weights);
            all.groups.extend_from_slice(&held_out.groups);
            losses.push(sum / weight);
            if worth.get(part as usize).is_some_and(|worth| sum / weight > *worth) {
                break 'waves;
            }
        }
    }
    if sizes.is_empty() {
        return Ok(None);
    }
    let mean = f64::from(sizes.iter().sum::<u32>()) / sizes.len() as f64;
    Ok(Some(Trial { held_out: all, loss: sum / weight, losses, size: mean.round() as u32 }))
}

/// A part of the users, held out.
struct Part {
    size: u32,
    margins: Vec<f32>,
    held_out: Rows,
}

/// Learns without each of these parts, at once; the first of them says how far it is.
fn hold_out_each(
    parts: Range<u32>,
    rows: &Rows,
    params: &Params,
    progress: &mut dyn FnMut(Round),
) -> Vec<Result<Option<Part>, TrainError>> {
    std::thread::scope(|scope| {
        let others: Vec<_> = (parts.start + 1..parts.end)
            .map(|part| scope.spawn(move || hold_out(part, rows, params, &mut |_| {})))
            .collect();
        let mut found = vec![hold_out(parts.start, rows, params, progress)];
        // A panic there is a panic here.
        found.extend(
            others.into_iter().map(|fit| fit.join().unwrap_or_else(|e| std::panic::resume_unwind(e))),
        );
        found
    })
}

/// Learns without one part and says what the model makes of it; `None` if the part or what is left has one outcome only.
fn hold_out(
    part: u32,
    rows: &Rows,
    params: &Params,
    progress: &mut dyn FnMut(Round),
) -> Result<Option<Part>, TrainError> {
    let is_held_out = |row: usize| params.part_of(rows.groups[row]) == part;
    let (training, held_out) = (rows.filter(|row| !is_held_out(row)), rows.filter(is_held_out));
    if !training.has_both_outcomes() || !held_out.has_both_outcomes() {
        return Ok(None);
    }
    let learned = learn(&training, Some(&held_out), None, params, &mut |round| {
        progress(Round { fit: part + 1, ..round });
    })?;
    let margins = margins(&Model::from_json(&learned.json)?, &held_out);
    Ok(Some(Part { size: learned.size, margins, held_out }))
}

fn learn(
    rows: &Rows,
    held_out: Option<&Rows>,
    size: Option<u32>,
    params: &Params,
    progress: &mut dyn FnMut(Round),
) -> Result<Learned, TrainError> {
    match params.algorithm {
        Algorithm::Xgboost | Algorithm::Forest => {
            let boosted = boost(rows, held_out, size, params, progress)?;
            let trees = match params.algorithm {
                Algorithm::Forest => params.forest_trees,
                _ => boosted.rounds,
            };
            Ok(Learned { json: boosted.json, trees, size: boosted.rounds })
        }
        Algorithm::Logistic => {
            let penalty = size.map(|size| size as usize);
            let fitted = linear::fit(rows, held_out, penalty, params, mean_loss)?;
            progress(Round { fit: 1, fits: 1, number: 1, of: 1, loss: None, best: 1 });
            Ok(Learned { json: fitted.json, trees: fitted.trees, size: fitted.penalty as u32 })
        }
    }
}

impl Fitted {
    /// The calibrated probabilities (0 to 1) of rows, as a consumer with this model would give them.
    ///
    /// # Panics
    /// If the rows do not have the model's number of features.
    #[must_use]
    pub fn probabilities(&self, rows: &Rows) -> Vec<f32> {
        self.margins(rows).into_iter().map(|margin| self.calibration.apply(margin)).collect()
    }

    /// The margins (log-odds, not calibrated) of rows.
    ///
    /// # Panics
    /// If the rows do not have the model's number of features.
    #[must_use]
    pub fn margins(&self, rows: &Rows) -> Vec<f32> {
        margins(&self.model, rows)
    }
}

fn margins(model: &Model, rows: &Rows) -> Vec<f32> {
    let predictor = Predictor::new(model);
    let mut margins = vec![0.0; rows.len()];
    predictor.margins(&rows.values, &mut margins, &mut predictor.scratch());
    margins
}
