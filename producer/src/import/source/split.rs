//! From a stream of bytes to records, with bounded memory: lines, quoted rows of several lines, or JSON objects.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

/// How records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// At each line feed.
    Lines,
    /// At each line feed that is not between quotes; a quote opens only at the beginning of a column.
    Quoted { delimiter: u8, quote: u8 },
    /// At the end of each object of an array, or of several that follow each other.
    Json,
}

/// What is wrong with a record as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is longer than allowed, so many bytes; only its beginning is kept.
    TooLong(u64),
    /// A quote was opened in it and not closed within the length that a record may have.
    Unclosed,
    /// Between objects stands something else, or the last one is not closed.
    NoObject,
}

/// Where a record lies in the splitter's buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found {
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The line on which it begins, from 1. Of [`Ends::Json`], where a line may hold many, the how manieth it is.
    pub(crate) line: u64,
    pub(crate) fault: Option<Fault>,
}

/// Of a record that is too long so much is kept.
pub(crate) const KEPT: usize = 64 << 10;
const READ: usize = 256 << 10;

/// Splits what it reads. Memory: at most two records of the greatest length, or twice [`READ`].
pub(crate) struct Splitter {
    input: Box<dyn Read>,
    ends: Ends,
    longest: usize,
    buffer: Vec<u8>,
    /// Of `buffer`, what is filled.
    filled: usize,
    /// Where the next record begins.
    start: usize,
    /// The line there, or the number of the object.
    line: u64,
    at_end: bool,
}

impl std::fmt::Debug for Splitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Splitter").field("ends", &self.ends).field("line", &self.line).finish_non_exhaustive()
    }
}

/// How far the search for a record's end has come.
#[derive(Debug, Clone, Copy, Default)]
struct Search {
    at: usize,
    in_quotes: bool,
    first_feed: Option<usize>,
    depth: usize,
    object: Option<usize>,
}

enum Step {
    End { from: usize, to: usize, next: usize },
    Bad { to: usize },
    More,
}

impl Splitter {
    pub(crate) fn new(input: Box<dyn Read>, ends: Ends, longest: usize) -> Self {
        Self { input, ends, longest, buffer: Vec::new(), filled: 0, start: 0, line: 1, at_end: false }
    }

    pub(crate) fn set_ends(&mut self, ends: Ends) {
        self.ends = ends;
    }

    pub(crate) fn bytes(&self, found: &Found) -> &[u8] {
        &self.buffer[found.from..found.to]
    }

