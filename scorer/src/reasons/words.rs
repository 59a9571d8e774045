//! Reasons in words.

use types::Reason;

use super::phrase::{Phrase, spaced};
use crate::Meaning;

/// A reason as a sentence: the user's value, what is usual, and which way it points, as an association.
///
/// `3 plays in the last 7 days, usually 41: associated with a higher risk`. What the value stands for is
/// what the reason's text says; without one it is read from the feature's name, `{input}_{op}_{window}`, and the words of another
/// name are its parts. Inputs whose name ends with `seconds`, `minutes` or `hours` are told as lengths of time.
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
    let told = || told(&reason.feature, None, reason.value, reason.usual);
    reason.text.clone().unwrap_or_else(told)
}

/// A feature's value and what is usual in words, by its name and what it is known to stand for.
pub(super) fn told(
    feature: &str,
    meaning: Option<&Meaning>,
    value: Option<f32>,
    usual: Option<f32>,
) -> String {
    let phrase = match meaning {
        Some(Meaning::Category { attribute, categories }) => {
            return format!("{} is {}", spaced(attribute), category(categories, value));
        }
        Some(Meaning::Is { attribute, category }) => {
            return format!("{} is {}", spaced(attribute), is(category.as_deref(), value));
        }
        Some(Meaning::Value { field, unit, verb }) => {
            Phrase::of_value(feature, field, unit.as_deref(), verb.as_deref())
        }
        Some(Meaning::Texts { field }) => Phrase::of_texts(feature, field),
        Some(Meaning::Ratio { .. }) | None => Phrase::of(feature),
    };
    let Some(value) = value else { return phrase.none };
    let mut text = match &phrase.one {
        Some(one) if value == 1.0 => one.clone(),
        _ => format!("{}{}{}", phrase.before, phrase.value(value), phrase.after),
    };
    if let Some(usual) = usual {
        text.push_str(", usually ");
        text.push_str(&phrase.value(usual));
    }
    text
}

/// Codes are whole numbers from 0; their number is any other text.
fn category(categories: &[String], code: Option<f32>) -> &str {
    match code {
        None => "not known",
        Some(code) => categories.get(code as usize).map_or("none of those listed", String::as_str),
    }
}

