//! Labels say what they should, and files that cannot be meant are refused.

use std::path::Path;

use super::*;

const DAY: i64 = Millis::DAY.0;

fn at(days: i64) -> EventTime {
    EventTime(days * DAY)
}

fn labels(text: &str) -> Labels {
    Labels::from_toml(text, Path::new(".")).unwrap()
}

#[test]
fn a_label_looks_at_what_lies_after_the_moment_up_to_the_horizon() {
    let labels_ = labels("horizon = \"30d\"\n[lost]\nevents = [\"cancel\"]");
    let lost = |counted: &[EventTime]| labels_.decide(at(10), counted, &[]).0 == Verdict::Lost;
    assert!(!lost(&[at(10)]), "an event at the moment itself is known already");
    assert!(lost(&[at(10), EventTime(10 * DAY + 1)]));
    assert!(lost(&[at(40)]));
    assert!(!lost(&[EventTime(40 * DAY + 1)]));
    let silent = labels("horizon = \"30d\"\n[lost]\nsilence = true");
    assert_eq!(silent.decide(at(10), &[at(3)], &[]), (Verdict::Lost, at(40)));
    assert_eq!(silent.decide(at(10), &[at(3), at(12)], &[]), (Verdict::Stayed, at(40)));
}

#[test]
fn who_leaves_within_the_lead_is_neither_lost_nor_there() {
    let labels = labels("horizon = \"30d\"\nlead = \"5d\"\n[lost]\nevents = [\"cancel\"]");
    let verdict = |day| labels.decide(at(10), &[at(day)], &[]);
    assert_eq!(verdict(15), (Verdict::LeftWithinLead, at(45)));
    assert_eq!(verdict(16), (Verdict::Lost, at(45)));
    assert_eq!(verdict(45), (Verdict::Lost, at(45)));
    assert_eq!(verdict(46), (Verdict::Stayed, at(45)));
}

