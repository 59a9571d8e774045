//! Reasons in words.

use types::Reason;

use super::name::{Name, Op, Window};

/// A reason as a sentence: the user's value, what is usual, and which way it points, as an association.
///
/// `3 plays in the last 7 days, usually 41: associated with a higher risk`. What the value stands for is read from the
/// feature's name, `{input}_{op}_{window}`; the words of another name are its parts. Inputs whose name ends with `seconds`,
/// `minutes` or `hours` are told as lengths of time.
#[must_use]
pub fn sentence(reason: &Reason) -> String {
    let direction = if reason.effect > 0.0 { "higher" } else { "lower" };
    format!("{}: associated with a {direction} risk", stated(reason))
}

/// A reason for a line with little room: as [`sentence`], but which way it points is said only of what lowers the risk.
#[must_use]
pub fn words(reason: &Reason) -> String {
    let lowers = if reason.effect < 0.0 { " (lowers the risk)" } else { "" };
    format!("{}{lowers}", stated(reason))
}

/// The value, and what is usual.
fn stated(reason: &Reason) -> String {
    let phrase = Phrase::of(&reason.feature);
    let Some(value) = reason.value else { return phrase.none };
    let mut text = match &phrase.one {
        Some(one) if value == 1.0 => one.clone(),
        _ => format!("{}{}{}", phrase.before, phrase.value(value), phrase.after),
    };
    if let Some(usual) = reason.usual {
        text.push_str(", usually ");
        text.push_str(&phrase.value(usual));
    }
    text
}

/// How the values of a feature are told: the value stands between two pieces.
struct Phrase {
    before: String,
    after: String,
    /// Instead of all, where the value is 1.
    one: Option<String>,
    /// Instead of all, where there is no value.
    none: String,
    kind: Kind,
}

/// How a number is written.
#[derive(Clone, Copy)]
enum Kind {
    Number,
    /// In seconds times this.
    Time(f32),
    /// From -1 to 1, as the percentage that now is of before.
    Change,
}

impl Phrase {
    fn of(feature: &str) -> Self {
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
            Op::Count => counted(format!(" {input} {span}"), format!(" {singular} {span}")),
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

    fn value(&self, value: f32) -> String {
        match self.kind {
            Kind::Number => number(value),
            Kind::Time(seconds) => length(value * seconds),
            Kind::Change if value >= 1.0 => "new".to_owned(),
            Kind::Change => format!("{} %", number(rounded(100.0 * (1.0 + value) / (1.0 - value)))),
        }
    }
}

fn spaced(name: &str) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(feature: &str, value: impl Into<Option<f32>>, usual: impl Into<Option<f32>>, expected: &str) {
        let (value, usual) = (value.into(), usual.into());
        let reason = Reason { feature: feature.to_owned(), value, effect: 0.5, usual };
        assert_eq!(words(&reason), expected);
        assert_eq!(sentence(&reason), format!("{expected}: associated with a higher risk"));
    }

    #[test]
    fn features_are_put_into_words() {
        check("plays_count_7d", 3.0, 41.0, "3 plays in the last 7 days, usually 41");
        check("searches_count_1d", 1.0, 2.5, "1 search in the last day, usually 2.5");
        check("plays_count_all", 1.0, None, "1 play ever");
        check("all_count_7d", 0.0, 12.0, "0 events in the last 7 days, usually 12");
        check(
            "seconds_sum_7d",
            2_520.0,
            18_600.0,
            "seconds in total: 42 minutes in the last 7 days, usually 5.2 hours",
        );
        check("watch_minutes_mean_7d", 0.5, None, "watch minutes on average: 30 seconds in the last 7 days");
        check("revenue_sum_30d", 12.5, 20.0, "revenue in total: 12.5 in the last 30 days, usually 20");
        check("plays_distinct_30d", 2.0, 6.0, "2 different plays in the last 30 days, usually 6");
        check("sessions_active_days_14d", 1.0, 6.0, "1 day with sessions in the last 14 days, usually 6");
        check("sessions_recency_30d", 12.345, 1.0, "12.35 days since the last session, usually 1");
        check("sessions_recency_30d", None, 1.0, "no sessions in the last 30 days");
        check("all_tenure_all", 40.0, 300.0, "40 days since the first event, usually 300");
        check(
            "plays_change_7d",
            -0.5,
            0.0,
            "plays in the last 7 days at 33 % of the 7 days before, usually 100 %",
        );
        check("plays_change_7d", -1.0, None, "plays in the last 7 days at 0 % of the 7 days before");
        check("plays_change_7d", 1.0, None, "plays in the last 7 days, and none the 7 days before");
        check("plays_change_7d", None, None, "no plays in the last 7 days, nor the 7 days before");
        check("finished_share_14d", 0.125, 0.5, "finished share in the last 14 days: 0.12, usually 0.5");
        check("sessions_7d_of_90d", 0.25, 0.5, "sessions 7d of 90d: 0.25, usually 0.5");
        check("plan_premium", 1.0, 0.0, "plan premium: 1, usually 0");
        check("MonthlyCharges", None, 70.0, "MonthlyCharges: none");
        check("plays_mean_30d", -0.001, None, "plays on average: 0 in the last 30 days");
    }

    #[test]
    fn no_words_claim_a_cause() {
        let reason = Reason {
            feature: "plays_count_7d".to_owned(),
            value: Some(90.0),
            effect: -0.5,
            usual: Some(41.0),
        };
        assert_eq!(
            sentence(&reason),
            "90 plays in the last 7 days, usually 41: associated with a lower risk"
        );
        assert_eq!(words(&reason), "90 plays in the last 7 days, usually 41 (lowers the risk)");
    }
}