fn is(category: Option<&str>, value: Option<f32>) -> String {
    match (category, value) {
        (_, None) => "not known".to_owned(),
        (Some(category), Some(1.0)) => category.to_owned(),
        (Some(category), Some(_)) => format!("not {category}"),
        (None, Some(1.0)) => "none of those listed".to_owned(),
        (None, Some(_)) => "one of those listed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(feature: &str, value: impl Into<Option<f32>>, usual: impl Into<Option<f32>>, expected: &str) {
        let (value, usual) = (value.into(), usual.into());
        let reason = Reason { feature: feature.to_owned(), value, effect: 0.5, usual, text: None };
        assert_eq!(words(&reason), expected);
        assert_eq!(sentence(&reason), format!("{expected}: associated with a higher risk"));
    }

    #[test]
    fn features_are_put_into_words() {
        check("plays_count_7d", 3.0, 41.0, "3 plays in the last 7 days, usually 41");
        check("searches_count_1d", 1.0, 2.5, "1 search in the last day, usually 2.5");
        check("search_count_30d", 4.0, None, "4 searches in the last 30 days");
        check("search_count_30d", 1.0, None, "1 search in the last 30 days");
        check("finished_count_14d", 4.0, None, "4 finished in the last 14 days");
        check(
            "plays_change_30d",
            -0.105,
            1.0,
            "plays in the last 30 days at 81 % of the 30 days before, usually none before",
        );
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

    #[track_caller]
    fn means(meaning: &Meaning, feature: &str, value: impl Into<Option<f32>>, usual: f32, expected: &str) {
        assert_eq!(told(feature, Some(meaning), value.into(), Some(usual)), expected);
    }

    #[test]
    fn categories_have_their_names() {
        let categories = ["US", "GB", "BR"].map(str::to_owned).to_vec();
        let country = Meaning::Category { attribute: "home_country".to_owned(), categories };
        means(&country, "home_country", 2.0, 1.0, "home country is BR");
        means(&country, "home_country", 3.0, 1.0, "home country is none of those listed");
        means(&country, "home_country", None, 1.0, "home country is not known");
        let is = |category: Option<&str>| Meaning::Is {
            attribute: "plan".to_owned(),
            category: category.map(str::to_owned),
        };
        means(&is(Some("premium")), "plan_premium", 1.0, 0.0, "plan is premium");
        means(&is(Some("premium")), "plan_premium", 0.0, 0.0, "plan is not premium");
        means(&is(None), "plan_other", 1.0, 0.0, "plan is none of those listed");
        means(&is(None), "plan_other", None, 0.0, "plan is not known");
        let texts = Meaning::Texts { field: "genre".to_owned() };
        means(&texts, "plays_distinct_30d", 2.0, 6.0, "2 genres of plays in the last 30 days, usually 6");
        means(&texts, "plays_distinct_1d", 1.0, 6.0, "1 genre of plays in the last day, usually 6");
    }

    #[test]
    fn values_have_their_field_and_unit() {
        let value = |field: &str, unit: Option<&str>, verb: Option<&str>| Meaning::Value {
            field: field.to_owned(),
            unit: unit.map(str::to_owned),
            verb: verb.map(str::to_owned),
        };
        let watched = value("watch_s", None, Some("watched"));
        for (feature, expected) in [
            ("plays_sum_7d", "watched 42 minutes in the last 7 days, usually 5.2 hours"),
            ("plays_mean_7d", "watched 42 minutes on average in the last 7 days, usually 5.2 hours"),
            ("plays_min_7d", "watched at least 42 minutes in the last 7 days, usually 5.2 hours"),
            ("plays_max_all", "watched at most 42 minutes ever, usually 5.2 hours"),
            ("plays_last_7d", "watched 42 minutes the last time, usually 5.2 hours"),
            ("plays_std_7d", "watch of plays varies by: 42 minutes in the last 7 days, usually 5.2 hours"),
        ] {
            means(&watched, feature, 2_520.0, 18_600.0, expected);
        }
        means(&watched, "plays_mean_7d", None, 1.0, "watched nothing in the last 7 days");
        let change = "plays_sum_change_7d";
        means(
            &watched,
            change,
            -0.5,
            0.0,
            "watched in the last 7 days: 33 % of the 7 days before, usually 100 %",
        );
        means(
            &watched,
            change,
            1.0,
            0.0,
            "watched in the last 7 days, and not the 7 days before, usually 100 %",
        );
        means(&watched, change, None, 0.0, "watched nothing in the last 7 days, nor the 7 days before");

        let plain = value("watch_s", None, None);
        means(
            &plain,
            "plays_sum_1d",
            60.0,
            90.0,
            "watch of plays in total: 1 minute in the last day, usually 1.5 minutes",
        );
        let unit = value("watch", Some("minutes"), None);
        means(
            &unit,
            "plays_sum_1d",
            3.0,
            180.0,
            "watch of plays in total: 3 minutes in the last day, usually 3 hours",
        );
        let only = value("seconds", None, None);
        means(
            &only,
            "plays_mean_1d",
            300.0,
            240.0,
            "plays on average: 5 minutes in the last day, usually 4 minutes",
        );
        let money = value("amount", Some("EUR"), None);
        means(
            &money,
            "all_sum_30d",
            12.5,
            20.0,
            "amount in total: 12.5 EUR in the last 30 days, usually 20 EUR",
        );
    }

    #[test]
    fn a_reason_with_a_text_says_it() {
        let text = Some("country is BR".to_owned());
        let reason =
            Reason { feature: "country".to_owned(), value: Some(4.0), effect: 0.5, usual: None, text };
        assert_eq!(sentence(&reason), "country is BR: associated with a higher risk");
        assert_eq!(words(&reason), "country is BR");
    }

    #[test]
    fn no_words_claim_a_cause() {
        let reason = Reason {
            feature: "plays_count_7d".to_owned(),
            value: Some(90.0),
            effect: -0.5,
            usual: Some(41.0),
            text: None,
        };
        assert_eq!(
            sentence(&reason),
            "90 plays in the last 7 days, usually 41: associated with a lower risk"
        );
        assert_eq!(words(&reason), "90 plays in the last 7 days, usually 41 (lowers the risk)");
    }
}
