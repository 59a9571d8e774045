//! Replay, labels and point-in-time rows.
