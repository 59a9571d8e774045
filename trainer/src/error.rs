//! Why no model came out.

/// Why no model came out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// Lists that belong together differ in length.
    #[error("{found} {what} for {rows} rows of {features} features")]
    Shape {
        /// Of what there are too many or too few.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many rows there are (one label each).
        rows: usize,
        /// How many features are named.
        features: usize,
    },
    /// An infinite value: XGBoost takes none. A missing value is NaN.
    #[error("row {row} has an infinite value of `{feature}`")]
    Infinite {
        /// The row, from 0.
        row: usize,
        /// The feature's name.
        feature: String,
    },
    /// A weight that is negative, infinite or not a number.
    #[error("row {row} has the weight {weight}; weights are finite and not negative")]
    Weight {
        /// The row, from 0.
        row: usize,
        /// Its weight.
        weight: f32,
    },
    /// There is nothing to tell apart.
    #[error("{lost} of {rows} rows are of lost users: a model needs some of both")]
    OneOutcome {
        /// Rows of lost users.
        lost: usize,
        /// All rows.
        rows: usize,
    },
    /// A parameter is out of its range.
    #[error("`{name}` is {value}; {rule}")]
    Param {
        /// The parameter.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it may be.
        rule: &'static str,
    },
    /// A direction is asked for a feature that is not there.
    #[error("there is no feature `{name}` to bind the probability to")]
    NoFeature {
        /// Its name.
        name: String,
    },
    /// A bundle says of itself what this program does not know.
    #[error("the bundle was fitted with {what}, which this program does not know")]
    Fitting {
        /// What it says.
        what: String,
    },
    /// XGBoost failed.
    #[error("XGBoost failed")]
    XgBoost(#[from] xgb::XGBError),
    /// XGBoost's model cannot be scored with.
    #[error("the trained model cannot be loaded for scoring")]
    Model(#[from] scorer::ModelError),
    /// The bundle cannot be written.
    #[error("cannot write the bundle")]
    Bundle(#[from] scorer::BundleError),
}
