//! The feature spec: a TOML file that says what is known of a user.
//!
//! ```
//! let spec = feature_store::Spec::from_toml(r#"
//!     version = 1                    # of this format
//!     entity = "user"                # the type of entity whose events are read
//!     allowed_lateness = "24h"       # default; up to 30d: further behind the user's newest event is `late`
//!     max_ahead = "1d"               # default; up to 30d: further ahead of its arrival is `future`
//!     event_cap = 32768              # default: a user with more stored events is compacted into panes
//!
//!     [tick]                         # when the producers write ticks (--tick, --tick-offset, --tick-grace): the defaults
//!     every = "1d"
//!     offset = "0h"                  # from midnight UTC
//!     grace = "1h"
//!
//!     [lifecycle]                    # may be left out: then nobody ends
//!     start = ["subscribe"]          # a user whose first event is another one lives too
//!     end = ["cancel"]
//!     resume = ["resubscribe"]
//!     silence = "60d"                # nothing for longer than this ends a user, until the next event
//!
//!     [inputs.all]                   # no `events`: events of every type
//!
//!     [inputs.plays]
//!     events = ["play"]
//!     value = "watch_s"              # a numeric field; bool counts as 0 and 1, money as its minor units
//!     scale = 3                      # decimals kept of it, 0 to 9, default 6; rounded half to even
//!     text = "title"                 # what `distinct` counts
//!     unit = "seconds"               # for people: what the value is in; by default what the field's name ends with
//!     verb = "watched"               # and what it is to have it: "watched 42 minutes in the last 7 days"
//!
//!     [inputs.tv_plays]
//!     events = "play"
//!     where = { field = "device", is = ["tv", "box"] }  # or not = ..., min = 5, max = 10 (both included)
//!
//!     [[features]]                   # columns {input}_{op}_{window}: for each window, each input, each op
//!     input = ["all", "tv_plays"]
//!     ops = ["count", "recency", "active_days", "change"]
//!     windows = ["24h", "90d"]       # 1h to 90d
//!
//!     [[features]]
//!     input = "plays"
//!     ops = ["sum", "mean", "std", "min", "max", "last"]
//!     windows = ["7d", "all"]        # all: the user's whole life
//!
//!     [[features]]
//!     input = "plays"
//!     ops = ["sessions", "distinct", "sum_change"]
//!     windows = "7d"
//!     gap = "30m"                    # default: a longer pause starts another session
//!
//!     [[ratios]]                     # columns after those of the features
//!     name = "tv_share"
//!     numerator = "tv_plays_count_90d"
//!     denominator = "all_count_90d"
//!
//!     [[attributes]]                 # the latest value, in columns after the ratios
//!     name = "plan"                  # from the field of this name, or of `field = ...`; of any event, or of `events = [...]`
//!     categories = ["basic", "family"]
//!     encoding = "onehot"            # columns plan_basic, plan_family, plan_other; `ordinal` (default): one column, 0, 1, 2
//!     other = true                   # texts not listed; by default they are missing
//!
//!     [[attributes]]                 # without categories: a number
//!     name = "price"
//!     scale = 0
//! "#, std::path::Path::new("spec.toml"))?;
//! assert_eq!(spec.feature_names()[0], "all_count_24h");
//! assert_eq!(spec.feature_names().len(), 2 * 2 * 4 + 2 * 6 + 3 + 1 + 3 + 1);
//! # Ok::<(), feature_store::SpecError>(())
//! ```
//!
//! # Operations
//!
//! Each looks at the input's events with `T - w < ts <= T`, in whole numbers; one float expression in f64 then gives the column,
//! rounded to f32. A column without a value (a mean of nothing) is missing: NaN. Events that lack the value or text count for
//! `count`, `recency`, `tenure`, `active_days`, `sessions` and `change` only.
//!
//! | op | column | of nothing |
//! | --- | --- | --- |
//! | `count` | number of events | 0 |
//! | `sum` | Σx / 10^scale | 0 |
//! | `mean` | Σx / (n · 10^scale) | missing |
//! | `std` | of the population: √((Σ(x-m)² - r²/n) / n) / 10^scale with Σx = n·m + r in whole numbers | missing |
//! | `min`, `max`, `last` | x / 10^scale; the last of several at one time is the one that arrived last | missing |
//! | `distinct` | number of different texts, told apart by 56 bits of hash | 0 |
//! | `recency` | days (a fraction) since the last event | missing |
//! | `tenure` | days since the first event ever; window `all` only | missing |
//! | `active_days` | number of UTC days with an event | 0 |
//! | `sessions` | number of runs of events with no pause longer than `gap`; what lies outside the window is not looked at | 0 |
//! | `change` | (now - before) / (now + before) of the counts in `(T-w, T]` and `(T-2w, T-w]`: -1 all gone, 0 the same, 1 all new | missing |
//! | `sum_change` | the same of the sums, divided by the sum of their absolute values | missing |
//!
//! A ratio divides two columns, in f32; by zero it is missing. `all` goes with `count`, `sum`, `mean`, `min`, `max`, `last`, `std`,
//! `recency` and `tenure`.
//!
//! # Panes
//!
//! A user with more than `event_cap` stored records, more than half of them events since the last time, is compacted: events of the same kind (type, conditions met, values present) in
//! the same aligned pane become one record. Panes are of 1 minute up to an hour behind the user's newest event, 15 minutes up to
//! a day, 1 hour above. A pane's events count as if all had happened at the time of the last of them. So:
//!
//! - `count`, `sum`, `mean`, `std`, `change`, `sum_change`: at a window's edge a pane counts whole or not at all;
//!   over `all` they stay exact.
//! - `min`, `max`: the same, of the pane's extremes; over `all` exact.
//! - `last`, `recency`, `tenure`, `active_days` and attributes stay exact (as of the user's newest event or later).
//! - `sessions`: a pane counts as one stretch of activity from its first to its last event.
//! - `distinct`: a pane remembers at most 16 different texts (those of the smallest hashes): a lower bound.

