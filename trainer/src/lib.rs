//! Fits model bundles with XGBoost; the only part that links libxgboost.
