//! Who pays what: rules of a money file with their columns found.

use std::collections::BTreeMap;

use feature_store::Spec;

use super::settings::{Condition, MoneySettings, Price};
use crate::{BacktestError, LabelledRows};

/// Prices with their columns found.
pub(super) struct Prices<'a> {
    rules: Vec<Rule<'a>>,
    currency: &'a str,
}

struct Rule<'a> {
    price: &'a Price,
    column: Option<usize>,
    when: When,
}

/// Conditions with their columns found.
pub(super) struct When(Vec<Holds>);

/// What a column must be.
struct Holds {
    column: usize,
    value: f64,
    /// The value itself, or at least it.
    exact: bool,
}

fn column(rows: &LabelledRows, name: &str) -> Result<usize, BacktestError> {
    let found = rows.names.iter().position(|other| other == name);
    found.ok_or_else(|| {
        BacktestError::Money(format!("a rule speaks of `{name}`, which is no column of the spec"))
    })
}

impl When {
    pub(super) fn new(
        conditions: &BTreeMap<String, Condition>,
        rows: &LabelledRows,
        spec: &Spec,
    ) -> Result<Self, BacktestError> {
        let mut all = Vec::new();
        for (name, condition) in conditions {
            let (value, exact) = match condition {
                Condition::AtLeast(least) => (*least, false),
                Condition::Text(text) => {
                    let categories = spec.categories(name).unwrap_or_default();
                    let at = categories.iter().position(|category| category == text);
                    let at = at.ok_or_else(|| {
                        BacktestError::Money(format!(
                            "a rule speaks of `{name}` being `{text}`, which is none of its categories in the spec: {}",
                            categories.join(", ")
                        ))
                    })?;
                    (at as f64, true)
                }
            };
            all.push(Holds { column: column(rows, name)?, value, exact });
        }
        Ok(Self(all))
    }

    pub(super) fn holds(&self, row: &[f32]) -> bool {
        self.0.iter().all(|holds| {
            let found = f64::from(row[holds.column]);
            if holds.exact { found == holds.value } else { found >= holds.value }
        })
    }
}

impl<'a> Prices<'a> {
    pub(super) fn new(
        settings: &'a MoneySettings,
        rows: &LabelledRows,
        spec: &Spec,
    ) -> Result<Self, BacktestError> {
        let mut rules = Vec::new();
        for price in &settings.prices {
            rules.push(Rule {
                price,
                column: price.column.as_ref().map(|name| column(rows, name)).transpose()?,
                when: When::new(&price.when, rows, spec)?,
            });
        }
        Ok(Self { rules, currency: &settings.currency })
    }

    /// A user's price and its currency; `None` if no rule holds or the column has no value.
    pub(super) fn of(&self, row: &[f32]) -> Option<(f64, &'a str)> {
        let rule = self.rules.iter().find(|rule| rule.when.holds(row))?;
        let price = match rule.column {
            Some(column) => f64::from(row[column]) * rule.price.unit,
            None => rule.price.price?,
        };
        let currency = rule.price.currency.as_deref().unwrap_or(self.currency);
        (!price.is_nan()).then_some((price, currency))
    }
}
