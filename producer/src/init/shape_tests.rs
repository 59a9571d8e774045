//! Drafts of the shapes in which public data sets come.

use super::*;

fn drafted(name: &str, bytes: &[u8]) -> Result<Draft, InitError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    draft(&path)
}

/// Thirty rows, the `i` in a template replaced: `{i}` counts, `{u}` repeats, `{2}` counts with two digits.
fn rows(template: &str) -> String {
    let row = |i: usize| {
        let row = template.replace("{i}", &i.to_string()).replace("{2}", &format!("{:02}", i % 28 + 1));
        row.replace("{u}", &(i % 4).to_string())
    };
    (0..30).map(row).collect()
}

fn utf16(text: &str) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(u16::to_le_bytes).collect()
}

fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap()).collect()
}

#[test]
fn the_shapes_of_public_data_sets_are_drafted() {
    let excel = "Customer\tDay\tAction\r\n".to_owned() + &rows("Zo\u{eb}{u}\t421{2}\tbuy\r\n");
    let duplicate = "user_id,ts,value,value\n".to_owned() + &rows("u{u},15383520{2},1,2\n");
    let nested = rows(
        "{\"user\":\"u{u}\",\"events\":[{\"t\":\"2020-01-{2}T00:00:00Z\",\"type\":\"play\"},\
            {\"t\":\"2020-01-{2}T01:00:00Z\",\"type\":\"stop\"}]}\n",
    );
    let access = rows(
        "10.0.0.{u} - - [{2}/Oct/2020:13:55:36 -0700] \"GET /a;{i} HTTP/1.0\" 200 {i} \"-\" \"M (a, b)\"\n",
    );
    let stray = rows("user_{u}\t2009-05-{2}T23:08:57Z\tx{i}\t\"Weird Al\n")
        + "user_1\t2009-05-01T23:08:57Z\tx\t\"Heroes\"\n";
    let cases: [(&str, Vec<u8>, &[&str]); 22] = [
        (
            "ratings.dat",
            rows("{u}::11{i}::5::9783007{2}\n").into(),
            &["delimiter = \"::\"", "id = \"1\"", "column = \"4\"\nformat = \"s\""],
        ),
        (
            "clicks.dat",
            rows("{u},2014-04-07T10:51:{2}.277Z,2145{i},0\n").into(),
            &["id = \"1\"", "format = \"rfc3339\""],
        ),
        (
            "umlaut.csv",
            latin(&("user,date,name\n".to_owned() + &rows("u{u},2020-01-{2},J\u{fc}rgen\n"))),
            &["encoding = \"windows-1252\"   # !!! a guess"],
        ),
        ("unicode.txt", utf16(&excel), &["format = \"tsv\"", "since = \"1899-12-30\"", "format = \"days\""]),
        ("bare.csv", utf16(&excel)[2..].to_vec(), &["encoding = \"utf-16le\"\n"]),
        (
            "days.csv",
            ("user,day\n".to_owned() + &rows("u{u},{i}\n")).into(),
            &["since = \"2000-01-01\"", "# !!! These count from a moment"],
        ),
        ("duplicate.csv", duplicate.into(), &["is called `name.2`", "column = \"value.2\""]),
        (
            "nested.jsonl",
            nested.into(),
            &["each = \"events\"", "id = \"user\"", "column = \"events.t\"", "column = \"events.type\""],
        ),
        (
            "access.log",
            access.into(),
            &["brackets = true", "null = [\"-\"]", "id = \"host\"", "%d/%b/%Y:%H:%M:%S %z"],
        ),
        ("lastfm.tsv", stray.into(), &["quote = \"\"", "id = \"1\"", "column = \"2\""]),
        ("mac.csv", ("user,date\r".to_owned() + &rows("u{u},2020-01-{2}\r")).into(), &["id = \"user\""]),
        (
            "wow.csv",
            ("char, level, timestamp\n".to_owned() + &rows("594{u}, {i}, 01/{2}/08 00:02:04\n")).into(),
            &["delimiter = \", \"", "id = \"char\"", "%m/%d/%y %H:%M:%S"],
        ),
        (
            "hours.csv",
            ("user,date,hour\n".to_owned() + &rows("u{u},201705{2},{u}\n")).into(),
            &["column = [\"date\", \"hour\"]", "\"%Y%m%d %H\""],
        ),
        (
            "nulls.csv",
            ("user,ts,price\n".to_owned() + &rows("u{u},2020-01-{2},{i}\n") + "u1,2020-01-01,NULL\n").into(),
            &["null = [\"NULL\"]", "price = { column = \"price\", kind = \"number\" }"],
        ),
        (
            "float.csv",
            ("user,day\n".to_owned() + &rows("u{u},201705{2}.0\n")).into(),
            &["format = \"%Y%m%d\""],
        ),
        (
            "trailing.csv",
            ("user;day;\n".to_owned() + &rows("u{u};2017-05-{2};\n")).into(),
            &["id = \"user\""],
        ),
        (
            "remarks.csv",
            ("# of us\n#\n\nDate,User ID\n".to_owned() + &rows("202001{2},u{u}\n")).into(),
            &["comment = \"#\"", "id = \"User ID\"", "format = \"%Y%m%d\""],
        ),
        (
            "sums.csv",
            ("Kunde;Datum;Betrag\n".to_owned() + &rows("K{u};{2}.01.2020;1.2{2},50\n")).into(),
            &["decimal = \",\"\nthousands = \".\"", "betrag = { column = \"Betrag\", kind = \"number\" }"],
        ),
        (
            "mooc.tsv",
            ("ACTIONID\tUSERID\tTIMESTAMP\n".to_owned() + &rows("{i}\t{u}\t13{2}.0\n")).into(),
            &["format = \"s\"\n# !!! These count", "since = \"2000-01-01\"", "id = \"USERID\""],
        ),
        (
            "tweets.csv",
            ("user,at\n".to_owned() + &rows("u{u},Wed Jan 01 10:{2}:00 +0000 2020\n")).into(),
            &["format = \"%a %b %d %H:%M:%S %z %Y\""],
        ),
        (
            "american.csv",
            ("user,at\n".to_owned() + &rows("u{u},\"Jan {2}, 2020, 10:15 PM\"\n")).into(),
            &["format = \"%b %d, %Y, %I:%M %p\""],
        ),
        (
            "pretty.json",
            rows("{\n  \"user\": {u},\n  \"ts\": 15383520{2}\n}\n").into(),
            &["format = \"json\"", "id = \"user\""],
        ),
    ];
    for (name, bytes, expected) in cases {
        let draft = drafted(name, &bytes).unwrap_or_else(|why| panic!("{name}: {why}"));
        for expected in expected {
            assert!(draft.map.contains(expected), "{name}: {expected}\n{}", draft.map);
        }
        assert!(
            draft.tried.0 >= 30 && draft.tried.1 == 0,
            "{name}: {:?} {:?}\n{}",
            draft.tried,
            draft.rejects,
            draft.map
        );
    }
}

