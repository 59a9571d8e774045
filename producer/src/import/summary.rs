//! What an import has done, in numbers.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use types::{EventTime, RejectReason};

use crate::map::Fate;

/// Counts of rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    pub(crate) rows: u64,
    filtered: u64,
    no_items: u64,
    empty_entity: u64,
    not_joined: u64,
    rejected: BTreeMap<RejectReason, u64>,
}

impl Counts {
    pub(crate) fn fate(&mut self, fate: Fate) {
        match fate {
            Fate::Events => {}
            Fate::Filtered => self.filtered += 1,
            Fate::NoItems => self.no_items += 1,
            Fate::EmptyEntity => self.empty_entity += 1,
            Fate::NotJoined => self.not_joined += 1,
        }
    }

    pub(crate) fn reject(&mut self, reason: RejectReason) {
        *self.rejected.entry(reason).or_default() += 1;
    }

    pub(crate) fn rejected_by_name(&self) -> BTreeMap<&'static str, u64> {
        self.rejected.iter().map(|(reason, n)| (reason.name(), *n)).collect()
    }

    pub(crate) fn passed_over(&self) -> u64 {
        self.filtered + self.no_items + self.empty_entity + self.not_joined
    }
}

/// Tells entities apart by a hash of 64 bits, up to a number that fits in memory.
#[derive(Debug, Default)]
pub(crate) struct Entities {
    seen: HashSet<u64>,
    too_many: bool,
}

impl Entities {
    /// About 100 MB of hashes.
    const MOST: usize = 4_000_000;

    pub(crate) fn see(&mut self, key: &[u8]) {
        if !self.too_many {
            self.seen.insert(xxhash_rust::xxh3::xxh3_64(key));
            self.too_many = self.seen.len() > Self::MOST;
        }
    }
}

/// A row that was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RejectedRow {
    /// The file.
    pub file: String,
    /// Its row, from 1; in a text file the line.
    pub line: u64,
    /// What is wrong with it: which field, which column, which value.
    pub detail: String,
}

/// Events that come after newer ones of an earlier import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Behind {
    /// How many.
    pub events: u64,
    /// The time of the first of them, in milliseconds.
    pub first_ts: i64,
    /// The time of the last.
    pub last_ts: i64,
    /// The newest tick that the log held before.
    pub tick: i64,
}

/// What an import has done. `--json` prints it.
#[derive(Debug, Clone, Serialize)]
pub struct Summary {
    /// How many files it read.
    pub files: usize,
    /// Rows in them; empty lines, comments and headers do not count.
    pub rows: u64,
    /// Events that the rows gave, those that the log held before included.
    pub events: u64,
    /// Records, of events and rejected rows, that the log held before.
    pub held: u64,
    /// Rows that the map's conditions keep out, or whose counts are all 0.
    pub filtered: u64,
    /// Rows passed over because the list whose items are read is empty or not there.
    pub no_items: u64,
    /// Rows passed over for want of an entity.
    pub empty_entity: u64,
    /// Rows passed over because a joined table has none for them.
    pub not_joined: u64,
    /// Rows set aside, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Of each reason the first row that was set aside for it.
    pub first_rejected: BTreeMap<&'static str, RejectedRow>,
    /// How many entities there are; `null` if they were too many to count.
    pub entities: Option<usize>,
    /// The first event's time, in milliseconds.
    pub first_ts: Option<i64>,
    /// The last event's time that is not in the future.
    pub last_ts: Option<i64>,
    /// Events written that are further behind what the log held before than the allowed lateness.
    pub behind: Option<Behind>,
    /// Tick records written, every partition's counted.
    pub tick_records: u64,
    /// How the rows were brought in order: `as_read`, `merged` or `sorted`.
    pub order: &'static str,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// How long it took.
    pub seconds: f64,
}

/// What is known at the end, beside the counts.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) files: usize,
    pub(crate) events: u64,
    pub(crate) held: u64,
    pub(crate) tick_records: u64,
    pub(crate) span: Option<(EventTime, EventTime)>,
    pub(crate) first_rejected: BTreeMap<RejectReason, RejectedRow>,
    pub(crate) behind: Option<Behind>,
    pub(crate) order: &'static str,
    pub(crate) stopped: bool,
    pub(crate) seconds: f64,
}

impl Summary {
    pub(crate) fn new(counts: &Counts, entities: &Entities, ending: Ending) -> Self {
        Self {
            files: ending.files,
            rows: counts.rows,
            events: ending.events,
            held: ending.held,
            filtered: counts.filtered,
            no_items: counts.no_items,
            empty_entity: counts.empty_entity,
            not_joined: counts.not_joined,
            rejected: counts.rejected_by_name(),
            first_rejected: ending.first_rejected.into_iter().map(|(r, row)| (r.name(), row)).collect(),
            behind: ending.behind,
            entities: (!entities.too_many).then_some(entities.seen.len()),
            first_ts: ending.span.map(|(first, _)| first.0),
            last_ts: ending.span.map(|(_, last)| last.0),
            tick_records: ending.tick_records,
            order: ending.order,
            stopped: ending.stopped,
            seconds: ending.seconds,
        }
    }

    /// Whether rows were set aside, and there is no event of any.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        self.events == 0 && !self.rejected.is_empty()
    }

    /// How many rows were set aside.
    #[must_use]
    pub fn rejected_rows(&self) -> u64 {
        self.rejected.values().sum()
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let time = |ms: Option<i64>| {
            let moment = ms.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
            moment.map_or_else(|| "-".to_owned(), |moment| moment.to_string())
        };
        if self.held > 0 && self.held == self.events + self.rejected_rows() {
            writeln!(f, "nothing is new: all {} records were on the log already", self.held)?;
        }
        let entities = self.entities.map_or_else(|| "very many".to_owned(), |n| n.to_string());
        writeln!(f, "{} rows of {} files gave {} events", self.rows, self.files, self.events)?;
        writeln!(f, "  of {entities} entities, from {} to {}", time(self.first_ts), time(self.last_ts))?;
        writeln!(
            f,
            "  {} records were on the log already; {} ticks written; {}",
            self.held, self.tick_records, self.order
        )?;
        let passed = [
            ("filtered", self.filtered),
            ("without items at the path that `each` names", self.no_items),
            ("without entity", self.empty_entity),
            ("not joined", self.not_joined),
        ];
        for (why, n) in passed.iter().filter(|(_, n)| *n > 0) {
            writeln!(f, "  {n} rows passed over: {why}")?;
        }
        for (reason, n) in &self.rejected {
            writeln!(f, "  {n} rows rejected: {reason}")?;
            if let Some(RejectedRow { file, line, detail }) = self.first_rejected.get(reason) {
                writeln!(f, "    the first is {file}:{line}: {detail}")?;
            }
        }
        if let Some(Behind { events, first_ts, last_ts, tick }) = self.behind {
            writeln!(
                f,
                "  !!! {events} events, from {} to {}, lie further behind what the log held before (until {}) than --lateness.",
                time(Some(first_ts)),
                time(Some(last_ts)),
                time(Some(tick))
            )?;
            writeln!(
                f,
                "      Of users who have newer events there they become dead letters of the reason `late`. `churnstream log redrive` brings\n      \
                 those in as far as state reaches back; better import all files at once, or the oldest first, into a new topic."
            )?;
        }
        write!(f, "  in {:.1} s{}", self.seconds, if self.stopped { ", stopped before the end" } else { "" })
    }
}
