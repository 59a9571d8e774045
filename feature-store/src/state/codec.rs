//! A user's state as bytes, format 1.
//!
//! ```text
//! u8 1, u8 flags (1 seen, 2 ended, 4 approximate, 8 turned,
//!             16 dropped, 32 dropped last ended), u8 tag
//! if seen:    varints: newest (zig-zag), newest - first_seen, [if turned: newest - turned], [if dropped: newest - last dropped], fresh
//!             number of ids;  if any: newest - cutoff, then per id: varint(newest - ts), u64 LE hash
//!             number of life words of dropped records, then each (zig-zag)
//!             records;  if any: newest - first record's ts, newest - last record's ts, the log's bytes up to the checksum
//! u32 LE      lower half of xxh3-64 of all before it
//! ```
//!
//! Nothing derived is stored, so that the bytes are a function of what was applied and not of what was asked in between.

use super::ids::RecentIds;
use super::log::EventLog;
use super::user::{FAR, UserState};
use super::value::{DecodeStateError, StateValue};
use super::varint::{get, put, unzigzag, zigzag};
use crate::window::Cells;

const VERSION: u8 = 1;
const SEEN: u8 = 1;
const ENDED: u8 = 2;
const APPROXIMATE: u8 = 4;
const TURNED: u8 = 8;
const DROPPED: u8 = 16;
const DROPPED_ENDED: u8 = 32;

impl StateValue for UserState {
    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let seen = self.newest != i64::MIN;
        let turned = self.turned != i64::MIN;
        let dropped = self.dropped_last != i64::MIN;
        let flags = [
            (seen, SEEN),
            (self.ended, ENDED),
            (self.approximate, APPROXIMATE),
            (turned, TURNED),
            (dropped, DROPPED),
            (self.dropped_ended, DROPPED_ENDED),
        ];
        out.push(VERSION);
        out.push(flags.iter().map(|(is, flag)| u8::from(*is) * flag).sum());
        out.push(self.tag);
        if seen {
            let back = |out: &mut Vec<u8>, ts: i64| put(out, self.newest.wrapping_sub(ts) as u64);
            put(out, zigzag(self.newest));
            back(out, self.first_seen);
            if turned {
                back(out, self.turned);
            }
            if dropped {
                back(out, self.dropped_last);
            }
            put(out, u64::from(self.fresh));
            let ids = self.ids.as_ref().map_or_else(Vec::new, |ids| ids.sorted());
            put(out, ids.len() as u64);
            if let Some(recent) = self.ids.as_ref().filter(|_| !ids.is_empty()) {
                back(out, recent.cutoff());
            }
            for (ts, hash) in ids {
                back(out, ts);
                out.extend_from_slice(&hash.to_le_bytes());
            }
            put(out, self.dropped.len() as u64);
            self.dropped.iter().for_each(|word| put(out, zigzag(*word)));
            let (head_ts, bytes) = self.log.parts();
            put(out, u64::from(self.log.records()));
            if self.log.records() > 0 {
                back(out, head_ts);
                back(out, self.log.last_ts());
                out.extend_from_slice(bytes);
            }
        }
        let checksum = xxhash_rust::xxh3::xxh3_64(&out[start..]) as u32;
        out.extend_from_slice(&checksum.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeStateError> {
        let (bytes, checksum) = bytes.split_last_chunk::<4>().ok_or(DecodeStateError("too short"))?;
        if xxhash_rust::xxh3::xxh3_64(bytes) as u32 != u32::from_le_bytes(*checksum) {
            return Err(DecodeStateError("its checksum does not fit"));
        }
        match bytes {
            [VERSION, flags, tag, rest @ ..] => parse(*flags, *tag, rest).ok_or(DecodeStateError("damaged")),
            _ => Err(DecodeStateError("its format is not known here")),
        }
    }

    fn heap_bytes(&self) -> usize {
        let ids = self.ids.as_ref().map_or(0, |ids| size_of::<RecentIds>() + ids.heap_bytes());
        self.log.heap_bytes() + self.dropped.len() * 8 + ids + self.cells.heap_bytes()
    }
}

/// Reads all behind the tag. `None` on bytes that [`encode`](StateValue::encode) cannot have written.
fn parse(flags: u8, tag: u8, bytes: &[u8]) -> Option<UserState> {
    if flags & SEEN == 0 {
        return (flags == 0 && bytes.is_empty()).then(|| UserState { tag, ..UserState::new() });
    }
    let mut at = 0;
    // No time of a user is further from 1970 than this, so that they can be added and subtracted freely.
    let newest = Some(unzigzag(get(bytes, &mut at)?)).filter(|ts| (0..FAR).contains(ts))?;
    let back = |at: &mut usize| newest.checked_sub_unsigned(get(bytes, at)?).filter(|ts| *ts > -FAR);
    let first_seen = back(&mut at)?;
    let turned = if flags & TURNED == 0 { i64::MIN } else { back(&mut at)? };
    let dropped_last = if flags & DROPPED == 0 { i64::MIN } else { back(&mut at)? };
    let fresh = u32::try_from(get(bytes, &mut at)?).ok()?;
    let n_ids = get(bytes, &mut at)?;
    // Nine bytes each, at least: whatever the bytes claim, no more is allocated than they are worth.
    if n_ids > (bytes.len() / 9) as u64 {
        return None;
    }
    let cutoff = if n_ids > 0 { back(&mut at)? } else { 0 };
    let mut ids = Vec::with_capacity(n_ids as usize);
    for _ in 0..n_ids {
        let ts = back(&mut at)?;
        let hash = bytes.get(at..)?.first_chunk::<8>()?;
        at += 8;
        ids.push((ts, u64::from_le_bytes(*hash)));
    }
    let n_words = get(bytes, &mut at)?;
    if n_words > bytes.len() as u64 {
        return None;
    }
    let mut dropped = Vec::with_capacity(n_words as usize);
    for _ in 0..n_words {
        dropped.push(unzigzag(get(bytes, &mut at)?));
    }
    let records = u32::try_from(get(bytes, &mut at)?).ok()?;
    let (mut head_ts, mut last_ts) = (0, 0);
    if records > 0 {
        (head_ts, last_ts) = (back(&mut at)?, back(&mut at)?);
    }
    let log = bytes.get(at..)?;
    // A record takes at least a byte, and every item ends with a byte below 128.
    if log.len() < records as usize
        || (records == 0) != log.is_empty()
        || log.last().is_some_and(|b| *b >= 0x80)
    {
        return None;
    }
    Some(UserState {
        newest,
        first_seen,
        turned,
        ended: flags & ENDED != 0,
        dropped_ended: flags & DROPPED_ENDED != 0,
        dropped_last,
        approximate: flags & APPROXIMATE != 0,
        tag,
        fresh,
        log: EventLog::from_parts(head_ts, last_ts, records, log),
        dropped: dropped.into(),
        ids: (n_ids > 0).then(|| Box::new(RecentIds::from_sorted(cutoff, &ids))),
        cells: Cells::EMPTY,
    })
}
