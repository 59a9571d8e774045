//! The engine against a plain reference, on random sequences of records: every bit of every column.

// A test that fails says so by panicking.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod reference;

use std::path::Path;

use feature_store::{Applied, Spec, StateValue, UserState};
use proptest::prelude::*;
use reference::{DAY, HOUR, MINUTE, Plain, Reference};
use types::{Event, EventTime, Value};

const START: i64 = 1_700_000_000_000;
const LATENESS: i64 = DAY;
const SILENCE: i64 = 20 * DAY;

/// Without `texts`, nothing counts different texts: reads then go another way.
fn spec_text(cap: usize, texts: bool) -> String {
    let windows = r#"windows = ["1h", "6h", "24h", "7d", "30d", "90d"]"#;
    let every = r#""count", "recency", "active_days", "sessions", "change""#;
    let distinct = if texts { r#""distinct","# } else { "" };
    format!(
        r#"
        version = 1
        entity = "user"
        event_cap = {cap}
        [lifecycle]
        start = ["join"]
        resume = ["return"]
        end = ["cancel"]
        silence = "20d"
        [inputs.any]
        [inputs.plays]
        events = ["play"]
        value = "watch"
        scale = 3
        text = "title"
        [inputs.tv]
        events = ["play"]
        value = "watch"
        scale = 3
        where = {{ field = "device", is = "tv" }}
        [[features]]
        input = "any"
        ops = [{every}]
        {windows}
        [[features]]
        input = "plays"
        ops = ["count", "sum", "mean", "min", "max", "last", "std", {distinct} "sum_change"]
        {windows}
        [[features]]
        input = "tv"
        ops = [{every}, "mean", "min", "max", "last"]
        {windows}
        gap = "5m"
        [[features]]
        input = ["plays", "tv"]
        ops = ["count", "sum", "mean", "min", "max", "last", "std", "recency", "tenure"]
        windows = "all"
        [[ratios]]
        name = "share"
        numerator = "tv_count_7d"
        denominator = "plays_count_7d"
        [[attributes]]
        name = "plan"
        categories = ["basic", "family"]
        encoding = "onehot"
        [[attributes]]
        name = "tier"
        field = "plan"
        categories = ["family", "basic"]
        other = true
        [[attributes]]
        name = "price"
        scale = 0
        "#
    )
}

fn spec(cap: usize, texts: bool) -> Spec {
    Spec::from_toml(&spec_text(cap, texts), Path::new("spec.toml")).unwrap()
}

/// The row that the reference expects, column by column from the names.
fn expected(spec: &Spec, reference: &Reference, at: i64) -> Vec<f32> {
    let mut row: Vec<f32> = Vec::new();
    for name in spec.feature_names() {
        let value = match name.as_str() {
            "share" => {
                let of = |wanted: &str| row[spec.feature_names().iter().position(|n| n == wanted).unwrap()];
                let (a, b) = (of("tv_count_7d"), of("plays_count_7d"));
                if b == 0.0 { f32::NAN } else { a / b }
            }
            "plan_basic" | "plan_family" => match reference.latest(at, |e| e.plan) {
                Some(plan @ ("basic" | "family")) => f32::from(u8::from(name.ends_with(plan))),
                _ => f32::NAN,
            },
            "tier" => match reference.latest(at, |e| e.plan) {
                Some("family") => 0.0,
                Some("basic") => 1.0,
                Some(_) => 2.0,
                None => f32::NAN,
            },
            "price" => reference.latest(at, |e| e.price).map_or(f32::NAN, |p| p as f32),
            _ => {
                let (input, rest) = name.split_once('_').unwrap();
                let (op, window) = rest.rsplit_once('_').unwrap();
                let window = (window != "all").then(|| window.parse::<types::Millis>().unwrap().0);
                let gap = if input == "tv" { 5 * MINUTE } else { 30 * MINUTE };
                let takes = |e: &Plain| match input {
                    "any" => true,
                    "plays" => e.kind == "play",
                    _ => e.kind == "play" && e.device == Some("tv"),
                };
                reference.column(op, window, gap, at, &takes)
            }
        };
        row.push(value);
    }
    row
}

fn event<'a>(e: &'a Plain, id: &'a str) -> Event<'a> {
    let mut event =
        Event { entity_type: "user".into(), entity: "u".into(), kind: e.kind.into(), ..Event::default() };
    event.ts = EventTime(e.ts);
    event.id = e.id.map(|_| id.into());
    if let Some(watch) = e.watch {
        event.fields.push(("watch".into(), Value::Float(watch as f64 / 1e3)));
    }
    if let Some(title) = &e.title {
        event.fields.push(("title".into(), Value::Str(title.as_str().into())));
    }
    if let Some(device) = e.device {
        event.fields.push(("device".into(), Value::Str(device.into())));
    }
    if let Some(plan) = e.plan {
        event.fields.push(("plan".into(), Value::Str(plan.into())));
    }
    if let Some(minor) = e.price {
        event.fields.push(("price".into(), Value::Money { minor, currency: "EUR".into() }));
    }
    event
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|v| v.to_bits()).collect()
}

