//! The window engine: what a user's stored events come to as of a moment.
//!
//! Every window ends at the as-of time T and sees events with `T - w < ts <= T`. Counts and sums keep a cursor into the event log
//! per window: a new event is added to all windows at once, and as T advances each window's cursor walks over the events that it
//! leaves, subtracting them: O(1) amortised per event and window. Minima, maxima, days and sessions are kept in structures
//! that serve all windows (`series`). All of it is derived from the log and can be dropped and rebuilt at any time without changing a bit,
//! because everything is whole numbers until a column is read (`read`).

mod cells;
mod read;
mod series;

pub(crate) use cells::{Cells, absorb_life};
pub(crate) use read::read_row;
