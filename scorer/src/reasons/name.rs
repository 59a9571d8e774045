//! The parts of a feature's name.

/// A name of the form `{input}_{op}_{window}`, as feature specs make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name<'a> {
    pub(super) input: &'a str,
    pub(super) op: Op,
    pub(super) window: Window<'a>,
}

/// What is done with the events of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
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

/// The length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Window<'a> {
    /// The user's whole life.
    All,
    /// How many, and of what: `day`, `hour` or `minute`.
    Span(&'a str, &'static str),
}

/// The longer names first, since one ends with another.
const OPS: [(&str, Op); 14] = [
    ("sum_change", Op::SumChange),
    ("active_days", Op::ActiveDays),
    ("count", Op::Count),
    ("sum", Op::Sum),
    ("mean", Op::Mean),
    ("min", Op::Min),
    ("max", Op::Max),
    ("last", Op::Last),
    ("std", Op::Std),
    ("distinct", Op::Distinct),
    ("recency", Op::Recency),
    ("tenure", Op::Tenure),
    ("sessions", Op::Sessions),
    ("change", Op::Change),
];

impl<'a> Name<'a> {
    pub(super) fn parse(feature: &'a str) -> Option<Self> {
        let (head, window) = feature.rsplit_once('_')?;
        let window = Window::parse(window)?;
        let part = |(name, op): (&str, Op)| Some((head.strip_suffix(name)?.strip_suffix('_')?, op));
        let (input, op) = OPS.into_iter().find_map(part).filter(|(input, _)| !input.is_empty())?;
        Some(Self { input, op, window })
    }
}

impl<'a> Window<'a> {
    pub(super) fn parse(window: &'a str) -> Option<Self> {
        if window == "all" {
            return Some(Self::All);
        }
        let (count, unit) = window.split_at(window.find(|c: char| !c.is_ascii_digit())?);
        let unit = match unit {
            "d" => "day",
            "h" => "hour",
            "m" => "minute",
            _ => return None,
        };
        (!count.is_empty()).then_some(Self::Span(count, unit))
    }

    /// As in `in the last 7 days`.
    pub(super) fn span(self) -> String {
        match self {
            Self::All => "ever".to_owned(),
            Self::Span("1", unit) => format!("in the last {unit}"),
            Self::Span(count, unit) => format!("in the last {count} {unit}s"),
        }
    }

    /// As in `the 7 days before`.
    pub(super) fn before(self) -> String {
        match self {
            Self::All => "before".to_owned(),
            Self::Span("1", unit) => format!("the {unit} before"),
            Self::Span(count, unit) => format!("the {count} {unit}s before"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let name = |input, op, window| Some(Name { input, op, window });
        let week = Window::Span("7", "day");
        assert_eq!(Name::parse("plays_count_7d"), name("plays", Op::Count, week));
        assert_eq!(Name::parse("watch_time_sum_change_7d"), name("watch_time", Op::SumChange, week));
        assert_eq!(Name::parse("all_tenure_all"), name("all", Op::Tenure, Window::All));
        assert_eq!(Name::parse("é_active_days_24h"), name("é", Op::ActiveDays, Window::Span("24", "hour")));
        for other in [
            "plan",
            "plan_basic",
            "count_7d",
            "_count_7d",
            "plays_count_",
            "plays_count_d",
            "plays_count_7w",
            "",
        ] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
