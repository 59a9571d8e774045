//! Names that files use and no event has: mistyped, most likely. Computing with them goes on, and gives zeros.

use std::collections::BTreeSet;

use feature_store::{Named, Spec};
use types::Event;

use crate::{Labels, Lost};

/// So many names of the log are remembered to be suggested.
const MOST: usize = 1_000;

/// What is still looked for. When all was found, looking costs nothing; as long as something is not, each event's type and fields are compared and remembered.
#[derive(Debug, Default)]
pub(crate) struct Names {
    missing: Vec<Named>,
    kinds: BTreeSet<String>,
    fields: BTreeSet<String>,
}

impl Names {
    /// All that a spec and labels name.
    pub(crate) fn of(spec: &Spec, labels: Option<&Labels>) -> Self {
        let mut missing = spec.named();
        let mut kinds = |place: &str, events: &[String]| {
            missing.extend(events.iter().map(|kind| Named {
                place: format!("the labels' `{place}`"),
                events: vec![kind.clone()],
                field: None,
            }));
        };
        if let Some(labels) = labels {
            match &labels.lost {
                Lost::Events(events) => kinds("lost", events),
                Lost::Silence(active) => kinds("lost.active", active),
                Lost::Table(_) => {}
            }
            labels.outcomes.values().for_each(|events| kinds("outcomes", events));
            kinds("inputs.implying", &labels.implying);
        }
        Self { missing, ..Self::default() }
    }

    /// Looks at an event.
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        if self.missing.is_empty() {
            return;
        }
        self.missing.retain(|named| {
            let is_of = named.events.is_empty() || named.events.iter().any(|kind| *kind == event.kind);
            let has = named.field.as_ref().is_none_or(|field| event.field(field).is_some());
            !(is_of && has)
        });
        remember(&mut self.kinds, &event.kind);
        event.fields.iter().for_each(|(field, _)| remember(&mut self.fields, field));
    }

    /// What was named and not found, each with the name that may have been meant.
    pub(crate) fn warnings(self) -> Vec<String> {
        let Self { missing, kinds, fields } = self;
        // Of a log without events nothing can be said.
        if kinds.is_empty() {
            return Vec::new();
        }
        let mut said = BTreeSet::new();
        let mut all = Vec::new();
        for Named { place, events, field } in missing {
            let (what, name, known) = match &field {
                None => ("events", events.join(", "), &kinds),
                // Said of the events already.
                Some(_) if !events.is_empty() && !events.iter().any(|kind| kinds.contains(kind)) => continue,
                Some(field) => ("the field", field.clone(), &fields),
            };
            if !said.insert((what, name.clone())) {
                continue;
            }
            let of = match &field {
                // It is there, and what has it was rejected: that is said by itself.
                Some(field) if known.contains(field) => {
                    format!("no event of `{}` that could be used has it", events.join("`, `"))
                }
                Some(_) if !events.is_empty() => {
                    format!("no event of `{}` in the log has it", events.join("`, `"))
                }
                Some(_) => "no event in the log has it".to_owned(),
                None => "the log has none that could be used".to_owned(),
            };
            let meant = match nearest(&name, known) {
                Some(near) if near == name => ".".to_owned(),
                Some(near) => format!(": did you mean `{near}`?"),
                None => among(known),
            };
            all.push(format!("{place} names {what} `{name}`, and {of}{meant}"));
        }
        all
    }
}

/// Some of the names that there are, where none is like what was written.
fn among(known: &BTreeSet<String>) -> String {
    const SHOWN: usize = 8;
    let names: Vec<String> = known.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match (names.is_empty(), known.len() > SHOWN) {
        (true, _) => ".".to_owned(),
        (false, more) => {
            format!(" (there are {}{})", names.join(", "), if more { " and others" } else { "" })
        }
    }
}

fn remember(names: &mut BTreeSet<String>, name: &str) {
    if !names.contains(name) && names.len() < MOST {
        names.insert(name.to_owned());
    }
}

/// The name that is like another: at most a third of it is to be changed.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a String>) -> Option<&'a str> {
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<_>>();
    let wanted = lower(name);
    let near = known.into_iter().map(|other| (distance(&wanted, &lower(other)), other));
    let (changes, other) = near.min()?;
    (changes <= wanted.len().div_ceil(3)).then_some(other)
}

/// How many letters are to be put in, taken out or replaced.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, of_a) in a.iter().enumerate() {
        let mut before = row[0];
        row[0] = i + 1;
        for (j, of_b) in b.iter().enumerate() {
            let replaced = before + usize::from(of_a != of_b);
            before = row[j + 1];
            row[j + 1] = replaced.min(before + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_no_event_has_is_named_with_what_was_meant() {
        let text = r#"
version = 1
entity = "user"
[lifecycle]
end = ["Cancel Subscripton"]
[inputs.plays]
events = "Plya Song"
value = "length"
[inputs.bills]
events = ["bill"]
value = "nofield"
[inputs.all]
value = "lenght"
[[features]]
input = ["plays", "bills", "all"]
ops = "sum"
windows = "7d"
"#;
        let spec = Spec::from_toml(text, Path::new("spec.toml")).unwrap();
        let labels = Labels::by_events(types::Millis::DAY, &["Cancel Subscription", "left"]);
        let mut names = Names::of(&spec, Some(&labels));
        let field = |name: &'static str| (name.into(), types::Value::Int(1));
        for (kind, fields) in [
            ("Play Song", vec![field("length")]),
            ("bill", vec![field("amount")]),
            ("Cancel Subscription", Vec::new()),
        ] {
            names.note(&Event { kind: kind.into(), fields, ..Event::default() });
        }
        let warnings = names.warnings();
        let expected = [
            "lifecycle.end` names events `Cancel Subscripton`, and the log has none that could be used: did you mean `Cancel Subscription`?",
            "inputs.plays.events` names events `Plya Song`, and the log has none that could be used: did you mean `Play Song`?",
            "inputs.bills.value` names the field `nofield`, and no event of `bill` in the log has it (there are `amount`, `length`)",
            "inputs.all.value` names the field `lenght`, and no event in the log has it: did you mean `length`?",
            "labels' `lost` names events `left`, and the log has none that could be used (there are `Cancel Subscription`, `Play Song`, `bill`)",
        ];
        for end in expected {
            assert!(warnings.iter().any(|warning| warning.ends_with(end)), "{end}: {warnings:#?}");
        }
        assert_eq!(warnings.len(), expected.len(), "{warnings:#?}");
    }
}
