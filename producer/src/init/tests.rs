use super::*;

fn drafted(name: &str, text: &str) -> Result<Draft, InitError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    draft(&path)
}

fn golden(name: &str, text: &str) -> String {
    let draft = drafted(name, text).unwrap();
    let rejects: Vec<String> = draft.rejects.iter().map(|(line, why)| format!("{line}: {why}")).collect();
    format!(
        "--- map\n{}--- spec\n{}--- labels\n{}--- events\n{}\n--- rejects\n{}",
        draft.map,
        draft.spec,
        draft.labels,
        draft.preview.join("\n"),
        rejects.join("\n")
    )
}

#[test]
fn json_lines_of_a_music_service() {
    let mut text = String::new();
    for i in 0..40 {
        let (user, page) =
            (i % 3, ["NextSong", "Home", "Cancellation Confirmation"][usize::from(i % 7 == 0) * (i % 3)]);
        let user = if i % 10 == 9 { String::new() } else { user.to_string() };
        let length = if page == "NextSong" { format!("{}.5", 100 + i) } else { "null".to_owned() };
        text.push_str(&format!(
            "{{\"ts\":{},\"userId\":\"{user}\",\"page\":\"{page}\",\"level\":\"{}\",\"length\":{length},\"device\":{{\"os\":\"linux\"}}}}\n",
            1_538_352_020_000_u64 + i as u64 * 40_000_000, ["free", "paid"][i % 2],
        ));
    }
    text.push_str("{\"ts\":1538352020000,\"userId\":\n");
    insta::assert_snapshot!(golden("events.jsonl", &text));
}

#[test]
fn a_semicolon_file_with_decimal_commas_and_local_times() {
    let mut text = "Kunde;Datum;Zeit;Betrag;Aktion\n".to_owned();
    for i in 0..30 {
        let action = ["Kauf", "Besuch"][usize::from(i % 3 == 0)];
        text.push_str(&format!(
            "K{:03};{:02}.03.2024;{:02}:15;{},50;{action}\n",
            i % 4,
            1 + i % 28,
            8 + i % 10,
            10 + i
        ));
    }
    insta::assert_snapshot!(golden("umsatz.csv", &text));
}