mod check;
mod compile;
mod definition;
mod error;
pub(crate) mod plan;
mod raw;
mod told;

use std::fmt;
use std::path::Path;

use types::{EventTime, Millis};

pub use error::SpecError;

pub(crate) use definition::{Condition, Definition};
use error::Origin;
pub(crate) use plan::Plan;
pub(crate) use raw::Scalar;
pub use told::{Named, Told};

/// The most decimals that a value can have.
const MAX_SCALE: u32 = 9;
/// The longest window.
const MAX_WINDOW: Millis = Millis(90 * Millis::DAY.0);

/// A checked feature spec, compiled. Immutable and shared between threads.
#[derive(Debug)]
pub struct Spec {
    text: String,
    definition: Definition,
    names: Vec<String>,
    hash: SpecHash,
    plan: Plan,
}

impl Spec {
    /// Reads a spec from a file.
    ///
    /// # Errors
    /// As [`from_toml`](Self::from_toml); also if the file cannot be read.
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let text = std::fs::read_to_string(path).map_err(|error| SpecError {
            file: path.to_owned(),
            line: 0,
            field: "(file)".to_owned(),
            problem: error.to_string(),
        })?;
        Self::from_toml(&text, path)
    }

    /// Reads a spec from TOML text; `origin` is the file's name for errors.
    ///
    /// # Errors
    /// A [`SpecError`] names the file, the line and the field of the first fault.
    pub fn from_toml(text: &str, origin: &Path) -> Result<Self, SpecError> {
        let origin = Origin { file: origin, text };
        let raw = toml::from_str(text).map_err(|e| origin.toml_error(&e))?;
        let definition = check::check(&raw, &origin)?;
        let plan = Plan::compile(&definition).map_err(|problem| origin.error(0, "features", problem))?;
        let hash = SpecHash::of(&definition.canonical());
        Ok(Self { text: text.to_owned(), names: definition.names(), definition, hash, plan })
    }

    /// The spec's version: a hash of what it means. Comments, white space and the order of inputs do not change it.
    #[must_use]
    pub const fn hash(&self) -> SpecHash {
        self.hash
    }

    /// The names of a row's columns, in order. Every row has this many values.
    #[must_use]
    pub fn feature_names(&self) -> &[String] {
        &self.names
    }

    /// The TOML that it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Positions of the columns that read events of one of these types because the spec names it: of such inputs, of ratios over
    /// them, and of attributes that only such events carry. Columns over events of every type are not among them. O(columns).
    #[must_use]
    pub fn columns_reading(&self, kinds: &[String]) -> Vec<usize> {
        self.definition.columns_reading(kinds)
    }

    /// How far back each column looks, in order; `None` for what reads a user's whole life, which grows as the log does. O(columns).
    #[must_use]
    pub fn spans(&self) -> Vec<Option<Millis>> {
        self.definition.spans().into_iter().map(|span| span.map(Millis)).collect()
    }

    /// The texts that an attribute's column of ordinals stands for: 0 is the first, their number is any other text. `None` if
    /// there is no such column.
    #[must_use]
    pub fn categories(&self, column: &str) -> Option<&[String]> {
        self.definition.categories(column)
    }

    /// The type of entity whose events are read, such as `user`.
    #[must_use]
    pub fn entity(&self) -> &str {
        &self.definition.entity
    }

    /// How far behind its user's newest event an event may be.
    #[must_use]
    pub const fn allowed_lateness(&self) -> Millis {
        self.definition.allowed_lateness
    }

    /// How far ahead of its arrival an event may be.
    #[must_use]
    pub const fn max_ahead(&self) -> Millis {
        self.definition.max_ahead
    }

    /// How many stored events a user may have before they are compacted into panes.
    #[must_use]
    pub const fn event_cap(&self) -> u32 {
        self.definition.event_cap
    }

    /// When the sweep scores users who have fallen silent.
    #[must_use]
    pub const fn tick(&self) -> Tick {
        self.definition.tick
    }

    /// The span of silence that ends a user, if one does.
    #[must_use]
    pub const fn silence(&self) -> Option<Millis> {
        self.definition.lifecycle.silence
    }

    /// How far behind a user's newest event state reaches: the longest window (twice it for change) plus the allowed lateness.
    /// Features as of a time further back than the lateness behind the newest event see what state still holds.
    #[must_use]
    pub const fn reach(&self) -> Millis {
        Millis(self.plan.reach)
    }

    pub(crate) const fn plan(&self) -> &Plan {
        &self.plan
    }
}

