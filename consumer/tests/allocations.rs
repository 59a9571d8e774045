//! The hot path allocates nothing for an event: reading, decoding, windows, feature vector, score and its record, and writing that.
//!
//! A user's own state still grows now and then, when there are more events in a window than there ever were. So the tests
//! count over many events of known users. Once for the pipeline alone, on one thread: one allocation in fifty events is allowed. And once for
//! a whole consumer on files, all of its threads counted, where each batch of some fifty records that is read or written takes a few
//! buffers too: one in ten.

#![allow(clippy::unwrap_used, clippy::expect_used)]
// A global allocator can only be written so. It counts and passes everything on to the system's.
#![allow(unsafe_code)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use consumer::Surroundings;
use consumer::pipeline::{Pipeline, Place, Rows, Scoring, Stop, UserStore, Work};
use feature_store::{Store, StoreIdentity, StoreOptions};
use partition_log::{FileLog, Log, LogOptions, MemoryLog, RecordBuf};
use scorer::Schedule;
use support::random::Random;
use support::stream::{Appender, BEGIN, HOUR, MINUTE, Outgoing};
use support::{EVENTS, World, stream};
use types::{Event, EventTime, Offset, PartitionId, Value};

const USERS: usize = 300;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

/// Those of all threads.
static ALL: AtomicU64 = AtomicU64::new(0);

struct Counting;

fn count() {
    COUNT.with(|count| count.set(count.get() + 1));
    ALL.fetch_add(1, Relaxed);
}

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract; counting is a write to a
// thread's own constant-initialised cell and one to a static, which allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract, and the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count();
        // SAFETY: as for `dealloc`.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Held by a test that counts: others run in the same process.
static COUNTING: Mutex<()> = Mutex::new(());

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
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
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

/// How many allocations a consumer makes in all, from its start to its end, on a file log of so many events.
fn of_a_whole_run(world: &World, events: &[Outgoing], name: &str) -> u64 {
    let log = FileLog::new(world.dir().join(format!("{name}-log")), LogOptions::default());
    stream::create(&log, 4);
    Appender::new(&log).append(events);
    let log: Arc<dyn Log> = Arc::new(log);
    let mut options = world.options(name, "registry");
    // Commits come by the clock, and each costs the same: only the last one is made.
    options.commit_interval = Duration::from_secs(3600);
    let before = ALL.load(Relaxed);
    let status = consumer::run(&options, &log, &Surroundings::new()).unwrap();
    let made = ALL.load(Relaxed) - before;
    println!("{made} allocations for {} events", status.processed);
    made
}

#[test]
fn a_whole_consumer_makes_hardly_more_allocations_for_more_events() {
    let _alone = COUNTING.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = support::seed();
    let world = World::with_short_windows(seed);
    drop(world.registry("registry"));
    let (known, more) = (60_000, 40_000);
    let all = events(known + more, BEGIN.0 + HOUR, &mut Random::new(seed));
    let fewer = of_a_whole_run(&world, &all[..known], "fewer");
    let made = of_a_whole_run(&world, &all, "more").saturating_sub(fewer);
    println!("{made} allocations for {more} more events");
    assert!(made * 10 < more as u64, "{made} allocations for {more} more events");
}
