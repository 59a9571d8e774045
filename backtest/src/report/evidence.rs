//! The sections below the head.

use super::text::{column, count, escape, figure, percent};
use super::{Report, charts, swarm, tables};
use crate::evaluate::{Slices, day};
use crate::{Labels, Lost};

fn card(title: &str, note: &str, body: &str) -> String {
    format!("<figure><h3>{title}</h3>{body}<figcaption>{note}</figcaption></figure>")
}

pub(super) fn money(report: &Report) -> String {
    let Some(of) = &report.money else { return String::new() };
    let offer = &of.settings.offer;
    let cash = |amount: f64| super::text::money(amount, &of.settings.currency);
    let terms = format!(
        "Assumed: the offer keeps {} of the leavers it reaches, a contact costs {}, an offer taken {}, {} of the stayers who are contacted \
         take it, and a user who is kept pays for another {}. {}, {} apart so that no loss counts twice. Only a trial with a \
         control group can tell whether an offer keeps anybody.",
        percent(offer.effectiveness),
        super::text::price(offer.contact_cost, &of.settings.currency),
        super::text::price(offer.offer_cost, &of.settings.currency),
        percent(offer.taken_by_stayers),
        of.settings.kept_for(),
        super::text::several(of.rounds.len(), "round"),
        report.backtest.horizon
    );
    let held_out = format!(
        "Profit of all rounds by how many are contacted. The best place was looked for on these very users, so expect somewhat less: \
         chosen on one half of the users and counted on the other, {}.",
        cash(of.best_held_out)
    );
    format!(
        "<section><h2>What it is worth</h2><p>{terms}</p><div class='grid wide'>{}</div>{}</section>",
        card("Profit by share contacted", &held_out, &charts::profit(of)),
        tables::campaigns(of)
    )
}

pub(super) fn ranking(report: &Report) -> String {
    let (curves, rate) = (&report.backtest.curves, report.backtest.test.rate);
    let cards = [
        card(
            "Gains",
            "How many of the leavers are reached by contacting so many users.",
            &charts::gains(curves, rate),
        ),
        card(
            "Lift",
            "How much denser leavers are among those contacted than among all.",
            &charts::lift(curves),
        ),
        card("ROC", "The price of catching leavers in stayers flagged by mistake.", &charts::roc(curves)),
        card(
            "Precision and recall",
            "How many of those flagged leave, against how many leavers are flagged.",
            &charts::precision_recall(curves, rate),
        ),
    ];
    format!("<section><h2>Does it find the leavers?</h2><div class=grid>{}</div></section>", cards.concat())
}

pub(super) fn honesty(report: &Report) -> String {
    let curves = &report.backtest.curves;
    let cards = [
        card(
            "Calibration",
            "Ten groups of equal size by risk: what was promised, and what happened. On the line is honest.",
            &charts::calibration(curves),
        ),
        card("Scores", "How leavers and stayers spread over the probabilities.", &charts::histogram(curves)),
    ];
    format!(
        "<section><h2>Can the probabilities be believed?</h2><div class=grid>{}</div></section>",
        cards.concat()
    )
}

pub(super) fn parts(report: &Report) -> String {
    let time = report.backtest.slices.iter().find(|slices| slices.by == "time");
    let mut out = String::from("<section><h2>Does it hold everywhere?</h2>");
    if let Some(time) = time {
        let cards = [
            charts::over_time(time)
                .map(|svg| card("Ranking over time", "AUC of each stretch of time.", &svg)),
            charts::promised_over_time(time).map(|svg| {
                card(
                    "Promised and happened over time",
                    "Where the lines part, something changed since training.",
                    &svg,
                )
            }),
        ];
        let cards: String = cards.into_iter().flatten().collect();
        if !cards.is_empty() {
            out.push_str(&format!("<div class=grid>{cards}</div>"));
        }
    }
    for slices in report.backtest.slices.iter().filter(|slices| slices.by != "time") {
        out.push_str(&tables::slices(slices));
    }
    if let Some(walk) = &report.walk_forward {
        let folds =
            Slices { by: format!("refitted every {}, on", walk.every), parts: walk.folds.parts.clone() };
        out.push_str(&format!(
            "<h3>Refitted as time went on</h3><p class=note>Each model learnt only from labels decided before its day, and is judged on \
             the rows up to the next refit. {}</p>",
            escape(&walk.refitted.to_string())
        ));
        out.push_str(&tables::slices(&folds));
    }
    out + "</section>"
}

