//! Feature specs, exact sliding windows per user, and their durable state.
