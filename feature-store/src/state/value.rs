//! What the store asks of a user's state: to become bytes and come back.

/// A value that the store keeps per user.
///
/// The store's blocks hold encoded values; a value is decoded when its user becomes active and encoded when it leaves memory.
/// So both must be cheap, and the bytes must be a pure function of the value's meaning: two values that answer
/// every question alike encode alike, however they came to be.
pub trait StateValue: Sized {
    /// Appends the value's bytes to `out`. O(size); allocates only if `out` must grow.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads a value from exactly the bytes that [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// If the bytes are anything else. Never panics, and never allocates more than a small multiple of `bytes.len()`.
    fn decode(bytes: &[u8]) -> Result<Self, DecodeStateError>;

    /// How many bytes of heap the value owns, its own size not included. O(1); the store's memory limits count it.
    fn heap_bytes(&self) -> usize;
}

/// Bytes that are no state: damaged, or of a later format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state cannot be read: {0}")]
pub struct DecodeStateError(pub &'static str);