/// What the first rows say of the columns holds for all; what they say of time is the first hours of a sorted file.
#[test]
fn windows_follow_the_time_of_the_whole_file() {
    let mut text = "time,customer,event\n".to_owned();
    for i in 0..9_000_u64 {
        // Busy at first, quiet later; one row from before everything.
        let at = if i < 6_000 { i * 20 } else { (i - 6_000) * 7_200 };
        let at = if i == 8_000 { 0 } else { 1_735_690_000 + at };
        text.push_str(&format!("{at},u{},{}\n", i % 50, ["play", "login"][i as usize % 2]));
    }
    let draft = drafted("events.csv", &text).unwrap();
    assert!(draft.spec.contains(r#"["7d", "30d", "90d"]"#), "{}", draft.spec);
    assert!(draft.map.contains("here from 2025-01-01T00:06:40Z to 2025-09-"), "{}", draft.map);
}

#[test]
fn columns_of_counts_become_events() {
    let mut text = "date,course,enrollment_id,event_access,event_video,event_wiki\n".to_owned();
    for i in 0..30 {
        text.push_str(&format!("2013-10-{:02},1402,{},{},{},0\n", 1 + i / 3, 14_320 + i % 3, i % 4, i % 2));
    }
    insta::assert_snapshot!(golden("daily_counts.csv", &text));
}

#[test]
fn columns_between_blanks_without_a_header() {
    let text: String = (0..30)
        .map(|i| format!(" {:05} 199701{:02}  {}   {}.77\n", 1 + i / 3, 1 + i % 28, 1 + i % 5, 11 + i))
        .collect();
    insta::assert_snapshot!(golden("cd.txt", &text));
}

#[test]
fn what_is_no_event_log_is_explained() {
    let customers: String = (0..50).map(|i| format!("C{i},{},Yes\n", i % 7)).collect();
    let error =
        drafted("customers.csv", &format!("customer_id,tenure,churn\n{customers}")).unwrap_err().to_string();
    assert!(error.contains("no column is a time") && error.contains("[[join]]"), "{error}");
    let accounts: String = (0..50).map(|i| format!("{i},2020-01-{:02},0\n", 1 + i % 28)).collect();
    let error = drafted("accounts.csv", &format!("account_id,start_date,churned\n{accounts}"))
        .unwrap_err()
        .to_string();
    assert!(error.contains("every `account_id` has one row"), "{error}");
    let taxi: String = (0..50).map(|i| format!("2014-07-01 00:{i:02}:00,{}\n", 10_000 + i % 5)).collect();
    let error = drafted("taxi.csv", &format!("timestamp,value\n{taxi}")).unwrap_err().to_string();
    assert!(error.contains("a series of measurements"), "{error}");
    assert!(matches!(drafted("empty.csv", ""), Err(InitError::Empty(_))));
}

#[test]
fn usual_ways_to_write_a_time_are_known() {
    for (example, format) in [
        ("2019-10-01 00:00:0{} UTC", "%Y-%m-%d %H:%M:%S UTC"),
        ("2019-10-01 00:00:0{}.000 UTC", "%Y-%m-%d %H:%M:%S%.f UTC"),
        ("13/12/2010 8:2{}", "%d/%m/%Y %H:%M"),
        ("12/13/2010 8:2{}", "%m/%d/%Y %H:%M"),
        ("2010/12/01 8:2{}", "%Y/%m/%d %H:%M"),
        ("13-12-2010 08:2{}:05", "%d-%m-%Y %H:%M:%S"),
        ("12/13/2010 8:2{}:05 PM", "%m/%d/%Y %I:%M:%S %p"),
        ("13/12/2010 8:2{} AM", "%d/%m/%Y %I:%M %p"),
        ("1{} Mar 2021 10:00", "%d %b %Y %H:%M"),
        ("1{}-Mar-2021", "%d-%b-%Y"),
        ("Mon, 01 Mar 2021 10:00:0{} +0100", "%a, %d %b %Y %H:%M:%S %z"),
        ("2019010112000{}", "%Y%m%d%H%M%S"),
    ] {
        let rows: String = (0..30)
            .map(|i| format!("u{},\"{}\",click\n", i % 4, example.replace("{}", &(i % 10).to_string())))
            .collect();
        let draft = drafted("e.csv", &format!("customer,ts,action\n{rows}"))
            .unwrap_or_else(|why| panic!("{example}: {why}"));
        assert!(draft.map.contains(&format!("format = \"{format}\"")), "{example}: {}", draft.map);
        assert_eq!(draft.tried, (30, 0), "{example}: {:?}", draft.rejects);
    }
}

#[test]
fn what_a_data_frame_writes_is_understood() {
    let rows: String = (0..40)
        .map(|i| {
            let id = if i % 10 == 9 { String::new() } else { format!("{}.0", 17_850 + i % 5) };
            format!("{i},{id},2021-03-01 10:{:02}:00,{}\n", i, ["view", "buy"][i % 2])
        })
        .collect();
    let draft = drafted("frame.csv", &format!(",CustomerID,ts,action\n{rows}")).unwrap();
    assert!(draft.map.contains("id = \"CustomerID\"\nnormalise = [\"integer\"]"), "{}", draft.map);
    assert!(draft.map.contains("column = \"action\""), "{}", draft.map);
    assert!(draft.preview[0].contains("\"entity\":\"17850\""), "{:?}", draft.preview);
}

#[test]
fn types_are_those_of_the_whole_file() {
    let mut rows = String::from("time,customer,event\n");
    for i in 0..7_000_u64 {
        let kind = if i > 6_000 { ["renewal", "cancelled"][i as usize % 2] } else { "play" };
        rows.push_str(&format!("{},u{},{kind}\n", 1_735_690_000 + i * 600, i % 50));
        if i == 10 {
            rows.push_str("1735690000,u1,login\n");
        }
    }
    let draft = drafted("events.csv", &rows).unwrap();
    assert!(draft.spec.contains("renewal"), "{}", draft.spec);
    assert!(draft.labels.contains("cancelled"), "{}", draft.labels);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn no_file_makes_it_panic(text in "[a-c0-9,;\"{}:.\\- \n\t]{0,300}", head in "(user,time,x\n|\\{|)") {
        let draft = drafted("x.csv", &format!("{head}{text}"));
        proptest::prop_assert!(!matches!(draft, Err(InitError::Draft(_))), "{:?}", draft);
    }
}
