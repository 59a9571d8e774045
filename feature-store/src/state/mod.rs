//! A user's state: the compact event log, the windows' cursors over it, and its bytes.

mod value;

pub use value::{DecodeStateError, StateValue};