fn encoded(state: &UserState) -> Vec<u8> {
    let mut out = Vec::new();
    state.encode(&mut out);
    out
}

#[track_caller]
fn assert_row(spec: &Spec, got: &[f32], reference: &Reference, at: i64, what: &str) {
    let want = expected(spec, reference, at);
    for ((name, got), want) in spec.feature_names().iter().zip(got).zip(&want) {
        assert!(got.to_bits() == want.to_bits(), "{what} as of {at}: {name} is {got}, expected {want}");
    }
}

/// What a test does next.
#[derive(Debug, Clone)]
enum Step {
    /// Moves time on, then an event so far behind.
    Event {
        forward: i64,
        behind: i64,
        redriven: bool,
        plain: Plain,
    },
    /// Reads as of this much after the newest event, or before it.
    Read(i64),
    Reload,
    Trim,
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let forward = prop_oneof![
        4 => 0..MINUTE,
        4 => 0..HOUR,
        3 => 0..DAY,
        1 => 0..40 * DAY,
        1 => Just(0),
        // Whole windows: events exactly at their edges.
        2 => prop_oneof![Just(HOUR), Just(6 * HOUR), Just(DAY), Just(7 * DAY), Just(30 * DAY), Just(90 * DAY)],
    ];
    let behind = prop_oneof![
        8 => Just(0),
        2 => 0..HOUR,
        1 => prop_oneof![Just(HOUR), Just(DAY), Just(DAY + 1), Just(6 * HOUR), Just(181 * DAY), Just(181 * DAY - 1)],
        1 => 0..2 * DAY,
        1 => 0..200 * DAY,
    ];
    let kind = prop_oneof![
        8 => Just("play"), 2 => Just("stop"), 1 => Just("join"), 1 => Just("cancel"), 1 => Just("return"),
    ];
    let watch =
        prop_oneof![Just(None), (0..5_000_000_i64).prop_map(Some), (-3..3_i64).prop_map(Some), Just(Some(7))];
    let title = prop::option::of((0..30_u32).prop_map(|n| format!("t{n}")));
    let device = prop::option::of(prop_oneof![Just("tv"), Just("phone")]);
    let plan = prop::option::weighted(0.2, prop_oneof![Just("basic"), Just("family"), Just("odd")]);
    let price = prop::option::weighted(0.1, 0..3000_i64);
    let plain = (kind, prop::option::of(0..40_u32), watch, title, device, plan, price).prop_map(
        |(kind, id, watch, title, device, plan, price)| Plain {
            ts: 0,
            kind,
            id,
            watch,
            title,
            device,
            plan,
            price,
        },
    );
    let redriven = prop::bool::weighted(0.2);
    let event = (forward, behind, redriven, plain)
        .prop_map(|(forward, behind, redriven, plain)| Step::Event { forward, behind, redriven, plain });
    let read = prop_oneof![-DAY..DAY, -DAY..200 * DAY, Just(0), Just(HOUR), Just(-DAY)].prop_map(Step::Read);
    let step = prop_oneof![24 => event, 4 => read, 1 => Just(Step::Reload), 1 => Just(Step::Trim)];
    prop::collection::vec(step, 1..most)
}

