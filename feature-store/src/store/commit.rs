//! The small record that says how far a partition is done.

use std::collections::BTreeMap;

use types::Offset;

use super::codec::{Reader, put_bytes, seal, unseal};

const VERSION: u8 = 1;

/// Where a sweep goes on: the hash of the next user to visit. Says nothing of blocks or of memory, so it holds whatever
/// becomes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SweepCursor(pub u64);

impl SweepCursor {
    /// Before the first user.
    pub const START: Self = Self(0);
}

/// How far a partition is done: everything before these places is on disk, and nothing at or after them counts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Commit {
    /// The offset of the next input record.
    pub next_input: Offset,
    /// For each output topic, the offset of its next record in the partition of the same number.
    pub outputs: BTreeMap<String, Offset>,
    /// Where the sweep at `next_input` (a tick) goes on, if one is under way.
    pub sweep: Option<SweepCursor>,
}

/// A commit as stored, with the offset below which everything is in blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct StoredCommit {
    pub(super) commit: Commit,
    pub(super) replay_from: Offset,
}

impl StoredCommit {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Commit { next_input, outputs, sweep } = &self.commit;
        let mut body = Vec::with_capacity(64);
        body.extend_from_slice(&next_input.0.to_le_bytes());
        body.extend_from_slice(&self.replay_from.0.to_le_bytes());
        body.push(u8::from(sweep.is_some()));
        body.extend_from_slice(&sweep.unwrap_or_default().0.to_le_bytes());
        for (name, next) in outputs {
            put_bytes(&mut body, name.as_bytes());
            body.extend_from_slice(&next.0.to_le_bytes());
        }
        seal(VERSION, &body)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let mut reader = unseal(VERSION, bytes)?;
        Self::read(&mut reader).ok_or_else(|| "it is cut short".to_owned())
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let next_input = Offset(reader.u64()?);
        let replay_from = Offset(reader.u64()?);
        let swept = reader.u8()? == 1;
        let cursor = SweepCursor(reader.u64()?);
        let mut outputs = BTreeMap::new();
        while !reader.is_empty() {
            let name = std::str::from_utf8(reader.bytes()?).ok()?.to_owned();
            outputs.insert(name, Offset(reader.u64()?));
        }
        Some(Self { commit: Commit { next_input, outputs, sweep: swept.then_some(cursor) }, replay_from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_reads_back_as_written() {
        let full = StoredCommit {
            commit: Commit {
                next_input: Offset(7),
                outputs: [("scores".to_owned(), Offset(5)), ("dead-letters".to_owned(), Offset(u64::MAX))]
                    .into(),
                sweep: Some(SweepCursor(3)),
            },
            replay_from: Offset(6),
        };
        for stored in [StoredCommit::default(), full] {
            assert_eq!(StoredCommit::decode(&stored.encode()), Ok(stored));
        }
    }

    #[test]
    fn a_later_format_is_named() {
        let error = StoredCommit::decode(&seal(9, &[])).unwrap_err();
        assert_eq!(error, "its format is version 9, known is 1");
    }
}
