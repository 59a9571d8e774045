//! What is wrong with a spec, and where.

use std::path::{Path, PathBuf};

/// A fault in a feature spec. Its text reads `FILE:LINE: FIELD: what is wrong`, or `FILE: what is wrong` where it cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecError {
    /// The file that was read.
    pub file: PathBuf,
    /// The line in it, from 1; 0 if none was read.
    pub line: usize,
    /// The field, as a path: `inputs.plays.value`.
    pub field: String,
    /// What is wrong, in words.
    pub problem: String,
}

impl std::fmt::Display for SpecError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { file, line, field, problem } = self;
        match line {
            0 => write!(f, "{}: {problem}", file.display()),
            _ => write!(f, "{}:{line}: {field}: {problem}", file.display()),
        }
    }
}

impl std::error::Error for SpecError {}

/// The text of a spec and its name: turns places in the text into errors.
pub(super) struct Origin<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Origin<'_> {
    /// An error at a byte position of the text. O(position).
    pub(super) fn error(&self, at: usize, field: impl Into<String>, problem: impl Into<String>) -> SpecError {
        let before = self.text.as_bytes().get(..at).unwrap_or(self.text.as_bytes());
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        SpecError { file: self.file.to_owned(), line, field: field.into(), problem: problem.into() }
    }

    /// A fault that the TOML reader found. The field is what stands before `=` on the line, or the line's table.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> SpecError {
        let at = error.span().map_or(0, |span| span.start);
        let start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |i| i + 1);
        let line = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or("");
        let field = line.split(['=', '#']).next().unwrap_or("").trim();
        let field = if field.is_empty() { "(file)" } else { field };
        self.error(at, field, error.message().replace('\n', " "))
    }
}