/// When ticks fall: at every multiple of `every` since the epoch, moved by `offset`; `grace` later they are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tick {
    /// The time from one tick to the next.
    pub every: Millis,
    /// How long after a multiple of `every` (UTC) they fall; less than `every`.
    pub offset: Millis,
    /// How far event time must be past a tick before it is written.
    pub grace: Millis,
}

impl Default for Tick {
    /// Each day at 00:00 UTC, due an hour later.
    fn default() -> Self {
        Self { every: Millis::DAY, offset: Millis(0), grace: Millis::HOUR }
    }
}

impl Tick {
    /// The first tick after this moment.
    #[must_use]
    pub const fn next_after(&self, at: EventTime) -> EventTime {
        let past = at.minus(self.offset).0.div_euclid(self.every.0);
        EventTime((past + 1).saturating_mul(self.every.0)).plus(self.offset)
    }
}

/// A spec's version: 16 hexadecimal characters, the upper half of the 128-bit xxh3 of its canonical form.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecHash([u8; 16]);

impl SpecHash {
    fn of(canonical: &str) -> Self {
        let hash = (xxhash_rust::xxh3::xxh3_128(canonical.as_bytes()) >> 64) as u64;
        let mut text = [0; 16];
        for (i, c) in text.iter_mut().enumerate() {
            *c = b"0123456789abcdef"[(hash >> (60 - 4 * i) & 15) as usize];
        }
        Self(text)
    }

    /// The 16 characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Made of ASCII alone.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for SpecHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
