//! A published scenario of a monthly batch system, on data made to its description: 20,000 users, the tenth with the highest scores
//! contacted, an offer that keeps 30 % of leavers. It claims an AUC of 0.92, a lift of 6 at 10 %, 790 churners and $9,461 lost in the
//! month, 143 prevented and about $1,714 saved.
//!
//! Told what that system assumes (one month's price is all that a leaver is worth, contacts and offers cost nothing, nobody who would stay
//! takes the offer, users who have left already are still in the table, features of the month alone), the simulator gives the same
//! figures. On its own terms it says something else, for the reasons that the second test checks.

#![allow(clippy::unwrap_used, reason = "a failure is a panic here")]

mod described;

use std::path::Path;

use backtest::evaluate::{Judged, Metric, measure, number_users};
use backtest::money::{Money, MoneySettings, simulate};
use backtest::{LabelledRows, Labels};
use feature_store::Spec;
use types::Millis;

use described::{Halving, MONTH, scored, table, with_features};

fn money(rows: &LabelledRows, probability: &[f32], offer: &str) -> Money {
    let spec = "version = 1\nentity = \"user\"\n[inputs.all]\n[[features]]\ninput = \"all\"\nops = \"count\"\nwindows = \"7d\"\n";
    let spec = Spec::from_toml(spec, Path::new("spec.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("money.toml");
    std::fs::write(&path, format!("currency = \"USD\"\n{offer}\n")).unwrap();
    let labels = Labels::by_events(Millis(MONTH), &["cancel"]);
    simulate(rows, probability, &spec, &labels, &MoneySettings::load(&path).unwrap()).unwrap()
}

fn metrics(rows: &LabelledRows, probability: &[f32]) -> Vec<Metric> {
    let (user, users) = number_users(&rows.entities);
    measure(&Judged::new(probability, &rows.lost, &rows.weight, &user, users), 100, 1)
}

fn value(metrics: &[Metric], name: &str) -> f64 {
    metrics.iter().find(|metric| metric.name == name).unwrap().estimate.value
}

const PUBLISHED: &str =
    "[[prices]]\ncolumn = \"price\"\n[offer]\neffectiveness = 0.3\nshare = 0.1\ntaken_by_stayers = 0.0";

#[test]
fn the_published_figures_come_out_on_the_published_terms() {
    let (rows, _) = table(1, Halving::ForEver);
    // Tenure, price, sessions and minutes of the month.
    let (test, probability) = scored(&with_features(&rows, 4));
    let found = metrics(&test, &probability);
    let money = money(&test, &probability, PUBLISHED);
    let planned = money.planned;
    println!(
        "AUC {:.3}, lift {:.2}, churners {:.0}, lost ${:.0}, prevented {:.0} ({:.0} to {:.0}), saved ${:.0} ({:.0} to {:.0})",
        value(&found, "auc"),
        value(&found, "lift_10"),
        money.churners.value,
        money.lost_revenue.value,
        planned.prevented.value,
        planned.prevented.low,
        planned.prevented.high,
        planned.saved.value,
        planned.saved.low,
        planned.saved.high
    );
    assert!((value(&found, "auc") - 0.92).abs() < 0.01, "{found:?}");
    assert!((value(&found, "lift_10") - 6.06).abs() < 0.3, "{found:?}");
    // The churners of a month are 750 on average with a deviation of 27; what hangs on them is compared a churner.
    assert_eq!((money.rounds.len(), money.users, planned.contacted.value), (1, 20_000.0, 2_000.0));
    assert!((money.churners.value - 790.0).abs() < 90.0, "{money:?}");
    let each = |total: f64| total / money.churners.value;
    assert!((each(money.lost_revenue.value) - 9_461.0 / 790.0).abs() < 0.3, "{money:?}");
    assert!((each(planned.prevented.value) - 143.0 / 790.0).abs() < 0.01, "{planned:?}");
    assert!((each(planned.saved.value) - 1_714.0 / 790.0).abs() < 0.12, "{planned:?}");
    assert!(planned.prevented.low < 143.0 && 143.0 < planned.prevented.high, "{planned:?}");
    assert!(planned.saved.low < 1_714.0 && 1_714.0 < planned.saved.high, "{planned:?}");
    assert_eq!(planned.cost.value, 0.0);
}

#[test]
fn on_its_own_terms_the_estimate_differs_for_reasons_that_can_be_named() {
    let (rows, left) = table(1, Halving::ForEver);
    let (test, probability) = scored(&rows);
    let published = money(&test, &probability, PUBLISHED);

    // 1. Who has left already is not there to be contacted: contacts were wasted on them, and without them more leavers are reached.
    let here = rows.filter(|row| left[row] == 0);
    let (here, here_probability) = scored(&here);
    let living = money(&here, &here_probability, PUBLISHED);
    let (all, there) = (metrics(&test, &probability), metrics(&here, &here_probability));
    assert!(value(&there, "auc") > value(&all, "auc") + 0.02, "{there:?}");
    assert!(living.planned.prevented.value > 1.1 * published.planned.prevented.value, "{living:?}");

    // 2. An offer that costs half a month's price, and is taken by those who would have stayed too, eats what it saves.
    let costly =
        "[[prices]]\ncolumn = \"price\"\n[offer]\neffectiveness = 0.3\nshare = 0.1\noffer_cost = 6.0";
    let costly = money(&test, &probability, costly);
    assert_eq!(costly.planned.saved, published.planned.saved);
    assert!(costly.planned.profit.value < 0.0, "{costly:?}");

    // 3. Who is kept pays for longer than a month.
    let longer = PUBLISHED.replace("[[prices]]", "kept_for = \"180d\"\n[[prices]]");
    let longer = money(&test, &probability, &longer);
    assert!((longer.planned.saved.value / published.planned.saved.value - 6.0).abs() < 1e-9);
    for (what, of) in [
        ("published", &published),
        ("living only", &living),
        ("offer costs", &costly),
        ("six months", &longer),
    ] {
        println!(
            "{what}: prevented {:.0}, saved ${:.0}, profit ${:.0}, best threshold ${:.0}",
            of.planned.prevented.value, of.planned.saved.value, of.planned.profit.value, of.best.profit.value
        );
    }
}
