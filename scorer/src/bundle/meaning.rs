//! What the values of features stand for.

use serde::{Deserialize, Serialize};

/// What the values of a feature stand for, where its name does not say it: for reasons in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Meaning {
    /// One of these texts: 0 is the first, their number any other text.
    Category {
        /// The attribute.
        attribute: String,
        /// Its texts.
        categories: Vec<String>,
    },
    /// 1 if the attribute has this text.
    Is {
        /// The attribute.
        attribute: String,
        /// The text; `None` for any that is not listed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        category: Option<String>,
    },
    /// Values of a field of events.
    Value {
        /// The field; without a unit, what its name ends with is one: `watch_s`.
        field: String,
        /// What it is in: `seconds`, `minutes`, `hours`, or any other word.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unit: Option<String>,
        /// What it is to have it, as in `watched 42 minutes`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verb: Option<String>,
    },
    /// A number of different texts in a field of events.
    Texts {
        /// The field.
        field: String,
    },
    /// One feature divided by another one.
    Ratio {
        /// The one.
        numerator: String,
        /// The other one.
        denominator: String,
    },
}

impl Meaning {
    /// Whether values are names, of which none is in the middle.
    #[must_use]
    pub const fn is_category(&self) -> bool {
        matches!(self, Self::Category { .. } | Self::Is { .. })
    }
}
