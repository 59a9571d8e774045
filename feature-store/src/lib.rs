//! Feature specs, exact sliding windows per user, and their durable state.

pub mod state;
pub mod store;

pub use state::{DecodeStateError, StateValue};
pub use store::{
    Commit, PartitionStore, Pressure, SlotId, Store, StoreError, StoreIdentity, StoreOptions, SweepCursor,
};
