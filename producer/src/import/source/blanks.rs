//! Columns between blanks, and those of access logs: some in quotes, the time in brackets.

use std::borrow::Cow;

use memchr::memchr;

/// What encloses columns that have blanks in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Before and behind a column. Within it a backslash goes before a quote that does not end it.
    pub(crate) quote: Option<u8>,
    /// Whether a column that begins with `[` ends with the next `]`.
    pub(crate) brackets: bool,
}

/// Calls `visit` with each column of a row, without what encloses it.
pub(super) fn columns<'r>(row: &'r str, marks: Marks, mut visit: impl FnMut(Cow<'r, str>)) {
    if marks.quote.is_none() && !marks.brackets {
        row.split([' ', '\t']).filter(|c| !c.is_empty()).for_each(|c| visit(Cow::Borrowed(c)));
        return;
    }
    let mut rest = row.trim_start_matches([' ', '\t']);
    // What does not close one column closes none behind it: it is looked for once.
    let (mut quotes, mut brackets) = (marks.quote.is_some(), marks.brackets);
    while let Some(first) = rest.as_bytes().first() {
        let closed = if quotes && Some(*first) == marks.quote {
            closing_quote(rest.as_bytes(), *first).or_else(|| {
                quotes = false;
                None
            })
        } else if brackets && *first == b'[' {
            memchr(b']', rest.as_bytes()).or_else(|| {
                brackets = false;
                None
            })
        } else {
            None
        };
        let end = match closed {
            Some(close) => {
                visit(if *first == b'[' {
                    Cow::Borrowed(&rest[1..close])
                } else {
                    unescaped(&rest[1..close], *first)
                });
                close + 1
            }
            // What is not closed is a column like others.
            None => {
                let end = rest.find([' ', '\t']).unwrap_or(rest.len());
                visit(Cow::Borrowed(&rest[..end]));
                end
            }
        };
        rest = rest[end..].trim_start_matches([' ', '\t']);
    }
}

/// Where the quote is that closes what the first byte opens: no backslash before it, and a blank or nothing behind it.
fn closing_quote(bytes: &[u8], quote: u8) -> Option<usize> {
    let mut from = 1;
    loop {
        let at = from + memchr(quote, bytes.get(from..)?)?;
        let backslashes = bytes[1..at].iter().rev().take_while(|b| **b == b'\\').count();
        if backslashes % 2 == 0 && matches!(bytes.get(at + 1), None | Some(b' ' | b'\t')) {
            return Some(at);
        }
        from = at + 1;
    }
}

fn unescaped(text: &str, quote: u8) -> Cow<'_, str> {
    let quote = char::from(quote);
    if memchr(b'\\', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(&format!("\\{quote}"), &quote.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(row: &str) -> Vec<String> {
        let mut all = Vec::new();
        columns(row, Marks { quote: Some(b'"'), brackets: true }, |c| all.push(c.into_owned()));
        all
    }

    #[test]
    fn access_logs_are_split() {
        let row = r#"10.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a b.gif HTTP/1.0" 200 2326 "-" "Mozilla (\"x\"; [y])""#;
        assert_eq!(
            split(row),
            [
                "10.0.0.1",
                "-",
                "frank",
                "10/Oct/2000:13:55:36 -0700",
                "GET /a b.gif HTTP/1.0",
                "200",
                "2326",
                "-",
                "Mozilla (\"x\"; [y])"
            ]
        );
        assert_eq!(split("a\"b c\" [d e"), ["a\"b", "c\"", "[d", "e"]);
        assert_eq!(split(r#" "" "x\\" "open [] "#), ["", r"x\\", "\"open", ""]);
    }

    proptest::proptest! {
        #[test]
        fn no_row_makes_it_panic(row in "[\"\\\\\\[\\] aé\t]{0,30}") {
            split(&row);
        }
    }
}
