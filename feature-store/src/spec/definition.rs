//! A checked spec as plain data, and its canonical form.

use std::fmt::Write as _;

use types::Millis;

use super::Tick;
use super::raw::Scalar;

/// Everything that a spec says, with its defaults filled in.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) entity: String,
    pub(crate) allowed_lateness: Millis,
    pub(crate) max_ahead: Millis,
    pub(crate) event_cap: u32,
    pub(crate) tick: Tick,
    pub(crate) lifecycle: Lifecycle,
    /// Sorted by name.
    pub(crate) inputs: Vec<Input>,
    /// In the order of the row.
    pub(crate) features: Vec<Feature>,
    pub(crate) ratios: Vec<Ratio>,
    pub(crate) attributes: Vec<Attribute>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Lifecycle {
    pub(crate) start: Vec<String>,
    pub(crate) end: Vec<String>,
    pub(crate) resume: Vec<String>,
    pub(crate) silence: Option<Millis>,
}

#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: String,
    /// Sorted; `None` is every type.
    pub(crate) events: Option<Vec<String>>,
    pub(crate) condition: Option<Condition>,
    pub(crate) value: Option<(String, u32)>,
    pub(crate) text: Option<String>,
    /// How the values are told to people; not part of what the spec means.
    pub(crate) unit: Option<String>,
    pub(crate) verb: Option<String>,
}

/// All that is given must hold; a field that is absent or null never matches.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) field: String,
    pub(crate) is: Option<Vec<Scalar>>,
    pub(crate) not: Option<Vec<Scalar>>,
    pub(crate) min: Option<f64>,
    pub(crate) max: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    Last,
    Std,
    Distinct,
    Recency,
    Tenure,
    ActiveDays,
    Sessions,
    Change,
    SumChange,
}

impl Op {
    pub(crate) const ALL: [(&'static str, Self); 14] = [
        ("count", Self::Count),
        ("sum", Self::Sum),
        ("mean", Self::Mean),
        ("min", Self::Min),
        ("max", Self::Max),
        ("last", Self::Last),
        ("std", Self::Std),
        ("distinct", Self::Distinct),
        ("recency", Self::Recency),
        ("tenure", Self::Tenure),
        ("active_days", Self::ActiveDays),
        ("sessions", Self::Sessions),
        ("change", Self::Change),
        ("sum_change", Self::SumChange),
    ];

    /// Whether the input must have a numeric `value`.
    pub(crate) const fn needs_value(self) -> bool {
        matches!(
            self,
            Self::Sum | Self::Mean | Self::Min | Self::Max | Self::Last | Self::Std | Self::SumChange
        )
    }

    /// Whether its state over a whole life is bounded, so that it may have the window `all`.
    pub(crate) const fn mergeable(self) -> bool {
        !matches!(self, Self::Distinct | Self::ActiveDays | Self::Sessions | Self::Change | Self::SumChange)
    }
}

/// How far back a feature looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    /// `(T - w, T]`, in milliseconds.
    Span(i64),
    /// Every event up to T.
    All,
}

#[derive(Debug, Clone)]
pub(crate) struct Feature {
    pub(crate) name: String,
    /// Index into the inputs.
    pub(crate) input: usize,
    pub(crate) op: Op,
    pub(crate) window: Window,
    /// Milliseconds; only for sessions.
    pub(crate) gap: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct Ratio {
    pub(crate) name: String,
    /// Indices into the features.
    pub(crate) numerator: usize,
    pub(crate) denominator: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) field: String,
    /// Sorted; `None` is every type.
    pub(crate) events: Option<Vec<String>>,
    pub(crate) kind: AttributeKind,
}

#[derive(Debug, Clone)]
pub(crate) enum AttributeKind {
    Number { scale: u32 },
    Ordinal { categories: Vec<String>, other: bool },
    OneHot { categories: Vec<String>, other: bool },
}

impl Attribute {
    /// The names of the row's columns that it fills.
    pub(crate) fn columns(&self) -> Vec<String> {
        match &self.kind {
            AttributeKind::Number { .. } | AttributeKind::Ordinal { .. } => vec![self.name.clone()],
            AttributeKind::OneHot { categories, other } => {
                let other = other.then(|| "other".to_owned());
                categories.iter().cloned().chain(other).map(|c| format!("{}_{c}", self.name)).collect()
            }
        }
    }
}

