//! A user's stored events, packed and sorted by time; those of one time in the order in which they arrived.
//!
//! ```text
//! body of the first record;  then for each other one: varint(ts - ts of the one before), body
//! ```
//!
//! A record's place is where its body begins, together with its time. Bytes before the first one's place are waste, from
//! records that were dropped, until they outweigh the rest.

use crate::spec::Plan;

use super::prefetch::prefetch;
use super::record::Record;
use super::varint::{get, len, put};

/// Where a record's body begins, and its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) ts: i64,
    pub(crate) at: u32,
}

impl Place {
    /// Behind every record.
    pub(crate) const END: Self = Self { ts: i64::MAX, at: u32::MAX };
}

/// How an insertion or removal moved the places of others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    /// Bodies from here on moved ...
    pub(crate) from: u32,
    /// ... by so many bytes, modulo 2^32.
    pub(crate) by: u32,
}

impl Moved {
    pub(crate) fn shift(self, at: &mut u32) {
        if *at >= self.from && *at != Place::END.at {
            *at = at.wrapping_add(self.by);
        }
    }
}

/// So many records lie between two marks, more or less.
const MARK_EVERY: u32 = 64;

#[derive(Debug, Clone)]
pub(crate) struct EventLog {
    bytes: Vec<u8>,
    head: Place,
    last_ts: i64,
    records: u32,
    /// Made when first needed, and never of consequence.
    marks: Option<Box<Marks>>,
}

/// Some places, ascending, to begin a search from.
#[derive(Debug, Clone)]
struct Marks {
    places: Vec<Place>,
    /// Records appended since the last mark.
    since: u32,
}