/// Applies the steps to the engine and the reference and compares them all the way.
fn run(cap: usize, texts: bool, steps: &[Step], read_each: bool) {
    let spec = spec(cap, texts);
    let mut reference = Reference::new(2 * 90 * DAY + LATENESS, LATENESS, cap);
    reference.texts = texts;
    let mut state = UserState::new();
    // Sees the same records, and is never asked, encoded or trimmed.
    let mut quiet = UserState::new();
    let mut row = vec![0.0; spec.feature_names().len()];
    let mut now = START;
    for step in steps {
        match step {
            Step::Event { forward, behind, redriven, plain } => {
                now += forward;
                let plain = Plain { ts: now - behind, ..plain.clone() };
                let id = plain.id.map(|id| id.to_string()).unwrap_or_default();
                let before = encoded(&state);
                let applied = state.apply(&spec, &event(&plain, &id), EventTime(now), *redriven);
                assert_eq!(quiet.apply(&spec, &event(&plain, &id), EventTime(now), *redriven), applied);
                match (reference.apply(&plain, *redriven), applied) {
                    (Ok(()), Applied::Accepted { as_of }) => {
                        assert_eq!(Some(as_of.0), reference.newest);
                        if read_each {
                            state.features(&spec, as_of, &mut row);
                            assert_row(&spec, &row, &reference, as_of.0, "event");
                        }
                    }
                    (Err(want), Applied::Rejected { reason, .. }) => {
                        assert_eq!(reason.name(), want);
                        assert_eq!(encoded(&state), before, "a rejected event changed the state");
                    }
                    (want, got) => panic!("{plain:?}: expected {want:?}, got {got:?}"),
                }
            }
            Step::Read(ahead) => {
                let Some(newest) = reference.newest else { continue };
                let at = newest + ahead;
                state.features_at(&spec, EventTime(at), &mut row);
                assert_row(&spec, &row, &reference, at, "read");
                assert_eq!(
                    state.is_living(&spec, EventTime(at)),
                    reference.is_living(at, SILENCE),
                    "living at {at}"
                );
                if at >= newest {
                    let still = row.clone();
                    state.features(&spec, EventTime(at), &mut row);
                    assert_eq!(bits(&row), bits(&still));
                }
            }
            Step::Reload => {
                let bytes = encoded(&state);
                state = UserState::decode(&bytes).unwrap();
                assert_eq!(encoded(&state), bytes);
            }
            Step::Trim => state.trim(),
        }
    }
    assert_eq!(encoded(&state), encoded(&quiet), "questions changed the state");
    let Some(newest) = reference.newest else { return };
    quiet.features(&spec, EventTime(newest), &mut row);
    assert_row(&spec, &row, &reference, newest, "end");
    assert_eq!(state.stored() as usize, reference.groups.len());
    assert_eq!(state.is_approximate(), reference.compacted);
}

/// Few by default, so that tests stay quick; `PROPTEST_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn every_column_equals_the_reference(steps in steps(150), texts: bool) {
        run(32_768, texts, &steps, true);
    }

    #[test]
    fn rarely_asked_users_too(steps in steps(300), texts: bool) {
        run(32_768, texts, &steps, false);
    }

    #[test]
    fn compacted_users_too(steps in steps(250), texts: bool) {
        run(16, texts, &steps, true);
    }
}

/// A busy user: long logs have places to begin a search from, which in-order tests and short ones never use.
#[test]
fn long_logs_with_disorder_equal_the_reference() {
    let spec = spec(32_768, true);
    let mut reference = Reference::new(2 * 90 * DAY + LATENESS, LATENESS, 32_768);
    let mut state = UserState::new();
    let mut row = vec![0.0; spec.feature_names().len()];
    let mut random = 7_u64;
    let mut draw = |n: i64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as i64 % n
    };
    let mut now = START;
    for i in 0..4_000 {
        // A pause of half a year in the middle drops what was before, with the places that pointed to it.
        now += if i == 2_500 { 150 * DAY } else { draw(40 * MINUTE) };
        let behind = if draw(4) == 0 { draw(DAY) } else { 0 };
        let plain = Plain {
            ts: now - behind,
            kind: ["play", "stop"][draw(2) as usize],
            id: None,
            watch: Some(draw(1_000_000)),
            title: Some(format!("t{}", draw(100))),
            device: Some(["tv", "phone"][draw(2) as usize]),
            plan: None,
            price: None,
        };
        assert!(matches!(
            state.apply(&spec, &event(&plain, ""), EventTime(now), false),
            Applied::Accepted { .. }
        ));
        reference.apply(&plain, false).unwrap();
        let at = reference.newest.unwrap();
        if i % 7 == 0 {
            state.features(&spec, EventTime(at), &mut row);
        }
        if i % 203 == 0 {
            assert_row(&spec, &row, &reference, at, "after disorder");
        }
        if i == 3_500 {
            state = UserState::decode(&encoded(&state)).unwrap();
        }
    }
    state.features(&spec, reference.newest.map(EventTime).unwrap(), &mut row);
    assert_row(&spec, &row, &reference, reference.newest.unwrap(), "end");
    assert_eq!(state.stored() as usize, reference.groups.len());
}
