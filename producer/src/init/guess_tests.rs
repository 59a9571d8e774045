//! Which column is taken for what.

use super::*;

fn drafted(name: &str, text: &str) -> Result<Draft, InitError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    draft(&path)
}

/// So many rows made by a template: `{i}` counts, `{u}` is one of 40, `{2}` counts with two digits, `{k}` is one of three types.
fn rows(count: usize, template: &str) -> String {
    let row = |i: usize| {
        let row = template.replace("{i}", &i.to_string()).replace("{2}", &format!("{:02}", i % 28 + 1));
        row.replace("{u}", &format!("{:02}", i * 7 % 40)).replace("{k}", ["Kauf", "Besuch", "Ende"][i % 3])
    };
    (0..count).map(row).collect()
}

#[test]
fn what_happened_is_not_taken_for_whom_it_is_about() {
    let mixpanel = rows(
        300,
        "{\"event\":\"{k}\",\"properties\":{\"time\":17356957{2},\"distinct_id\":\"$device:{u}\",\"$insert_id\":\"x{i}\"}}\n",
    );
    let ga4 = rows(
        300,
        "{\"event_timestamp\":\"17356957{2}518000\",\"event_name\":\"{k}\",\"user_id\":null,\"user_pseudo_id\":\"87.6{u}\"}\n",
    );
    let german = "Kundennummer;Zeitstempel;Ereignis;Betrag\n".to_owned()
        + &rows(300, "1000{u};{2}.01.2025 07:08;{k};5,4{2}\n");
    let msisdn = "MSISDN,CALL_DATE,CALL_TIME,CALL_TYPE,DURATION_SEC\n".to_owned()
        + &rows(300, "4917000000{u},202501{2},0708{2},{k},{i}\n");
    let cdr = "Rufnummer;Datum;Uhrzeit;Art;Dauer (s)\n".to_owned()
        + &rows(300, "+491700000{u};{2}.01.2025;19:50:{2};{k};{i}\n");
    let nested = rows(300, "{\"verb\":\"{k}\",\"actor\":{\"id\":9{u}},\"at\":\"2025-01-{2}T10:00:00Z\"}\n");
    let cases: [(&str, String, &[&str]); 6] = [
        (
            "mixpanel.jsonl",
            mixpanel,
            &[
                "id = \"properties.distinct_id\"",
                "[type]\ncolumn = \"event\"",
                "column = \"properties.$insert_id\"",
            ],
        ),
        ("ga4.jsonl", ga4, &["id = \"user_pseudo_id\"", "[type]\ncolumn = \"event_name\""]),
        ("german.csv", german, &["id = \"Kundennummer\"", "[type]\ncolumn = \"Ereignis\""]),
        (
            "msisdn.csv",
            msisdn,
            &[
                "id = \"MSISDN\"",
                "column = \"CALL_TYPE\"",
                "column = [\"CALL_DATE\", \"CALL_TIME\"]\nformat = \"%Y%m%d%H%M%S\"",
            ],
        ),
        ("cdr.csv", cdr, &["id = \"Rufnummer\"", "column = \"Art\"", "column = [\"Datum\", \"Uhrzeit\"]"]),
        ("nested.jsonl", nested, &["id = \"actor.id\"", "column = \"verb\""]),
    ];
    for (name, text, expected) in cases {
        let draft = drafted(name, &text).unwrap_or_else(|why| panic!("{name}: {why}"));
        for expected in expected {
            assert!(draft.map.contains(expected), "{name}: {expected}\n{}", draft.map);
        }
        assert_eq!(
            (draft.tried, &draft.doubts),
            ((300, 0), &Vec::new()),
            "{name}: {:?}\n{}",
            draft.rejects,
            draft.map
        );
        assert_eq!((draft.entity.1, draft.entity.2), (40, 300), "{name}");
    }
}

#[test]
fn a_doubtful_entity_is_said_to_be_one() {
    let few = "device,ts,event\n".to_owned() + &rows(300, "{k},2025-01-{2},{k}\n");
    let draft = drafted("few.csv", &few).unwrap();
    assert!(
        draft.map.contains("# !!! `device` has only 3 different values in 300 rows.\nid = "),
        "{}",
        draft.map
    );

    let unknown =
        "ts,event,Anschluss,Ort\n".to_owned() + &rows(300, "2025-01-{2},{k},4917000000{u},Ort {u}\n");
    let draft = drafted("unknown.csv", &unknown).unwrap();
    assert_eq!(draft.entity, ("Anschluss".to_owned(), 40, 300));
    assert!(draft.map.contains("# !!! No column is called as customers usually are"), "{}", draft.map);
    assert!(draft.doubts.iter().any(|doubt| doubt.contains("could also be `Ort`")), "{:?}", draft.doubts);
}

#[test]
fn a_few_who_come_again_make_a_log() {
    let row = |i: usize| format!("cus_{},2025-01-{:02} 18:25,active\n", i % 2_900, i % 28 + 1);
    let table = |count: usize| {
        "Customer ID,Created (UTC),Status\n".to_owned() + &(0..count).map(row).collect::<String>()
    };
    let draft = drafted("subscriptions.csv", &table(3_000)).unwrap();
    assert_eq!(draft.entity, ("Customer ID".to_owned(), 2_900, 3_000));
    assert!(draft.doubts[0].contains("2900 different values in 3000 rows"), "{:?}", draft.doubts);
    let error = drafted("subscriptions.csv", &table(2_910)).unwrap_err().to_string();
    assert!(error.contains("nearly every `Customer ID` has one row (2900 of them in 2910 rows)"), "{error}");
}

