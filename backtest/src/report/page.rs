//! The page around the sections.

use super::lead::{Sign, advice, tiles, trust};
use super::text::escape;
use super::{Report, evidence};
use crate::Labels;
use crate::evaluate::day;

const STYLE: &str = include_str!("style.css");

pub(super) fn html(report: &Report, title: &str, labels: &Labels) -> String {
    let backtest = &report.backtest;
    let trust: String = trust(report)
        .into_iter()
        .map(|(sign, text)| {
            let (class, word) = match sign {
                Sign::Good => ("good", "✓"),
                Sign::Mind => ("mind", "!"),
                Sign::Bad => ("bad", "✗"),
            };
            format!("<li class={class}><i>{word}</i><span>{text}</span>")
        })
        .collect();
    let title = escape(title);
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width,initial-scale=1'>\
         <meta name=color-scheme content='light dark'><title>{title}</title><style>{STYLE}</style>\
         <main><header><h1>{title}</h1><p class=note>Model {} on the scores of {} to {}, each with what happened within {}.</p></header>\
         <section class=lead>{}{}</section>\
         <section><h2>How far to trust it</h2><ul class=trust>{trust}</ul></section>{}{}{}{}{}{}{}\
         <footer class=note>Made by churnstream. Bundle {}, spec {}. This page holds everything it shows and loads nothing.</footer></main></html>",
        escape(&backtest.bundle),
        day(backtest.test.from),
        day(backtest.test.to),
        labels.span(),
        advice(report),
        tiles(report),
        evidence::money(report),
        evidence::ranking(report),
        evidence::honesty(report),
        evidence::parts(report),
        evidence::drivers(report),
        evidence::comparison(report),
        evidence::method(report, labels),
        escape(&backtest.bundle),
        escape(&backtest.spec),
    )
}
