//! What to do about whom: rules in a file, the first that fits a user wins.
//!
//! ```toml
//! [[actions]]
//! name = "fix the card"
//! reasons = ["payments_failed"]     # the signal that raises the risk most is one of these; any if left out
//! min_probability = 0.2
//! min_value = 10.0                  # what is lost with the user, in the money file's currency
//! when = { plan = "premium" }       # columns of the spec: a text, or the least number
//! cost = 0.5                        # of taking the action once
//! cap = 500                         # so many users at most
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use consumer::{Condition, When};
use feature_store::Spec;
use scorer::{Signals, sentence};
use serde::{Deserialize, Serialize};

use super::settings::MoneySettings;
use crate::names::nearest;
use crate::{BacktestError, LabelledRows};

/// The rules, the most important first.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRules {
    /// The rules.
    pub actions: Vec<ActionRule>,
}

/// An action and whom it is for.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionRule {
    /// What is done.
    pub name: String,
    /// Signals (inputs of the spec, or columns): the one that raises the risk most must be among them. Any if empty.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// The lowest probability of leaving.
    #[serde(default)]
    pub min_probability: f64,
    /// The least that is lost with the user.
    #[serde(default)]
    pub min_value: f64,
    /// What columns must be.
    #[serde(default)]
    pub when: BTreeMap<String, Condition>,
    /// What taking the action costs.
    #[serde(default)]
    pub cost: f64,
    /// So many users at most.
    pub cap: Option<u64>,
}

/// What is suggested for a user.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suggestion {
    /// The user.
    pub entity: String,
    /// How likely the user is to leave.
    pub probability: f64,
    /// What is lost with the user, in the main currency.
    pub value: f64,
    /// The signal that raises the risk most; `None` if none does.
    pub signal: Option<String>,
    /// The same in words, as an association.
    pub reason: Option<String>,
    /// What to do.
    pub action: String,
    /// What it costs.
    pub cost: f64,
}

impl ActionRules {
    /// Reads a file of rules.
    ///
    /// # Errors
    /// If it cannot be read, or something in it cannot be meant; the message names file and field.
    pub fn load(path: &Path) -> Result<Self, BacktestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BacktestError::Read { path: path.into(), source })?;
        Self::from_toml(&text).map_err(|detail| BacktestError::Labels { path: path.into(), detail })
    }

    pub(super) fn from_toml(text: &str) -> Result<Self, String> {
        let rules: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        for rule in &rules.actions {
            if !(0.0..=1.0).contains(&rule.min_probability) {
                return Err(format!("`min_probability` of `{}` must be 0 to 1", rule.name));
            }
            if !(rule.cost.is_finite() && rule.cost >= 0.0) || rule.min_value.is_nan() {
                return Err(format!("`cost` of `{}` must be a number from 0 up", rule.name));
            }
        }
        Ok(rules)
    }
}

/// Suggests an action for each user whom a rule fits: the users with most to lose (probability times value) first, so that they take
/// what is capped. `effects` holds how much each feature moved each user's margin, row after row, as SHAP gives them.
///
/// # Errors
/// If rules or prices name a column that the spec has not.
///
/// # Panics
/// If there is not an effect for each value of a row.
pub fn suggest(
    rows: &LabelledRows,
    probability: &[f32],
    effects: &[f32],
    signals: &Signals,
    spec: &Spec,
    settings: &MoneySettings,
    rules: &ActionRules,
) -> Result<Vec<Suggestion>, BacktestError> {
    assert_eq!(effects.len(), rows.values.len(), "an effect for each value");
    let prices = settings.prices(&rows.names, spec)?;
    let whens: Result<Vec<When>, _> =
        rules.actions.iter().map(|rule| When::new(&rule.when, &rows.names, spec)).collect::<Result<_, _>>();
    let whens = whens.map_err(BacktestError::Money)?;
    let signals_of: Vec<String> =
        (0..rows.names.len()).map(|column| signals.signal(column).to_owned()).collect();
    for rule in &rules.actions {
        if let Some(reason) = rule.reasons.iter().find(|reason| !signals_of.contains(reason)) {
            let meant = nearest(reason, &signals_of)
                .map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            return Err(BacktestError::Money(format!(
                "`reasons` of the action `{}` names `{reason}`, which is no input, attribute or ratio of the spec{meant}",
                rule.name
            )));
        }
    }
    let periods = settings.kept_for().0 as f64 / settings.period.0 as f64;
    let value = |row: usize| {
        let price = prices.of(rows.row(row));
        price.map_or(0.0, |(price, currency)| price * periods * settings.rate(&prices.currencies()[currency]))
    };
    let mut order: Vec<(f64, usize)> =
        (0..rows.len()).map(|row| (f64::from(probability[row]) * value(row), row)).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| rows.entities[a.1].cmp(&rows.entities[b.1])));
    let mut left: Vec<u64> = rules.actions.iter().map(|rule| rule.cap.unwrap_or(u64::MAX)).collect();
    let width = rows.names.len();
    let mut all = Vec::new();
    for (_, row) in order {
        let (p, value) = (f64::from(probability[row]), value(row));
        let reasons = signals.reasons(rows.row(row), &effects[row * width..][..width], usize::MAX);
        let reason = reasons.iter().find(|reason| reason.effect > 0.0);
        let signal = reason.map(|reason| {
            let column = rows.names.iter().position(|name| *name == reason.feature);
            column.map_or(reason.feature.as_str(), |column| signals.signal(column))
        });
        let fits = |(at, rule): &(usize, &ActionRule)| {
            left[*at] > 0
                && p >= rule.min_probability
                && value >= rule.min_value
                && whens[*at].holds(rows.row(row))
                && (rule.reasons.is_empty()
                    || signal.is_some_and(|signal| rule.reasons.iter().any(|one| one == signal)))
        };
        let Some((at, rule)) = rules.actions.iter().enumerate().find(fits) else { continue };
        left[at] -= 1;
        all.push(Suggestion {
            entity: rows.entities[row].clone(),
            probability: p,
            value,
            signal: signal.map(str::to_owned),
            reason: reason.map(sentence),
            action: rule.name.clone(),
            cost: rule.cost,
        });
    }
    Ok(all)
}
