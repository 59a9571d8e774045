//! Errors as people read them.

use std::borrow::Cow;
use std::error::Error;

/// An error and its causes, as one line from the outermost inwards. A cause that stands in the line already is not said twice: many
/// errors name theirs in their own text.
#[must_use]
pub fn in_words(error: &(dyn Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words.push_str(": ");
            words.push_str(&more);
        }
        cause = error.source();
    }
    plain(&words).into_owned()
}

/// A text for people in which nothing steers their terminal: control characters, and those that turn the direction of writing, are shown
/// as in JSON, `\u001b`, so that JSON keeps its meaning. Line ends and tabs stay.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let steers = |c: char| {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        turns || c.is_control() && c != '\n' && c != '\t'
    };
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let show = |c: char| if steers(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(text.chars().map(show).collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{LogFormat, LogTo, init_tracing};

    #[derive(Debug, thiserror::Error)]
    #[error("cannot begin")]
    struct Outer(#[source] crate::LogsError);

    #[test]
    fn nothing_from_outside_steers_a_terminal_and_json_keeps_its_meaning() {
        assert!(matches!(plain("ä\tü\n"), Cow::Borrowed(_)));
        assert_eq!(plain("\u{1b}[31mred\r\u{9b}m\u{202e}x"), "\\u001b[31mred\\u000d\\u009bm\\u202ex");
        let error = std::io::Error::other("user \u{1b}[2J");
        assert_eq!(in_words(&error), "user \\u001b[2J");
    }

    #[test]
    fn a_cause_is_said_once() {
        let missing = Path::new("/no such folder/x.log");
        let error = init_tracing(LogFormat::Plain, LogTo::File(missing)).unwrap_err();
        let once = error.to_string();
        assert!(once.ends_with("No such file or directory (os error 2)"), "{once}");
        assert_eq!(in_words(&error), once, "it names its cause itself");
        assert_eq!(in_words(&Outer(error)), format!("cannot begin: {once}"));
    }
}