#[test]
fn inputs_hold_the_numbers_of_the_sample() {
    let text = "user_id,ts,event,last_login_ms,bytes,called,huge,small\n".to_owned()
        + &rows(
            300,
            "u{u},17358175563{2},{k},17357277142{2},245662{i}000,49170000{2}6,9{i}00000000000000,{i}.5\n",
        );
    let draft = drafted("big.csv", &text).unwrap();
    assert!(!draft.spec.contains("last_login_ms"), "{}", draft.spec);
    assert!(
        draft.map.contains("# last_login_ms = ") && draft.map.contains("a time, which is no quantity"),
        "{}",
        draft.map
    );
    assert!(draft.map.contains("called = { column = \"called\", kind = \"text\" }"), "{}", draft.map);
    assert!(draft.spec.contains("value = \"bytes\"\nscale = 1 "), "{}", draft.spec);
    assert!(draft.spec.contains("# The number `huge` is left out"), "{}", draft.spec);
    assert!(draft.spec.contains("value = \"small\"\n\n"), "{}", draft.spec);
}

#[test]
fn amounts_are_read_as_people_write_them() {
    for (amounts, expected, first) in [
        ("\"1,2{2}.66\"", "[number]\nthousands = \",\"\n", "1201.66"),
        ("\"$1,2{2}.00\"", "[number]\nthousands = \",\"\nstrip = \"$\" ", "1201.0"),
        ("12.{2} EUR", "[number]\nstrip = \" ERU\" ", "12.01"),
    ] {
        let text = "user,ts,event,amount\n".to_owned()
            + &rows(60, &format!("u{{u}},2025-01-{{2}},{{k}},{amounts}\n"));
        let draft = drafted("amounts.csv", &text).unwrap();
        assert!(draft.map.contains(expected), "{amounts}: {}", draft.map);
        assert!(
            draft.map.contains("amount = { column = \"amount\", kind = \"number\" }"),
            "{amounts}: {}",
            draft.map
        );
        assert!(draft.preview[0].contains(&format!("\"amount\":{first}")), "{amounts}: {:?}", draft.preview);
        assert_eq!(draft.tried, (60, 0), "{amounts}: {:?}", draft.rejects);
    }
    // Two currencies cannot be added up.
    let mixed = "user,ts,event,amount\n".to_owned()
        + &rows(60, "u{u},2025-01-{2},{k},5 EUR\nu{u},2025-01-{2},{k},5 USD\n");
    let draft = drafted("mixed.csv", &mixed).unwrap();
    assert!(draft.map.contains("kind = \"text\""), "{}", draft.map);
}

#[test]
fn more_ways_to_write_a_time() {
    for (name, value, expected) in [
        ("at", "{2}-Jan-2025 14:05", "format = \"%d-%b-%Y %H:%M\""),
        ("at", "\"January {2}, 2025 14:05\"", "format = \"%B %d, %Y %H:%M\""),
        ("at", "202501{2}T140500Z", "zone = \"UTC\"                     # as they say"),
        ("epoch", "17358015{2}.250", "format = \"s\""),
        ("when", "457{2}.2083", "since = \"1899-12-30\""),
    ] {
        let text = format!("user,{name},event\n") + &rows(60, &format!("u{{u}},{value},{{k}}\n"));
        let draft = drafted("times.csv", &text).unwrap_or_else(|why| panic!("{value}: {why}"));
        assert!(draft.map.contains(expected), "{value}: {}", draft.map);
        assert_eq!(draft.tried, (60, 0), "{value}: {:?}", draft.rejects);
        assert!(draft.preview[0].contains("\"ts\":17"), "{value}: {:?}", draft.preview);
    }
}

#[test]
fn what_a_spreadsheet_says_of_itself_is_passed_over() {
    let text = "sep=;\nuser;ts;event\n".to_owned() + &rows(60, "u{u};2025-01-{2};{k}\n");
    let draft = drafted("semi.csv", &text).unwrap();
    assert!(draft.map.contains("skip_lines = 1 ") && draft.map.contains("id = \"user\""), "{}", draft.map);
    assert_eq!(draft.tried, (60, 0), "{:?}", draft.rejects);
}

#[test]
fn what_must_be_made_a_table_first_is_said() {
    let dump = "--\n-- PostgreSQL database dump\n--\n\nSET client_encoding = 'UTF8';\n\n\
        COPY public.events (id, account_id, kind) FROM stdin;\n0\t92\tstarted\n\\.\n";
    let error = drafted("dump.sql", dump).unwrap_err().to_string();
    let expected = r"`(printf 'id\taccount_id\tkind\n'; sed -n '/^COPY public.events /,/^\\\.$/p' FILE | sed '1d;$d') > rows.tsv`";
    assert!(error.contains(expected), "{error}");

    let lists = format!("[[\"u1\",\"2025-01-01\",\"a\"]{}]", ",[\"u2\",\"2025-01-02\",\"b\"]".repeat(9));
    let error = drafted("lists.json", &lists).unwrap_err().to_string();
    assert!(error.contains("lists.json: its rows are no objects") && error.contains("jq -r"), "{error}");
}
