//! Whom a model's baselines are of: the users of the last sweeps of its training.

use backtest::LabelledRows;
use feature_store::Spec;
use trainer::{Reference, Rows};
use types::Millis;

/// Sweeps of so much time are looked at. Of all of training they would tell of a log that was younger than it is when somebody
/// compares: windows fill, lives grow longer, and all of it would look like drift.
const SPAN: Millis = Millis(28 * Millis::DAY.0);

/// What the last sweeps saw while the rows were made that a model learns from, the last one at least.
pub(super) fn of(all: &LabelledRows, spec: &Spec, learnt: &Rows) -> Reference {
    let swept = &all.swept;
    let Some((from, to)) = learnt.window() else { return Reference::default() };
    let within = |row: &usize| (from..=to).contains(&swept.as_of[*row]);
    let Some(newest) = (0..swept.as_of.len()).filter(within).map(|row| swept.as_of[row]).max() else {
        return Reference::default();
    };
    let rows: Vec<usize> = (0..swept.as_of.len())
        .filter(within)
        .filter(|row| newest.since(swept.as_of[*row]).0 < SPAN.0)
        .collect();
    let first = rows.iter().map(|row| swept.as_of[*row]).min().unwrap_or(newest);
    let age = first.since(swept.began);
    let width = all.names.len();
    Reference {
        values: rows.iter().flat_map(|row| swept.values[row * width..][..width].iter().copied()).collect(),
        groups: rows.iter().map(|row| swept.users[*row]).collect(),
        ageing: (all.names.iter().zip(spec.spans()))
            .filter(|(_, span)| span.is_none_or(|span| span.0 > age.0))
            .map(|(name, _)| name.clone())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use backtest::Swept;
    use types::EventTime;

    use super::*;

    const SPEC: &str = r#"
version = 1
entity = "user"
[inputs.plays]
events = "play"
[[features]]
input = "plays"
ops = ["count", "change"]
windows = ["7d", "30d"]
[[features]]
input = "plays"
ops = ["count", "tenure"]
windows = "all"
[[ratios]]
name = "week"
numerator = "plays_count_7d"
denominator = "plays_count_all"
[[attributes]]
name = "plan"
categories = ["a", "b"]
"#;

    /// A sweep a week of one user each, the first a week after the log began; learnt from those of some weeks.
    fn of_weeks(learnt: std::ops::RangeInclusive<i64>) -> Reference {
        let spec = Spec::from_toml(SPEC, Path::new("spec.toml")).unwrap();
        let week = |week: i64| EventTime(7 * Millis::DAY.0 * week);
        let width = spec.feature_names().len();
        let all = LabelledRows {
            names: spec.feature_names().to_vec(),
            swept: Swept {
                values: (1..=20_u8).flat_map(|at| vec![f32::from(at); width]).collect(),
                as_of: (1..=20).map(week).collect(),
                users: (1..=20).collect(),
                began: EventTime(0),
            },
            ..LabelledRows::default()
        };
        let rows = Rows { as_of: learnt.map(week).collect(), ..Rows::default() };
        of(&all, &spec, &rows)
    }

    #[test]
    fn baselines_are_of_the_last_sweeps() {
        let late = of_weeks(1..=16);
        assert_eq!(late.groups, [13, 14, 15, 16]);
        assert_eq!((late.values[0], late.values.len() % 4), (13.0, 0));
        assert_eq!(of_weeks(3..=3).groups, [3], "the last one at least");
        assert!(of_weeks(21..=22).groups.is_empty());
    }

    #[test]
    fn what_grows_with_the_log_is_named() {
        let whole = ["plays_count_all", "plays_tenure_all", "week"];
        assert_eq!(of_weeks(1..=16).ageing, whole, "13 weeks fill every window");
        // A change reads its window and the one before: 60 days are not there after 28.
        let young = of_weeks(4..=5).ageing;
        assert_eq!(young, ["plays_count_30d", "plays_change_30d", whole[0], whole[1], whole[2]]);
        assert_eq!(of_weeks(8..=8).ageing, ["plays_change_30d", whole[0], whole[1], whole[2]]);
    }
}
