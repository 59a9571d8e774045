//! The kinds of model.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of model. All of them come out as trees in XGBoost's format, so one evaluator scores and explains them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// Gradient-boosted trees, each mending what those before it got wrong.
    #[default]
    Xgboost,
    /// Logistic regression: a weight for each feature. See [`crate::linear`](crate) for how it becomes trees.
    Logistic,
    /// A random forest: the mean of many deep trees, each of other rows and features.
    Forest,
}

impl Algorithm {
    /// All of them, the usual choice first.
    pub const ALL: [Self; 3] = [Self::Xgboost, Self::Logistic, Self::Forest];

    /// Its name on the command line and in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Xgboost => "xgboost",
            Self::Logistic => "logistic",
            Self::Forest => "forest",
        }
    }

    /// Its name in a sentence.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Xgboost => "gradient-boosted trees",
            Self::Logistic => "logistic regression",
            Self::Forest => "a random forest",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == text)
            .ok_or_else(|| format!("`{text}` is none of xgboost, logistic, forest"))
    }
}
