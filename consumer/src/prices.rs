//! Who pays what: the prices of a money file, with the spec's columns found.

use std::collections::BTreeMap;
use std::path::Path;

use feature_store::Spec;
use serde::{Deserialize, Serialize};
use types::Millis;

use crate::ConsumerError;

/// A price and whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// For each column a text that it must stand for, or the least number that it must be.
    #[serde(default)]
    pub when: BTreeMap<String, Condition>,
    /// The price; or it stands in a column.
    pub price: Option<f64>,
    /// A column that holds it.
    pub column: Option<String>,
    /// What 1 in the column is worth: 0.01 for cents.
    #[serde(default = "one")]
    pub unit: f64,
    /// Its currency; the main one if it is not said.
    pub currency: Option<String>,
}

/// What a column must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Condition {
    /// The text that its number stands for.
    Text(String),
    /// The least number.
    AtLeast(f64),
}

const fn one() -> f64 {
    1.0
}

impl Prices {
    /// Tells these prices from others.
    pub(crate) fn fingerprint(&self) -> u64 {
        feature_store::store::hash_of(format!("{self:?}").as_bytes())
    }
}

impl Price {
    /// Whether it can be meant.
    ///
    /// # Errors
    /// If it is neither a number nor in a column, or both.
    pub fn check(&self) -> Result<(), String> {
        if self.price.is_some() == self.column.is_some() {
            return Err("each of `[[prices]]` needs `price` or `column`, one of the two".to_owned());
        }
        if !self.price.unwrap_or(0.0).is_finite() || !self.unit.is_finite() {
            return Err("`price` and `unit` must be numbers".to_owned());
        }
        Ok(())
    }
}

/// What of a money file says who pays what. The rest is a campaign's.
#[derive(Debug, Deserialize)]
struct MoneyFile {
    currency: String,
    #[serde(default = "Prices::month")]
    period: Millis,
    prices: Vec<Price>,
}

/// Prices by columns of a spec.
#[derive(Debug)]
pub struct Prices {
    rules: Vec<Rule>,
    currencies: Vec<String>,
    period: Millis,
}

#[derive(Debug)]
struct Rule {
    when: When,
    paid: Paid,
    /// Which of the currencies.
    currency: usize,
}

#[derive(Debug)]
enum Paid {
    Fixed(f64),
    Column { column: usize, unit: f64 },
}

/// Conditions with their columns found.
#[derive(Debug)]
pub struct When(Vec<Holds>);

/// What a column must be.
#[derive(Debug)]
struct Holds {
    column: usize,
    value: f64,
    /// The value itself, or at least it.
    exact: bool,
}

impl When {
    /// Finds the columns of rows that are called `names`; `spec` knows what their categories stand for.
    ///
    /// # Errors
    /// If there is no such column, or not that category; says which.
    pub fn new(
        conditions: &BTreeMap<String, Condition>,
        names: &[String],
        spec: &Spec,
    ) -> Result<Self, String> {
        let mut all = Vec::new();
        for (name, condition) in conditions {
            let column = column(names, name)?;
            let (value, exact) = match condition {
                Condition::AtLeast(least) => (*least, false),
                Condition::Text(text) => {
                    let categories = spec.categories(name).ok_or_else(|| {
                        format!(
                            "a rule speaks of `{name}` being `{text}`, and that column holds numbers: give the least one"
                        )
                    })?;
                    let at = categories.iter().position(|category| category == text);
                    let at = at.ok_or_else(|| {
                        format!(
                            "a rule speaks of `{name}` being `{text}`, which is none of its categories in the spec: {}",
                            categories.join(", ")
                        )
                    })?;
                    (at as f64, true)
                }
            };
            all.push(Holds { column, value, exact });
        }
        Ok(Self(all))
    }

    /// Whether all of them hold for a row.
    ///
    /// # Panics
    /// If the row has fewer columns.
    #[must_use]
    pub fn holds(&self, row: &[f32]) -> bool {
        self.0.iter().all(|holds| {
            let found = f64::from(row[holds.column]);
            if holds.exact { found == holds.value } else { found >= holds.value }
        })
    }
}

fn column(names: &[String], name: &str) -> Result<usize, String> {
    let found = names.iter().position(|other| other == name);
    found.ok_or_else(|| format!("a rule speaks of `{name}`, which is no column of the spec"))
}

impl Prices {
    /// What a price pays for if it is not said.
    #[must_use]
    pub const fn month() -> Millis {
        Millis(30 * Millis::DAY.0)
    }

