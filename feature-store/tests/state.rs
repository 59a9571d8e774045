//! What is refused and how; attributes, conditions and numbers; bytes that are no state.

// A test that fails says so by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use feature_store::{Applied, Spec, StateValue, UserState};
use proptest::prelude::*;
use types::{Event, EventTime, Value};

const DAY: i64 = 86_400_000;
const NOW: i64 = 1_700_000_000_000;

fn spec(rest: &str) -> Spec {
    Spec::from_toml(&format!("version = 1\nentity = \"user\"\n{rest}"), Path::new("s.toml")).unwrap()
}

fn simple() -> Spec {
    spec(
        r#"
        [inputs.all]
        [inputs.pay]
        events = "pay"
        value = "amount"
        scale = 2
        [[features]]
        input = "all"
        ops = ["count", "recency"]
        windows = ["24h", "all"]
        [[features]]
        input = "pay"
        ops = ["sum", "last"]
        windows = "24h"
        "#,
    )
}

fn event(kind: &'static str, ts: i64, fields: Vec<(&'static str, Value<'static>)>) -> Event<'static> {
    let fields = fields.into_iter().map(|(name, value)| (name.into(), value)).collect();
    Event { kind: kind.into(), ts: EventTime(ts), fields, ..Event::default() }
}

fn apply(state: &mut UserState, spec: &Spec, event: &Event<'_>) -> Result<i64, String> {
    match state.apply(spec, event, event.ts, false) {
        Applied::Accepted { as_of } => Ok(as_of.0),
        Applied::Rejected { reason, detail } => Err(format!("{reason}: {detail}")),
    }
}

fn row(state: &UserState, spec: &Spec, at: i64) -> Vec<f32> {
    let mut row = vec![0.0; spec.feature_names().len()];
    state.features_at(spec, EventTime(at), &mut row);
    row
}

fn encoded(state: &UserState) -> Vec<u8> {
    let mut out = Vec::new();
    state.encode(&mut out);
    out
}

#[test]
fn windows_begin_behind_their_edge() {
    let (spec, mut state) = (simple(), UserState::new());
    apply(&mut state, &spec, &event("a", NOW, vec![])).unwrap();
    assert_eq!(row(&state, &spec, NOW - 1)[0], 0.0);
    assert!(row(&state, &spec, NOW - 1)[1].is_nan());
    assert_eq!(row(&state, &spec, NOW)[..2], [1.0, 0.0]);
    assert_eq!(row(&state, &spec, NOW + DAY - 1)[0], 1.0);
    // Exactly a day later it is out.
    assert_eq!(row(&state, &spec, NOW + DAY)[0], 0.0);
    assert!(row(&state, &spec, NOW + DAY)[1].is_nan());
    assert_eq!(row(&state, &spec, NOW + DAY)[2..4], [1.0, 1.0]);
}

#[test]
fn what_is_refused_says_why() {
    let (spec, mut state) = (simple(), UserState::new());
    apply(&mut state, &spec, &event("a", NOW, vec![])).unwrap();
    let before = encoded(&state);
    let refused = |ts, fields| apply(&mut state.clone(), &spec, &event("pay", ts, fields)).unwrap_err();
    assert_eq!(refused(0, vec![]), "time_out_of_range: ts 0 is not between 1971 and 2199");
    // Seconds where milliseconds are meant.
    assert!(refused(NOW / 1000, vec![]).starts_with("time_out_of_range"));
    assert!(refused(7_258_118_400_000, vec![]).starts_with("time_out_of_range"));
    assert!(refused(i64::MIN, vec![]).starts_with("time_out_of_range"));
    assert!(refused(i64::MAX, vec![]).starts_with("time_out_of_range"));
    let late = refused(NOW - DAY - 1, vec![]);
    assert_eq!(late, "late: ts is 86400001ms behind the newest event, allowed are 1d");
    let wrong = refused(NOW, vec![("amount", Value::Str("7".into()))]);
    assert_eq!(wrong, "wrong_type: the field \"amount\" is of a type that the spec cannot use");
    for value in [
        Value::Int(i64::MAX),
        Value::Int((1 << 50) / 100 + 1),
        Value::Float(1e300),
        Value::Float(f64::NAN),
        Value::Float(f64::NEG_INFINITY),
        Value::Money { minor: i64::MIN, currency: "EUR".into() },
    ] {
        assert!(
            refused(NOW, vec![("amount", value)]).starts_with("number_out_of_range: the field \"amount\"")
        );
    }
    let future = state.clone().apply(&spec, &event("a", NOW, vec![]), EventTime(NOW - DAY - 1), false);
    let Applied::Rejected { detail, .. } = future else { panic!("accepted") };
    assert_eq!(detail, format!("ts is 86400001ms ahead of its arrival at {}, allowed are 1d", NOW - DAY - 1));
    assert_eq!(encoded(&state), before);
    // Just within bounds.
    apply(&mut state, &spec, &event("a", NOW - DAY, vec![])).unwrap();
    let last = state.apply(&spec, &event("a", NOW + DAY, vec![]), EventTime(NOW), false);
    assert_eq!(last, Applied::Accepted { as_of: EventTime(NOW + DAY) });
    let largest = Value::Int((1 << 50) / 100);
    assert_eq!(apply(&mut state, &spec, &event("pay", NOW, vec![("amount", largest)])), Ok(NOW + DAY));
}

#[test]
fn ids_are_known_within_the_lateness() {
    let (spec, mut state) = (simple(), UserState::new());
    let with_id = |id: &str, ts| Event { id: Some(id.to_owned().into()), ..event("a", ts, vec![]) };
    apply(&mut state, &spec, &with_id("x", NOW)).unwrap();
    assert_eq!(
        apply(&mut state, &spec, &with_id("x", NOW + 5)),
        Err("duplicate: an event with the id \"x\" was seen already".into())
    );
    // Few ids: known to the last millisecond of the lateness.
    let mut few = state.clone();
    apply(&mut few, &spec, &event("a", NOW + DAY, vec![])).unwrap();
    assert!(apply(&mut few.clone(), &spec, &with_id("x", NOW + DAY)).is_err());
    apply(&mut few, &spec, &event("a", NOW + DAY + 1, vec![])).unwrap();
    apply(&mut few, &spec, &with_id("x", NOW + DAY)).unwrap();
    // Many ids, kept another way than a few, and through bytes.
    for i in 0..200 {
        apply(&mut state, &spec, &with_id(&format!("i{i}"), NOW + i)).unwrap();
    }
    let mut state = UserState::decode(&encoded(&state)).unwrap();
    for i in 0..200 {
        assert!(apply(&mut state, &spec, &with_id(&format!("i{i}"), NOW + 200)).is_err());
    }
    // A day after it is still known, later no more: then it may come again.
    apply(&mut state, &spec, &event("a", NOW + DAY, vec![])).unwrap();
    assert!(apply(&mut state, &spec, &with_id("x", NOW + DAY)).is_err());
    apply(&mut state, &spec, &event("a", NOW + DAY + 1, vec![])).unwrap();
    apply(&mut state, &spec, &with_id("x", NOW + DAY)).unwrap();
    assert!(apply(&mut state, &spec, &with_id("x", NOW + DAY)).is_err());
}

#[test]
fn redriven_events_come_in_as_far_as_state_reaches() {
    let spec =
        spec("[inputs.all]\n[[features]]\ninput = \"all\"\nops = \"count\"\nwindows = [\"7d\", \"all\"]");
    let mut state = UserState::new();
    apply(&mut state, &spec, &event("a", NOW, vec![])).unwrap();
    let mut redrive = |ts| state.apply(&spec, &event("a", ts, vec![]), EventTime(NOW), true);
    assert!(matches!(redrive(NOW - 5 * DAY), Applied::Accepted { as_of: EventTime(NOW) }));
    assert!(matches!(redrive(NOW - 8 * DAY + 1), Applied::Accepted { .. }));
    let Applied::Rejected { detail, .. } = redrive(NOW - 8 * DAY) else { panic!("accepted") };
    assert_eq!(detail, "redriven, but 8d behind the newest event; state reaches 8d");
    assert_eq!(row(&state, &spec, NOW), [2.0, 3.0]);
}

#[test]
fn numbers_are_rounded_half_to_even_to_their_decimals() {
    let (spec, mut state) = (simple(), UserState::new());
    for (value, want) in [
        (Value::Float(0.125), 0.12),
        (Value::Float(0.375), 0.38),
        (Value::Int(7), 7.0),
        (Value::Bool(true), 1.0),
        (Value::Money { minor: 1299, currency: "EUR".into() }, 1299.0),
        (Value::Float(-0.125), -0.12),
    ] {
        apply(&mut state, &spec, &event("pay", NOW, vec![("amount", value)])).unwrap();
        assert_eq!(row(&state, &spec, NOW)[5], want);
    }
    apply(&mut state, &spec, &event("pay", NOW, vec![("amount", Value::Null)])).unwrap();
    assert_eq!(row(&state, &spec, NOW)[5], -0.12, "null is no value");
}

#[test]
fn conditions_compare_texts_numbers_and_truths() {
    let spec = spec(
        r#"
        [inputs.text]
        where = { field = "f", is = ["a", "b"] }
        [inputs.number]
        where = { field = "f", min = 2, max = 3.5 }
        [inputs.not_a]
        where = { field = "f", not = "a" }
        [inputs.truth]
        where = { field = "f", is = true }
        [[features]]
        input = ["text", "number", "not_a", "truth"]
        ops = "count"
        windows = "24h"
        "#,
    );
    for (value, want) in [
        (Value::Str("a".into()), [1.0, 0.0, 0.0, 0.0]),
        (Value::Str("b".into()), [1.0, 0.0, 1.0, 0.0]),
        (Value::Int(2), [0.0, 1.0, 1.0, 0.0]),
        (Value::Float(3.5), [0.0, 1.0, 1.0, 0.0]),
        (Value::Float(3.6), [0.0, 0.0, 1.0, 0.0]),
        (Value::Bool(true), [0.0, 0.0, 1.0, 1.0]),
        (Value::Null, [0.0; 4]),
    ] {
        let mut state = UserState::new();
        apply(&mut state, &spec, &event("k", NOW, vec![("f", value.clone())])).unwrap();
        assert_eq!(row(&state, &spec, NOW), want, "{value:?}");
        assert_eq!(state.stored(), u32::from(want != [0.0; 4]), "only what the spec needs is stored");
    }
}

#[test]
fn lives_end_and_begin_again() {
    let spec = spec(
        "[lifecycle]\nend = \"cancel\"\nresume = \"back\"\nsilence = \"10d\"\n\
         [inputs.all]\n[[features]]\ninput = \"all\"\nops = \"count\"\nwindows = \"24h\"",
    );
    let mut state = UserState::new();
    let living = |state: &UserState, ts| state.is_living(&spec, EventTime(ts));
    assert!(!living(&state, NOW), "nobody is there yet");
    apply(&mut state, &spec, &event("play", NOW, vec![])).unwrap();
    assert!(!living(&state, NOW - 1));
    assert!(living(&state, NOW + 10 * DAY));
    assert!(!living(&state, NOW + 10 * DAY + 1), "silent");
    apply(&mut state, &spec, &event("cancel", NOW + 5 * DAY, vec![])).unwrap();
    apply(&mut state, &spec, &event("play", NOW + 6 * DAY, vec![])).unwrap();
    assert!(!living(&state, NOW + 6 * DAY), "playing does not bring one back");
    apply(&mut state, &spec, &event("back", NOW + 50 * DAY, vec![])).unwrap();
    assert!(living(&state, NOW + 50 * DAY));
    assert!(!living(&state, NOW + 50 * DAY - 1), "before that, and after what was dropped");
    // A late end before the return does not end it.
    apply(&mut state, &spec, &event("cancel", NOW + 49 * DAY, vec![])).unwrap();
    assert!(living(&state, NOW + 50 * DAY));
}

#[test]
fn an_end_that_was_dropped_still_holds_before_the_return() {
    let spec = spec(
        "[lifecycle]\nend = \"cancel\"\nresume = \"back\"\n\
         [inputs.all]\n[[features]]\ninput = \"all\"\nops = \"count\"\nwindows = \"24h\"",
    );
    let mut state = UserState::new();
    for (kind, day) in [("cancel", 0), ("play", 1), ("back", 50)] {
        apply(&mut state, &spec, &event(kind, NOW + day * DAY, vec![])).unwrap();
    }
    assert_eq!(state.stored(), 1);
    let state = UserState::decode(&encoded(&state)).unwrap();
    assert!(!state.is_living(&spec, EventTime(NOW + 50 * DAY - 1)));
    assert!(state.is_living(&spec, EventTime(NOW + 50 * DAY)));
}

/// Short windows and much going on at their edges: what cursors and series come to equals what a walk over all events does.
#[test]
fn cursors_equal_a_fresh_walk() {
    let spec = spec(
        r#"
        [inputs.all]
        value = "v"
        text = "t"
        [[features]]
        input = "all"
        ops = ["count", "sum", "std", "min", "max", "last", "distinct", "active_days", "sessions", "recency", "change"]
        windows = ["1h", "2h", "3h"]
        gap = "10m"
        "#,
    );
    let mut state = UserState::new();
    let mut row_of_cursors = vec![0.0; spec.feature_names().len()];
    let mut random = 3_u64;
    let mut draw = |n: i64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as i64 % n
    };
    let mut now = NOW;
    for i in 0..5_000 {
        now += draw(12) * 60_000;
        let ts = now - if draw(3) == 0 { draw(180) * 60_000 } else { 0 };
        let fields = vec![("v", Value::Int(draw(50))), ("t", Value::Int(draw(9)))];
        let as_of = apply(&mut state, &spec, &event("a", ts, fields)).unwrap();
        state.features(&spec, EventTime(as_of), &mut row_of_cursors);
        let fresh = UserState::decode(&encoded(&state)).unwrap();
        let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&row(&fresh, &spec, as_of)), bits(&row_of_cursors), "event {i}");
    }
}

