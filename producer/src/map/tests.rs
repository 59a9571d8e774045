use std::path::Path;

use types::{Event, RejectReason};

use super::*;

const BASE: &str = r#"
    format = "csv"
    [entity]
    type = "user"
    id = "user"
    [time]
    column = "at"
    format = "s"
    [type]
    column = "what"
"#;

fn load(text: &str) -> Mapping {
    Mapping::from_toml(text, Path::new("map.toml")).unwrap_or_else(|e| panic!("{e}"))
}

/// The events of a row given as `column = value`, as JSON, or why there are none.
fn apply(map: &str, row: &[(&str, Cell<'static>)]) -> Result<Vec<String>, (RejectReason, String)> {
    let mapping = load(map);
    let mut mapper = RowMapper::new(&mapping);
    let mut cells = vec![Cell::Missing; mapper.joined_cells()];
    for column in mapping.columns() {
        cells.push(
            row.iter().find(|(name, _)| name == column).map_or(Cell::Missing, |(_, cell)| cell.clone()),
        );
    }
    let mut out = MappedRow::default();
    let fate = mapper.map(&mut cells, &mut out).map_err(|e| (e.reason, e.detail))?;
    if fate != Fate::Events {
        return Ok(vec![format!("{fate:?}")]);
    }
    Ok((0..out.len())
        .map(|i| {
            let (mapped, key, value) = out.get(i).unwrap();
            let mut event = Event::default();
            event.decode(value).unwrap();
            assert_eq!(event.entity.as_bytes(), key);
            assert_eq!(event.ts, mapped.ts);
            String::from_utf8(value.to_vec()).unwrap()
        })
        .collect())
}

fn text(text: &'static str) -> Cell<'static> {
    Cell::Text(text.into())
}

fn row(more: &[(&'static str, Cell<'static>)]) -> Vec<(&'static str, Cell<'static>)> {
    let base = [("user", text("u1")), ("at", text("1700000000")), ("what", text("play"))];
    more.iter().cloned().chain(base).collect()
}

#[test]
fn a_row_becomes_an_event() {
    let map = format!(
        "{BASE}names = {{ play = \"watch\" }}\nprefix = \"app.\"\n[event_id]\ncolumn = [\"user\", \"n\"]\n[fields]\n{}",
        r#"
        device = "dev"
        watch_s = { column = "ms", kind = "number", scale = 0.001 }
        price = { column = "eur", kind = "money", currency = "EUR" }
        paid = { column = "paid", kind = "bool" }
        plan = { constant = "basic" }
        zip = "zip"
        visits = "visits""#
    );
    let cells = [
        ("n", text("7")),
        ("dev", text("tv")),
        ("ms", text("1234")),
        ("eur", text("12.99")),
        ("paid", text("yes")),
        ("zip", text("00123")),
        ("visits", text("12")),
    ];
    let expected = r#"{"v":1,"id":"u1-7","entity_type":"user","entity":"u1","type":"app.watch","ts":1700000000000,"fields":{"device":"tv","paid":true,"plan":"basic","price":{"minor":1299,"currency":"EUR"},"visits":12,"watch_s":1.234,"zip":"00123"}}"#;
    assert_eq!(apply(&map, &row(&cells)).unwrap(), [expected]);
}

#[test]
fn what_is_wrong_with_a_row_is_named() {
    let map = format!(
        "{BASE}[fields]\nn = {{ column = \"n\", kind = \"number\" }}\nb = {{ column = \"b\", kind = \"bool\" }}\nr = {{ column = \"r\", required = true }}"
    );
    let with = |name: &'static str, cell: Cell<'static>| {
        let mut cells = vec![("r", text("x")), (name, cell)];
        cells.rotate_right(1);
        let mut all = row(&cells);
        // Of two with a name the first counts.
        all.retain(|(n, c)| *n != name || *c == cells[0].1);
        all
    };
    let cases = [
        (with("n", text("abc")), RejectReason::WrongType, "field `n`, column `n`: `abc` is not a number"),
        (with("n", text("NaN")), RejectReason::NumberOutOfRange, "field `n`"),
        (with("n", text("1e999")), RejectReason::NumberOutOfRange, "field `n`"),
        (with("n", Cell::Other), RejectReason::WrongType, "field `n`"),
        (with("b", text("maybe")), RejectReason::WrongType, "field `b`"),
        (with("r", Cell::Missing), RejectReason::MissingField, "field `r`"),
        (with("at", text("soon")), RejectReason::Mapping, "time, column `at`: `soon`"),
        (with("at", text("0")), RejectReason::TimeOutOfRange, "time, column `at`"),
        (with("at", text("999999999999")), RejectReason::TimeOutOfRange, "time, column `at`"),
        (with("at", Cell::Missing), RejectReason::MissingField, "time, column `at`"),
        (with("user", text("")), RejectReason::MissingField, "the entity's id"),
        (with("user", Cell::Other), RejectReason::WrongType, "column `user`"),
        (with("what", text("")), RejectReason::MissingField, "the type"),
        (with("what", text("$tick")), RejectReason::UnknownSystemType, "`$tick`"),
    ];
    for (cells, reason, detail) in cases {
        let (found, message) = apply(&map, &cells).unwrap_err();
        assert_eq!(found, reason, "{message}");
        assert!(message.contains(detail), "{message}");
    }
}

#[test]
fn conditions_and_empty_entities_pass_rows_over() {
    let map = BASE.replace("id = \"user\"", "id = \"user\"\nempty = \"skip\"");
    assert_eq!(apply(&map, &row(&[("user", text(""))])).unwrap(), ["EmptyEntity"]);
    let map = format!(
        "{BASE}[[where]]\ncolumn = \"n\"\nmin = 2\nmax = 3\n[[where]]\ncolumn = \"what\"\nis_not = [\"stop\"]"
    );
    assert_eq!(apply(&map, &row(&[("n", text("1"))])).unwrap(), ["Filtered"]);
    assert_eq!(apply(&map, &row(&[("n", text("2"))])).unwrap().len(), 1);
    assert_eq!(apply(&map, &row(&[("n", text("2")), ("what", text("stop"))])).unwrap(), ["Filtered"]);
    assert_eq!(apply(&map, &row(&[])).unwrap(), ["Filtered"]);
}

#[test]
fn counts_expand_into_events_over_the_day() {
    let map = r#"
        null = ["-"]
        [entity]
        type = "learner"
        id = ["course", "user"]
        [time]
        column = "date"
        format = "date"
        zone = "UTC"
        [event_id]
        column = "user"
        [[event]]
        type = { constant = "video" }
        count = "videos"
        spread = "day"
        [[event]]
        type = { constant = "forum" }
        count = "posts"
    "#;
    let cells = |videos, posts| {
        let day = ("date", text("1970-01-11"));
        vec![
            ("course", text("c")),
            ("user", text("u")),
            day,
            ("videos", text(videos)),
            ("posts", text(posts)),
        ]
    };
    let short =
        |event: &String| event[event.find("\"id\"").unwrap()..].replace("\"entity_type\":\"learner\",", "");
    let events: Vec<String> = apply(map, &cells("2", "1")).unwrap().iter().map(short).collect();
    assert_eq!(
        events,
        [
            r#""id":"u/2.1","entity":"c:u","type":"forum","ts":864000000}"#,
            r#""id":"u/1.1","entity":"c:u","type":"video","ts":885600000}"#,
            r#""id":"u/1.2","entity":"c:u","type":"video","ts":928800000}"#,
        ]
    );
    assert_eq!(apply(map, &cells("0", "-")).unwrap(), ["Filtered"]);
    assert_eq!(apply(map, &cells("1.5", "0")).unwrap_err().0, RejectReason::WrongType);
    assert_eq!(apply(map, &cells("-1", "0")).unwrap_err().0, RejectReason::NumberOutOfRange);
    assert_eq!(apply(map, &cells("1000000", "0")).unwrap_err().0, RejectReason::NumberOutOfRange);
}

#[test]
fn separate_columns_of_date_and_time_are_read_together() {
    let map = r#"
        [entity]
        type = "user"
        id = "user"
        normalise = ["trim", "lowercase", "integer"]
        [time]
        column = ["date", "time"]
        format = "%d.%m.%Y %H:%M"
        zone = "Europe/Berlin"
        [type]
        constant = "visit"
    "#;
    let cells = [("user", text(" U7.0 ")), ("date", text("01.10.2018")), ("time", text("02:00"))];
    let events = apply(map, &cells).unwrap();
    assert_eq!(events, [r#"{"v":1,"entity_type":"user","entity":"u7","type":"visit","ts":1538352000000}"#]);
    assert_eq!(apply(map, &cells[..2]).unwrap_err().0, RejectReason::MissingField);
}

#[test]
fn mistakes_in_a_map_are_told_with_line_and_key() {
    let cases = [
        (
            "[entity]\ntype = \"user\"\nid = \"u\"\n[time]\ncolumn = \"t\"\nformat = \"iso\"\n[type]\nconstant = \"x\"",
            "map.toml:6: `time.format`: times of the format `iso` do not say in which zone they are",
        ),
        (
            "[entity]\ntype = \"user\"\nid = \"u\"\n[time]\ncolumn = \"t\"\nformat = \"ms\"\n",
            "map.toml: `type`: the section `[type]` is missing",
        ),
        ("[entity]\ntype = \"user\"\nid = \"u\"\nidd = 1\n", "map.toml:4: unknown field `idd`"),
        ("[entity\n", "map.toml:1: "),
        (
            &format!("{BASE}[fields]\n\nprice = {{ column = \"p\", kind = \"money\" }}"),
            "map.toml:13: `fields.price`: money needs `currency`",
        ),
        (
            &format!("{BASE}[[where]]\ncolumn = \"a\"\nis = \"b\"\n[[where]]\ncolumn = \"x\""),
            "map.toml:14: `where[2]`: say what must hold",
        ),
        (&format!("{BASE}prefix = \"$x\""), "`type`: types that begin with $"),
        (
            &format!("delimiter = \"\u{e9}\"{BASE}"),
            "map.toml:1: `delimiter`: `\u{e9}` is not an ASCII character",
        ),
    ];
    for (text, expected) in cases {
        let error = Mapping::from_toml(text, Path::new("map.toml")).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_map_panic(text in "[a-z\\[\\]\"=. \n{}0-9]{0,120}") {
        let _ = Mapping::from_toml(&text, Path::new("map.toml"));
        let _ = Mapping::from_toml(&format!("{BASE}{text}"), Path::new("map.toml"));
    }
}

#[test]
fn a_row_does_not_take_all_memory() {
    let map = format!("{BASE}[fields]\nt = \"t\"\n[[event]]\ncount = \"c\"\n[[event]]\ncount = \"c\"");
    let of = |length: usize, count: &'static str| {
        let long = Cell::Text("x".repeat(length).into());
        apply(&map, &row(&[("t", long), ("c", text(count))]))
    };
    let (reason, detail) = of(1 << 20, "100000").unwrap_err();
    assert!(reason == RejectReason::TooLarge && detail.starts_with("100000 events of 1048"), "{detail}");
    // Both sections count.
    assert_eq!(of(1 << 20, "40").unwrap_err().0, RejectReason::TooLarge);
    assert_eq!(of(1 << 20, "20").unwrap().len(), 40);
}

#[test]
fn a_condition_on_a_number_that_is_none_rejects_the_row() {
    let map = format!("{BASE}[[where]]\ncolumn = \"n\"\nmin = 5");
    let of = |cell| apply(&map, &row(&[("n", cell)]));
    assert_eq!(of(text("7")).unwrap().len(), 1);
    assert_eq!(of(text("3")).unwrap(), ["Filtered"]);
    assert_eq!(of(Cell::Missing).unwrap(), ["Filtered"]);
    let (reason, detail) = of(text("1O")).unwrap_err();
    assert_eq!((reason, &*detail), (RejectReason::WrongType, "where, column `n`: `1O` is not a number"));
    assert_eq!(of(text("1e999")).unwrap_err().0, RejectReason::NumberOutOfRange);
}