    /// At least `wanted` bytes from the next record on, or all there are.
    pub(crate) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.filled - self.start < wanted && self.fill()? {}
        Ok(&self.buffer[self.start..self.filled])
    }

    /// Passes over bytes that were peeked at.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.start += bytes;
    }

    /// The next record, without its line end; `None` at the end. The bytes stay until the next call.
    pub(crate) fn next(&mut self) -> io::Result<Option<Found>> {
        let mut search = Search { at: self.start, ..Search::default() };
        loop {
            let step = match self.ends {
                Ends::Lines => self.line_end(&mut search),
                Ends::Quoted { delimiter, quote } => self.quoted_end(&mut search, delimiter, quote),
                Ends::Json => self.object_end(&mut search),
            };
            match step {
                Step::End { from, to, next } => return Ok(Some(self.found(from, to, next, None))),
                Step::Bad { to } => return Ok(Some(self.found(self.start, to, to, Some(Fault::NoObject)))),
                Step::More => {}
            }
            let length = self.filled - self.start;
            if length > self.longest {
                if let Some(feed) = search.first_feed.filter(|_| search.in_quotes) {
                    return Ok(Some(self.found(self.start, feed, feed + 1, Some(Fault::Unclosed))));
                }
                return self.pass_too_long().map(Some);
            }
            let moved = self.start;
            let more = self.fill()?;
            // Filling moves the record to the buffer's beginning.
            let shift = moved - self.start;
            search.at -= shift;
            search.first_feed = search.first_feed.map(|at| at - shift);
            search.object = search.object.map(|at| at - shift);
            if !more {
                return Ok(self.last(&search));
            }
        }
    }

    /// Takes back all of a record of several lines but its first line: what follows is split anew.
    pub(crate) fn keep_first_line(&mut self, found: &mut Found) -> bool {
        let Some(feed) = memchr(b'\n', &self.buffer[found.from..found.to]) else { return false };
        found.to = found.from + feed;
        found.fault = Some(Fault::Unclosed);
        self.start = found.to + 1;
        self.line = found.line + 1;
        true
    }

    fn found(&mut self, from: usize, to: usize, next: usize, fault: Option<Fault>) -> Found {
        let feeds = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
        let line = match self.ends {
            // A record is known by its line, and each needs one of its own.
            Ends::Json => self.line,
            _ => self.line + feeds(&self.buffer[self.start..from]),
        };
        self.line = match self.ends {
            Ends::Json => line + 1,
            _ => line + feeds(&self.buffer[from..next]),
        };
        self.start = next;
        Found { from, to, line, fault }
    }

    /// What is left when the input has ended.
    fn last(&mut self, search: &Search) -> Option<Found> {
        let (start, end) = (self.start, self.filled);
        if start == end {
            return None;
        }
        match self.ends {
            Ends::Quoted { .. } if search.in_quotes => Some(match search.first_feed {
                Some(feed) => self.found(start, feed, feed + 1, Some(Fault::Unclosed)),
                None => self.found(start, end, end, Some(Fault::Unclosed)),
            }),
            Ends::Json => search.object.map(|from| self.found(from, end, end, Some(Fault::NoObject))),
            _ => Some(self.found(start, end, end, None)),
        }
    }

    fn line_end(&self, search: &mut Search) -> Step {
        match memchr(b'\n', &self.buffer[search.at..self.filled]) {
            Some(feed) => Step::End { from: self.start, to: search.at + feed, next: search.at + feed + 1 },
            None => {
                search.at = self.filled;
                Step::More
            }
        }
    }

    fn quoted_end(&self, search: &mut Search, delimiter: u8, quote: u8) -> Step {
        let bytes = &self.buffer[..self.filled];
        while search.at < bytes.len() {
            if search.in_quotes {
                let Some(skip) = memchr2(quote, b'\n', &bytes[search.at..]) else { break };
                let at = search.at + skip;
                if bytes[at] == quote {
                    search.in_quotes = false;
                } else {
                    search.first_feed.get_or_insert(at);
                }
                search.at = at + 1;
                continue;
            }
            let Some(skip) = memchr2(quote, b'\n', &bytes[search.at..]) else { break };
            let at = search.at + skip;
            if bytes[at] == b'\n' {
                return Step::End { from: self.start, to: at, next: at + 1 };
            }
            // A quote right after a closing one is an escaped quote: the column goes on. It is the only other place
            // than a column's beginning where a quote opens.
            let opens = at == self.start
                || bytes[at - 1] == delimiter
                || (bytes[at - 1] == quote && at == search.at && at > self.start);
            search.in_quotes = opens;
            search.at = at + 1;
        }
        search.at = bytes.len();
        Step::More
    }

    fn object_end(&self, search: &mut Search) -> Step {
        let bytes = &self.buffer[..self.filled];
        while search.at < bytes.len() {
            let at = search.at;
            let byte = bytes[at];
            if search.in_quotes {
                let Some(skip) = memchr2(b'"', b'\\', &bytes[at..]) else { break };
                let at = at + skip;
                if bytes[at] == b'"' {
                    search.in_quotes = false;
                    search.at = at + 1;
                } else if at + 1 < bytes.len() {
                    search.at = at + 2;
                } else {
                    search.at = at;
                    return Step::More;
                }
                continue;
            }
            search.at += 1;
            match (search.object, byte) {
                (None, b'{') => {
                    search.object = Some(at);
                    search.depth = 1;
                }
                (None, b'[' | b']' | b',') => {}
                (None, _) if byte.is_ascii_whitespace() => {}
                (None, _) => {
                    // Something else between objects: it is bad up to the next object, which must not be lost.
                    let rest = &bytes[at..];
                    let to = memchr2(b'{', b'\n', rest).map_or(rest.len(), |skip| skip.max(1));
                    return Step::Bad { to: at + to };
                }
                (Some(_), b'"') => search.in_quotes = true,
                (Some(_), b'{' | b'[') => search.depth += 1,
                (Some(from), b'}' | b']') => {
                    search.depth -= 1;
                    if search.depth == 0 {
                        return Step::End { from, to: search.at, next: search.at };
                    }
                }
                (Some(_), _) => {}
            }
        }
        search.at = bytes.len();
        Step::More
    }

    /// Passes over the rest of a line that is too long, keeping its beginning.
    fn pass_too_long(&mut self) -> io::Result<Found> {
        let line = self.line;
        let kept = self.start..self.start + KEPT.min(self.filled - self.start);
        self.buffer.copy_within(kept.clone(), 0);
        let kept = kept.len();
        let mut length = (self.filled - self.start) as u64;
        // The rest of the buffer is free for what is passed over.
        self.buffer.resize(kept + READ, 0);
        loop {
            let n = read_some(&mut *self.input, &mut self.buffer[kept..])?;
            let rest = kept..kept + n;
            let feed = memchr(b'\n', &self.buffer[rest.clone()]);
            self.at_end = n == 0;
            if self.at_end || feed.is_some() {
                let feed = feed.unwrap_or(0);
                length += feed as u64;
                self.filled = rest.end;
                self.start = if self.at_end { rest.end } else { rest.start + feed + 1 };
                self.line += u64::from(!self.at_end);
                return Ok(Found { from: 0, to: kept, line, fault: Some(Fault::TooLong(length)) });
            }
            length += n as u64;
        }
    }

    /// Reads more; `false` at the end of the input. Moves what is not yet split to the buffer's beginning.
    fn fill(&mut self) -> io::Result<bool> {
        if self.at_end {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < self.filled + READ {
            self.buffer.resize(self.filled + READ, 0);
        }
        let n = read_some(&mut *self.input, &mut self.buffer[self.filled..])?;
        self.filled += n;
        self.at_end = n == 0;
        Ok(n > 0)
    }
}

fn read_some(input: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(into) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
