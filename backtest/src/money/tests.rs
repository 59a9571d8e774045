//! Sums that can be made by hand.

use std::path::Path;

use feature_store::Spec;
use scorer::Signals;
use types::{EventTime, Millis, Offset, PartitionId, Trigger};

use super::*;
use crate::{LabelledRows, Labels};

fn spec() -> Spec {
    let text = "version = 1\nentity = \"user\"\n[inputs.all]\n[[features]]\ninput = \"all\"\nops = \"count\"\nwindows = \"7d\"\n[[attributes]]\nname = \"plan\"\ncategories = [\"basic\", \"premium\"]\n";
    Spec::from_toml(text, Path::new("spec.toml")).unwrap()
}

/// Users with a probability and an outcome each, on one day; every other one has the premium plan.
fn rows(users: &[(f32, bool)]) -> (LabelledRows, Vec<f32>) {
    let n = users.len();
    let rows = LabelledRows {
        names: vec!["all_count_7d".to_owned(), "plan".to_owned()],
        values: (0..n).flat_map(|user| [1.0, (user % 2) as f32]).collect(),
        lost: users.iter().map(|user| user.1).collect(),
        as_of: vec![EventTime(100 * Millis::DAY.0); n],
        tick: vec![EventTime(100 * Millis::DAY.0); n],
        decided_at: vec![EventTime(130 * Millis::DAY.0); n],
        trigger: vec![Trigger::Sweep; n],
        weight: vec![1.0; n],
        entities: (0..n).map(|user| format!("u{user}")).collect(),
        partition: vec![PartitionId(0); n],
        position: vec![Offset(0); n],
        ..LabelledRows::default()
    };
    (rows, users.iter().map(|user| user.0).collect())
}

fn money(users: &[(f32, bool)], settings: &str) -> Money {
    let (rows, probability) = rows(users);
    let settings = MoneySettings::from_toml(settings).unwrap();
    let labels = Labels::by_events(Millis(30 * Millis::DAY.0), &["cancel"]);
    simulate(&rows, &probability, &spec(), &labels, &settings).unwrap()
}

const USERS: [(f32, bool); 8] = [
    (0.8, true),
    (0.7, true),
    (0.6, false),
    (0.5, true),
    (0.1, false),
    (0.1, false),
    (0.05, true),
    (0.01, false),
];

#[test]
fn the_plain_sums() {
    let money = money(
        &USERS,
        "currency=\"USD\"\n[[prices]]\nwhen={plan=\"premium\"}\nprice=20\n[[prices]]\nprice=10\n[offer]\neffectiveness=0.5\nshare=0.25\n",
    );
    assert_eq!((money.users, money.churners.value, money.lost_revenue.value), (8.0, 4.0, 60.0));
    let risk = 10.0 * (0.8 + 0.6 + 0.1 + 0.05) + 20.0 * (0.7 + 0.5 + 0.1 + 0.01);
    assert!((money.at_risk[0].amount - risk).abs() < 1e-5, "{:?}", money.at_risk);
    let planned = money.planned;
    assert_eq!((planned.contacted.value, planned.leavers.value, planned.prevented.value), (2.0, 2.0, 1.0));
    assert_eq!((planned.saved.value, planned.cost.value, planned.profit.value), (15.0, 0.0, 15.0));
    assert!(planned.prevented.low < 1.0 && planned.prevented.high > 1.0, "{planned:?}");
}

/// The day of a tick goes on to the next tick, whatever the calendar says.
#[test]
fn a_round_holds_all_rows_of_its_tick_wherever_the_day_begins() {
    let settings = MoneySettings::from_toml(
        "currency=\"USD\"\n[[prices]]\nprice=10\n[offer]\neffectiveness=0.5\nshare=0.25\n",
    )
    .unwrap();
    let labels = Labels::by_events(Millis(30 * Millis::DAY.0), &["cancel"]);
    let hour = Millis::DAY.0 / 24;
    let at_offset = |offset: i64| {
        let (mut rows, probability) = rows(&USERS);
        let tick = 100 * Millis::DAY.0 + offset * hour;
        // From a little before the tick, which came with the first event after the grace, to just before the next one.
        let after = [-1, 0, 3, 8, 13, 16, 22, 24];
        rows.as_of = after.map(|hours| EventTime(tick + hours * hour)).to_vec();
        rows.tick = vec![EventTime(tick); USERS.len()];
        let mut all = (rows.clone(), probability.clone());
        // Three more ticks: two within the span of the labels, one behind it.
        for days in [7, 28, 35] {
            let later = |at: &EventTime| EventTime(at.0 + days * Millis::DAY.0);
            let mut next = rows.clone();
            next.as_of = rows.as_of.iter().map(later).collect();
            next.tick = rows.tick.iter().map(later).collect();
            all.0.append(next);
            all.1.extend(&probability);
        }
        let money = simulate(&all.0, &all.1, &spec(), &labels, &settings).unwrap();
        assert_eq!(money.rounds, [EventTime(tick), EventTime(tick + 35 * Millis::DAY.0)]);
        // Who is in both rounds is at risk once.
        let once = simulate(&rows, &probability, &spec(), &labels, &settings).unwrap();
        assert!((money.at_risk_total - once.at_risk_total).abs() < 1e-9, "{money:?}");
        (money.users, money.churners.value, money.lost_revenue.value, money.planned.contacted.value)
    };
    assert_eq!(at_offset(0), (16.0, 8.0, 80.0, 4.0));
    for offset in [1, 7, 12, 23] {
        assert_eq!(at_offset(offset), at_offset(0), "ticks at {offset}:00");
    }
}