pub(super) fn drivers(report: &Report) -> String {
    let effects = &report.backtest.effects;
    let mut out = String::from(
        "<section><h2>What moves the scores?</h2><p class=note>Effects on the log-odds of the rows judged (SHAP). Associated with \
         leaving, not its cause. A signal is all that is known of one kind of event: its windows are added up in each row first.</p>\
         <h3>Signals by the mean size of their effect</h3>",
    );
    out.push_str(&charts::signals(&effects.signals));
    if let Some(svg) = swarm::swarms(&effects.swarms) {
        let note = "Each dot is a row: the further right, the more the feature raises its risk. The colour says where its value stands \
                    among the rows shown; of a category, where it stands in the spec's list.";
        out.push_str(&format!(
            "<div class=tall>{}</div>",
            card("The strongest features, row by row", note, &svg)
        ));
    }
    out + "</section>"
}

pub(super) fn comparison(report: &Report) -> String {
    if report.backtest.baselines.is_empty() {
        return String::new();
    }
    format!(
        "<section><h2>Is it worth having?</h2><p class=note>The same users drawn for both sides of each comparison. One-column rules are tables of \
         loss rates learnt from rows before the test.</p>{}</section>",
        tables::baselines(&report.backtest.metrics, &report.backtest.baselines)
    )
}

pub(super) fn method(report: &Report, labels: &Labels) -> String {
    let backtest = &report.backtest;
    let replay = &backtest.replay;
    let lost = match &labels.lost {
        Lost::Events(events) => format!("one of these events: {}", escape(&events.join(", "))),
        Lost::Silence(active) if active.is_empty() => "no event at all".to_owned(),
        Lost::Silence(active) => format!("none of these events: {}", escape(&active.join(", "))),
        Lost::Table(_) => "what an outcome table says".to_owned(),
    };
    let lead = if labels.lead.0 > 0 {
        format!(
            " The outcome lies {} to {} after a score; {} rows of users who left sooner are left out.",
            labels.lead,
            labels.span(),
            count(replay.left_within_lead as f64)
        )
    } else {
        String::new()
    };
    let mut items = vec![
        format!("A user is lost by {lost}, within {} of the score.{lead}", labels.horizon),
        format!(
            "Rows are scores that would have been written live: living users with at least {} of history, on days {} apart, {} of a user and day \
             ({} scores of sweeps and {} of events to choose from), together weighing 1.",
            labels.min_history,
            labels.every,
            labels.per_day,
            count(replay.sweep_scores as f64),
            count(replay.event_scores as f64)
        ),
        format!(
            "Judged are {} rows of {} users, {} to {}, {} of them lost. The last label that the model was made with was decided on {}: all \
             rows judged lie after it.",
            count(backtest.test.rows as f64),
            count(backtest.test.users as f64),
            day(backtest.test.from),
            day(backtest.test.to),
            percent(backtest.test.rate),
            day(backtest.labels_decided)
        ),
    ];
    if let Some(rows) = backtest.held_out {
        items.push(format!(
            "When learning stopped and how probabilities are calibrated was chosen on {} rows of users hashed out of the training period \
             itself, not on a later time: only the rows judged are later than what the model knows.",
            count(rows as f64)
        ));
    }
    if let Some(before) = &backtest.in_sample {
        items.push(format!(
            "In the sample, in no figure above: {} rows, {} to {}{}. The model may have learnt from them.",
            count(before.rows as f64),
            day(before.from),
            day(before.to),
            before.auc.map_or_else(String::new, |auc| format!(", AUC {}", figure("auc", auc)))
        ));
    }
    items.push(format!(
        "Not used: {} rows not decided by the end of the log, {} users and days too new, {} rows of which an outcome table says nothing, {} of users \
         who had left, as the log said later, {} of users who were erased since. Of {} records {} could not be used.",
        count(replay.undecided as f64),
        count(replay.too_new as f64),
        count(replay.unknown as f64),
        count(replay.gone_unseen as f64),
        count(replay.erased as f64),
        count(replay.records as f64),
        count(replay.rejected as f64)
    ));
    let leakage = &backtest.leakage;
    if !leakage.implying.is_empty() {
        let columns: Vec<String> = leakage.excluded.iter().map(|name| column(name)).collect();
        let columns = if columns.is_empty() {
            "no column reads them".to_owned()
        } else {
            format!("left out: {}", columns.join("; "))
        };
        items.push(format!(
            "Events that give the label away: {}; {columns}.",
            escape(&leakage.implying.join(", "))
        ));
    }
    items.push("Intervals are of 95 %, from drawing whole users again (Poisson bootstrap).".to_owned());
    let list: String = items.iter().map(|item| format!("<li>{item}")).collect();
    format!(
        "<section><h2>How it was done</h2><ul>{list}</ul></section><section><h2>All figures</h2>{}</section>",
        tables::metrics(&backtest.metrics)
    )
}
