//! The hot path allocates nothing for an event: decoding, windows, feature vector, score and its record.
//!
//! A user's own state still grows now and then, when there are more events in a window than there ever were. So the test
//! counts over many events of known users, and allows one allocation in fifty events.

#![allow(clippy::unwrap_used, clippy::expect_used)]
// A global allocator can only be written so. It counts and passes everything on to the system's.
#![allow(unsafe_code)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use consumer::pipeline::{Pipeline, Place, Rows, Scoring, Stop, UserStore, Work};
use feature_store::{Store, StoreIdentity, StoreOptions};
use partition_log::{Log, MemoryLog, RecordBuf};
use scorer::Schedule;
use support::random::Random;
use support::stream::{Appender, BEGIN, HOUR, MINUTE, Outgoing};
use support::{EVENTS, World, stream};
use types::{Event, EventTime, Offset, PartitionId, Value};

const USERS: usize = 300;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting is one write to a
// thread's own constant-initialised cell, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    COUNT.with(Cell::get)
}

/// One after the other, some a little out of order. Longer than any window, so that as much leaves as comes.
fn events(count: usize, from: i64, random: &mut Random) -> Vec<Outgoing> {
    (0..count)
        .map(|i| {
            let at = from + i as i64 * 30_000;
            let user = format!("u{:04}", random.below(USERS as u64));
            let event = Event {
                entity_type: "user".into(),
                entity: user.into(),
                kind: (*random.pick(&["play", "session", "search"])).into(),
                ts: EventTime(at - if random.permille(50) { random.between(MINUTE, HOUR) } else { 0 }),
                id: None,
                fields: vec![
                    ("watch_s".into(), Value::Float(random.between(0, 72_000) as f64 / 10.0)),
                    ("genre".into(), Value::Str((*random.pick(&["drama", "comedy", "news"])).into())),
                    ("finished".into(), Value::Bool(random.permille(400))),
                ],
            };
            Outgoing::event(&event, at)
        })
        .collect()
}

struct Worker {
    pipeline: Pipeline,
    scoring: Scoring,
    users: UserStore,
    rows: Rows,
    place: Place,
}

impl Worker {
    /// Runs a block of records as a task does, and returns how many scores were made.
    fn run(&mut self, records: &RecordBuf) -> usize {
        let (mut rejects, mut scores, mut bytes) = (Vec::new(), 0, 0);
        loop {
            let mut work = Work { users: &mut self.users, rows: &mut self.rows, rejects: &mut rejects };
            let stop = self
                .pipeline
                .advance(&mut self.place, Offset::ZERO, records, records.len(), &mut work)
                .unwrap();
            let scored = self.scoring.score(&self.rows, &mut self.users, |score| {
                scores += 1;
                bytes += score.json.len();
                Ok::<(), Infallible>(())
            });
            scored.unwrap();
            self.rows.clear();
            if stop == Stop::End {
                assert!(rejects.is_empty() && bytes > scores * 200);
                return scores;
            }
        }
    }
}

#[test]
fn events_of_known_users_allocate_nothing() {
    let seed = support::seed();
    let world = World::with_short_windows(seed);
    drop(world.registry("registry"));
    let schedule = Arc::new(Schedule::load(&world.registry_path("registry")).unwrap());
    let log = MemoryLog::new();
    stream::create(&log, 1);
    let mut random = Random::new(seed);
    let (known, counted) = (60_000, 6_000);
    let all = events(known + counted, BEGIN.0 + HOUR, &mut random);
    Appender::new(&log).append(&all);

    let identity =
        StoreIdentity { spec_hash: world.spec.hash().to_string(), topic: EVENTS.into(), partitions: 1 };
    let quiet =
        StoreOptions { memory: usize::MAX, snapshot_interval: Duration::MAX, ..StoreOptions::default() };
    let store = Store::in_memory(&identity, quiet).unwrap();
    let mut worker = Worker {
        pipeline: Pipeline::new(Arc::clone(&world.spec)),
        scoring: Scoring::new(PartitionId(0), "user", schedule),
        users: store.partition(PartitionId(0)).unwrap(),
        rows: Rows::new(world.spec.feature_names().len()),
        place: Place::at(Offset::ZERO),
    };
    let mut reader = log.reader(EVENTS, PartitionId(0), Offset::ZERO).unwrap();
    let (mut records, mut everything) = (RecordBuf::default(), RecordBuf::default());
    while reader.read(&mut records, 1 << 20).unwrap() > 0 {
        records.iter().for_each(|record| everything.push(&record));
        records.clear();
    }
    let half = |from: usize, to: usize| {
        let mut part = RecordBuf::default();
        (from..to).for_each(|index| part.push(&everything.get(index).unwrap()));
        part
    };
    let (first, second) = (half(0, known), half(known, known + counted));
    worker.run(&first);

    let before = allocations();
    let scores = worker.run(&second);
    let made = allocations() - before;
    println!("{made} allocations for {counted} events and {scores} scores");
    assert!(scores >= counted, "every event is scored, and by the challenger too when there is one");
    assert!(made * 50 < counted as u64, "{made} allocations for {counted} events");
}