#[test]
fn offers_cost_and_the_best_threshold_stops_where_they_cost_more_than_they_bring() {
    let money = money(
        &USERS,
        "currency=\"USD\"\nkept_for=\"60d\"\n[[prices]]\nprice=10\n[offer]\neffectiveness=0.5\ncontact_cost=1\noffer_cost=4\n",
    );
    // A leaver brings 0.5 x 20 - 1 - 0.5 x 4 = 7, a stayer costs 1 + 4.
    let expected = [(0.8, 7.0), (0.7, 14.0), (0.6, 9.0), (0.5, 16.0), (0.1, 6.0), (0.05, 13.0), (0.01, 8.0)];
    for (threshold, profit) in expected {
        let point = money.by_threshold.iter().find(|p| (p.threshold - threshold).abs() < 1e-6).unwrap();
        assert!((point.profit - profit).abs() < 1e-9, "{point:?} should be {profit}");
    }
    assert!((money.best.plan.threshold.unwrap() - 0.5).abs() < 1e-6 && money.best.profit.value == 16.0);
    assert_eq!(money.planned.contacted.value, 8.0, "without a share, cap or budget everybody is contacted");
}

#[test]
fn caps_and_budgets_hold_in_each_round() {
    let base = "currency=\"USD\"\n[[prices]]\nprice=10\n[offer]\neffectiveness=0.5\ncontact_cost=2\n";
    assert_eq!(money(&USERS, &format!("{base}cap=3")).planned.contacted.value, 3.0);
    let budget = money(&USERS, &format!("{base}budget=5")).planned;
    assert_eq!((budget.contacted.value, budget.cost.value), (2.5, 5.0), "the last one in part");
}

#[test]
fn currencies_are_kept_apart_and_changed_for_sums() {
    let money = money(
        &USERS[..2],
        "currency=\"USD\"\n[[prices]]\nwhen={plan=\"premium\"}\nprice=10\ncurrency=\"GBP\"\n[[prices]]\nprice=10\n[rates]\nGBP=2.0\n[offer]\neffectiveness=0.5\n",
    );
    let amounts: Vec<_> =
        money.at_risk.iter().map(|risk| (risk.currency.as_str(), risk.amount.round())).collect();
    assert_eq!(amounts, [("GBP", 7.0), ("USD", 8.0)]);
    assert_eq!(money.lost_revenue.value, 30.0);
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    let cases = [
        ("currency=\"USD\"\nprices=[]\n[offer]\neffectiveness=0.5", "prices"),
        ("currency=\"USD\"\n[[prices]]\nprice=1\n[offer]\neffectiveness=1.5", "effectiveness"),
        ("currency=\"USD\"\n[[prices]]\nprice=1\n[offer]\neffectiveness=0.5\nbudget=-1", "budget"),
        ("currency=\"USD\"\n[[prices]]\n[offer]\neffectiveness=0.5", "column"),
        ("currency=\"USD\"\n[[prices]]\nprice=1\ncurrency=\"EUR\"\n[offer]\neffectiveness=0.5", "EUR"),
        ("currency=\"USD\"\nperiod=\"0d\"\n[[prices]]\nprice=1\n[offer]\neffectiveness=0.5", "period"),
    ];
    for (text, named) in cases {
        let error = MoneySettings::from_toml(text).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
    let (rows, probability) = rows(&USERS);
    let labels = Labels::by_events(Millis::DAY, &["cancel"]);
    let settings = MoneySettings::from_toml(
        "currency=\"USD\"\n[[prices]]\nwhen={plan=\"gold\"}\nprice=1\n[offer]\neffectiveness=0.5",
    )
    .unwrap();
    let error = simulate(&rows, &probability, &spec(), &labels, &settings).unwrap_err().to_string();
    assert!(error.contains("gold"), "{error}");
}

#[test]
fn the_first_rule_that_fits_is_suggested_and_caps_go_to_who_has_most_to_lose() {
    let (rows, probability) = rows(&USERS);
    let settings = MoneySettings::from_toml(
        "currency=\"USD\"\n[[prices]]\nwhen={plan=\"premium\"}\nprice=20\n[[prices]]\nprice=10\n[offer]\neffectiveness=0.5",
    )
    .unwrap();
    let rules = ActionRules::from_toml(
        "[[actions]]\nname=\"call\"\nmin_value=15.0\nmin_probability=0.4\ncost=5.0\ncap=1\n\
         [[actions]]\nname=\"mail\"\nreasons=[\"all\"]\nmin_probability=0.3\n\
         [[actions]]\nname=\"survey\"\nwhen={plan=\"basic\"}\nmin_probability=0.05",
    )
    .unwrap();
    // The count raises the risk of the first four users, the plan that of the others.
    let effects: Vec<f32> =
        (0..USERS.len()).flat_map(|user| if user < 4 { [0.5, -0.1] } else { [-0.2, 0.1] }).collect();
    let all =
        suggest(&rows, &probability, &effects, &Signals::new(&rows.names, &[]), &spec(), &settings, &rules)
            .unwrap();
    let of: Vec<(&str, &str)> = all.iter().map(|s| (s.entity.as_str(), s.action.as_str())).collect();
    assert_eq!(
        of,
        [("u1", "call"), ("u3", "mail"), ("u0", "mail"), ("u2", "mail"), ("u4", "survey"), ("u6", "survey")],
        "u5 and u7 are premium users of little risk"
    );
    assert_eq!((all[0].value, all[0].cost, all[0].signal.as_deref()), (20.0, 5.0, Some("all")));
    assert_eq!(all[4].signal.as_deref(), Some("plan"));
    assert!(all[4].reason.as_ref().is_some_and(|words| words.contains("associated with")), "{:?}", all[4]);
    let error = ActionRules::from_toml("[[actions]]\nname=\"call\"\nmin_probability=2.0").unwrap_err();
    assert!(error.contains("min_probability"), "{error}");
}
