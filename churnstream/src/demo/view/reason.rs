//! A reason in a few words, for a line that has no room for a sentence.

use types::Reason;

/// A feature and its value in words: `plays in 7 days: 0`. Where the feature speaks for the user, `(lowers the risk)` stands
/// behind. Features whose name is not of the form `{input}_{op}_{window}` are named as they are.
#[must_use]
pub fn reason_words(reason: &Reason) -> String {
    let what = feature_words(&reason.feature).unwrap_or_else(|| reason.feature.clone());
    let value = reason.value.map_or_else(|| "none".to_owned(), number);
    let lowers = if reason.effect < 0.0 { " (lowers the risk)" } else { "" };
    format!("{what}: {value}{lowers}")
}

fn feature_words(feature: &str) -> Option<String> {
    let (head, window) = feature.rsplit_once('_')?;
    let (span, before) = window_words(window)?;
    // The longer names first, since one ends with another.
    const OPS: [&str; 15] = [
        "sum_change",
        "active_days",
        "count",
        "sum",
        "mean",
        "min",
        "max",
        "last",
        "std",
        "distinct",
        "recency",
        "tenure",
        "sessions",
        "change",
        "ratio",
    ];
    let (input, op) = OPS.iter().find_map(|op| Some((head.strip_suffix(op)?.strip_suffix('_')?, *op)))?;
    let input = input.replace('_', " ");
    Some(match op {
        "count" => format!("{input}{span}"),
        "sum" => format!("{input} in total{span}"),
        "mean" => format!("mean {input}{span}"),
        "min" => format!("least {input}{span}"),
        "max" => format!("most {input}{span}"),
        "last" => format!("last {input}"),
        "std" => format!("spread of {input}{span}"),
        "distinct" => format!("different {input}{span}"),
        "recency" => format!("days since {input}"),
        "tenure" => format!("days since first {input}"),
        "active_days" => format!("days with {input}{span}"),
        "sessions" => format!("sessions of {input}{span}"),
        "change" => format!("change in {input}{before}"),
        "sum_change" => format!("change in total {input}{before}"),
        _ => format!("ratio of {input}{span}"),
    })
}

/// `7d` as ` in 7 days` and ` against the 7 days before`.
fn window_words(window: &str) -> Option<(String, String)> {
    if window == "all" {
        return Some((" ever".to_owned(), String::new()));
    }
    let unit_at = window.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = window.split_at(unit_at);
    let unit = match unit {
        "d" => "day",
        "h" => "hour",
        "m" => "minute",
        _ => return None,
    };
    let plural = match count {
        "" => return None,
        "1" => "",
        _ => "s",
    };
    Some((format!(" in {count} {unit}{plural}"), format!(" against the {count} {unit}{plural} before")))
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
    fn check(feature: &str, value: Option<f32>, effect: f32, expected: &str) {
        assert_eq!(reason_words(&Reason { feature: feature.to_owned(), value, effect }), expected);
    }

    #[test]
    fn features_are_put_into_words() {
        check("plays_count_7d", Some(0.0), 0.5, "plays in 7 days: 0");
        check(
            "watch_time_sum_24h",
            Some(1312.5),
            -0.1,
            "watch time in total in 24 hours: 1312.5 (lowers the risk)",
        );
        check("plays_recency_90d", Some(12.345), 0.1, "days since plays: 12.35");
        check("plays_active_days_1d", Some(1.0), 0.1, "days with plays in 1 day: 1");
        check("plays_change_7d", Some(-3.0), 0.1, "change in plays against the 7 days before: -3");
        check("watch_sum_change_7d", None, 0.1, "change in total watch against the 7 days before: none");
        check("failed_payments_count_all", Some(-0.001), 0.1, "failed payments ever: 0");
    }

    #[test]
    fn other_names_stay() {
        for feature in
            ["plan", "plan_is_basic", "count_7d", "plays_count_", "plays_count_d", "plays_count_7w", ""]
        {
            check(feature, Some(1.0), 0.1, &format!("{feature}: 1"));
        }
    }
}
