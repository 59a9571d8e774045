//! The money file.
//!
//! ```toml
//! currency = "USD"                 # what sums are in
//! period = "30d"                   # what a price pays for
//! kept_for = "90d"                 # how long a user who is kept goes on paying; default: a period
//!
//! [[prices]]                       # the first whose conditions hold; a user without one is worth nothing
//! when = { plan = "premium", country = "GB" }   # columns of the spec: a text, or the least number
//! price = 13.99
//! currency = "GBP"                 # default: the currency above
//!
//! [[prices]]
//! price = 9.99                     # or `column = "price"`, with `unit = 0.01` for cents
//!
//! [rates]                          # to the currency above
//! GBP = 1.27
//!
//! [offer]
//! effectiveness = 0.3              # share of the contacted who would leave and then stay: an assumption
//! contact_cost = 0.5               # for everybody contacted
//! offer_cost = 3.0                 # for everybody who takes the offer
//! taken_by_stayers = 1.0           # share of the contacted who would stay anyway and take it all the same; default 1
//! share = 0.1                      # contact this share of users in each round, the highest probabilities first
//! cap = 2000                       # contacts in a round at most
//! budget = 5000                    # costs of a round at most
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use consumer::{Price, Prices};
use feature_store::Spec;
use serde::{Deserialize, Serialize};
use types::Millis;

use crate::BacktestError;

/// What users pay and what a campaign costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneySettings {
    /// The currency of all sums.
    pub currency: String,
    /// What a price pays for.
    #[serde(default = "Prices::month")]
    pub period: Millis,
    /// How long a user who is kept goes on paying; a period if it is not said.
    pub kept_for: Option<Millis>,
    /// The first whose conditions hold is a user's price.
    pub prices: Vec<Price>,
    /// How much of the main currency one unit of others is worth.
    #[serde(default)]
    pub rates: BTreeMap<String, f64>,
    /// The campaign.
    pub offer: Offer,
}

/// A campaign's terms; money in the main currency.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// The share of the contacted who would leave and then stay, 0 to 1.
    pub effectiveness: f64,
    /// For everybody contacted.
    #[serde(default)]
    pub contact_cost: f64,
    /// For everybody who takes the offer.
    #[serde(default)]
    pub offer_cost: f64,
    /// The share of the contacted who would stay anyway and take the offer all the same, 0 to 1.
    #[serde(default = "one")]
    pub taken_by_stayers: f64,
    /// The share of users contacted in each round, 0 to 1.
    pub share: Option<f64>,
    /// Contacts in a round at most.
    pub cap: Option<u64>,
    /// Costs of a round at most.
    pub budget: Option<f64>,
}

const fn one() -> f64 {
    1.0
}

impl MoneySettings {
    /// Reads a money file.
    ///
    /// # Errors
    /// If it cannot be read, or something in it cannot be meant; the message names file and field.
    pub fn load(path: &Path) -> Result<Self, BacktestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| BacktestError::Read { path: path.into(), source })?;
        Self::from_toml(&text).map_err(|detail| BacktestError::Labels { path: path.into(), detail })
    }

    pub(super) fn from_toml(text: &str) -> Result<Self, String> {
        let settings: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), String> {
        let Offer { effectiveness, contact_cost, offer_cost, taken_by_stayers, share, budget, .. } =
            self.offer;
        let shares = [
            ("offer.effectiveness", Some(effectiveness)),
            ("offer.taken_by_stayers", Some(taken_by_stayers)),
            ("offer.share", share),
        ];
        for (name, value) in shares {
            if value.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
                return Err(format!("`{name}` must be 0 to 1"));
            }
        }
        let costs = [
            ("offer.contact_cost", Some(contact_cost)),
            ("offer.offer_cost", Some(offer_cost)),
            ("offer.budget", budget),
        ];
        for (name, value) in costs {
            if value.is_some_and(|value| !(value.is_finite() && value >= 0.0)) {
                return Err(format!("`{name}` must be a number from 0 up"));
            }
        }
        if self.period.0 <= 0 || self.kept_for.is_some_and(|span| span.0 <= 0) {
            return Err("`period` and `kept_for` must be longer than nothing".to_owned());
        }
        if self.prices.is_empty() {
            return Err("there is no `[[prices]]`: nobody would be worth anything".to_owned());
        }
        for price in &self.prices {
            price.check()?;
            let currency = price.currency.as_ref().unwrap_or(&self.currency);
            if *currency != self.currency && !self.rates.contains_key(currency) {
                return Err(format!("`rates` does not say what {currency} is worth in {}", self.currency));
            }
        }
        Ok(())
    }

    /// The prices, with the columns of rows that are called `names` found.
    ///
    /// # Errors
    /// If they name what is not there.
    pub(super) fn prices(&self, names: &[String], spec: &Spec) -> Result<Prices, BacktestError> {
        Prices::new(&self.prices, &self.currency, self.period, names, spec).map_err(BacktestError::Money)
    }

    /// How long a user who is kept goes on paying.
    #[must_use]
    pub fn kept_for(&self) -> Millis {
        self.kept_for.unwrap_or(self.period)
    }

    /// What one unit of a currency is worth in the main one.
    #[must_use]
    pub fn rate(&self, currency: &str) -> f64 {
        if currency == self.currency { 1.0 } else { self.rates.get(currency).copied().unwrap_or(0.0) }
    }
}