impl EventLog {
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), head: Place::END, last_ts: 0, records: 0, marks: None }
    }

    /// From the parts that [`parts`](Self::parts) gives. Nothing but their extent is checked.
    pub(crate) fn from_parts(head_ts: i64, last_ts: i64, records: u32, bytes: &[u8]) -> Self {
        let head = if records == 0 { Place::END } else { Place { ts: head_ts, at: 0 } };
        Self { bytes: bytes.to_vec(), head, last_ts, records, marks: None }
    }

    /// The time of the first record (of meaning if there is one) and the bytes from its body on.
    pub(crate) fn parts(&self) -> (i64, &[u8]) {
        (self.head.ts, if self.records == 0 { &[] } else { &self.bytes[self.head.at as usize..] })
    }

    pub(crate) const fn head(&self) -> Place {
        self.head
    }

    pub(crate) const fn last_ts(&self) -> i64 {
        self.last_ts
    }

    pub(crate) const fn records(&self) -> u32 {
        self.records
    }

    /// Begins to load the end, where events are appended.
    #[inline]
    pub(crate) fn warm(&self) {
        if let Some(last) = self.bytes.last() {
            prefetch(last);
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.marks.as_ref().map_or(0, |m| size_of::<Marks>() + m.places.capacity() * size_of::<Place>())
    }

    /// Reads the record at a place and gives the next one's place. `None` only on bytes that no log wrote.
    #[inline(always)]
    pub(crate) fn read(&self, plan: &Plan, place: Place, record: &mut Record) -> Option<Place> {
        let mut at = place.at as usize;
        record.read(plan, &self.bytes, &mut at, place.ts)?;
        if at >= self.bytes.len() {
            return Some(Place::END);
        }
        let delta = get(&self.bytes, &mut at)?;
        let ts = place.ts.saturating_add_unsigned(delta);
        // A time that stands for the end would be taken for it.
        Some(Place { ts: ts.min(i64::MAX - 1), at: at as u32 })
    }

    /// Calls `visit` with every record from a place on, until it returns false. O(records).
    #[inline]
    pub(crate) fn each(&self, plan: &Plan, from: Place, mut visit: impl FnMut(Place, &Record) -> bool) {
        let mut record = Record::new();
        let mut place = from;
        while place != Place::END {
            let Some(next) = self.read(plan, place, &mut record) else { return };
            if !visit(place, &record) {
                return;
            }
            place = next;
        }
    }

    /// Puts a record where it belongs: behind all that are not later. O(1) at the end; elsewhere O(bytes behind it), and a search.
    pub(crate) fn insert(&mut self, plan: &Plan, record: &Record) -> (Place, Moved) {
        if self.records > 0
            && record.ts < self.last_ts
            && let Some(inserted) = self.insert_before_last(plan, record)
        {
            return inserted;
        }
        self.make_room();
        if self.records > 0 {
            put(&mut self.bytes, record.ts.saturating_sub(self.last_ts).max(0) as u64);
        }
        let place = Place { ts: record.ts, at: self.bytes.len() as u32 };
        record.write(plan, &mut self.bytes);
        if self.records == 0 {
            self.head = place;
        }
        self.records += 1;
        self.last_ts = record.ts;
        if let Some(marks) = &mut self.marks {
            marks.since += 1;
            if marks.since >= MARK_EVERY {
                marks.places.push(place);
                marks.since = 0;
            }
        }
        (place, Moved { from: u32::MAX, by: 0 })
    }

    /// Doubling would waste a quarter of all memory on average; growing by an eighth costs little more time.
    fn make_room(&mut self) {
        const LONGEST_USUAL_RECORD: usize = 64;
        let (used, room) = (self.bytes.len(), self.bytes.capacity());
        if room - used < LONGEST_USUAL_RECORD / 2 {
            self.bytes.reserve_exact(LONGEST_USUAL_RECORD.max(used / 8));
        }
    }

    fn insert_before_last(&mut self, plan: &Plan, record: &Record) -> Option<(Place, Moved)> {
        let (cut, old_delta, before) = if record.ts < self.head.ts {
            (self.head.at, 0, None)
        } else {
            let (before, next, end) = self.neighbours(plan, record.ts)?;
            (end, next.at - end, Some((before, next)))
        };
        // What replaces the next record's delta is written at the end: our delta and body, and its new delta.
        self.make_room();
        let end = self.bytes.len();
        if let Some((before, _)) = before {
            put(&mut self.bytes, (record.ts - before.ts) as u64);
        }
        let place = Place { ts: record.ts, at: cut + (self.bytes.len() - end) as u32 };
        record.write(plan, &mut self.bytes);
        let next_ts = before.map_or(self.head.ts, |(_, next)| next.ts);
        put(&mut self.bytes, (next_ts - record.ts) as u64);

        // Then it is brought to its place. Two deltas take at least the bytes of their sum, so the log grows.
        let (piece, at) = (self.bytes.len() - end, cut as usize);
        self.bytes[at..].rotate_right(piece);
        self.bytes.drain(at + piece..at + piece + old_delta as usize);
        let (from, by) = (at + old_delta as usize, piece - old_delta as usize);
        let moved = Moved { from: from as u32, by: by as u32 };
        self.shift_marks(moved);
        if before.is_none() {
            self.head = place;
        }
        self.records += 1;
        Some((place, moved))
    }

    /// The last record that is not later than `ts`, the next one, and where the first one's body ends. `None` if there is no next one,
    /// which in a log that was not tampered with is only so behind the last.
    fn neighbours(&mut self, plan: &Plan, ts: i64) -> Option<(Place, Place, u32)> {
        let wanted = (self.records / MARK_EVERY) as usize;
        if wanted >= 4 && self.marks.as_ref().is_none_or(|marks| marks.places.len() < wanted / 2) {
            self.make_marks(plan);
        }
        let mut place = self.head;
        if let Some(marks) = &self.marks {
            let usable = marks.places.partition_point(|mark| mark.ts <= ts);
            // Marks of dropped records are behind the head.
            place = marks.places[..usable].last().copied().filter(|mark| mark.at > place.at).unwrap_or(place);
        }
        let mut record = Record::new();
        loop {
            let next = self.read(plan, place, &mut record).filter(|next| *next != Place::END)?;
            if next.ts > ts {
                let delta = len((next.ts - place.ts) as u64) as u32;
                return Some((place, next, next.at - delta));
            }
            place = next;
        }
    }

    fn make_marks(&mut self, plan: &Plan) {
        let mut marks = Vec::with_capacity((self.records / MARK_EVERY + 1) as usize);
        let mut i = 0;
        self.each(plan, self.head, |place, _| {
            if i % MARK_EVERY == MARK_EVERY - 1 {
                marks.push(place);
            }
            i += 1;
            true
        });
        self.marks = Some(Box::new(Marks { places: marks, since: i % MARK_EVERY }));
    }

    fn shift_marks(&mut self, moved: Moved) {
        if let Some(marks) = &mut self.marks {
            marks.places.iter_mut().for_each(|mark| moved.shift(&mut mark.at));
        }
    }

    /// Drops the first record, having read it. Places of others stay valid.
    pub(crate) fn pop(&mut self, plan: &Plan, record: &mut Record) -> bool {
        let Some(next) = self.read(plan, self.head, record) else { return false };
        self.head = next;
        // A tampered log may hold more than it says.
        self.records = self.records.saturating_sub(1);
        if next == Place::END {
            self.records = 0;
            self.bytes.clear();
            self.marks = None;
        }
        true
    }

    /// Gives the dropped records' bytes back once they are many; then places move.
    pub(crate) fn reclaim(&mut self) -> Option<Moved> {
        let waste = self.head.at as usize;
        if self.records == 0 || waste < 256 || waste < self.bytes.len() / 4 {
            return None;
        }
        self.bytes.drain(..waste);
        if let Some(marks) = &mut self.marks {
            marks.places.retain(|mark| mark.at >= self.head.at);
        }
        let moved = Moved { from: 0, by: 0_u32.wrapping_sub(waste as u32) };
        self.head.at = 0;
        self.shift_marks(moved);
        Some(moved)
    }

    /// Gives back memory that was reserved for growth.
    pub(crate) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.marks = None;
    }
}
