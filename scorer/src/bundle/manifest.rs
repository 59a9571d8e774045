//! What a bundle says of itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use types::{Band, EventTime, Millis};

use super::Meaning;
use crate::Calibration;

/// The manifest's format that is written, and the only one read.
const VERSION: u32 = 1;

/// What a bundle says of itself; the content of `bundle.toml` besides the model file's hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Hash of the feature spec whose rows the model was trained on.
    pub spec_hash: String,
    /// The features' names, in the order of a row.
    pub feature_names: Vec<String>,
    /// How far ahead the probabilities look; 0 for a model of a customer table, which does not say.
    pub horizon: Millis,
    /// What counted as a loss; `None` in a bundle that does not say: of a customer table, or an older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// Where the bands lie.
    pub bands: Bands,
    /// What the model was trained on.
    pub training: Training,
    /// How margins become probabilities.
    pub calibration: Calibration,
    /// Measured quality, by name; finite.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// How features and probabilities ([`Baseline::SCORE`]) of the users of training's last sweeps were distributed, to notice when that
    /// changes; of a customer table, those of its rows. Nothing of features that were left out. May be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baselines: Vec<Baseline>,
    /// What the values of features stand for, by name, where that does not say it. May be empty.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meanings: BTreeMap<String, Meaning>,
    /// How the model was fitted; `None` in a bundle that does not say: an older one, or one made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitting: Option<Fitting>,
}

impl Manifest {
    /// Whether the model is of a customer table: of rows that no log has.
    #[must_use]
    pub fn is_of_table(&self) -> bool {
        self.horizon == Millis(0)
    }
}

/// How a model was fitted, enough to fit another like it to other rows. How it was calibrated stands in its calibration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fitting {
    /// The kind of model: `xgboost`, `logistic` or `forest`.
    pub algorithm: String,
    /// The parameters that this kind looks at, by name; after a search those that it found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, f64>,
    /// Features that the probability may only follow one way, by name: `rising` or `falling`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub monotone: BTreeMap<String, String>,
    /// Rows of users who were held out, to choose when learning stops and how probabilities are calibrated: of the same time as those
    /// learnt from. `None` if nobody was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<u64>,
}

impl std::fmt::Display for Fitting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.algorithm)?;
        let bounds = self.monotone.iter().map(|(name, direction)| format!("`{name}` only {direction}"));
        let numbers = self.params.iter().map(|(name, value)| format!("{name} {value}"));
        for (at, said) in numbers.chain(bounds).enumerate() {
            write!(f, "{} {said}", if at == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

/// What counted as a loss when a model was trained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// What decides.
    pub kind: LabelKind,
    /// The types of events that it looks at; empty for any of them, or for a table.
    #[serde(default)]
    pub events: Vec<String>,
    /// How long before it happens a loss was to be foreseen: the probabilities are of (moment + lead, moment + lead + horizon].
    pub lead: Millis,
}

/// What decides whether a user is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelKind {
    /// One of its events happens.
    Events,
    /// None of its events happens.
    Silence,
    /// A table from outside.
    Table,
}

impl std::fmt::Display for Label {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            LabelKind::Events => write!(f, "an event of {}", self.events.join(", "))?,
            LabelKind::Silence if self.events.is_empty() => f.write_str("silence")?,
            LabelKind::Silence => write!(f, "silence in {}", self.events.join(", "))?,
            LabelKind::Table => f.write_str("a table")?,
        }
        if self.lead.0 != 0 { write!(f, ", {} ahead at least", self.lead) } else { Ok(()) }
    }
}

/// The borders between the bands of risk.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bands {
    /// The lowest probability in [`Band::Medium`], 0 to 1.
    pub medium: f32,
    /// The lowest probability in [`Band::High`], not below `medium`.
    pub high: f32,
}

/// What a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// As-of time of the earliest row.
    pub from: EventTime,
    /// As-of time of the latest row.
    pub to: EventTime,
    /// When the last of the labels was decided: nothing may be tested on a row before this.
    pub labels_decided: EventTime,
    /// How many rows.
    pub rows: u64,
}

