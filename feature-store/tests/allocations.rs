//! An event of a user who is in memory takes no memory beyond the growth of that user's own log.

// Counting allocations takes an allocator, and that unsafe code; a test that fails says so by panicking.
#![allow(unsafe_code, clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::path::Path;

use feature_store::{Applied, Spec, UserState};
use types::{Event, EventTime, Value};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator; counting touches a thread's own number only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn events_of_a_user_in_memory_allocate_almost_nothing() {
    let spec = r#"
        version = 1
        entity = "user"
        [inputs.all]
        value = "v"
        text = "t"
        [[features]]
        input = "all"
        ops = ["count", "sum", "mean", "std", "min", "max", "last", "distinct", "active_days", "sessions", "change"]
        windows = ["24h", "7d"]
        "#;
    let spec = Spec::from_toml(spec, Path::new("s.toml")).unwrap();
    let mut state = UserState::new();
    let mut row = vec![0.0; spec.feature_names().len()];
    let texts: Vec<String> = (0..50).map(|n| format!("t{n}")).collect();
    let mut counted = 0;
    let mut event = Event { kind: "play".into(), ..Event::default() };
    for i in 0..40_000_i64 {
        // One in ten is late by up to some hours. After 20,000 events the user's log has its full length of a fortnight.
        let ts = 1_700_000_000_000 + i * 300_000 - if i % 10 == 0 { i % 77 * 300_001 } else { 0 };
        event.ts = EventTime(ts);
        event.fields.clear();
        event.fields.push(("v".into(), Value::Int(i % 1000)));
        event.fields.push(("t".into(), Value::Str(texts[(i * i % 50) as usize].as_str().into())));
        let before = ALLOCATIONS.with(Cell::get);
        let Applied::Accepted { as_of } = state.apply(&spec, &event, event.ts, false) else {
            panic!("refused")
        };
        state.features(&spec, as_of, &mut row);
        if i % 2_000 == 0 {
            state.features_at(&spec, as_of, &mut row);
        }
        if i >= 20_000 {
            counted += ALLOCATIONS.with(Cell::get) - before;
        }
    }
    assert!(!state.is_approximate(), "the cap is on what is stored, not on what ever came");
    assert!(counted < 200, "{counted} allocations for 20,000 events");
}