    /// Finds the columns of rows that are called `names`. The first price whose conditions hold is a user's; `main` is the currency of those that name none, and
    /// `period` is what a price pays for.
    ///
    /// # Errors
    /// If there is not what a rule speaks of, or a price is neither a number nor in a column; says which.
    pub fn new(
        prices: &[Price],
        main: &str,
        period: Millis,
        names: &[String],
        spec: &Spec,
    ) -> Result<Self, String> {
        let (mut rules, mut currencies) = (Vec::new(), Vec::new());
        for price in prices {
            price.check()?;
            let paid = match &price.column {
                Some(name) => Paid::Column { column: column(names, name)?, unit: price.unit },
                None => Paid::Fixed(price.price.unwrap_or_default()),
            };
            let currency = price.currency.as_deref().unwrap_or(main);
            let known = currencies.iter().position(|other| other == currency);
            let currency = known.unwrap_or_else(|| {
                currencies.push(currency.to_owned());
                currencies.len() - 1
            });
            rules.push(Rule { when: When::new(&price.when, names, spec)?, paid, currency });
        }
        Ok(Self { rules, currencies, period })
    }

    /// Reads the prices of a money file; what it says of a campaign is left aside.
    ///
    /// # Errors
    /// If it cannot be read, or speaks of what the spec has not.
    pub(crate) fn load(path: &Path, spec: &Spec) -> Result<Self, ConsumerError> {
        let fault = |detail: String| ConsumerError::Prices { path: path.to_owned(), detail };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        let file: MoneyFile = toml::from_str(&text).map_err(|error| fault(error.to_string()))?;
        if file.period.0 <= 0 {
            return Err(fault("`period` must be longer than nothing".to_owned()));
        }
        Self::new(&file.prices, &file.currency, file.period, spec.feature_names(), spec).map_err(fault)
    }

    /// A user's price and which of the [`currencies`](Self::currencies) it is in; `None` if no rule holds or the column has no value.
    ///
    /// # Panics
    /// If the row has fewer columns.
    #[must_use]
    pub fn of(&self, row: &[f32]) -> Option<(f64, usize)> {
        let rule = self.rules.iter().find(|rule| rule.when.holds(row))?;
        let price = match rule.paid {
            Paid::Fixed(price) => price,
            Paid::Column { column, unit } => f64::from(row[column]) * unit,
        };
        (!price.is_nan()).then_some((price, rule.currency))
    }

    /// All currencies that prices are in.
    #[must_use]
    pub fn currencies(&self) -> &[String] {
        &self.currencies
    }

    /// How many times a price is paid within a span.
    #[must_use]
    pub fn periods(&self, span: Millis) -> f64 {
        span.0 as f64 / self.period.0 as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_pays_the_first_price_that_fits() {
        let spec = Spec::from_toml(
            r#"
            version = 1
            entity = "user"
            [inputs.all]
            [[features]]
            input = "all"
            ops = ["count"]
            windows = ["7d"]
            [[attributes]]
            name = "plan"
            categories = ["basic", "premium"]
            [[attributes]]
            name = "fee"
            "#,
            Path::new("spec.toml"),
        )
        .unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("money.toml");
        let load = |text: &str| {
            std::fs::write(&file, text).unwrap();
            Prices::load(&file, &spec)
        };
        let prices = load(
            "currency = \"USD\"\nperiod = \"10d\"\n[[prices]]\nwhen = { plan = \"premium\" }\nprice = 20\ncurrency = \"EUR\"\n\
             [[prices]]\nwhen = { all_count_7d = 3 }\ncolumn = \"fee\"\nunit = 0.01\n[offer]\neffectiveness = 0.3\n",
        )
        .unwrap();
        assert_eq!(prices.currencies(), ["EUR", "USD"]);
        assert_eq!(prices.periods(Millis(30 * Millis::DAY.0)), 3.0);
        let names = spec.feature_names();
        let row = |values: &[(&str, f32)]| -> Vec<f32> {
            let value = |name: &String| values.iter().find(|(n, _)| n == name).map_or(f32::NAN, |v| v.1);
            names.iter().map(value).collect()
        };
        assert_eq!(prices.of(&row(&[("plan", 1.0), ("fee", 700.0)])), Some((20.0, 0)));
        assert_eq!(prices.of(&row(&[("all_count_7d", 3.0), ("fee", 700.0)])), Some((7.0, 1)));
        assert_eq!(prices.of(&row(&[("all_count_7d", 2.0), ("fee", 700.0)])), None);
        assert_eq!(prices.of(&row(&[("all_count_7d", 3.0)])), None, "nobody knows what it pays");

        for (text, why) in [
            ("currency = \"USD\"\n[[prices]]\ncolumn = \"cost\"", "`cost`, which is no column of the spec"),
            ("currency = \"USD\"\n[[prices]]\nwhen = { plan = \"gold\" }\nprice = 1", "basic, premium"),
            ("currency = \"USD\"\n[[prices]]\nunit = 2", "`price` or `column`"),
            ("[[prices]]\nprice = 2", "currency"),
        ] {
            let error = load(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("money.toml"), "{error}");
        }
    }
}