#[test]
fn an_entity_that_comes_again_far_down_is_one() {
    let row = |i: usize| format!("m{},201503{:02},0\n", i % 7_000, 1 + i % 28);
    let text: String = (0..14_000).map(row).collect();
    let draft =
        drafted("transactions.csv", format!("msno,transaction_date,is_cancel\n{text}").as_bytes()).unwrap();
    assert!(draft.map.contains("id = \"msno\""), "{}", draft.map);
    let once: String = (0..14_000).map(|i| format!("m{i},201503{:02},0\n", 1 + i % 28)).collect();
    let error =
        drafted("members.csv", format!("msno,registration_init_time,city\n{once}").as_bytes()).unwrap_err();
    assert!(error.to_string().contains("every `msno` has one row"), "{error}");
}

#[test]
fn what_no_map_can_read_is_said() {
    let orders = "order_id,user_id,order_dow,order_hour_of_day,days_since_prior_order\n".to_owned()
        + &rows("{i},{u},2,08,{u}.0\n");
    let error = drafted("orders.csv", orders.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("`days_since_prior_order` counts from another row"), "{error}");
    let long = format!("{{\"data\":[{}{{}}]}}", "{\"user\":1},".repeat(100_000));
    let error = drafted("long.json", long.as_bytes()).unwrap_err().to_string();
    assert!(
        error.contains("long.json: its first object has 1100013 bytes") && error.contains("jq -c"),
        "{error}"
    );
}
