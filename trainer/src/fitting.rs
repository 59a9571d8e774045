//! How a model was fitted, as its bundle says it, and back: so that another can be fitted like it.

use scorer::{Fitting, Manifest};
use serde::{Deserialize, Serialize};

use crate::{Algorithm, Direction, Params, TrainError};

/// A kind of calibration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalibrationKind {
    /// The model's own probability.
    Identity,
    /// Platt scaling.
    Platt,
    /// Beta calibration.
    Beta,
    /// Isotonic regression.
    Isotonic,
}

impl CalibrationKind {
    /// All of them, the plainer first.
    pub(crate) const ALL: [Self; 4] = [Self::Identity, Self::Platt, Self::Beta, Self::Isotonic];

    /// The kind that [`scorer::Calibration::kind`] names so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "identity" => Some(Self::Identity),
            "platt" => Some(Self::Platt),
            "beta" => Some(Self::Beta),
            "isotonic" => Some(Self::Isotonic),
            _ => None,
        }
    }
}

impl Params {
    /// What a bundle says of them: those that the algorithm looks at. How many threads worked is nobody's business later.
    #[must_use]
    pub fn fitting(&self) -> Fitting {
        let Self { max_rounds, patience, max_depth, max_bin, forest_trees, folds, seed, .. } = *self;
        let trees = [
            ("max_depth", max_depth.into()),
            ("min_child_weight", shortest(self.min_child_weight)),
            ("row_share", shortest(self.row_share)),
            ("lambda", shortest(self.lambda)),
            ("max_bin", max_bin.into()),
        ];
        let boosting = [
            ("max_rounds", max_rounds.into()),
            ("patience", patience.into()),
            ("learning_rate", shortest(self.learning_rate)),
            ("feature_share", shortest(self.feature_share)),
        ];
        let of_kind: Vec<(&str, f64)> = match self.algorithm {
            Algorithm::Xgboost => trees.into_iter().chain(boosting).collect(),
            Algorithm::Forest => trees.into_iter().chain([("forest_trees", forest_trees.into())]).collect(),
            Algorithm::Logistic => Vec::new(),
        };
        let always = [("folds", folds.into()), ("seed", seed.into())];
        let word = |direction: &Direction| match direction {
            Direction::Rising => "rising",
            Direction::Falling => "falling",
        };
        Fitting {
            algorithm: self.algorithm.name().to_owned(),
            params: of_kind.into_iter().chain(always).map(|(name, value)| (name.to_owned(), value)).collect(),
            monotone: self
                .monotone
                .iter()
                .map(|(name, direction)| (name.clone(), word(direction).to_owned()))
                .collect(),
            held_out: None,
        }
    }

    /// What fits a model as a bundle's was fitted, calibrated in the same way; `None` if the bundle does not say.
    ///
    /// # Errors
    /// If it says what this program does not know.
    pub fn of_bundle(manifest: &Manifest) -> Result<Option<Self>, TrainError> {
        let Some(fitting) = &manifest.fitting else { return Ok(None) };
        let unknown = |what: String| TrainError::Fitting { what };
        let algorithm = fitting.algorithm.parse().map_err(|_| unknown(format!("`{}`", fitting.algorithm)))?;
        let calibration = CalibrationKind::named(manifest.calibration.kind());
        let mut params = Self { calibration, ..Self::of(algorithm) };
        for (name, value) in &fitting.params {
            // Values out of range become the nearest within, and are refused when they are checked.
            let (whole, real) = (*value as u32, *value as f32);
            match name.as_str() {
                "max_rounds" => params.max_rounds = whole,
                "patience" => params.patience = whole,
                "learning_rate" => params.learning_rate = real,
                "max_depth" => params.max_depth = whole,
                "min_child_weight" => params.min_child_weight = real,
                "row_share" => params.row_share = real,
                "feature_share" => params.feature_share = real,
                "lambda" => params.lambda = real,
                "max_bin" => params.max_bin = whole,
                "forest_trees" => params.forest_trees = whole,
                "folds" => params.folds = whole,
                "seed" => params.seed = whole,
                _ => return Err(unknown(format!("`{name}`"))),
            }
        }
        for (name, direction) in &fitting.monotone {
            let direction = match direction.as_str() {
                "rising" => Direction::Rising,
                "falling" => Direction::Falling,
                other => return Err(unknown(format!("`{name}` {other}"))),
            };
            params.monotone.insert(name.clone(), direction);
        }
        params.check(&manifest.feature_names)?;
        Ok(Some(params))
    }
}

/// The number that people would write for it: 0.05, not the 0.05000000074505806 that it is. The nearest `f32` to it is the same.
fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or_else(|_| value.into())
}
