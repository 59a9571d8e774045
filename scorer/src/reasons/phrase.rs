//! How the values of a feature are told.

use super::name::{Name, Op, Window};

/// How the values of a feature are told: the value stands between two pieces.
pub(super) struct Phrase {
    pub(super) before: String,
    pub(super) after: String,
    /// Instead of all, where the value is 1.
    pub(super) one: Option<String>,
    /// Instead of all, where there is no value.
    pub(super) none: String,
    kind: Kind,
}

/// How a number is written.
#[derive(Clone)]
enum Kind {
    Number,
    /// With a unit behind it.
    Of(String),
    /// In seconds times this.
    Time(f32),
    /// From -1 to 1, as the percentage that now is of before.
    Change,
}

impl Phrase {
    pub(super) fn of(feature: &str) -> Self {
        let Some(Name { input, op, window }) = Name::parse(feature) else { return Self::of_other(feature) };
        let time = unit_of(input);
        let (input, singular) = match (input, time) {
            ("all", _) => ("events".to_owned(), "event".to_owned()),
            (input, _) => (spaced(input), singular(&spaced(input))),
        };
        let (span, kind) = (window.span(), time.map_or(Kind::Number, Kind::Time));
        let none = format!("no {input} {span}");
        let plain =
            |before: String, after: String, kind| Self { before, after, one: None, none: none.clone(), kind };
        let counted = |many: String, one: String| Self {
            before: String::new(),
            after: many,
            one: Some(format!("1{one}")),
            none: none.clone(),
            kind: Kind::Number,
        };
        match op {
            Op::Count => counted(format!(" {} {span}", plural(&input)), format!(" {singular} {span}")),
            Op::Distinct => {
                counted(format!(" different {input} {span}"), format!(" different {singular} {span}"))
            }
            Op::ActiveDays => {
                counted(format!(" days with {input} {span}"), format!(" day with {input} {span}"))
            }
            Op::Sessions => {
                counted(format!(" sessions of {input} {span}"), format!(" session of {input} {span}"))
            }
            Op::Recency => {
                counted(format!(" days since the last {singular}"), format!(" day since the last {singular}"))
            }
            Op::Tenure => counted(
                format!(" days since the first {singular}"),
                format!(" day since the first {singular}"),
            ),
            Op::Sum => plain(format!("{input} in total: "), format!(" {span}"), kind),
            Op::Mean => plain(format!("{input} on average: "), format!(" {span}"), kind),
            Op::Min => plain(format!("{input} at least: "), format!(" {span}"), kind),
            Op::Max => plain(format!("{input} at most: "), format!(" {span}"), kind),
            Op::Last => plain(format!("{input} last: "), String::new(), kind),
            Op::Std => plain(format!("{input} vary by: "), format!(" {span}"), kind),
            Op::Change | Op::SumChange => {
                let what = if op == Op::Change { input.clone() } else { format!("{input} in total") };
                Self {
                    before: format!("{what} {span} at "),
                    after: format!(" of {}", window.before()),
                    one: Some(format!("{what} {span}, and none {}", window.before())),
                    none: format!("no {input} {span}, nor {}", window.before()),
                    kind: Kind::Change,
                }
            }
        }
    }

    /// A feature of the values in a field.
    pub(super) fn of_value(feature: &str, field: &str, unit: Option<&str>, verb: Option<&str>) -> Self {
        let Some(Name { input, op, window }) = Name::parse(feature) else { return Self::of_other(feature) };
        let kind = match unit {
            Some(unit) => unit_of(unit).map_or_else(|| Kind::Of(unit.to_owned()), Kind::Time),
            None => unit_of(field).map_or(Kind::Number, Kind::Time),
        };
        let what = match (noun(field), input) {
            (None, input) => spaced(input),
            (Some(noun), "all") => noun,
            (Some(noun), input) => format!("{noun} of {}", spaced(input)),
        };
        let (span, before) = (window.span(), window.before());
        let (begin, end) = match (op, verb) {
            (Op::Sum, Some(verb)) => (format!("{verb} "), format!(" {span}")),
            (Op::Mean, Some(verb)) => (format!("{verb} "), format!(" on average {span}")),
            (Op::Min, Some(verb)) => (format!("{verb} at least "), format!(" {span}")),
            (Op::Max, Some(verb)) => (format!("{verb} at most "), format!(" {span}")),
            (Op::Last, Some(verb)) => (format!("{verb} "), " the last time".to_owned()),
            (Op::SumChange, Some(verb)) => {
                return Self {
                    before: format!("{verb} {span}: "),
                    after: format!(" of {before}"),
                    one: Some(format!("{verb} {span}, and not {before}")),
                    none: format!("{verb} nothing {span}, nor {before}"),
                    kind: Kind::Change,
                };
            }
            (Op::SumChange, None) => {
                return Self {
                    before: format!("{what} in total {span} at "),
                    after: format!(" of {before}"),
                    one: Some(format!("{what} in total {span}, and none {before}")),
                    none: format!("no {what} {span}, nor {before}"),
                    kind: Kind::Change,
                };
            }
            (Op::Mean, None) => (format!("{what} on average: "), format!(" {span}")),
            (Op::Min, None) => (format!("{what} at least: "), format!(" {span}")),
            (Op::Max, None) => (format!("{what} at most: "), format!(" {span}")),
            (Op::Last, None) => (format!("{what} last: "), String::new()),
            (Op::Std, _) => (format!("{what} varies by: "), format!(" {span}")),
            (Op::Sum, None) => (format!("{what} in total: "), format!(" {span}")),
            // The others do not look at values.
            _ => return Self::of(feature),
        };
        let none = verb.map_or_else(|| format!("no {what} {span}"), |verb| format!("{verb} nothing {span}"));
        Self { before: begin, after: end, one: None, none, kind }
    }

