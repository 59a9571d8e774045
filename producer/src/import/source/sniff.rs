//! What a file is, from its first bytes.

use crate::map::{Delimiter, Format};

/// How many bytes are looked at to tell one format from another.
pub(crate) const SAMPLE: usize = 64 << 10;

/// Whether lines end with carriage returns and no feed.
pub(crate) fn has_returns_alone(sample: &[u8]) -> bool {
    memchr::memchr(b'\r', sample).is_some_and(|at| at + 1 < sample.len())
        && memchr::memchr(b'\n', sample).is_none()
}

/// The format of text that begins so.
pub(crate) fn guess_format(sample: &[u8]) -> Format {
    let text = sample.trim_ascii_start();
    match text.first() {
        Some(b'[') => Format::Json,
        Some(b'{') if is_one_object_after_another(text) => Format::Json,
        Some(b'{') => Format::JsonLines,
        _ if is_access_log(text) => Format::Whitespace,
        _ => match guess_delimiter(text) {
            None => Format::Whitespace,
            Some(Delimiter::TAB) => Format::Tsv,
            Some(_) => Format::Csv,
        },
    }
}

/// Whether objects go on over several lines, or several stand on one. A first line that is broken is a bad row of a file of lines.
fn is_one_object_after_another(text: &[u8]) -> bool {
    let mut objects = serde_json::Deserializer::from_slice(text).into_iter::<serde::de::IgnoredAny>();
    match objects.next() {
        Some(Ok(_)) => {
            let (object, rest) = text.split_at(objects.byte_offset());
            let line = memchr::memchr(b'\n', rest).map_or(rest, |feed| &rest[..feed]);
            memchr::memchr(b'\n', object).is_some() || line.trim_ascii_start().starts_with(b"{")
        }
        // The object goes on beyond the sample.
        Some(Err(error)) => error.is_eof() && memchr::memchr(b'\n', text.trim_ascii_end()).is_some(),
        None => false,
    }
}

/// Whether nearly all lines have a time as web servers write it, between blanks: `[10/Oct/2000:13:55:36 -0700] `. In other formats such a time
/// has a delimiter behind it.
pub(crate) fn is_access_log(sample: &[u8]) -> bool {
    let is_time = |text: &[u8]| {
        let shape = b"[00/aaa/0000:00:00:00";
        text.len() > shape.len()
            && shape.iter().zip(text).all(|(wanted, byte)| match wanted {
                b'0' => byte.is_ascii_digit(),
                b'a' => byte.is_ascii_alphabetic(),
                other => other == byte,
            })
            && memchr::memchr(b']', text).is_some_and(|end| text.get(end + 1) == Some(&b' '))
    };
    let has_time = |line: &&[u8]| memchr::memchr_iter(b'[', line).any(|at| is_time(&line[at..]));
    let lines: Vec<&[u8]> = first_lines(sample, 10);
    !lines.is_empty() && lines.iter().filter(|line| has_time(line)).count() * 10 >= lines.len() * 9
}

/// The sample without the lines that begin with # at its beginning, and whether there are such; a header that begins so is none.
pub(crate) fn without_remarks(sample: &[u8]) -> (&[u8], bool) {
    let (mut rest, mut last) = (sample, &b""[..]);
    while rest.starts_with(b"#") || (rest.len() < sample.len() && rest.starts_with(b"\n")) {
        let Some(feed) = memchr::memchr(b'\n', rest) else { return (sample, false) };
        if feed > 0 {
            last = &rest[..feed];
        }
        rest = &rest[feed + 1..];
    }
    let width = |line: &[u8]| guess_delimiter(rest).map_or(0, |d| count(&d.text(), line));
    let first = rest.split(|b| *b == b'\n').next().unwrap_or_default();
    let is_header = width(last) > 0 && width(last) == width(first);
    if rest.len() == sample.len() || is_header { (sample, false) } else { (rest, true) }
}

/// Whether a list of JSON has something else than objects in it.
pub(crate) fn is_of_lists(sample: &[u8]) -> bool {
    let inner = sample.trim_ascii_start().strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    inner.and_then(<[u8]>::first).is_some_and(|first| !b"{]".contains(first))
}

/// The rest of a file whose first line only says by what its columns are separated, as spreadsheets write it: `sep=;`.
pub(crate) fn without_declaration(sample: &[u8]) -> Option<&[u8]> {
    let feed = memchr::memchr(b'\n', sample)?;
    let line = sample[..feed].trim_ascii_end();
    (line.len() == 5 && line[..4].eq_ignore_ascii_case(b"sep=")).then(|| &sample[feed + 1..])
}

/// The table whose rows a dump of PostgreSQL holds first, and its columns as `printf` takes them: with tabs between them.
pub(crate) fn dumped_table(sample: &[u8]) -> Option<(String, String)> {
    let mut lines = sample.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    let copy = lines.find_map(|line| line.strip_prefix(b"COPY ")?.strip_suffix(b" FROM stdin;"))?;
    let text = String::from_utf8_lossy(copy).into_owned();
    let (table, columns) = text.split_once(" (")?;
    Some((table.to_owned(), columns.trim_end_matches(')').replace('"', "").replace(", ", "\\t")))
}

