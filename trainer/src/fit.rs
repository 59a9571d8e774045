//! From rows to a model.

use scorer::{Baseline, Calibration, Model, Predictor};
use types::EventTime;

use crate::baseline::baselines;
use crate::boost::{Boosted, Round, boost};
use crate::calibrate::choose;
use crate::params::half_of;
use crate::{Params, Rows, TrainError};

/// A fitted model, not yet judged.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The model in XGBoost's JSON, as it goes into a bundle.
    pub json: Vec<u8>,
    /// The same model, loaded for scoring.
    pub model: Model,
    /// How its margins become probabilities; the identity if nobody was held out.
    pub calibration: Calibration,
    /// The number of boosting rounds, a tree each.
    pub rounds: u32,
    /// The share of lost users among all rows, by weight.
    pub loss_rate: f64,
    /// All rows, those held out included.
    pub rows: usize,
    /// The earliest and the latest moment of any row.
    pub window: (EventTime, EventTime),
    /// How the features were distributed.
    pub baselines: Vec<Baseline>,
    /// What the model says of the users held out; `None` if nobody was.
    pub held_out: Option<HeldOut>,
}

/// Users that the trees have not seen.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldOut {
    /// The model's margins (log-odds), a row each.
    pub margins: Vec<f32>,
    /// The outcomes.
    pub lost: Vec<bool>,
    /// The weights.
    pub weights: Vec<f32>,
}

/// Fits a model. The same rows and parameters give the same bytes, on any machine with the same number of threads: sums of
/// gradients are made in parts, one a thread.
///
/// If those held out (or those left) are all lost or all still there, nobody is held out.
///
/// Memory: the values twice in XGBoost's form, and once more as copies. `progress` is called after every round.
///
/// # Errors
/// If the rows or the parameters do not pass their checks, or XGBoost fails.
pub fn fit(rows: &Rows, params: &Params, mut progress: impl FnMut(&Round)) -> Result<Fitted, TrainError> {
    rows.check()?;
    params.check()?;
    let training = rows.filter(|row| !params.holds_out(rows.groups[row]));
    let held_out = rows.filter(|row| params.holds_out(rows.groups[row]));
    let (boosted, held_out) = if training.has_both_outcomes() && held_out.has_both_outcomes() {
        (boost(&training, Some(&held_out), params, &mut progress)?, Some(held_out))
    } else {
        (boost(rows, None, params, &mut progress)?, None)
    };
    finish(boosted, rows, held_out.as_ref())
}

fn finish(boosted: Boosted, rows: &Rows, held_out: Option<&Rows>) -> Result<Fitted, TrainError> {
    let model = Model::from_json(&boosted.json)?;
    let mut calibration = Calibration::Identity;
    let held_out = held_out.map(|rows| {
        let margins = margins(&model, rows);
        let weights = (0..rows.len()).map(|row| rows.weight(row)).collect();
        let held_out = HeldOut { margins, lost: rows.lost.clone(), weights };
        let half: Vec<bool> = rows.groups.iter().map(|group| half_of(*group)).collect();
        calibration = choose(&held_out, &half);
        held_out
    });
    Ok(Fitted {
        json: boosted.json,
        model,
        calibration,
        rounds: boosted.rounds,
        loss_rate: rows.loss_rate().unwrap_or_default(),
        rows: rows.len(),
        window: rows.window().unwrap_or_default(),
        baselines: baselines(rows),
        held_out,
    })
}

impl Fitted {
    /// The calibrated probabilities (0 to 1) of rows, as a consumer with this model would give them.
    ///
    /// # Panics
    /// If the rows do not have the model's number of features.
    #[must_use]
    pub fn probabilities(&self, rows: &Rows) -> Vec<f32> {
        margins(&self.model, rows).into_iter().map(|margin| self.calibration.apply(margin)).collect()
    }
}

fn margins(model: &Model, rows: &Rows) -> Vec<f32> {
    let predictor = Predictor::new(model);
    let mut margins = vec![0.0; rows.len()];
    predictor.margins(&rows.values, &mut margins, &mut predictor.scratch());
    margins
}
