//! The head of the report: what to do, what it is worth, and how far to trust it.

use super::Report;
use super::text::{column, count, escape, figure, find, money, percent, several};
use crate::Period;
use crate::evaluate::{Estimate, Slices, day};
use crate::money::{Campaign, Money};

/// How a statement of trust is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Good,
    Mind,
    Bad,
}

/// What to do, in a sentence or two.
pub(super) fn advice(report: &Report) -> String {
    let auc = find(&report.backtest.metrics, "auc");
    if let Some(auc) = auc.filter(|auc| auc.low < 0.55) {
        return format!(
            "<p class=advice><b>Do not act on these scores yet.</b> They tell who leaves hardly better than a coin would \
             (AUC {}, interval {} to {}). Look for signals that come before a loss, or at another horizon.</p>",
            figure("auc", auc.value),
            figure("auc", auc.low),
            figure("auc", auc.high)
        );
    }
    match &report.money {
        Some(of) => with_money(of),
        None => without_money(report),
    }
}

fn with_money(of: &Money) -> String {
    let currency = &of.settings.currency;
    let cash = |amount: f64| money(amount, currency);
    let best = &of.best;
    if best.profit.value <= 0.0 || of.best_held_out <= 0.0 {
        return format!(
            "<p class=advice><b>Contact nobody on these terms.</b> An offer that keeps {} of the leavers it reaches costs more than it \
             brings at every threshold. Leaving cost {} over {}; a cheaper or a better offer may change that.</p>",
            percent(of.settings.offer.effectiveness),
            cash(of.lost_revenue.value),
            several(of.rounds.len(), "round")
        );
    }
    let rounds = of.rounds.len().max(1) as f64;
    let unsure = if best.profit.low > 0.0 {
        ""
    } else {
        " <b>It is not certain to pay:</b> begin with some of them and keep a group that gets no offer, to see what it brings."
    };
    let threshold = best.lowest.unwrap_or(1.0);
    format!(
        "<p class=advice><b>Contact everybody whose risk is {} or more: {} users a round, {} of all.</b> If the offer keeps {} of the \
         leavers it reaches, that keeps {} of {} ({} to {}) and brings {} after costs ({} to {}).{unsure}</p>",
        percent(threshold),
        count(best.contacted.value / rounds),
        percent(best.contacted.value / of.users.max(1.0)),
        percent(of.settings.offer.effectiveness),
        count(best.prevented.value),
        count(of.churners.value),
        count(best.prevented.low),
        count(best.prevented.high),
        cash(best.profit.value),
        cash(best.profit.low),
        cash(best.profit.high)
    )
}

fn without_money(report: &Report) -> String {
    let of = |name| find(&report.backtest.metrics, name);
    let (Some(caught), Some(lift)) = (of("captured_10"), of("lift_10")) else { return String::new() };
    format!(
        "<p class=advice><b>Contact the tenth of users with the highest risk: it holds {} of those who will leave</b> ({} to {}), {} as \
         many as a tenth chosen blindly. What that is worth depends on prices and costs: give them with <code>--money</code>.</p>",
        percent(caught.value),
        percent(caught.low),
        percent(caught.high),
        figure("lift_10", lift.value).replace('×', " times")
    )
}

