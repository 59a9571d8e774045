//! Feature specs, exact sliding windows per user, and their durable state.

pub mod spec;
pub mod state;
pub mod store;
mod window;

pub use spec::{Named, Spec, SpecError, SpecHash, Tick, Told};
pub use state::{Applied, DecodeStateError, StateValue, UserState};
pub use store::{
    Commit, PartitionStore, Pressure, Published, Restored, Restorer, SlotId, Store, StoreError,
    StoreIdentity, StoreOptions, Survey, SweepCursor,
};
