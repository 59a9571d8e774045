//! The page of a backtest whose figures are known: it says the right thing, holds every picture, and loads nothing.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

use std::path::Path;

use backtest::evaluate::{Judged, compare, curves, measure, number_users, slices};
use backtest::money::{MoneySettings, simulate};
use backtest::report::Report;
use backtest::{Audit, Backtest, Compared, LabelledRows, Labels, Leakage, Period};
use feature_store::Spec;
use scorer::{Bar, EffectSummary, Swarm};
use types::{EventTime, Millis, Offset, PartitionId, Trigger};

const DAY: i64 = Millis::DAY.0;
const SPEC: &str = r#"
version = 1
entity = "user"
[inputs.all]
[inputs.plays]
events = "play"
[[features]]
input = "plays"
ops = "count"
windows = "7d"
[[features]]
input = "all"
ops = "tenure"
windows = "all"
[[attributes]]
name = "plan"
categories = ["basic", "premium"]
"#;

fn share(state: &mut u64) -> f64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 40) as f64 / (1_u64 << 24) as f64
}

/// Users over ten weeks: each has a true risk, and the model sees it through some noise (`blind`: nothing of it).
fn scored(blind: f64) -> (LabelledRows, Vec<f32>, Vec<f32>) {
    let mut state = 9;
    let names = ["plays_count_7d", "all_tenure_all", "plan"].map(str::to_owned).to_vec();
    let mut rows = LabelledRows { names, ..LabelledRows::default() };
    let (mut model, mut simple) = (Vec::new(), Vec::new());
    for user in 0..900 {
        let of_user = share(&mut state).powi(4);
        for week in 0..10 {
            let risk = 0.01 + 0.5 * (0.8 * of_user + 0.2 * share(&mut state).powi(4));
            let seen = (1.0 - blind) * risk + blind * 0.1;
            let lost = share(&mut state) < risk;
            rows.values.extend([
                (10.0 * (1.0 - risk)) as f32,
                (20 + 7 * week + user % 400) as f32,
                (user % 2) as f32,
            ]);
            rows.lost.push(lost);
            rows.as_of.push(EventTime((19_500 + 7 * week) * DAY));
            rows.tick.push(EventTime((19_500 + 7 * week) * DAY));
            rows.decided_at.push(EventTime((19_500 + 7 * week + 30) * DAY));
            rows.trigger.push(if share(&mut state) < 0.4 { Trigger::Event } else { Trigger::Sweep });
            rows.weight.push(1.0);
            rows.entities.push(format!("u{user}"));
            rows.partition.push(PartitionId(0));
            rows.position.push(Offset(0));
            model.push((seen * (0.8 + 0.4 * share(&mut state))) as f32);
            simple.push((0.1 + 0.4 * of_user * share(&mut state)) as f32);
            if lost {
                break;
            }
        }
    }
    (rows, model, simple)
}

/// Few plays raise the risk, a short life a little, and of the plan nothing is known in every third row.
fn effects(rows: &LabelledRows) -> EffectSummary {
    let bar = |name: &str, mean_size| Bar { name: name.to_owned(), mean_size, mean: 0.0 };
    let swarm = |column: usize, effect: fn(f32) -> f32| {
        let values: Vec<f32> = (0..rows.len()).step_by(30).map(|row| rows.row(row)[column]).collect();
        let known = |(at, value): (usize, &f32)| Some(*value).filter(|_| column != 2 || at % 3 > 0);
        Swarm {
            feature: rows.names[column].clone(),
            effects: values.iter().map(|value| effect(*value)).collect(),
            values: values.iter().enumerate().map(known).collect(),
        }
    };
    EffectSummary {
        bias: -2.0,
        rows: rows.len(),
        features: vec![bar("plays_count_7d", 0.8), bar("all_tenure_all", 0.31), bar("plan", 0.05)],
        signals: vec![bar("plays", 0.8), bar("all", 0.31), bar("plan", 0.05)],
        swarms: vec![
            swarm(0, |plays| (8.0 - plays) * 0.4),
            swarm(1, |days| (200.0 - days) / 300.0),
            swarm(2, |plan| plan.mul_add(0.2, -0.1)),
        ],
    }
}

