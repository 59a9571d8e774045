//! Feature specs, exact sliding windows per user, and their durable state.

pub mod state;

pub use state::{DecodeStateError, StateValue};
