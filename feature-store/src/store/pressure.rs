//! What a store asks of its caller when memory is short.

/// Whether memory suffices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Pressure {
    /// All is well.
    Calm,
    /// Memory is short, and what would free some waits for a commit: commit now rather than at the next interval.
    Commit,
}