/// How a feature was distributed in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The feature, or [`SCORE`](Self::SCORE).
    pub feature: String,
    /// Rising borders between bins: a value is in bin `i` if `i` borders are at most it.
    pub borders: Vec<f32>,
    /// Rows in each bin, one more than there are borders.
    pub counts: Vec<u64>,
    /// Rows without a value.
    pub missing: u64,
    /// The middle value of the rows that have one: what is usual.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub median: Option<f32>,
    /// How many independent users the counts are worth, if it is known: rows of one user tell less than as many of different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<u64>,
    /// Whether it moves as the log grows, whatever the users do: it reads their whole life, or a window that the log did not fill yet.
    /// It is shown, and decides nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ageing: bool,
}

impl Bands {
    /// The band of a probability.
    #[must_use]
    pub fn of(&self, probability: f32) -> Band {
        if probability >= self.high {
            Band::High
        } else if probability >= self.medium {
            Band::Medium
        } else {
            Band::Low
        }
    }
}

/// The whole of `bundle.toml`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ManifestFile {
    version: u32,
    pub(super) model: ModelFile,
    pub(super) manifest: Manifest,
}

/// Which file is the model.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFile {
    pub(super) file: String,
    pub(super) hash: String,
}

impl ManifestFile {
    pub(super) const fn new(model: ModelFile, manifest: Manifest) -> Self {
        Self { version: VERSION, model, manifest }
    }

    /// Whether it makes sense; a text otherwise, for the error.
    pub(super) fn check(&self) -> Result<(), String> {
        let Manifest {
            horizon,
            label,
            bands,
            training,
            calibration,
            metrics,
            baselines,
            feature_names,
            meanings,
            fitting,
            ..
        } = &self.manifest;
        if self.version != VERSION {
            return Err(format!("its version is {}; this program reads version {VERSION}", self.version));
        }
        // No path out of the folder.
        if !matches!(self.model.file.as_str(), "model.json" | "model.ubj") {
            return Err(format!(
                "the model file is `{}`; it must be model.json or model.ubj",
                self.model.file
            ));
        }
        if horizon.0 < 0 {
            return Err(format!("the horizon is {horizon}; it must not be less than 0"));
        }
        if let Some(label) = label.as_ref().filter(|label| label.lead.0 < 0) {
            return Err(format!("the lead is {}; it must not be less than 0", label.lead));
        }
        if !(0.0 <= bands.medium && bands.medium <= bands.high && bands.high <= 1.0) {
            return Err(format!(
                "the bands begin at {} and {}; they must rise from 0 to 1",
                bands.medium, bands.high
            ));
        }
        if !(training.from <= training.to && training.to <= training.labels_decided) {
            return Err("the training window must not end before it begins, nor after its last label".into());
        }
        if let Some((name, value)) = metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(format!("the metric {name} is {value}"));
        }
        for baseline in baselines {
            baseline.check(feature_names)?;
        }
        if let Some(name) = meanings.keys().find(|name| !feature_names.contains(name)) {
            return Err(format!("a meaning of `{name}`, which is no feature"));
        }
        if let Some((name, value)) =
            fitting.iter().flat_map(|fitting| &fitting.params).find(|(_, value)| !value.is_finite())
        {
            return Err(format!("the parameter {name} is {value}"));
        }
        calibration.check()
    }
}

impl Baseline {
    /// The name under which the calibrated probabilities stand; no feature can have it.
    pub const SCORE: &str = "$score";

    /// What a value usually is: the median; in a bundle that does not hold it, the middle of the bin that it lies in, if that
    /// bin has two ends.
    #[must_use]
    pub fn usual(&self) -> Option<f32> {
        if self.median.is_some() {
            return self.median;
        }
        let half = self.counts.iter().sum::<u64>().div_ceil(2);
        let mut below = 0;
        let bin = self.counts.iter().position(|count| {
            below += count;
            below >= half
        })?;
        let (from, to) = (self.borders.get(bin.checked_sub(1)?)?, self.borders.get(bin)?);
        Some(from + (to - from) / 2.0)
    }

    fn check(&self, feature_names: &[String]) -> Result<(), String> {
        let Self { feature, borders, counts, .. } = self;
        if feature != Self::SCORE && !feature_names.contains(feature) {
            return Err(format!("a baseline of `{feature}`, which is no feature"));
        }
        let rising =
            borders.iter().all(|b| b.is_finite()) && borders.windows(2).all(|pair| pair[0] < pair[1]);
        if self.median.is_some_and(|median| !median.is_finite()) {
            return Err(format!("the median of `{feature}` is no number"));
        }
        if rising && counts.len() == borders.len() + 1 {
            return Ok(());
        }
        Err(format!("the baseline of `{feature}` needs rising borders and one more count than borders"))
    }
}
