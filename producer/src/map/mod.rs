//! The map: a TOML file that says how the rows of any file become events. No code is needed for a new file.
//!
//! ```toml
//! format = "auto"                  # or jsonl, json, csv, tsv, whitespace, parquet; auto looks at the first bytes.
//!                                  # confluent, for topics: Avro, Protobuf or JSON with schemas in a registry
//! encoding = "windows-1252"        # or latin-1, utf-16le, utf-16be, shift_jis, ...; unsaid UTF-8. A byte order mark decides before it
//! delimiter = ";"                  # csv only; auto finds it. Up to eight characters, as in "::"
//! quote = "\""                     # around columns of csv and tsv unless this says "" (never); of whitespace only if it is said
//! brackets = true                  # whitespace only: a column that begins with [ ends with the next ], as the time of an access log
//! ragged = true                    # rows may have fewer columns than are due (the others are empty) or more (passed over)
//! header = true                    # csv and tsv have one unless this says false; whitespace has none unless it says true.
//!                                  # Of columns with the same name the second is called NAME.2, and so on
//! columns = ["user", "day"]        # names where there is no header (otherwise columns are called 1, 2, ...)
//! skip_lines = 0                   # lines before the header or the first row
//! comment = "#"                    # lines that begin so are passed over
//! each = "events"                  # JSON only: every item of the list at this path is read as a row; its columns are events.NAME,
//!                                  # or events itself if items are no objects. The row's own columns are there as well
//! null = ["NULL", "NA"]            # texts that mean "nothing"; empty text always does
//!
//! [number]                         # how numbers are written in text
//! decimal = ","
//! thousands = "."
//! strip = "€ "                     # characters to pass over
//!
//! [entity]
//! type = "user"
//! id = "userId"                    # or several columns, joined by `separator` (":")
//! empty = "skip"                   # what an empty id means: reject (a dead letter) or skip (counted)
//! normalise = ["trim"]             # also lowercase, and integer (12.0 becomes 12); nothing is changed unasked
//!
//! [time]
//! column = "ts"                    # or several, joined by a blank: ["date", "time"]
//! format = "ms"                    # s, us, ns, minutes, hours, days; rfc3339; iso; date; native (Parquet); or a pattern as in strptime
//! since = "2017-01-01"             # where counts (ms to days) begin; unsaid 1970. A spreadsheet's days begin on 1899-12-30. Days
//!                                  # from a date are days of the calendar in the zone, fractions of them parts of 24 hours
//! zone = "Europe/Berlin"           # for times that do not say it themselves: there it must be given
//! shift = "12h"                    # added to every time (or "-12h"): to put a date at noon, say
//! not_before = "2015-01-01"        # earlier moments are mistakes: time_out_of_range. Unsaid, the epoch itself and before
//!
//! [arrival]                        # when the event was received, if the file says so; as [time]
//!
//! [type]
//! column = "page"                  # or: constant = "purchase"; several columns are joined by a dot
//! prefix = "page."
//! names = { "Submit Upgrade" = "upgrade" }
//!
//! [event_id]                       # unless given, no event counts as a repetition of another
//! column = ["order", "line"]
//!
//! [fields]                         # name = column, or a table
//! device = "userAgent"
//! watch_s = { column = "length", kind = "number", scale = 0.001 }
//! price = { column = "value", kind = "money", currency = "EUR" }     # or currency_column; minor = true for cents
//! plan = { constant = "basic" }
//! age = "users.age_code"           # of a joined table
//!
//! [[where]]                        # rows for which every one of these holds; the others are counted as filtered
//! column = "auth"
//! is = ["Logged In"]               # or is_not, present = true|false, min, max
//!
//! [[join]]                         # a table that is held in memory
//! name = "users"
//! file = "users.csv"               # beside the imported file, or beside the map
//! key = "user_id"                  # its column
//! on = "user_id"                   # the row's column
//! columns = ["age_code"]
//! missing = "empty"                # or reject, skip
//!                                  # delimiter, quote, encoding and header = false as above
//!
//! [[event]]                        # a row may give several events; each takes over what it does not say itself
//! type = { constant = "video" }
//! count = "event_video"            # so many of them; empty or 0 gives none
//! spread = "day"                   # evenly over the 24 hours from the row's time, else all at that time
//! ```
//!
//! In JSON a column is a path: `a.b.0.c`. A key that has a dot in it is written as it stands,
//! and comes before the path of that name.
//! With `each`, a row of which one item cannot be read is a dead letter as a whole; so no item is lost, and `--rejected` brings in all.
//! A missing or empty value leaves its field out; `required = true` makes it a dead letter instead.
//! `kind` is `auto`, `number`, `text`, `bool` or `money`; `auto` takes JSON as typed, and of text what reads as a plain number
//! as one (but not `007`).

mod apply;
mod cell;
mod compile;
mod condition;
mod count;
mod encoding;
mod error;
mod field;
mod file;
mod iso;
mod layout;
mod number;
mod read;
mod table;
mod time;

pub(crate) use apply::MOST_BYTES_OF_A_ROW;
pub use apply::{Fate, Mapped, MappedRow, Reject, RowMapper};
pub use cell::Cell;
pub use compile::Mapping;
pub(crate) use compile::is_within;
pub use encoding::TextEncoding;
pub(crate) use encoding::decode;
pub use error::MapError;
pub use iso::moment;
pub use layout::{Delimiter, Format, Layout, Quote};
pub use time::{TimeError, TimeFormatError, TimeReader};

#[cfg(test)]
mod tests;
