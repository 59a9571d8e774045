//! A user's state: the compact event log, the windows' cursors over it, and its bytes.

mod codec;
mod compact;
mod ids;
mod intake;
pub(crate) mod log;
pub(crate) mod prefetch;
pub(crate) mod record;
mod refused;
mod user;
mod value;
mod varint;

pub use user::{Applied, UserState};
pub use value::{DecodeStateError, StateValue};
