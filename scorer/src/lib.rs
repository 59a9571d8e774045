//! Model bundles and native evaluation of XGBoost models, SHAP, calibration and registry.
//!
//! The way of a score: a feature row (`f32`s, NaN where the user has no value) goes through a [`Predictor`] and becomes a
//! *margin* (log-odds, the very bits that XGBoost computes); a [`Calibration`] makes it the probability that is shown. A
//! [`Bundle`] is the immutable folder that holds both with all that is needed to use them rightly; a [`Schedule`] says which
//! bundle holds at which moment.
//!
//! Nothing here links XGBoost, reads a clock, or depends on the processor: every evaluator gives the same bits as
//! [`Model::margin`], which is the plainest and the reference.

mod bundle;
mod calibration;
pub mod drift;
mod model;
mod predict;
mod reasons;
mod registry;
mod shap;

pub use bundle::{
    Bands, Baseline, Bundle, BundleError, BundleParts, Fitting, Label, LabelKind, Manifest, Meaning, Training,
};
pub use calibration::{Calibration, FitError, Isotonic, IsotonicError, fit_beta, fit_isotonic, fit_platt};
pub use model::{MAX_FEATURES, Model, ModelError, Node, Objective, Tree, probability};
pub use predict::{Evaluator, Predictor, Scratch};
pub use reasons::{Bar, EffectSummary, SignalScratch, Signals, Strongest, Swarm, sentence, words};
pub use registry::{Entry, Gain, Gate, Registry, RegistryError, Role, Rules, SameRows, Schedule, gates};
pub use shap::Shap;
