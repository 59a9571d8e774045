//! The shape of XGBoost's model files, the same in JSON and UBJSON.
//!
//! Source: XGBoost's "Introduction to Model IO" and its JSON schema (`doc/model.schema`). What evaluation does not need is
//! left unread. Fields that some version or booster does not write are optional here; `check` says what is missing.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::value::RawValue;

use super::{ModelError, ubj};

/// The whole file.
#[derive(Debug, serde::Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"))]
pub(super) struct ModelFile<F> {
    pub(super) learner: Learner<F>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"))]
pub(super) struct Learner<F> {
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    pub(super) gradient_booster: Booster<F>,
    pub(super) learner_model_param: LearnerParam,
    pub(super) objective: ObjectiveFile,
}

#[derive(Debug, serde::Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"))]
pub(super) struct Booster<F> {
    pub(super) name: String,
    pub(super) model: Option<Trees<F>>,
}

/// A boosted linear model has an object of the same name with other fields; hence the options.
#[derive(Debug, serde::Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"))]
pub(super) struct Trees<F> {
    pub(super) gbtree_model_param: Option<GbtreeParam>,
    pub(super) tree_info: Option<Vec<i32>>,
    pub(super) trees: Option<Vec<TreeFile<F>>>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct GbtreeParam {
    pub(super) num_trees: String,
}

/// Numbers stand as text in XGBoost's parameter objects.
#[derive(Debug, serde::Deserialize)]
pub(super) struct LearnerParam {
    pub(super) base_score: String,
    pub(super) num_feature: String,
    pub(super) num_class: Option<String>,
    pub(super) num_target: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct ObjectiveFile {
    pub(super) name: String,
}

/// A tree as columns, one value a node. None of those needed is optional: so memory stays within a few times the file.
#[derive(Debug, serde::Deserialize)]
#[serde(bound(deserialize = "F: Deserialize<'de>"))]
pub(super) struct TreeFile<F> {
    pub(super) tree_param: TreeParam,
    pub(super) left_children: Vec<i32>,
    pub(super) right_children: Vec<i32>,
    pub(super) split_indices: Vec<i64>,
    pub(super) split_conditions: F,
    pub(super) default_left: Vec<Flag>,
    pub(super) sum_hessian: F,
    #[serde(default)]
    pub(super) split_type: Vec<i32>,
    #[serde(default)]
    pub(super) categories_nodes: Vec<i32>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct TreeParam {
    pub(super) size_leaf_vector: Option<String>,
}

/// A truth value: 0 or 1 today, `false` or `true` in XGBoost 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Flag;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a truth value, 0 or 1")
            }
            fn visit_bool<E>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }
            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Flag, E> {
                match value {
                    0 | 1 => Ok(Flag(value == 1)),
                    other => Err(E::custom(format_args!("{other} is no truth value"))),
                }
            }
            fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Flag, E> {
                self.visit_u64(u64::from_ne_bytes(value.to_ne_bytes()))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// Numbers read straight from their decimal text.
///
/// The usual way through `f64` rounds twice, which can miss XGBoost's `f32` by a unit in the last place.
#[derive(Debug)]
pub(super) struct DecimalFloats(Vec<f32>);

impl<'de> Deserialize<'de> for DecimalFloats {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let inner = raw.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let inner = inner.ok_or_else(|| D::Error::custom("expected a list of numbers"))?;
        if inner.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        let number = |text: &str| {
            let text = text.trim();
            text.parse().map_err(|_| D::Error::custom(format_args!("`{text}` is not a number")))
        };
        Ok(Self(inner.split(',').map(number).collect::<Result<_, _>>()?))
    }
}

impl From<DecimalFloats> for Vec<f32> {
    fn from(floats: DecimalFloats) -> Self {
        floats.0
    }
}

/// Reads the JSON form.
pub(super) fn from_json(json: &[u8]) -> Result<ModelFile<DecimalFloats>, ModelError> {
    serde_json::from_slice(json).map_err(ModelError::Json)
}

/// Reads the UBJSON form.
pub(super) fn from_ubj(bytes: &[u8]) -> Result<ModelFile<Vec<f32>>, ModelError> {
    ubj::from_slice(bytes)
}
