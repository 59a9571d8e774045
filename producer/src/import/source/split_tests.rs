use super::*;

/// Gives out a few bytes at a time, so that every search is interrupted everywhere.
struct Dribble(Vec<u8>, usize, usize);

impl Read for Dribble {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.2.min(self.0.len() - self.1).min(into.len());
        into[..n].copy_from_slice(&self.0[self.1..self.1 + n]);
        self.1 += n;
        Ok(n)
    }
}

fn split(text: &[u8], ends: Ends, longest: usize, step: usize) -> Vec<(u64, Vec<u8>, Option<Fault>)> {
    let mut splitter = Splitter::new(Box::new(Dribble(text.to_vec(), 0, step)), ends, longest);
    let mut all = Vec::new();
    while let Some(found) = splitter.next().unwrap() {
        all.push((found.line, splitter.bytes(&found).to_vec(), found.fault));
    }
    all
}

fn check(text: &str, ends: Ends, expected: &[(u64, &str, Option<Fault>)]) {
    for step in [1, 2, 3, 7, 1000] {
        let found = split(text.as_bytes(), ends, 1000, step);
        let expected: Vec<_> = expected.iter().map(|(l, t, f)| (*l, t.as_bytes().to_vec(), *f)).collect();
        assert_eq!(found, expected, "in steps of {step}");
    }
}

const CSV: Ends = Ends::Quoted { delimiter: Delimiter::COMMA, quote: b'"' };

#[test]
fn lines_are_split_at_feeds() {
    check("a\nb\r\n\nc", Ends::Lines, &[(1, "a", None), (2, "b\r", None), (3, "", None), (4, "c", None)]);
    check("", Ends::Lines, &[]);
}

#[test]
fn quoted_rows_may_have_feeds() {
    check("a,\"b\nc\"\nd", CSV, &[(1, "a,\"b\nc\"", None), (3, "d", None)]);
    check("\"x\"\"\n\"\"y\",1\nz", CSV, &[(1, "\"x\"\"\n\"\"y\",1", None), (3, "z", None)]);
    check("5\" disk,1\nz", CSV, &[(1, "5\" disk,1", None), (2, "z", None)]);
}

#[test]
fn quotes_open_behind_delimiters_of_several_characters() {
    let ends = Ends::Quoted { delimiter: Delimiter::new("::").unwrap(), quote: b'"' };
    check("a::\"b\nc\"::d\ne", ends, &[(1, "a::\"b\nc\"::d", None), (3, "e", None)]);
    check("a:\"b\nc\"::d\n", ends, &[(1, "a:\"b", None), (2, "c\"::d", None)]);
}

#[test]
fn carriage_returns_alone_end_lines_where_it_is_said() {
    for step in [1, 3, 1000] {
        let mut splitter =
            Splitter::new(Box::new(Dribble(b"a\r\rlong line\rb".to_vec(), 0, step)), Ends::Lines, 5);
        splitter.peek(1).unwrap();
        splitter.set_returns();
        let mut found = Vec::new();
        while let Some(record) = splitter.next().unwrap() {
            // Of what is too long the beginning is kept, and how much depends on the reads.
            found.push((
                record.line,
                splitter.bytes(&record)[..1.min(record.to - record.from)].to_vec(),
                record.fault.is_some(),
            ));
        }
        let expected = [(1, "a", false), (2, "", false), (3, "l", true), (4, "b", false)];
        assert_eq!(found, expected.map(|(line, text, fault)| (line, text.as_bytes().to_vec(), fault)));
    }
}

#[test]
fn an_unclosed_quote_costs_one_line() {
    let expected = [(1, "a,\"b", Some(Fault::Unclosed)), (2, "c,d", None), (3, "e,f", None)];
    check("a,\"b\nc,d\ne,f\n", CSV, &expected);
    let long = format!("a,\"b\n{}", "c,d\n".repeat(400));
    let found = split(long.as_bytes(), CSV, 1000, 100);
    assert_eq!(found.len(), 401);
    assert!(found[1..].iter().all(|(_, bytes, fault)| bytes == b"c,d" && fault.is_none()));
}

#[test]
fn objects_are_found_in_arrays_and_one_after_the_other() {
    let objects = [(1, "{\"a\":[{}]}", None), (2, "{\"b\":\"}\\\"\"}", None)];
    check("[{\"a\":[{}]},\n{\"b\":\"}\\\"\"}]\n", Ends::Json, &objects);
    check("{\"a\":[{}]}\n{\"b\":\"}\\\"\"}", Ends::Json, &objects);
    check("[{\"a\":[{}]},{\"b\":\"}\\\"\"}]", Ends::Json, &objects);
    check("\n\n[{\"a\":[{}]},\n\n {\"b\":\"}\\\"\"}]", Ends::Json, &objects);
    let found = split(b"[{\"a\":1}, nonsense {\"b\":2}, {\"c\":", Ends::Json, 1000, 1000);
    let faults: Vec<_> = found.iter().map(|(_, _, fault)| *fault).collect();
    assert_eq!(faults, [None, Some(Fault::NoObject), None, Some(Fault::NoObject)]);
    let numbers: Vec<_> = found.iter().map(|(number, ..)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4], "each has a number of its own");
}