/// Large figures: name, value, interval.
pub(super) fn tiles(report: &Report) -> String {
    let mut tiles = Vec::new();
    if let Some(of) = &report.money {
        let currency = &of.settings.currency;
        let cash = |estimate: &Estimate| {
            let Estimate { value, low, high } = *estimate;
            (money(value, currency), format!("{} to {}", money(low, currency), money(high, currency)))
        };
        let risk: Vec<String> = of.at_risk.iter().map(|risk| money(risk.amount, &risk.currency)).collect();
        let below =
            if risk.len() > 1 { risk.join(" + ") } else { "probability × price × horizon".to_owned() };
        let when = of.rounds.last().map(|last| format!(" on {}", day(*last))).unwrap_or_default();
        tiles.push((format!("Revenue at risk{when}"), money(of.at_risk_total, currency), below));
        let (value, interval) = cash(&of.lost_revenue);
        tiles.push((
            format!(
                "Lost with {} leavers, in {}",
                count(of.churners.value),
                several(of.rounds.len(), "round")
            ),
            value,
            interval,
        ));
        let campaign = |name: &str, campaign: &Campaign| {
            let (value, interval) = cash(&campaign.profit);
            (name.to_owned(), value, interval)
        };
        if of.settings.offer.share.is_some()
            || of.settings.offer.cap.is_some()
            || of.settings.offer.budget.is_some()
        {
            tiles.push(campaign("Profit of the planned campaign", &of.planned));
        }
        tiles.push(campaign("Profit at the best threshold", &of.best));
    } else {
        for (name, metric) in [
            ("Ranking (AUC)", "auc"),
            ("Lift at 10 %", "lift_10"),
            ("Leavers caught at 10 %", "captured_10"),
            ("Loss rate", "loss_rate"),
        ] {
            let Some(estimate) = find(&report.backtest.metrics, metric) else { continue };
            let interval = format!("{} to {}", figure(metric, estimate.low), figure(metric, estimate.high));
            tiles.push((name.to_owned(), figure(metric, estimate.value), interval));
        }
    }
    let tile = |(name, value, below): &(String, String, String)| {
        format!("<div class=tile><span>{}</span><b>{value}</b><small>{below}</small></div>", escape(name))
    };
    format!("<div class=tiles>{}</div>", tiles.iter().map(tile).collect::<String>())
}

/// How far to trust it: each statement with its sign.
pub(super) fn trust(report: &Report) -> Vec<(Sign, String)> {
    let backtest = &report.backtest;
    let mut all = Vec::new();
    if let Some(auc) = find(&backtest.metrics, "auc") {
        let (sign, how) = match auc.value {
            value if value >= 0.8 => (Sign::Good, "It ranks users well"),
            value if value >= 0.7 => (Sign::Good, "It ranks users usefully"),
            value if value >= 0.6 => (Sign::Mind, "It ranks users weakly"),
            _ => (Sign::Bad, "It ranks users hardly better than chance"),
        };
        all.push((
            sign,
            format!(
                "{how}: a user who leaves is scored above one who stays {} of the time.",
                percent(auc.value)
            ),
        ));
    }
    all.extend(backtest.doubts.iter().map(|doubt| (Sign::Bad, format!("<b>Mind:</b> {}.", escape(doubt)))));
    all.extend(against_baselines(report));
    all.extend(honesty(report));
    if let Some(triggers) = backtest.slices.iter().find(|slices| slices.by == "trigger") {
        all.extend(by_trigger(triggers));
    }
    all.push(enough(&backtest.test));
    all.extend(leakage(report));
    all
}

fn against_baselines(report: &Report) -> Vec<(Sign, String)> {
    let mut all = Vec::new();
    for baseline in &report.backtest.baselines {
        let Some(auc) = baseline.differences.iter().find(|difference| difference.name == "auc") else {
            continue;
        };
        let (sign, how) = match auc.estimate {
            e if e.low > 0.0 => (Sign::Good, "It ranks better than"),
            e if e.high < 0.0 => (Sign::Bad, "It ranks worse than"),
            _ => (Sign::Mind, "Its ranking cannot be told apart from"),
        };
        all.push((
            sign,
            format!(
                "{how} {}: AUC {} more ({} to {}), on the same users.",
                escape(&baseline.name),
                figure("auc", auc.estimate.value),
                figure("auc", auc.estimate.low),
                figure("auc", auc.estimate.high)
            ),
        ));
    }
    all
}