fn report(blind: f64, with_money: bool) -> (Report, Labels) {
    let spec = Spec::from_toml(SPEC, Path::new("spec.toml")).unwrap();
    let labels = Labels::by_events(Millis(30 * DAY), &["cancel"]);
    let (mut rows, model, simple) = scored(blind);
    (rows.summary.gone_unseen, rows.summary.erased) = (1_234, 56);
    let (user, users) = number_users(&rows.entities);
    let judge = |p: &[f32]| Judged::new(p, &rows.lost, &rows.weight, &user, users);
    let (judged, other) = (judge(&model), judge(&simple));
    let (all, lost) = judged.weights();
    let period = Period {
        from: rows.as_of[0],
        to: EventTime((19_500 + 63) * DAY),
        rows: rows.len(),
        users,
        lost: judged.lost(),
        leavers: 60,
        rate: lost / all,
        auc: None,
    };
    let backtest = Backtest {
        bundle: "0123456789abcdef".to_owned(),
        spec: spec.hash().to_string(),
        horizon: labels.horizon,
        lead: labels.lead,
        doubts: if blind > 0.0 { vec!["the bundle foresees another loss".to_owned()] } else { Vec::new() },
        labels_decided: EventTime(19_500 * DAY),
        held_out: (blind == 0.0).then_some(4_321),
        replay: rows.summary.clone(),
        test: period,
        in_sample: Some(Period { auc: Some(0.91), ..period }),
        metrics: measure(&judged, 100, 1),
        baselines: vec![Compared {
            name: "recency alone".to_owned(),
            metrics: measure(&other, 100, 1),
            differences: compare(&judged, &other, &["auc", "brier"], 100, 1),
        }],
        slices: slices(&rows, &model, &spec, 100, 1),
        curves: curves(&judged),
        effects: effects(&rows),
        leakage: Leakage {
            audit: Audit { checked: 100, peeks: Vec::new() },
            suspects: Vec::new(),
            implying: vec!["cancel".to_owned()],
            excluded: Vec::new(),
            used: Vec::new(),
        },
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("money.toml");
    std::fs::write(
        &path,
        "currency = \"USD\"\nkept_for = \"90d\"\n[[prices]]\nwhen = { plan = \"premium\" }\nprice = 16\n[[prices]]\nprice = 8\n\
         [offer]\neffectiveness = 0.3\ncontact_cost = 0.5\noffer_cost = 3\nshare = 0.1\n",
    )
    .unwrap();
    let settings = MoneySettings::load(&path).unwrap();
    let money = with_money.then(|| simulate(&rows, &model, &spec, &labels, &settings).unwrap());
    (Report { backtest, money, walk_forward: None }, labels)
}

fn rows_of(blind: f64) -> usize {
    scored(blind).0.len()
}

fn page(blind: f64, with_money: bool, file: &str) -> String {
    let (report, labels) = report(blind, with_money);
    let html = report.html("Churn backtest: test", &labels);
    // Kept for whoever wants to look at it.
    std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file), &html).unwrap();
    for outside in ["http://", "https://", "src=", "@import", "url(", "<script", "NaN", "inf"] {
        assert!(!html.contains(outside), "{file} has {outside}");
    }
    html
}

#[test]
fn a_page_leads_with_what_to_do_and_holds_every_picture() {
    let html = page(0.0, true, "report.html");
    let lead = html.find("Contact everybody whose risk is").unwrap();
    let order = [
        "What it is worth",
        "Does it find the leavers?",
        "Can the probabilities be believed?",
        "How it was done",
    ];
    let places: Vec<usize> = order.iter().map(|part| html.find(part).unwrap()).collect();
    assert!(lead < places[0] && places.is_sorted(), "the advice comes first: {lead} {places:?}");
    let pictures = [
        "Profit by share of users contacted",
        "Gains",
        "Lift",
        "ROC curve",
        "Precision and recall",
        "Calibration",
        "Distribution of scores",
        "AUC over time",
        "Promised and happened over time",
        "Effects row by row",
    ];
    for name in pictures {
        assert!(html.contains(&format!("aria-label='{name}'")), "there is no picture {name}");
    }
    assert_eq!(html.matches("<svg").count(), pictures.len());
    assert_eq!(html.matches("<svg").count(), html.matches("</svg>").count());
    // Bars by signal, and a point for every row of a swarm, coloured or not.
    for bar in ["<span title='plays'>plays</span><div><i style='width:100.0%'>", ">events of any type</span>"]
    {
        assert!(html.contains(bar), "no bar {bar}");
    }
    let swarm = html.split("aria-label='Effects row by row'").nth(1).unwrap().split("</svg>").next().unwrap();
    let points: usize =
        swarm.split("<path class='point").skip(1).map(|path| path.matches("h0").count()).sum();
    assert_eq!(points, 3 * rows_of(0.0).div_ceil(30));
    for class in ["point v0", "point v1", "point v2", "point v3", "point v4", "point none"] {
        assert!(swarm.contains(class), "no {class}");
    }
    assert!(swarm.find("plays count, 7d") < swarm.find("all tenure, lifetime"), "the strongest is on top");

    // Hundreds of rows, but of sixty users.
    assert!(html.contains("60 leavers among") && html.contains("few: read the intervals, not the figures"));
    for said in [
        "1\u{2009}234 of users who had left",
        "56 of users who were erased",
        "on 4\u{2009}321 rows of users hashed out of the training period itself, not on a later time",
        "recency alone",
        "In the sample",
        "premium",
        "sweep",
        "made again from the past alone",
    ] {
        assert!(html.contains(said), "nothing of {said}");
    }
}

#[test]
fn scores_that_tell_nothing_are_called_so_plainly() {
    let html = page(1.0, true, "blind.html");
    assert!(
        html.contains("Do not act on these scores yet."),
        "{}",
        &html[html.find("<main").unwrap()..][..1_500]
    );
    assert!(!html.contains("hashed out"), "of this bundle nobody knows");
    assert!(html.contains("Mind:</b> the bundle foresees another loss."));
}

#[test]
fn without_prices_the_ranking_leads() {
    let html = page(0.0, false, "plain.html");
    assert!(html.contains("Contact the tenth of users with the highest risk") && html.contains("--money"));
    assert!(!html.contains("What it is worth"));
}