/// The first lines that are whole and not empty, so many at most.
fn first_lines(sample: &[u8], most: usize) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> =
        sample.split(|b| *b == b'\n').filter(|l| !l.trim_ascii().is_empty()).take(most + 1).collect();
    if lines.len() > most || (lines.len() > 1 && !sample.ends_with(b"\n")) {
        lines.pop();
    }
    lines
}

/// What most evenly separates the first lines; `None` if nothing usual does.
pub(crate) fn guess_delimiter(sample: &[u8]) -> Option<Delimiter> {
    // Of equals the first: the list is in order of custom.
    const USUAL: [&str; 6] = [",", ";", "\t", "|", "::", "\u{1}"];
    let lines = first_lines(sample, 10);
    let score = |delimiter: &str| {
        let first = count(delimiter, lines.first()?);
        let even = lines.iter().filter(|line| count(delimiter, line) == first).count();
        (first > 0).then_some((even, first))
    };
    let (_, best) =
        USUAL.into_iter().rev().filter_map(|d| Some((score(d)?, d))).max_by_key(|(score, _)| *score)?;
    let goes_along = best == "|" && always_is(sample, best, "||");
    Delimiter::new(if goes_along { "||" } else { best })
}

/// The same, for a map that says so: where a blank stands behind each comma, it belongs to it. Unsaid, a later row that has none would be
/// refused.
pub(crate) fn draft_delimiter(sample: &[u8]) -> Option<Delimiter> {
    let found = guess_delimiter(sample)?;
    if found == Delimiter::COMMA && always_is(sample, ",", ", ") { Delimiter::new(", ") } else { Some(found) }
}

/// Whether a delimiter never stands but as a longer one, as far as can be seen.
fn always_is(sample: &[u8], short: &str, long: &str) -> bool {
    let times = long.matches(short).count();
    first_lines(sample, 1_000).iter().all(|line| count(long, line) * times == count(short, line))
}

/// How often a delimiter stands in a line outside of quotes.
fn count(delimiter: &str, line: &[u8]) -> usize {
    let (mut quoted, mut found, mut at) = (false, 0, 0);
    while let Some(byte) = line.get(at) {
        quoted ^= *byte == b'"';
        let here = !quoted && line[at..].starts_with(delimiter.as_bytes());
        found += usize::from(here);
        at += if here { delimiter.len() } else { 1 };
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_apart() {
        for (sample, format) in [
            ("{\"a\":1}\n{\"a\":2}\n", Format::JsonLines),
            ("{\n  \"a\": 1\n}\n", Format::Json),
            ("{\"a\":1,\n \"b\": 2}\n", Format::Json),
            ("{\"a\":1}{\"a\":2} {\"a\":3}\n", Format::Json),
            ("{\"a\":1}", Format::JsonLines),
            ("{\"a\":\n{\"a\":2}\n{\"a\":3}\n", Format::JsonLines),
            ("{\"a\":\"x\n{\"a\":2}\n", Format::JsonLines),
            (" [\n{\"a\":1}]", Format::Json),
            (
                "h - - [10/Oct/2000:13:55:36 -0700] \"GET /a,b\" 200 1 \"-\" \"M (a; b)\"\n",
                Format::Whitespace,
            ),
            ("time,user\n[01/Oct/2020:13:55:36 +0000],u1\n[01/Oct/2020:13:55:37 +0000],u2\n", Format::Csv),
            ("u1\t[01/Oct/2020:13:55:36 +0000]\tx\nu2\t[01/Oct/2020:13:55:37 +0000]\ty\n", Format::Tsv),
            ("1::1193::5::978300760\n1::661::3::978302109\n", Format::Csv),
            ("user,day\n1,2\n", Format::Csv),
            ("user;day;price\n1;2;3,5\n2;3;4,5\n", Format::Csv),
            ("user\tday\n1\t2\n", Format::Tsv),
            (" 00001 19970101  1   11.77\n", Format::Whitespace),
        ] {
            assert_eq!(guess_format(sample.as_bytes()), format, "{sample}");
        }
        for (sample, delimiter) in [
            ("a;b;c\n1,5;2,5;3\n1;2;3,5\n", ";"),
            ("a,b\n\"x;y\",1\n", ","),
            ("1::2::3\n4::5::6\n", "::"),
            ("1::A (1995)::x|y|z\n2::B, the::x\n3::C::x|y\n", "::"),
            ("a||b||c\n1||2||3\n", "||"),
            ("a|b|c\n1||3\n", "|"),
            ("a, b,c\n1, 2,3\n", ","),
            ("a\u{1}b\n1\u{1}2\n", "\u{1}"),
        ] {
            assert_eq!(guess_delimiter(sample.as_bytes()), Delimiter::new(delimiter), "{sample}");
        }
        // One line in which it stands alone is enough, however late.
        let late = format!("{}1,2\n", "a, b\n".repeat(30));
        assert_eq!(draft_delimiter(late.as_bytes()), Delimiter::new(","));
        let padded = b"a, b, c\n1, \"x, y\", 3\n";
        assert_eq!(draft_delimiter(padded), Delimiter::new(", "));
        assert_eq!(guess_delimiter(padded), Delimiter::new(","));
    }
}
