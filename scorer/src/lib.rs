//! Model bundles and native evaluation of XGBoost models, SHAP, calibration and registry.