#[test]
fn a_line_of_ten_megabytes_is_passed_in_bounded_memory() {
    let mut text = b"before\n".to_vec();
    text.extend(std::iter::repeat_n(b'x', 10 << 20));
    text.extend(b"\nafter\n");
    let mut splitter = Splitter::new(Box::new(Dribble(text, 0, 100_000)), Ends::Lines, 1 << 20);
    let before = splitter.next().unwrap().unwrap();
    assert_eq!(splitter.bytes(&before), b"before");
    let long = splitter.next().unwrap().unwrap();
    assert_eq!((long.line, long.fault), (2, Some(Fault::TooLong(10 << 20))));
    assert_eq!(splitter.bytes(&long).len(), KEPT);
    let after = splitter.next().unwrap().unwrap();
    assert_eq!((after.line, splitter.bytes(&after)), (3, &b"after"[..]));
    assert!(splitter.buffer.capacity() < 4 << 20);
}

#[test]
fn an_object_that_is_too_long_costs_itself_only() {
    let nested = format!("{{\"x\":[{{\"y\":\"}}\\\"{{\n\"}},\n{}]}}", "{\"z\":\"\\\\\"},".repeat(400));
    for step in [1, 7, 1000, 100_000] {
        for between in [",", ",\n", "\n"] {
            let text = ["{\"a\":1}", &nested, "{\"b\":2}", &nested, "{\"c\":3}"].join(between);
            let found = split(format!("[{text}]").as_bytes(), Ends::Json, 1000, step);
            let faults: Vec<_> = found.iter().map(|(number, _, fault)| (*number, *fault)).collect();
            let too_long = Some(Fault::TooLong(nested.len() as u64));
            assert_eq!(faults, [(1, None), (2, too_long), (3, None), (4, too_long), (5, None)], "{step}");
            assert_eq!(found[4].1, b"{\"c\":3}");
            assert!(nested.as_bytes().starts_with(&found[1].1));
        }
    }
    // A brace is missing: what follows is found again at the first object that begins a line as the broken one did.
    for indent in ["", "  "] {
        let object = |n: usize| format!("\n{indent}{{\"n\":{n:04},\"o\":\n{indent} {{}}}}");
        let mut objects: Vec<String> = (0..200).map(object).collect();
        objects[3].pop();
        let text = format!("[{}\n]", objects.join(","));
        for step in [1, 7, 1000] {
            let found = split(text.as_bytes(), Ends::Json, 1000, step);
            let broken = &found[3];
            assert!(matches!(broken.2, Some(Fault::TooLong(_))), "{broken:?}");
            assert!(found.len() > 100 && found[4..].iter().all(|(.., fault)| fault.is_none()));
            assert_eq!(found.last().unwrap().1, objects[199].trim().as_bytes());
        }
    }
    let mut text = vec![b' '; 3 << 20];
    text.extend(b"{\"a\":1}");
    assert_eq!(split(&text, Ends::Json, 1000, 100_000), [(1, b"{\"a\":1}".to_vec(), None)]);
    let mut text = b"[{\"a\":\"".to_vec();
    text.extend(std::iter::repeat_n(b'\n', 10 << 20));
    text.extend(b"\"},{\"b\":2}]");
    let mut splitter = Splitter::new(Box::new(Dribble(text, 0, 100_000)), Ends::Json, 1 << 20);
    let long = splitter.next().unwrap().unwrap();
    assert_eq!(long.fault, Some(Fault::TooLong((10 << 20) + 8)));
    let after = splitter.next().unwrap().unwrap();
    assert_eq!(splitter.bytes(&after), b"{\"b\":2}");
    assert!(splitter.buffer.capacity() < 4 << 20);
}

proptest::proptest! {
    #[test]
    fn quoted_rows_survive(rows in proptest::collection::vec(proptest::collection::vec("[a-c\",\n ]{0,6}", 1..4), 1..20), step in 1_usize..50) {
        let mut text = String::new();
        let mut expected = Vec::new();
        for row in &rows {
            let row: Vec<String> = row.iter().map(|c| format!("\"{}\"", c.replace('"', "\"\""))).collect();
            expected.push(row.join(","));
            text.push_str(&row.join(","));
            text.push('\n');
        }
        let found: Vec<String> = split(text.as_bytes(), CSV, 100_000, step).into_iter()
            .map(|(_, bytes, fault)| { assert_eq!(fault, None); String::from_utf8(bytes).unwrap() }).collect();
        proptest::prop_assert_eq!(found, expected);
    }
}
