//! Imports: the events of files, read by a [map](crate::map), into the log.
//!
//! **Arrival.** A record's timestamp is when the event arrived: what the map's `[arrival]` says, otherwise the event's own
//! time, in either case not later than `not_after` (default: now). So an event of the future is ahead of its arrival, and the
//! consumer, which looks at the record alone, finds it so whenever it reads the log. To import the same bytes at
//! another time, say `--not-after`.
//!
//! **What cannot be read** becomes a record too: the row's original bytes, its place `FILE:LINE` (of a JSON array and of
//! Parquet the how manieth row it is), the reason and what exactly is wrong, in headers; see [`EventSink::append_reject`](crate::sink::EventSink::append_reject). Of a row longer
//! than `--max-row` the first 64 KiB are kept; it is never held in memory whole. A Parquet row has no bytes of its own: the
//! columns that the map reads are kept as text.
//!
//! **Order.** The log is in order of arrival as far as the allowed lateness asks for; see the module `order`.
//!
//! **Resuming.** A file is known by where it is, however its path is spelled; see the module `names`. Every record has the place that it came from, so an import that is
//! run again writes what is not there yet and nothing twice, whether it was killed or had come to its end; files may be
//! added. A file that changed before the last place that the log holds of it is refused, and so is another way to read it:
//! another map, or another order. A file that was sorted stays sorted; new rows of it belong in a file of their own.
//!
//! **Mending.** Rows that the map could not read come in with `--rejected` and a map that can; see the module `mend`. The import
//! itself goes on with the map that it began with.

mod args;
mod deliver;
mod feed;
mod mend;
mod names;
mod order;
mod run;
mod sort;
pub(crate) mod source;
mod summary;

pub use args::{Also, ImportArgs, Sort};
pub use feed::Input;
pub(crate) use feed::recycled;
pub use mend::{MendSummary, mend};
pub use run::{ImportError, ImportOptions, import, run, run_mend};
pub use source::SourceError;
pub(crate) use source::text_table;
pub use summary::{Behind, RejectedRow, Summary};

#[cfg(test)]
mod tests;
