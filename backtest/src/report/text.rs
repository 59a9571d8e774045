//! Numbers and names as people read them.

use crate::evaluate::{Estimate, Metric};

/// Escapes text for HTML.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

/// A whole number with thin spaces between thousands.
pub(super) fn count(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    if value <= -0.5 { format!("\u{2212}{text}") } else { text }
}

/// A share as percent: one decimal below ten, none above.
pub(super) fn percent(share: f64) -> String {
    let value = 100.0 * share;
    if value.abs() < 9.95 { format!("{value:.1}\u{202f}%") } else { format!("{value:.0}\u{202f}%") }
}

/// A number of things.
pub(super) fn several(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// A small amount of money, with cents if it has any.
pub(super) fn price(amount: f64, currency: &str) -> String {
    if amount.fract() == 0.0 {
        return money(amount, currency);
    }
    money(0.0, currency).replace('0', &format!("{amount:.2}"))
}

/// An amount of money, without cents.
pub(super) fn money(amount: f64, currency: &str) -> String {
    let sign = match currency {
        "USD" => "$",
        "EUR" => "€",
        "GBP" => "£",
        _ => return format!("{}\u{202f}{}", count(amount), escape(currency)),
    };
    let text = count(amount);
    match text.strip_prefix('\u{2212}') {
        Some(rest) => format!("\u{2212}{sign}{rest}"),
        None => format!("{sign}{text}"),
    }
}

/// A figure of a metric with as many digits as mean something.
pub(super) fn figure(name: &str, value: f64) -> String {
    match name {
        "lift_1" | "lift_5" | "lift_10" => format!("{value:.1}×"),
        "captured_1" | "captured_5" | "captured_10" | "precision_100" | "precision_1000" | "recall_100"
        | "recall_1000" | "loss_rate" | "brier_skill" => percent(value),
        "calibration_slope" | "calibration_intercept" => format!("{value:.2}"),
        "brier" | "log_loss" | "calibration_error" => format!("{value:.4}"),
        _ => format!("{value:.3}"),
    }
    .replace('-', "\u{2212}")
}

/// A figure with its interval.
pub(super) fn with_interval(name: &str, estimate: &Estimate) -> String {
    let Estimate { value, low, high } = *estimate;
    format!(
        "<b>{}</b> <span class=interval>{} to {}</span>",
        figure(name, value),
        figure(name, low),
        figure(name, high)
    )
}

/// A metric by name.
pub(super) fn find<'a>(metrics: &'a [Metric], name: &str) -> Option<&'a Estimate> {
    metrics.iter().find(|metric| metric.name == name).map(|metric| &metric.estimate)
}

/// What people call a metric, and what it means.
pub(super) fn name_of(metric: &str) -> (&'static str, &'static str) {
    match metric {
        "auc" => ("AUC (ROC)", "how often a user who leaves is scored above one who stays; 0.5 is chance"),
        "pr_auc" => (
            "AUC (precision and recall)",
            "mean precision over the users who leave; chance gives the loss rate",
        ),
        "lift_1" => ("Lift at 1 %", "loss rate among the highest 1 %, over that of all"),
        "lift_5" => ("Lift at 5 %", "the same for 5 %"),
        "lift_10" => ("Lift at 10 %", "the same for 10 %"),
        "captured_1" => ("Leavers caught at 1 %", "share of all who leave among the highest 1 %"),
        "captured_5" => ("Leavers caught at 5 %", "the same for 5 %"),
        "captured_10" => ("Leavers caught at 10 %", "the same for 10 %"),
        "precision_100" => ("Precision at 100", "share of the highest 100 rows that leave"),
        "recall_100" => ("Recall at 100", "share of all who leave among the highest 100 rows"),
        "precision_1000" => ("Precision at 1000", "the same for 1000 rows"),
        "recall_1000" => ("Recall at 1000", "the same for 1000 rows"),
        "brier" => ("Brier score", "mean squared distance from the outcome; lower is better"),
        "brier_skill" => (
            "Brier skill",
            "how much of the error of knowing only the loss rate is avoided; below 0 is worse than that",
        ),
        "log_loss" => ("Log loss", "mean surprise in nats; lower is better"),
        "calibration_error" => {
            ("Calibration error", "mean distance between promise and outcome over ten equal bins")
        }
        "calibration_slope" => ("Calibration slope", "1 is honest, below 1 boasts, above 1 is too shy"),
        "calibration_intercept" => ("Calibration intercept", "0 is honest"),
        "loss_rate" => ("Loss rate", "share of rows whose user left"),
        _ => ("", ""),
    }
}

/// A column's name in words, as far as its parts are known: `plays_count_7d` is "plays: count, 7 d".
pub(super) fn column(name: &str) -> String {
    let mut parts: Vec<&str> = name.split('_').collect();
    let is_window = |text: &str| {
        text == "all"
            || text
                .strip_suffix(['d', 'h', 'm'])
                .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    match parts.pop_if(|last| is_window(last)) {
        Some("all") => format!("{}, lifetime", escape(&parts.join(" "))),
        Some(window) => format!("{}, {}", escape(&parts.join(" ")), escape(window)),
        None => escape(&name.replace('_', " ")),
    }
}
