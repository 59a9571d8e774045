//! The shape of a spec file, before it is checked. Values keep their places in the text, for errors.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSpec {
    pub(super) version: Spanned<u32>,
    pub(super) entity: Spanned<String>,
    pub(super) allowed_lateness: Option<Spanned<String>>,
    pub(super) max_ahead: Option<Spanned<String>>,
    pub(super) event_cap: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) tick: RawTick,
    #[serde(default)]
    pub(super) lifecycle: RawLifecycle,
    #[serde(default)]
    pub(super) inputs: BTreeMap<String, Spanned<RawInput>>,
    #[serde(default)]
    pub(super) features: Vec<Spanned<RawFeature>>,
    #[serde(default)]
    pub(super) ratios: Vec<Spanned<RawRatio>>,
    #[serde(default)]
    pub(super) attributes: Vec<Spanned<RawAttribute>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTick {
    pub(super) every: Option<Spanned<String>>,
    pub(super) offset: Option<Spanned<String>>,
    pub(super) grace: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLifecycle {
    pub(super) start: Option<Spanned<List<String>>>,
    pub(super) end: Option<Spanned<List<String>>>,
    pub(super) resume: Option<Spanned<List<String>>>,
    pub(super) silence: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInput {
    pub(super) events: Option<Spanned<List<String>>>,
    #[serde(rename = "where")]
    pub(super) condition: Option<Spanned<RawCondition>>,
    pub(super) value: Option<Spanned<String>>,
    pub(super) scale: Option<Spanned<u32>>,
    pub(super) text: Option<Spanned<String>>,
    pub(super) unit: Option<Spanned<String>>,
    pub(super) verb: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCondition {
    pub(super) field: String,
    pub(super) is: Option<List<Scalar>>,
    pub(super) not: Option<List<Scalar>>,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFeature {
    pub(super) input: Spanned<List<String>>,
    pub(super) ops: Spanned<List<String>>,
    pub(super) windows: Spanned<List<String>>,
    pub(super) gap: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRatio {
    pub(super) name: Spanned<String>,
    pub(super) numerator: Spanned<String>,
    pub(super) denominator: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAttribute {
    pub(super) name: Spanned<String>,
    pub(super) field: Option<Spanned<String>>,
    pub(super) events: Option<Spanned<List<String>>>,
    pub(super) categories: Option<Spanned<Vec<String>>>,
    pub(super) encoding: Option<Spanned<String>>,
    pub(super) other: Option<Spanned<bool>>,
    pub(super) scale: Option<Spanned<u32>>,
}

/// One thing or a list of them.
#[derive(Deserialize, Clone)]
#[serde(untagged)]
pub(super) enum List<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> List<T> {
    pub(super) fn as_slice(&self) -> &[T] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A value that a condition compares with.
#[derive(Deserialize, Debug, Clone, PartialEq)]
#[serde(untagged)]
pub(crate) enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}