#[test]
fn an_empty_state_is_a_state() {
    let spec = simple();
    let mut state = UserState::new();
    assert_eq!(encoded(&UserState::decode(&encoded(&state)).unwrap()), encoded(&state));
    assert_eq!(row(&state, &spec, NOW)[0], 0.0);
    state.set_tag(7);
    assert_eq!(UserState::decode(&encoded(&state)).unwrap().tag(), 7);
    assert_eq!((state.newest(), state.first_seen()), (None, None));
}

/// A tick's record stands behind events up to a grace later, whatever lateness is allowed.
#[test]
fn a_sweep_sees_the_whole_window_behind_events_of_the_grace() {
    let spec = spec(
        r#"
        allowed_lateness = "0h"
        [inputs.all]
        [[features]]
        input = "all"
        ops = ["count"]
        windows = ["7d"]
        "#,
    );
    let tick = NOW / DAY * DAY;
    let mut state = UserState::new();
    for ts in [tick - 7 * DAY + 1_800_000, tick - DAY, tick + 3_000_000] {
        apply(&mut state, &spec, &event("pay", ts, vec![])).unwrap();
    }
    assert_eq!(row(&state, &spec, tick), [2.0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn flipped_bytes_and_torn_ends_are_found(n in 0..40_i64, at: prop::sample::Index, flip in 1..=255_u8) {
        let (spec, mut state) = (simple(), UserState::new());
        for i in 0..n {
            apply(&mut state, &spec, &event("pay", NOW + i * 7_777_777, vec![("amount", Value::Int(i))])).unwrap();
        }
        let good = encoded(&state);
        let mut bad = good.clone();
        bad[at.index(good.len())] ^= flip;
        prop_assert!(UserState::decode(&bad).is_err());
        prop_assert!(UserState::decode(&good[..at.index(good.len())]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes: Vec<u8>, flags in 0..64_u8, days in -3..400_i64) {
        // With the right beginning and checksum, so that more than those are tried.
        bytes.splice(0..0, [1, flags, 0]);
        let checksum = xxhash_rust::xxh3::xxh3_64(&bytes) as u32;
        bytes.extend_from_slice(&checksum.to_le_bytes());
        if let Ok(mut state) = UserState::decode(&bytes) {
            let spec = simple();
            let ts = state.newest().map_or(NOW, |newest| newest.0).saturating_add(days * DAY);
            let _ = state.apply(&spec, &event("pay", ts, vec![("amount", Value::Int(1))]), EventTime(ts), true);
            let _ = state.apply(&spec, &event("pay", NOW, vec![]), EventTime(NOW), true);
            let mut out = vec![0.0; spec.feature_names().len()];
            state.features(&spec, EventTime(ts), &mut out);
            state.features_at(&spec, EventTime(ts - DAY), &mut out);
            let _ = state.is_living(&spec, EventTime(ts - DAY));
            let _ = encoded(&state);
        }
    }
}
