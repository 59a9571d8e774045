//! A user's state from a block of the store: any bytes are a state or refused, a state writes itself as it was read, and whatever was
//! read can be used.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use feature_store::{Spec, StateValue, UserState};
use libfuzzer_sys::fuzz_target;
use types::{Event, EventTime, Value};

static SPEC: LazyLock<Spec> = LazyLock::new(|| {
    let text = r#"
        version = 1
        entity = "user"
        event_cap = 16
        [lifecycle]
        end = "b"
        silence = "9d"
        [inputs.all]
        [inputs.a]
        events = "a"
        value = "v"
        text = "t"
        where = { field = "v", min = 0 }
        [[features]]
        input = "a"
        ops = ["count", "std", "min", "max", "last", "distinct", "sessions", "active_days", "sum_change"]
        windows = ["1h", "7d"]
        [[features]]
        input = ["all", "a"]
        ops = ["count", "recency", "tenure"]
        windows = "all"
        "#;
    Spec::from_toml(text, Path::new("fuzz.toml")).expect("the spec is right")
});

fuzz_target!(|data: &[u8]| {
    check(data);
    // Few inputs find a checksum, so it is put there: what lies behind it must bear anything too.
    let mut sealed = data.to_vec();
    sealed.extend_from_slice(&(xxhash_rust::xxh3::xxh3_64(data) as u32).to_le_bytes());
    check(&sealed);
});

fn check(data: &[u8]) {
    let Ok(mut state) = UserState::decode(data) else { return };
    let mut once = Vec::new();
    state.encode(&mut once);
    let again = UserState::decode(&once).expect("what was written is read");
    let mut twice = Vec::new();
    again.encode(&mut twice);
    assert_eq!(once, twice, "and written again the same");

    let mut row = vec![0.0; SPEC.feature_names().len()];
    let newest = state.newest().map_or(1_700_000_000_000, |newest| newest.0);
    for (kind, ahead) in [("a", 0), ("b", 1), ("a", -3_600_000), ("a", -86_400_000), ("c", 90_000_000), ("a", 604_800_000)] {
        let mut event = Event { kind: kind.into(), ts: EventTime(newest.saturating_add(ahead)), ..Event::default() };
        event.fields.push(("v".into(), Value::Int(ahead % 7)));
        event.fields.push(("t".into(), Value::Int(ahead % 5)));
        let _ = state.apply(&SPEC, &event, event.ts, true);
        state.features(&SPEC, event.ts, &mut row);
        state.features_at(&SPEC, EventTime(event.ts.0.saturating_sub(1)), &mut row);
        let _ = state.is_living(&SPEC, EventTime(event.ts.0.saturating_sub(1)));
    }
    // What was made up need not hang together, so what becomes of it need not be readable; but it must not panic.
    once.clear();
    state.encode(&mut once);
}
