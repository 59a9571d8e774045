//! Score v1: what churnstream says of a user at a moment, as JSON on the wire.

use serde::{Deserialize, Serialize};

use crate::{EventTime, Millis, SourcePosition};

/// How likely a user is to leave, and all that a reader needs to use that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Version of this shape: 1.
    pub v: u32,
    /// The same for the same score however often it is computed; unique in its topic.
    pub id: String,
    /// What kind of entity is scored.
    pub entity_type: String,
    /// Who is scored.
    pub entity: String,
    /// The moment for which it holds.
    pub as_of: EventTime,
    /// How far ahead the probability looks.
    pub horizon: Millis,
    /// The model's output before calibration, in log-odds.
    pub margin: f32,
    /// The calibrated probability of leaving within the horizon, 0 to 1.
    pub probability: f32,
    /// The band that the probability falls in.
    pub band: Band,
    /// Hash of the model bundle.
    pub model: String,
    /// Hash of the feature spec.
    pub spec: String,
    /// The event or tick that caused the score.
    pub source: SourcePosition,
    /// What caused it.
    pub trigger: Trigger,
    /// Why, strongest first; only where asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// A signal's part in a score: the windows and operations of one input are one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// The feature that stands for the signal.
    pub feature: String,
    /// Its value; `None` where the user has none.
    pub value: Option<f32>,
    /// How much the whole signal moved the margin, in log-odds; positive raises the risk.
    pub effect: f32,
    /// What the value usually is: the middle of the training rows that have one; `None` where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usual: Option<f32>,
    /// Value and what is usual in words, where the feature's name does not say what they stand for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What caused a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The user did something.
    Event,
    /// A tick passed.
    Sweep,
}

/// A coarse level of risk. Where the borders lie is the model bundle's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Band {
    /// Nothing to do.
    Low,
    /// Worth watching.
    Medium,
    /// Worth acting on.
    High,
}

impl Band {
    /// Every band, lowest first.
    pub const ALL: [Self; 3] = [Self::Low, Self::Medium, Self::High];

    /// The name on the wire and in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

impl Trigger {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Sweep => "sweep",
        }
    }
}

/// Why bytes are no score.
#[derive(Debug, thiserror::Error)]
#[error("not a score of version 1: {0}")]
pub struct ScoreError(String);

impl Score {
    /// Reads a score from JSON.
    ///
    /// # Errors
    /// If the bytes are no score, or one of another version.
    pub fn decode(json: &[u8]) -> Result<Self, ScoreError> {
        let score: Self = serde_json::from_slice(json).map_err(|e| ScoreError(e.to_string()))?;
        if score.v == 1 { Ok(score) } else { Err(ScoreError(format!("its version is {}", score.v))) }
    }
}
