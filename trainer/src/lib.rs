//! Fits model bundles with XGBoost; the only part that links libxgboost.
//!
//! [`Rows`] come in: point-in-time feature rows with the outcome of each, which a replay of the log makes elsewhere. [`fit`] holds
//! some users out, learns from the others until the held-out users say stop, and calibrates the probabilities on them; then it
//! learns once more from all. [`search`] looks for better parameters first.
//! The result is checked by loading it into the evaluator that will score with it. Judging it on later rows is the caller's part.
//!
//! # Choices
//!
//! - Users are held out, not rows: rows of one user are alike, and a model that has seen the one knows the other.
//! - Each part of the users is held out once, so that every row has a say in when to stop and how to calibrate, and none is
//!   lost to the model that ships.
//! - Logistic regression and random forests come out as trees too: one evaluator scores and explains all.
//! - Lost users are not weighted up: it ruins the probabilities and helps the ranking little.
//! - Trees start from the loss rate of the training rows, so the first trees need not learn it.
//! - At most 254 bins a feature, so that a row can be quantised to bytes when it is scored.

mod algorithm;
mod baseline;
mod boost;
mod bundle;
mod calibrate;
mod card;
mod error;
mod fit;
mod fitting;
mod linear;
mod params;
mod rows;
mod search;

pub use algorithm::Algorithm;
pub use boost::Round;
pub use bundle::Purpose;
pub use error::TrainError;
pub use fit::{Fitted, HeldOut, fit};
pub use fitting::CalibrationKind;
pub use params::{Direction, Params};
pub use rows::{Reference, Rows};
pub use search::{Found, Trial, search};
