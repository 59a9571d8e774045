//! The page holds what it must, and nothing that loads anything.

use super::svg::{round_up, ticks};
use super::text::{column, count, money, percent, price};

#[test]
fn axes_have_round_numbers() {
    assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
    assert_eq!(ticks(0.0, 40.0, 5), [0.0, 10.0, 20.0, 30.0, 40.0]);
    assert_eq!(ticks(-500.0, 2000.0, 5), [-500.0, 0.0, 500.0, 1000.0, 1500.0, 2000.0]);
    assert_eq!(ticks(1.0, 1.0, 5), [1.0]);
    assert_eq!(
        (round_up(0.93), round_up(6.05), round_up(0.031), round_up(12_001.0)),
        (1.0, 8.0, 0.04, 15_000.0)
    );
}

#[test]
fn numbers_read_as_people_write_them() {
    assert_eq!(count(1_234_567.4), "1\u{2009}234\u{2009}567");
    assert_eq!((count(-12.0), count(0.2)), ("\u{2212}12".to_owned(), "0".to_owned()));
    assert_eq!((percent(0.0312), percent(0.62)), ("3.1\u{202f}%".to_owned(), "62\u{202f}%".to_owned()));
    assert_eq!((price(0.5, "USD"), price(3.0, "CHF")), ("$0.50".to_owned(), "3\u{202f}CHF".to_owned()));
    assert_eq!(
        (money(-1_500.0, "USD"), money(900.0, "CHF")),
        ("\u{2212}$1\u{2009}500".to_owned(), "900\u{202f}CHF".to_owned())
    );
    assert_eq!(
        (column("plays_count_7d"), column("all_tenure_all"), column("plan")),
        ("plays count, 7d".to_owned(), "all tenure, lifetime".to_owned(), "plan".to_owned())
    );
}

/// Every colour that is used has a value by day and by night, and paper is always day.
#[test]
fn the_page_has_its_colours_in_light_in_dark_and_on_paper() {
    use std::collections::BTreeSet;
    let style = include_str!("style.css");
    let root = |begin: &str| -> BTreeSet<&str> {
        let rule = style.split(begin).nth(1).and_then(|rest| rest.split('}').next()).unwrap();
        rule.split(';').filter_map(|entry| entry.split(':').next()).collect()
    };
    let light = root(":root{");
    let dark = root("@media screen and (prefers-color-scheme:dark){:root{");
    let used: BTreeSet<&str> =
        style.split("var(").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert_eq!(light, dark, "defined by day and by night");
    assert_eq!(used, light, "used and defined");
    let print = style.split("@media print{").nth(1).unwrap();
    for rule in ["body{background:#fff", "print-color-adjust:exact", "break-after:avoid"] {
        assert!(print.contains(rule), "on paper: {rule}");
    }
    assert_eq!(
        style.matches("prefers-color-scheme").count(),
        1,
        "no other rule of the night may reach the paper"
    );
}
