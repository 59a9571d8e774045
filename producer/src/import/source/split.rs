//! From a stream of bytes to records, with bounded memory: lines, quoted rows of several lines, or JSON objects.

use std::io::{self, Read};

use memchr::{memchr, memchr2};

use super::depth::{Depth, Indent};
use crate::map::Delimiter;

/// How records end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// At each line feed.
    Lines,
    /// At each line feed that is not between quotes; a quote opens only at the beginning of a column.
    Quoted { delimiter: Delimiter, quote: u8 },
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
    /// So many bytes from its beginning is a character that the file's encoding does not have.
    NoText(usize),
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
    /// Whether lines end with a carriage return alone, which is a line feed in here.
    returns: bool,
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
    object: Option<usize>,
    depth: Depth,
    /// Where in its line the object begins, if it is the first there.
    indent: Indent,
}

enum Step {
    End { from: usize, to: usize, next: usize },
    Bad { from: usize, to: usize },
    More,
}

impl Splitter {
    pub(crate) fn new(input: Box<dyn Read>, ends: Ends, longest: usize) -> Self {
        Self {
            input,
            ends,
            longest,
            buffer: Vec::new(),
            filled: 0,
            start: 0,
            line: 1,
            at_end: false,
            returns: false,
        }
    }

    pub(crate) fn set_ends(&mut self, ends: Ends) {
        self.ends = ends;
    }

    /// From here on, lines end with a carriage return alone, as programs of old Macs write them.
    pub(crate) fn set_returns(&mut self) {
        self.returns = true;
        feeds_for_returns(&mut self.buffer[self.start..self.filled]);
    }

    pub(crate) fn bytes(&self, found: &Found) -> &[u8] {
        &self.buffer[found.from..found.to]
    }

    /// At least `wanted` bytes from the next record on, or all there are.
    pub(crate) fn peek(&mut self, wanted: usize) -> io::Result<&[u8]> {
        while self.filled - self.start < wanted && self.fill()? {}
        Ok(&self.buffer[self.start..self.filled])
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
                Step::End { from, to, next } => {
                    // It depends on where the reads ended whether this is found here or by `pass_too_long`.
                    let length = to - from;
                    let fault = (length > self.longest).then_some(Fault::TooLong(length as u64));
                    let to = if fault.is_some() { from + length.min(KEPT) } else { to };
                    return Ok(Some(self.found(from, to, next, fault)));
                }
                Step::Bad { from, to } => return Ok(Some(self.found(from, to, to, Some(Fault::NoObject)))),
                Step::More => {}
            }
            if self.ends == Ends::Json {
                // What stands between objects is nothing to keep.
                self.start = search.object.unwrap_or(search.at);
            }
            let length = self.filled - self.start;
            if length > self.longest {
                if let Some(feed) = search.first_feed.filter(|_| search.in_quotes) {
                    return Ok(Some(self.found(self.start, feed, feed + 1, Some(Fault::Unclosed))));
                }
                return self.pass_too_long(search.depth, search.indent).map(Some);
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

    fn quoted_end(&self, search: &mut Search, delimiter: Delimiter, quote: u8) -> Step {
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
                || bytes[self.start..at].ends_with(delimiter.as_bytes())
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
            if search.object.is_some() {
                return match search.depth.end(bytes, &mut search.at) {
                    true => {
                        let from = search.object.unwrap_or(self.start);
                        Step::End { from, to: search.at, next: search.at }
                    }
                    false => Step::More,
                };
            }
            let at = search.at;
            search.at += 1;
            match bytes[at] {
                b'{' => {
                    search.object = Some(at);
                    search.depth = Depth { open: 1, ..Depth::default() };
                }
                byte @ (b'[' | b']' | b',') => search.indent.step(byte),
                byte if byte.is_ascii_whitespace() => search.indent.step(byte),
                _ => {
                    // Something else between objects: it is bad up to the next object, which must not be lost.
                    let rest = &bytes[at..];
                    let to = memchr2(b'{', b'\n', rest).map_or(rest.len(), |skip| skip.max(1));
                    return Step::Bad { from: at, to: at + to };
                }
            }
        }
        Step::More
    }

    /// Passes over the rest of a line that is too long, or of an object within which a search has come to `depth`, keeping its
    /// beginning. An object that is never closed, because a brace is missing, ends where another begins a line just as it did.
    fn pass_too_long(&mut self, mut depth: Depth, indent: Indent) -> io::Result<Found> {
        let line = self.line;
        let kept = self.start..self.start + KEPT.min(self.filled - self.start);
        self.buffer.copy_within(kept.clone(), 0);
        let kept = kept.len();
        let mut length = (self.filled - self.start) as u64;
        // The rest of the buffer is free for what is passed over.
        self.buffer.resize(kept + READ, 0);
        let mut line_so_far = Indent::default();
        loop {
            let n = self.read_at(kept)?;
            let rest = &self.buffer[kept..kept + n];
            // Where the record ends, and where the next one begins.
            let end = match self.ends {
                Ends::Json => rest.iter().enumerate().find_map(|(at, &byte)| {
                    if byte == b'{' && line_so_far == indent && indent.0.is_some() {
                        return Some((at, at));
                    }
                    line_so_far.step(byte);
                    depth.step(byte).then_some((at + 1, at + 1))
                }),
                _ => memchr(b'\n', rest).map(|feed| (feed, feed + 1)),
            };
            self.at_end = n == 0;
            if self.at_end || end.is_some() {
                let (end, next) = end.unwrap_or((0, 0));
                length += end as u64;
                self.filled = kept + n;
                self.start = kept + next;
                self.line += 1;
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
        let n = self.read_at(self.filled)?;
        self.filled += n;
        self.at_end = n == 0;
        Ok(n > 0)
    }

    fn read_at(&mut self, at: usize) -> io::Result<usize> {
        loop {
            match self.input.read(&mut self.buffer[at..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(n) => {
                    if self.returns {
                        feeds_for_returns(&mut self.buffer[at..at + n]);
                    }
                    return Ok(n);
                }
                error => return error,
            }
        }
    }
}

fn feeds_for_returns(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b'\n');
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
