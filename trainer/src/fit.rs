//! From rows to a model.

use scorer::{Model, Predictor};

use crate::boost::{Boosted, Round, boost};
use crate::{Params, Rows, TrainError};

/// A fitted model, not yet judged.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The model in XGBoost's JSON, as it goes into a bundle.
    pub json: Vec<u8>,
    /// The same model, loaded for scoring.
    pub model: Model,
    /// The number of trees.
    pub rounds: u32,
    /// The share of lost users among the rows fitted on, by weight.
    pub loss_rate: f64,
    /// Rows fitted on.
    pub rows: usize,
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
    if training.has_both_outcomes() && held_out.has_both_outcomes() {
        let boosted = boost(&training, Some(&held_out), params, &mut progress)?;
        finish(boosted, &training, Some(&held_out))
    } else {
        let boosted = boost(rows, None, params, &mut progress)?;
        finish(boosted, rows, None)
    }
}

fn finish(boosted: Boosted, training: &Rows, held_out: Option<&Rows>) -> Result<Fitted, TrainError> {
    let model = Model::from_json(&boosted.json)?;
    let held_out = held_out.map(|rows| {
        let predictor = Predictor::new(&model);
        let mut margins = vec![0.0; rows.len()];
        predictor.margins(&rows.values, &mut margins, &mut predictor.scratch());
        let weights = (0..rows.len()).map(|row| rows.weight(row)).collect();
        HeldOut { margins, lost: rows.lost.clone(), weights }
    });
    Ok(Fitted {
        json: boosted.json,
        model,
        rounds: boosted.rounds,
        loss_rate: training.loss_rate().unwrap_or_default(),
        rows: training.len(),
        held_out,
    })
}