impl Definition {
    /// The names of the row's columns: features, then ratios, then attributes.
    pub(crate) fn names(&self) -> Vec<String> {
        let features = self.features.iter().map(|f| f.name.clone());
        let ratios = self.ratios.iter().map(|r| r.name.clone());
        features.chain(ratios).chain(self.attributes.iter().flat_map(Attribute::columns)).collect()
    }

    pub(super) fn columns_reading(&self, kinds: &[String]) -> Vec<usize> {
        let names_one =
            |events: &Option<Vec<String>>| events.iter().flatten().any(|kind| kinds.contains(kind));
        let mut reading: Vec<bool> =
            self.features.iter().map(|f| names_one(&self.inputs[f.input].events)).collect();
        for ratio in &self.ratios {
            reading.push(reading[ratio.numerator] || reading[ratio.denominator]);
        }
        for attribute in &self.attributes {
            let alone = attribute
                .events
                .as_ref()
                .is_some_and(|events| !events.is_empty() && events.iter().all(|kind| kinds.contains(kind)));
            reading.extend(attribute.columns().iter().map(|_| alone));
        }
        (0..reading.len()).filter(|column| reading[*column]).collect()
    }

    /// How far back each column looks, in milliseconds; `None` is a user's whole life, also in part. An attribute is what was said
    /// last, so the log's age does not show in it.
    pub(super) fn spans(&self) -> Vec<Option<i64>> {
        let mut spans: Vec<Option<i64>> = (self.features.iter())
            .map(|feature| match (feature.op, feature.window) {
                (Op::Tenure, _) | (_, Window::All) => None,
                (Op::Change | Op::SumChange, Window::Span(span)) => Some(2 * span),
                (_, Window::Span(span)) => Some(span),
            })
            .collect();
        for ratio in &self.ratios {
            spans.push(spans[ratio.numerator].zip(spans[ratio.denominator]).map(|(a, b)| a.max(b)));
        }
        spans.extend(self.attributes.iter().flat_map(Attribute::columns).map(|_| Some(0)));
        spans
    }

    pub(super) fn categories(&self, column: &str) -> Option<&[String]> {
        self.attributes.iter().find(|attribute| attribute.name == column).and_then(|attribute| {
            match &attribute.kind {
                AttributeKind::Ordinal { categories, .. } => Some(categories.as_slice()),
                AttributeKind::Number { .. } | AttributeKind::OneHot { .. } => None,
            }
        })
    }

    /// What the spec means, one thing a line, as text that depends on nothing else: not on comments, white space, the order of
    /// tables where it has no meaning, or how a default came about.
    pub(crate) fn canonical(&self) -> String {
        let mut text = String::new();
        let mut line = |what: std::fmt::Arguments<'_>| {
            // Writing into a String cannot fail.
            let _ = writeln!(text, "{what}");
        };
        line(format_args!("churnstream feature spec 1"));
        line(format_args!("entity {:?}", self.entity));
        line(format_args!("lateness {} ahead {}", self.allowed_lateness.0, self.max_ahead.0));
        line(format_args!("cap {}", self.event_cap));
        line(format_args!("tick {} {} {}", self.tick.every.0, self.tick.offset.0, self.tick.grace.0));
        let l = &self.lifecycle;
        line(format_args!("life {:?} {:?} {:?} {:?}", l.start, l.end, l.resume, l.silence.map(|s| s.0)));
        for i in &self.inputs {
            line(format_args!("input {:?} {:?} {:?} {:?}", i.name, i.events, i.value, i.text));
            if let Some(c) = &i.condition {
                line(format_args!("where {:?} {:?} {:?} {:?} {:?}", c.field, c.is, c.not, c.min, c.max));
            }
        }
        for f in &self.features {
            let input = &self.inputs[f.input].name;
            line(format_args!("feature {:?} {input:?} {:?} {:?} {}", f.name, f.op, f.window, f.gap));
        }
        for r in &self.ratios {
            line(format_args!("ratio {:?} {} {}", r.name, r.numerator, r.denominator));
        }
        for a in &self.attributes {
            line(format_args!("attribute {:?} {:?} {:?} {:?}", a.name, a.field, a.events, a.kind));
        }
        text
    }
}
