use super::*;

fn parse<'r>(wanted: &[&str], row: &'r str) -> Result<Vec<Cell<'r>>, RejectReason> {
    let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
    let mut cells = Vec::new();
    JsonParser::new(&wanted, None).parse(row.as_bytes(), &mut cells).map(|()| cells).map_err(|e| e.reason)
}

#[test]
fn paths_lead_into_objects_and_lists() {
    let row =
        r#"{"a":{"b":{"c":1}},"l":[{"p":2.5},{"p":"x\n"}],"k.d":true,"n":null,"big":18446744073709551615}"#;
    let cells = parse(&["a.b.c", "l.0.p", "l.1.p", "k.d", "n", "big", "a", "none"], row).unwrap();
    let text = |t: &'static str| Cell::Text(t.into());
    let expected = [Cell::Int(1), Cell::Float(2.5), text("x\n"), Cell::Bool(true), Cell::Missing];
    assert_eq!(cells[..5], expected);
    assert_eq!(cells[5..], [text("18446744073709551615"), Cell::Other, Cell::Missing]);
}

#[test]
fn what_is_no_object_is_refused() {
    for (row, reason) in [
        ("", RejectReason::InvalidJson),
        ("{", RejectReason::InvalidJson),
        ("[1]", RejectReason::WrongType),
        ("7", RejectReason::WrongType),
        (r#"{"a":1} {"#, RejectReason::InvalidJson),
        (r#"{"a":NaN}"#, RejectReason::InvalidJson),
        (r#"{"a":1e999}"#, RejectReason::InvalidJson),
        (r#"{"a":1,}"#, RejectReason::InvalidJson),
    ] {
        assert_eq!(parse(&["a"], row), Err(reason), "{row}");
    }
}

fn parse_each<'r>(each: &str, wanted: &[&str], row: &'r str) -> Result<Vec<Cell<'r>>, RejectReason> {
    let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
    let mut cells = vec![Cell::Missing];
    let parsed = JsonParser::new(&wanted, Some(each)).parse(row.as_bytes(), &mut cells);
    parsed.map(|()| cells).map_err(|e| e.reason)
}

#[test]
fn items_of_a_list_become_rows() {
    let text = |t: &'static str| Cell::Text(t.into());
    let wanted = ["l.list.t", "user", "l.list.deep.x"];
    let row = r#"{"l":{"list":[{"t":1,"deep":{"x":"a"}},{"t":2,"more":[{"t":9}]},null]},"user":"ann"}"#;
    let expected = [
        [Cell::Missing, Cell::Int(1), text("ann"), text("a")],
        [Cell::Missing, Cell::Int(2), text("ann"), Cell::Missing],
        [Cell::Missing, Cell::Missing, text("ann"), Cell::Missing],
    ];
    assert_eq!(parse_each("l.list", &wanted, row).unwrap(), expected.concat());
    let times = parse_each("times", &["times", "user"], r#"{"user":7,"times":[11,12]}"#).unwrap();
    let (at, who) = (|n| Cell::Int(n), Cell::Int(7));
    assert_eq!(times, [Cell::Missing, at(11), who.clone(), Cell::Missing, at(12), who]);
    // Nothing of the item is wanted: there are as many rows.
    assert_eq!(parse_each("l", &["user"], r#"{"l":[1,2,3],"user":7}"#).unwrap().len(), 6);
    for none in [r#"{"user":7}"#, r#"{"user":7,"l":[]}"#, r#"{"user":7,"l":null}"#] {
        assert_eq!(parse_each("l", &["user", "l.t"], none), Ok(vec![]), "{none}");
    }
    for other in [r#"{"l":{"t":1}}"#, r#"{"l":"x"}"#, r#"{"l":0}"#] {
        assert_eq!(parse_each("l", &["l.t"], other), Err(RejectReason::WrongType), "{other}");
    }
    assert_eq!(parse_each("l", &["l.t"], r#"{"l":[{"t":1}"#), Err(RejectReason::InvalidJson));
    let many = format!(r#"{{"l":[{}1]}}"#, "1,".repeat(MOST_ITEMS));
    assert_eq!(parse_each("l", &["l.t"], &many), Err(RejectReason::TooLarge));
    // A key that has a dot in it, as of columns.
    let times = parse_each("a.b", &["a.b.t"], r#"{"a.b":[{"t":1},{"t":2}]}"#).unwrap();
    assert_eq!(times, [Cell::Missing, Cell::Int(1), Cell::Missing, Cell::Int(2)]);
    // What would be copied for each item is bounded.
    let long = format!(r#"{{"n":"\n{}","l":[{}1]}}"#, "x".repeat(1 << 20), "1,".repeat(200));
    assert_eq!(parse_each("l", &["n"], &long), Err(RejectReason::TooLarge));
}