const OUTCOMES: &str = "horizon=\"30d\"
[outcomes]
cancel_intent=[\"cancel_page\"]
auto_renew_off=[\"off\"]
failed_renewal=[\"payment_failed\"]
end_of_access=[\"cancel\"]
";

#[test]
fn outcomes_are_distinct_and_what_gives_the_label_away_is_listed() {
    let of = |rest: &str| labels(&format!("{OUTCOMES}{rest}"));
    let end = of("[lost]\noutcome=\"end_of_access\"");
    assert!(end.counts("cancel") && !end.counts("off") && !end.counts("payment_failed"));
    assert_eq!(end.implying, ["cancel", "cancel_page", "off"], "a failed payment may be learnt from");
    let failed = of("[lost]\noutcome=\"failed_renewal\"\n[inputs]\nallow=[\"off\"]\nimplying=[\"dunning\"]");
    assert!(failed.counts("payment_failed") && !failed.counts("cancel"));
    assert_eq!(failed.implying, ["cancel", "cancel_page", "dunning", "payment_failed"]);
    assert_eq!(of("[lost]\nsilence=true").implying, Vec::<String>::new());
}

#[test]
fn a_table_decides_by_period_or_as_of() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "who,from,to,churned,known\nu1,1970-01-11,1970-02-10,0,1970-02-12\nu1,1970-02-10,1970-03-12,1,1970-03-14\nu2,10,20,1,\n";
    std::fs::write(folder.path().join("renewals.csv"), csv).unwrap();
    let of = |columns: &str, more: &str| {
        let text = format!(
            "horizon=\"30d\"\n{more}\n[lost.table]\nfile=\"renewals.csv\"\nuser=\"who\"\noutcome=\"churned\"\nlost=[\"1\"]\ndecided_at=\"known\"\n{columns}"
        );
        Labels::from_toml(&text, folder.path()).unwrap()
    };
    let periods = of("period=[\"from\",\"to\"]", "");
    let Lost::Table(table) = &periods.lost else { panic!() };
    let verdict = |day| periods.decide(at(day), &[], table.of("u1"));
    assert_eq!(verdict(5), (Verdict::Unknown, at(35)), "no period ends within 30 days");
    assert_eq!(verdict(12), (Verdict::Stayed, at(42)));
    assert_eq!(verdict(40), (Verdict::Lost, at(72)), "the moment of a renewal is known already");
    assert_eq!(verdict(70).0, Verdict::Unknown);
    let late = of("period=[\"from\",\"to\"]", "lead=\"5d\"");
    assert_eq!(late.decide(at(66), &[], table.of("u1")).0, Verdict::LeftWithinLead);
    assert_eq!(
        late.decide(at(37), &[], table.of("u1")).0,
        Verdict::Lost,
        "a renewal within the lead says nothing"
    );

    let asked = of("as_of=\"to\"", "");
    let Lost::Table(table) = &asked.lost else { panic!() };
    assert!(table.asks_for("u1", at(40), Millis::DAY) && !table.asks_for("u1", at(39), Millis::DAY));
    assert_eq!(asked.decide(at(70), &[], table.of("u1")), (Verdict::Lost, at(72)));
    let u2 = asked.decide(EventTime(20), &[], table.of("u2"));
    assert_eq!(u2, (Verdict::Lost, EventTime(20).plus(Millis(30 * DAY))), "without a time of its own");
}

#[test]
fn a_table_may_be_compressed_and_have_days_of_a_zone() {
    let folder = tempfile::tempdir().unwrap();
    let csv = "who,last_day,out\nu1,1970-01-11,1\n";
    std::fs::write(folder.path().join("t.csv"), csv).unwrap();
    std::fs::write(folder.path().join("t.csv.zst"), zstd::encode_all(csv.as_bytes(), 0).unwrap()).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, csv.as_bytes()).unwrap();
    std::fs::write(folder.path().join("t.csv.gz"), gzip.finish().unwrap()).unwrap();
    for file in ["t.csv", "t.csv.zst", "t.csv.gz"] {
        let text = format!(
            "horizon=\"10d\"\n[lost.table]\nfile=\"{file}\"\nuser=\"who\"\nas_of=\"last_day\"\noutcome=\"out\"\nlost=[\"1\"]\nzone=\"Asia/Shanghai\"\nshift=\"1d\""
        );
        let labels = Labels::from_toml(&text, folder.path()).unwrap();
        let Lost::Table(table) = &labels.lost else { panic!() };
        // The end of day 10 of the epoch (1970-01-11) in Shanghai, eight hours before it is in Greenwich.
        let end = EventTime(11 * DAY - 8 * 3_600_000);
        assert_eq!(table.of("u1")[0].at, end);
        assert_eq!(labels.decide(end, &[], table.of("u1")), (Verdict::Lost, end.plus(Millis(10 * DAY))));
    }
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    let cases = [
        ("[lost]\nevents=[\"c\"]", "horizon"),
        ("horizon=\"0d\"\n[lost]\nevents=[\"c\"]", "horizon"),
        ("horizon=\"1d\"\n[lost]", "lost"),
        ("horizon=\"1d\"\n[lost]\nevents=[\"c\"]\nsilence=true", "not both"),
        ("horizon=\"1d\"\n[lost]\nevents=[\"c\"]\nactive=[\"c\"]", "lost.active"),
        ("horizon=\"1d\"\n[lost]\noutcome=\"end_of_access\"", "lost.outcome"),
        ("horizon=\"1d\"\n[lost]\noutcome=\"boredom\"", "boredom"),
        ("horizon=\"1d\"\n[lost]\nsilence=true\n[split]\ntest_from=\"2025-03-01\"", "test_from"),
        ("horizon=\"1d\"\n[lost]\nsilence=true\n[rows]\nper_day=0", "per_day"),
        ("horizon=\"1d\"\n[lost]\nsilence=true\n[rows]\ntriggers=\"all\"", "triggers"),
        ("horizon=\"1d\"\n[lost]\nsilence=true\nother=1", "other"),
        (
            "horizon=\"1d\"\n[lost.table]\nfile=\"none.csv\"\nuser=\"u\"\nas_of=\"t\"\noutcome=\"o\"\nlost=[]",
            "none.csv",
        ),
    ];
    for (text, named) in cases {
        let error = Labels::from_toml(text, Path::new(".")).unwrap_err();
        assert!(error.contains(named), "{error}");
    }
}
