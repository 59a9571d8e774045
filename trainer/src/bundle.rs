//! From a fitted model to a bundle on disk.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use jiff::Timestamp;
use scorer::{Bands, Baseline, Bundle, BundleParts, Calibration, Manifest, Training};
use types::{EventTime, Millis};

use crate::baseline::baseline;
use crate::{Fitted, TrainError};

/// What a bundle says that the rows do not.
#[derive(Debug, Clone, PartialEq)]
pub struct Purpose {
    /// The hash of the feature spec that the rows were made by.
    pub spec_hash: String,
    /// How far ahead the labels look.
    pub horizon: Millis,
    /// Where the bands of risk begin; by default where [`Fitted::bands`] puts them.
    pub bands: Option<Bands>,
    /// What was measured on later rows, by name; finite.
    pub metrics: BTreeMap<String, f64>,
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
        let training =
            Training { from, to, labels_decided: to.plus(purpose.horizon), rows: self.rows as u64 };
        let manifest = Manifest {
            spec_hash: purpose.spec_hash.clone(),
            feature_names: self.model.feature_names().to_vec(),
            horizon: purpose.horizon,
            bands: purpose.bands.unwrap_or_else(|| self.bands()),
            training,
            calibration: self.calibration.clone(),
            metrics: purpose.metrics.clone(),
            baselines: self.all_baselines(),
        };
        let card = self.card(&manifest);
        Ok(Bundle::write(folder, &BundleParts { model: &self.json, manifest, card: &card })?)
    }

    /// The baselines of the features, and of the probabilities of users held out.
    fn all_baselines(&self) -> Vec<Baseline> {
        let scores = self.held_out.as_ref().map(|held_out| {
            let mut scores: Vec<f32> =
                held_out.margins.iter().map(|margin| self.calibration.apply(*margin)).collect();
            baseline(Baseline::SCORE, &mut scores, 0)
        });
        self.baselines.iter().cloned().chain(scores).collect()
    }

    /// The model card: what a person should know before trusting the numbers.
    fn card(&self, manifest: &Manifest) -> String {
        let training = &manifest.training;
        let mut card = format!(
            "# Model card\n\n\
             The probability that a user is lost within {} of the moment of scoring, for users who are still there then.\n\n\
             - {} trees over {} features of spec {}\n\
             - fitted on {} rows known from {} to {}, {:.2} % of them lost; the last label was decided at {}\n\
             - {}\n\
             - medium risk from {:.4}, high risk from {:.4}\n",
            manifest.horizon,
            self.rounds,
            manifest.feature_names.len(),
            manifest.spec_hash,
            training.rows,
            date(training.from),
            date(training.to),
            100.0 * self.loss_rate,
            date(training.labels_decided),
            match (&self.held_out, &self.calibration) {
                (None, _) => "too few rows to hold users out: all rounds were run, and probabilities are not calibrated".to_owned(),
                (Some(rows), kind) => format!("calibration: {}, chosen on {} rows of users held out", name(kind), rows.lost.len()),
            },
            manifest.bands.medium,
            manifest.bands.high,
        );
        if !manifest.metrics.is_empty() {
            card.push_str("\nMeasured on later rows:\n\n| metric | value |\n| --- | --- |\n");
            for (metric, value) in &manifest.metrics {
                // Writing to a string cannot fail.
                let _ = writeln!(card, "| {metric} | {value:.4} |");
            }
        }
        card.push_str(
            "\nThe probabilities are about the users and the time that the model was fitted on. They say who leaves, not why, and not \
             whom an offer would keep. When behaviour or prices change, measure again before acting on them.\n",
        );
        card
    }
}

fn name(calibration: &Calibration) -> &'static str {
    match calibration {
        Calibration::Identity => "none needed",
        Calibration::Platt { .. } => "Platt scaling",
        Calibration::Beta { .. } => "beta calibration",
        Calibration::Isotonic(_) => "isotonic regression",
    }
}

/// A moment as people write it; in milliseconds where the calendar ends.
fn date(moment: EventTime) -> String {
    Timestamp::from_millisecond(moment.0).map_or_else(|_| format!("{moment} ms"), |date| date.to_string())
}
