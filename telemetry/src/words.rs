//! Errors as people read them.

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
    words
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
    fn a_cause_is_said_once() {
        let missing = Path::new("/no such folder/x.log");
        let error = init_tracing(LogFormat::Plain, LogTo::File(missing)).unwrap_err();
        let once = error.to_string();
        assert!(once.ends_with("No such file or directory (os error 2)"), "{once}");
        assert_eq!(in_words(&error), once, "it names its cause itself");
        assert_eq!(in_words(&Outer(error)), format!("cannot begin: {once}"));
    }
}
