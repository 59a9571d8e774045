//! From a fitted model to a bundle on disk.

use std::collections::BTreeMap;
use std::path::Path;

use scorer::{Bands, Baseline, Bundle, BundleParts, Fitting, Label, Manifest, Meaning, Training};
use types::{EventTime, Millis};

use crate::baseline::{baseline, worth};
use crate::{Fitted, TrainError, card};

/// What a bundle says that the rows do not.
#[derive(Debug, Clone, PartialEq)]
pub struct Purpose {
    /// The hash of the feature spec that the rows were made by.
    pub spec_hash: String,
    /// How far ahead the labels look.
    pub horizon: Millis,
    /// What counted as a loss; `None` for a customer table.
    pub label: Option<Label>,
    /// Where the bands of risk begin; by default where [`Fitted::bands`] puts them.
    pub bands: Option<Bands>,
    /// What was measured on later rows, by name; finite.
    pub metrics: BTreeMap<String, f64>,
    /// When the last of the labels was decided, of those that fitted, stopped or calibrated; not before the last row plus the
    /// horizon, which is the default.
    pub labels_decided: Option<EventTime>,
    /// What the values of features stand for, by name, where that does not say it.
    pub meanings: BTreeMap<String, Meaning>,
    /// Sentences for the model card.
    pub notes: Vec<String>,
}

impl Fitted {
    /// Bands by rank: high risk is the twentieth of the held-out rows with the highest probabilities, medium the rest of the
    /// highest fifth. If nobody was held out: four times the loss rate, and twice.
    #[must_use]
    pub fn bands(&self) -> Bands {
        let Some(held_out) = &self.held_out else {
            let times = |factor: f64| (factor * self.loss_rate).min(1.0) as f32;
            return Bands { medium: times(2.0), high: times(4.0) };
        };
        let mut probabilities: Vec<f32> =
            held_out.margins.iter().map(|m| self.calibration.apply(*m)).collect();
        probabilities.sort_unstable_by(f32::total_cmp);
        let from_top =
            |one_in: usize| probabilities[probabilities.len() - probabilities.len().div_ceil(one_in)];
        Bands { medium: from_top(5), high: from_top(20) }
    }

    /// Writes the bundle to a new folder, whole or not at all, and loads it from there as a consumer would.
    ///
    /// # Errors
    /// If the folder exists, writing fails, or the purpose makes no sense (a horizon of 0, a metric that is not finite).
    pub fn write(&self, folder: &Path, purpose: &Purpose) -> Result<Bundle, TrainError> {
        let (from, to) = self.window;
        let training = Training {
            from,
            to,
            labels_decided: purpose.labels_decided.unwrap_or_else(|| to.plus(purpose.horizon)),
            rows: self.rows as u64,
        };
        let held_out = self.held_out.as_ref().map(|held_out| held_out.lost.len() as u64);
        let manifest = Manifest {
            spec_hash: purpose.spec_hash.clone(),
            feature_names: self.model.feature_names().to_vec(),
            horizon: purpose.horizon,
            label: purpose.label.clone(),
            bands: purpose.bands.unwrap_or_else(|| self.bands()),
            training,
            calibration: self.calibration.clone(),
            metrics: purpose.metrics.clone(),
            baselines: self.all_baselines(),
            meanings: purpose.meanings.clone(),
            fitting: Some(Fitting { held_out, ..self.params.fitting() }),
        };
        let card = card::write(self, &manifest, &purpose.notes);
        Ok(Bundle::write(folder, &BundleParts { model: &self.json, manifest, card: &card })?)
    }

    /// The baselines of the features, and of the probabilities: of the reference rows, or of users held out where there is none.
    fn all_baselines(&self) -> Vec<Baseline> {
        let scores = self.held_out.as_ref().map(|held_out| {
            let (margins, users) = match &self.reference {
                (margins, _) if margins.is_empty() => (&held_out.margins, worth(&held_out.groups)),
                (margins, users) => (margins, *users),
            };
            let mut scores: Vec<f32> = margins.iter().map(|margin| self.calibration.apply(*margin)).collect();
            baseline(Baseline::SCORE, &mut scores, 0, users)
        });
        self.baselines.iter().cloned().chain(scores).collect()
    }
}