fn honesty(report: &Report) -> Vec<(Sign, String)> {
    let metrics = &report.backtest.metrics;
    let mut all = Vec::new();
    if let Some(error) = find(metrics, "calibration_error") {
        let (sign, how) = match error.value {
            value if value <= 0.03 => (Sign::Good, "Probabilities can be taken at their word"),
            value if value <= 0.06 => (Sign::Mind, "Probabilities are off somewhat"),
            _ => (Sign::Bad, "Probabilities are off: use the ranking, not the numbers"),
        };
        all.push((sign, format!("{how}: they miss by {} on average.", percent(error.value))));
    }
    if let Some(skill) = find(metrics, "brier_skill") {
        let sign = match skill {
            skill if skill.low > 0.0 => Sign::Good,
            skill if skill.value > 0.0 => Sign::Mind,
            _ => Sign::Bad,
        };
        let how = if skill.value > 0.0 {
            "closer to what happened than"
        } else {
            "no closer to what happened than"
        };
        all.push((
            sign,
            format!(
                "They are {how} the loss rate alone (Brier skill {}).",
                figure("brier_skill", skill.value)
            ),
        ));
    }
    all
}

fn by_trigger(triggers: &Slices) -> Vec<(Sign, String)> {
    let parts: Vec<String> = (triggers.parts.iter())
        .map(|part| {
            let what =
                if part.name == "sweep" { "daily scores of everybody" } else { "scores when a user acts" };
            match find(&part.metrics, "auc") {
                Some(auc) => {
                    format!("{what} {} ({} rows)", figure("auc", auc.value), count(part.rows as f64))
                }
                None => {
                    format!("{what} too few to tell ({} lost of {} rows)", part.lost, count(part.rows as f64))
                }
            }
        })
        .collect();
    let aucs = triggers.parts.iter().filter_map(|part| find(&part.metrics, "auc"));
    let weakest = aucs.map(|auc| auc.value).fold(f64::INFINITY, f64::min);
    let sign = if weakest < 0.65 { Sign::Mind } else { Sign::Good };
    vec![(sign, format!("By what caused the score, AUC: {}.", parts.join("; ")))]
}

/// Whether there are enough leavers; several rows of one say the same thing again, so users count.
fn enough(test: &Period) -> (Sign, String) {
    let sign = if test.leavers >= 200 {
        Sign::Good
    } else if test.leavers >= 50 {
        Sign::Mind
    } else {
        Sign::Bad
    };
    let say = if sign == Sign::Good {
        "enough for narrow intervals"
    } else {
        "few: read the intervals, not the figures"
    };
    let [leavers, users, rows] = [test.leavers, test.users, test.lost].map(|number| count(number as f64));
    (sign, format!("{leavers} leavers among {users} users, with {rows} rows: {say}."))
}

fn leakage(report: &Report) -> Vec<(Sign, String)> {
    let leakage = &report.backtest.leakage;
    let mut all = Vec::new();
    if let Some(peek) = leakage.audit.peeks.first() {
        all.push((
            Sign::Bad,
            format!(
                "<b>Leak:</b> {} values differ when rows are made from the past alone, first {}. Do not trust these figures.",
                leakage.audit.peeks.len(),
                column(&peek.column)
            ),
        ));
    } else {
        all.push((
            Sign::Good,
            format!(
                "{} rows were made again from the past alone and came out the same to the bit.",
                leakage.audit.checked
            ),
        ));
    }
    for suspect in leakage.suspects.iter().take(3) {
        all.push((
            Sign::Bad,
            format!(
                "<b>{}</b> tells the outcome almost alone (AUC {}, {} of {} rows with it lost): check whether it is known in time.",
                column(&suspect.column),
                figure("auc", suspect.auc),
                percent(suspect.rate),
                count(suspect.rows as f64)
            ),
        ));
    }
    if !leakage.used.is_empty() {
        let names: Vec<String> = leakage.used.iter().map(|name| column(name)).collect();
        all.push((Sign::Bad, format!("The model uses what gives the label away: {}.", names.join("; "))));
    }
    all
}