    /// A number of different texts in a field.
    pub(super) fn of_texts(feature: &str, field: &str) -> Self {
        let Some(Name { input, window, .. }) = Name::parse(feature) else { return Self::of_other(feature) };
        let of = if input == "all" { String::new() } else { format!(" of {}", spaced(input)) };
        let (field, span) = (spaced(field), window.span());
        Self {
            before: String::new(),
            after: format!(" {}{of} {span}", plural(&field)),
            one: Some(format!("1 {field}{of} {span}")),
            none: format!("no {field}{of} {span}"),
            kind: Kind::Number,
        }
    }

    /// A ratio, an attribute, a column of a table: its name, with a window behind it if it ends with one.
    fn of_other(feature: &str) -> Self {
        let parts = feature.rsplit_once('_').and_then(|(head, window)| Some((head, Window::parse(window)?)));
        let name = parts
            // `a_7d_of_90d` is a share of windows, not something in one.
            .filter(|(head, _)| !head.is_empty() && !head.ends_with("_of"))
            .map_or_else(|| spaced(feature), |(head, window)| format!("{} {}", spaced(head), window.span()));
        Self {
            before: format!("{name}: "),
            after: String::new(),
            one: None,
            none: format!("{name}: none"),
            kind: Kind::Number,
        }
    }

    pub(super) fn value(&self, value: f32) -> String {
        match &self.kind {
            Kind::Number => number(value),
            Kind::Of(unit) => format!("{} {unit}", number(value)),
            Kind::Time(seconds) => length(value * seconds),
            Kind::Change if value >= 1.0 => "none before".to_owned(),
            Kind::Change => format!("{} %", number(rounded(100.0 * (1.0 + value) / (1.0 - value)))),
        }
    }
}

pub(super) fn spaced(name: &str) -> String {
    name.replace('_', " ")
}

/// The unit that an input's name ends with, in seconds.
fn unit_of(input: &str) -> Option<f32> {
    match input.rsplit('_').next()? {
        "ms" | "milliseconds" => Some(0.001),
        "s" | "secs" | "seconds" => Some(1.0),
        "mins" | "minutes" => Some(60.0),
        "hours" => Some(3_600.0),
        _ => None,
    }
}

/// What a field's name says besides its unit, if anything.
fn noun(field: &str) -> Option<String> {
    match field.rsplit_once('_') {
        Some((head, _)) if unit_of(field).is_some() && !head.is_empty() => Some(spaced(head)),
        _ if unit_of(field).is_some() => None,
        _ => Some(spaced(field)),
    }
}

/// With the plural's `s`, as far as spelling shows it. What was done (`finished`) and is going on (`browsing`) has none.
fn plural(singular: &str) -> String {
    match singular.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if ["s", "ed", "ing"].iter().any(|end| singular.ends_with(end)) => singular.to_owned(),
        _ if ["ch", "sh", "x"].iter().any(|end| singular.ends_with(end)) => format!("{singular}es"),
        _ => format!("{singular}s"),
    }
}

/// Without the plural's `s`, as far as spelling shows it.
fn singular(plural: &str) -> String {
    match plural.strip_suffix("ies") {
        Some(stem) if stem.len() > 1 => format!("{stem}y"),
        _ => match plural.strip_suffix("ches").or_else(|| plural.strip_suffix("shes")) {
            Some(_) => plural[..plural.len() - 2].to_owned(),
            None if plural.ends_with("ss") => plural.to_owned(),
            None => plural.strip_suffix('s').unwrap_or(plural).to_owned(),
        },
    }
}

/// A length of time, with the unit that suits it.
fn length(seconds: f32) -> String {
    let told = |value: f32, unit: &str| {
        let text = number(rounded(value));
        let plural = if text == "1" { "" } else { "s" };
        format!("{text} {unit}{plural}")
    };
    match seconds.abs() {
        ..60.0 => told(seconds, "second"),
        ..7_200.0 => told(seconds / 60.0, "minute"),
        ..172_800.0 => told(seconds / 3_600.0, "hour"),
        _ => told(seconds / 86_400.0, "day"),
    }
}

/// To a tenth below ten, to a whole number above.
fn rounded(value: f32) -> f32 {
    if value.abs() < 10.0 { (value * 10.0).round() / 10.0 } else { value.round() }
}

/// At most two decimals, none where they are zero.
fn number(value: f32) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}
