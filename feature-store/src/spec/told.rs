//! What a column's values stand for, where its name does not say it: for telling people.

use super::Spec;
use super::definition::{Attribute, AttributeKind, Input, Op};

/// What the values of a column stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told<'a> {
    /// One of these texts: 0 is the first, their number any other text.
    Category {
        /// The attribute.
        attribute: &'a str,
        /// Its texts.
        categories: &'a [String],
    },
    /// 1 if the attribute has this text.
    Is {
        /// The attribute.
        attribute: &'a str,
        /// The text; `None` for any that is not listed.
        category: Option<&'a str>,
    },
    /// Values of a field of the input's events.
    Value {
        /// The field.
        field: &'a str,
        /// What it is in.
        unit: Option<&'a str>,
        /// What it is to have it, as in `watched 42 minutes`.
        verb: Option<&'a str>,
    },
    /// A number of different texts in a field of the input's events.
    Texts {
        /// The field.
        field: &'a str,
    },
    /// One column divided by another one.
    Ratio {
        /// The one.
        numerator: &'a str,
        /// The other one.
        denominator: &'a str,
    },
}

/// A name that a spec uses and events are to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Where the spec says so.
    pub place: String,
    /// Types of events: one of them is to come; with a field, only theirs is meant. Any type if empty.
    pub events: Vec<String>,
    /// The field.
    pub field: Option<String>,
}

impl Spec {
    /// The types of events and the fields that it names, each once for each place. O(names).
    #[must_use]
    pub fn named(&self) -> Vec<Named> {
        let mut all = Vec::new();
        let mut kinds = |place: &str, events: &[String]| {
            all.extend(events.iter().map(|kind| Named {
                place: format!("the spec's `{place}`"),
                events: vec![kind.clone()],
                field: None,
            }));
        };
        let (life, definition) = (&self.definition.lifecycle, &self.definition);
        for (place, events) in [("start", &life.start), ("end", &life.end), ("resume", &life.resume)] {
            kinds(&format!("lifecycle.{place}"), events);
        }
        for input in &definition.inputs {
            kinds(&format!("inputs.{}.events", input.name), input.events.as_deref().unwrap_or_default());
        }
        for attribute in &definition.attributes {
            let events = attribute.events.as_deref().unwrap_or_default();
            kinds(&format!("attributes.{}.events", attribute.name), events);
        }
        let mut field = |place: String, events: &Option<Vec<String>>, field: &str| {
            let events = events.clone().unwrap_or_default();
            all.push(Named { place: format!("the spec's `{place}`"), events, field: Some(field.to_owned()) });
        };
        for Input { name, events, condition, value, text, .. } in &definition.inputs {
            let fields = [
                ("where", condition.as_ref().map(|condition| &condition.field)),
                ("value", value.as_ref().map(|(field, _)| field)),
                ("text", text.as_ref()),
            ];
            for (what, named) in fields {
                if let Some(named) = named {
                    field(format!("inputs.{name}.{what}"), events, named);
                }
            }
        }
        for attribute in &definition.attributes {
            field(format!("attributes.{}", attribute.name), &attribute.events, &attribute.field);
        }
        all
    }

    /// What the values of a column stand for, if its name does not say it all.
    #[must_use]
    pub fn told(&self, column: &str) -> Option<Told<'_>> {
        if let Some(feature) = self.definition.features.iter().find(|feature| feature.name == column) {
            let input = &self.definition.inputs[feature.input];
            return if feature.op.needs_value() { value(input) } else { texts(input, feature.op) };
        }
        if let Some(ratio) = self.definition.ratios.iter().find(|ratio| ratio.name == column) {
            let name = |feature: usize| self.definition.features[feature].name.as_str();
            return Some(Told::Ratio {
                numerator: name(ratio.numerator),
                denominator: name(ratio.denominator),
            });
        }
        self.definition.attributes.iter().find_map(|attribute| category(attribute, column))
    }
}

fn value(input: &Input) -> Option<Told<'_>> {
    let (field, _) = input.value.as_ref()?;
    Some(Told::Value { field, unit: input.unit.as_deref(), verb: input.verb.as_deref() })
}

fn texts(input: &Input, op: Op) -> Option<Told<'_>> {
    let field = input.text.as_ref().filter(|_| op == Op::Distinct)?;
    Some(Told::Texts { field })
}

fn category<'a>(attribute: &'a Attribute, column: &str) -> Option<Told<'a>> {
    let (name, is_name) = (attribute.name.as_str(), attribute.name == column);
    match &attribute.kind {
        AttributeKind::Number { .. } => None,
        AttributeKind::Ordinal { categories, .. } => {
            is_name.then_some(Told::Category { attribute: name, categories })
        }
        AttributeKind::OneHot { categories, .. } => {
            let at = attribute.columns().iter().position(|one| one == column)?;
            Some(Told::Is { attribute: name, category: categories.get(at).map(String::as_str) })
        }
    }
}
