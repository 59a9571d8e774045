//! The tables of the report.

use super::text::{count, escape, figure, find, money, name_of, percent, with_interval};
use crate::Compared;
use crate::evaluate::{Metric, Slices};
use crate::money::{Campaign, Money};

pub(super) fn metrics(metrics: &[Metric]) -> String {
    let rows = metrics.iter().map(|metric| {
        let (name, means) = name_of(metric.name);
        format!("<tr><th>{name}<td>{}<td class=note>{means}", with_interval(metric.name, &metric.estimate))
    });
    format!(
        "<table><tr><th>Metric<th>Value and interval of 95 %<th>Meaning{}</table>",
        rows.collect::<String>()
    )
}

pub(super) fn slices(slices: &Slices) -> String {
    let rows = slices.parts.iter().map(|part| {
        let cell = |name| match find(&part.metrics, name) {
            Some(estimate) => with_interval(name, estimate),
            None => "<span class=interval>too few</span>".to_owned(),
        };
        format!(
            "<tr><th>{}<td class=n>{}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}<td>{}",
            escape(&part.name),
            count(part.rows as f64),
            count(part.lost as f64),
            percent(part.rate),
            percent(part.promised),
            cell("auc"),
            cell("lift_10")
        )
    });
    format!(
        "<table><tr><th>{}<th class=n>Rows<th class=n>Left<th class=n>Happened<th class=n>Promised<th>AUC<th>Lift at 10 %{}</table>",
        escape(&capital(&slices.by)),
        rows.collect::<String>()
    )
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

pub(super) fn baselines(ours: &[Metric], all: &[Compared]) -> String {
    let value = |metrics: &[Metric], name: &'static str| {
        find(metrics, name).map_or_else(|| "unknown".to_owned(), |estimate| figure(name, estimate.value))
    };
    let cells = |metrics: &[Metric]| {
        ["auc", "lift_10", "brier", "log_loss"]
            .map(|name| format!("<td class=n>{}", value(metrics, name)))
            .concat()
    };
    let mut rows = format!("<tr><th>This model{}<td>", cells(ours));
    for other in all {
        let difference = other.differences.iter().find(|difference| difference.name == "auc");
        let difference = difference.map_or_else(String::new, |difference| {
            let p = if difference.p_value < 0.01 {
                "p below 0.01".to_owned()
            } else {
                format!("p {:.2}", difference.p_value)
            };
            format!("{} <span class=interval>{p}</span>", with_interval("auc", &difference.estimate))
        });
        rows.push_str(&format!("<tr><th>{}{}<td>{difference}", escape(&other.name), cells(&other.metrics)));
    }
    format!(
        "<table><tr><th><th class=n>AUC<th class=n>Lift at 10 %<th class=n>Brier<th class=n>Log loss<th>This model's AUC is higher by{rows}</table>"
    )
}

pub(super) fn campaigns(of: &Money) -> String {
    let currency = &of.settings.currency;
    let row = |name: &str, campaign: &Campaign| {
        let cash = |estimate: &crate::evaluate::Estimate| {
            format!(
                "<b>{}</b> <span class=interval>{} to {}</span>",
                money(estimate.value, currency),
                money(estimate.low, currency),
                money(estimate.high, currency)
            )
        };
        format!(
            "<tr><th>{name}<td class=n>{}<td class=n>{}<td class=n>{}<td>{} <span class=interval>{} to {}</span><td>{}<td class=n>{}<td>{}",
            campaign.lowest.map_or_else(|| "nobody".to_owned(), percent),
            count(campaign.contacted.value),
            count(campaign.leavers.value),
            count(campaign.prevented.value),
            count(campaign.prevented.low),
            count(campaign.prevented.high),
            cash(&campaign.saved),
            money(campaign.cost.value, currency),
            cash(&campaign.profit)
        )
    };
    format!(
        "<table><tr><th><th class=n>Risk from<th class=n>Contacted<th class=n>Would leave<th>Kept<th>Saved<th class=n>Cost<th>Profit{}{}</table>",
        row("As planned", &of.planned),
        row("Best threshold", &of.best)
    )
}
