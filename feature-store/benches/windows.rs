//! What the window engine costs, in CPU time of this thread: `cargo bench -p feature-store --bench windows [-- EVENTS USERS [job] [cold]]`
//! (`job`: that alone; `cold`: without loading the next users ahead).
//!
//! The job: 15 features, {24h, 7d, 30d} x {all events, plays, cancels, failed payments, seconds watched}, events of 60 days spread
//! over users as `rank^-0.7`, every event scored.

use std::path::Path;

use feature_store::{Applied, Spec, StateValue, UserState};
use types::{Event, EventTime, Value};

const KINDS: [&str; 6] = ["play", "pause", "stop", "login", "cancel", "payment_failed"];
const START: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

fn spec() -> Spec {
    let mut text = String::from(
        r#"
        version = 1
        entity = "user"
        [inputs.events]
        value = "watchtime"
        scale = 3
        [inputs.plays]
        events = "play"
        [inputs.cancels]
        events = "cancel"
        [inputs.failed]
        events = "payment_failed"
        "#,
    );
    for window in ["24h", "7d", "30d"] {
        text += &format!(
            "[[features]]\ninput = [\"events\", \"plays\", \"cancels\", \"failed\"]\nops = \"count\"\nwindows = \"{window}\"\n\
             [[features]]\ninput = \"events\"\nops = \"sum\"\nwindows = \"{window}\"\n"
        );
    }
    Spec::from_toml(&text, Path::new("bench.toml")).unwrap_or_else(|e| panic!("{e}"))
}

/// A small generator of numbers that only the seed decides (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Nanoseconds that this thread has run.
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// What happened, as small as can be: the engine is measured, not the reading of events.
#[derive(Clone, Copy)]
struct Draw {
    user: u32,
    kind: u32,
    watch: f64,
    ts: i64,
}

impl Draw {
    fn new(numbers: &mut Numbers, user: u32, ts: i64) -> Self {
        let draw = numbers.fraction();
        let kind = [0.45, 0.65, 0.85, 0.96, 0.975, 1.0].iter().position(|p| draw <= *p).unwrap_or(0) as u32;
        let watch = if kind <= 2 { (numbers.fraction() * 2e6).round() / 1e3 } else { 0.0 };
        Self { user, kind, watch, ts }
    }

    fn fill(self, event: &mut Event<'static>) {
        event.kind = KINDS[self.kind as usize].into();
        event.ts = EventTime(self.ts);
        event.fields.clear();
        event.fields.push(("watchtime".into(), Value::Float(self.watch)));
    }
}

fn main() {
    let args: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (n, n_users) = (args.first().copied().unwrap_or(1_000_000), args.get(1).copied().unwrap_or(100_000));
    let spec = spec();
    let mut numbers = Numbers(42);
    let mut row = vec![0.0; spec.feature_names().len()];
    let mut total = 0.0;

    // Rank by inversion of the integral of rank^-0.7.
    let draws: Vec<Draw> = (0..n)
        .map(|i| {
            let rank = numbers.fraction().powf(1.0 / 0.3) * n_users as f64;
            let user = (rank as u64 * 0x9e37_79b1 % n_users as u64) as u32;
            Draw::new(&mut numbers, user, START + (i as f64 / n as f64 * 60.0 * DAY as f64) as i64)
        })
        .collect();
    let mut event = Event::default();
    let mut states: Vec<UserState> = (0..n_users).map(|_| UserState::new()).collect();
    let ahead = !std::env::args().any(|a| a == "cold");
    let began = cpu_ns();
    for (i, draw) in draws.iter().enumerate() {
        if let Some(next) = draws.get(i + 8).filter(|_| ahead) {
            states[next.user as usize].warm();
        }
        if let Some(next) = draws.get(i + 4).filter(|_| ahead) {
            states[next.user as usize].warm_parts();
        }
        draw.fill(&mut event);
        let state = &mut states[draw.user as usize];
        let Applied::Accepted { as_of } = state.apply(&spec, &event, event.ts, false) else { continue };
        state.features(&spec, as_of, &mut row);
        total += f64::from(row[14]);
    }
    report("apply + features, per event", began, n);
    if std::env::args().any(|a| a == "job") {
        println!("(check: {total})");
        return;
    }

    let began = cpu_ns();
    for state in &states {
        state.features_at(&spec, EventTime(START + 60 * DAY), &mut row);
        total += f64::from(row[14]);
    }
    report("features_at of all users, per user", began, n_users);
    memory("after the job", &states);

    let mut bytes = Vec::new();
    let began = cpu_ns();
    let mut encoded_bytes = 0;
    for state in &states {
        bytes.clear();
        state.encode(&mut bytes);
        encoded_bytes += bytes.len();
    }
    report("encode, per user", began, n_users);
    println!("{:<44} {:8.1} bytes", "encoded, per event", encoded_bytes as f64 / n as f64);

    let many = 20_000;
    let mut busy: Vec<UserState> = (0..many).map(|_| UserState::new()).collect();
    for i in 0..100 {
        for state in &mut busy {
            let ts = START + i * 28 * DAY / 100 + (numbers.next() % 10_000_000) as i64;
            Draw::new(&mut numbers, 0, ts).fill(&mut event);
            if let Applied::Accepted { as_of } = state.apply(&spec, &event, event.ts, false) {
                state.features(&spec, as_of, &mut row);
            }
        }
    }
    memory("users of 100 events each", &busy);
    let encoded: Vec<Vec<u8>> = busy
        .iter()
        .map(|state| {
            let mut out = Vec::new();
            state.encode(&mut out);
            out
        })
        .collect();
    println!(
        "{:<44} {:8.1} bytes",
        "encoded, per event",
        encoded.iter().map(Vec::len).sum::<usize>() as f64 / many as f64 / 100.0
    );
    let began = cpu_ns();
    let mut found = 0;
    for bytes in &encoded {
        found += UserState::decode(bytes).map_or(0, |state| state.stored());
    }
    report("decode, per user of 100 events", began, many);
    let began = cpu_ns();
    for state in &busy {
        state.features_at(&spec, EventTime(START + 29 * DAY), &mut row);
        total += f64::from(row[14]);
    }
    report("features_at, per user of 100 events", began, many);

    let mut one = UserState::new();
    let began = cpu_ns();
    for (i, draw) in draws.iter().enumerate().take(n.min(500_000)) {
        let behind = if i % 20 == 0 { (numbers.next() % 3_600_000) as i64 } else { 0 };
        Draw { ts: draw.ts - behind, ..*draw }.fill(&mut event);
        if let Applied::Accepted { as_of } = one.apply(&spec, &event, event.ts, false) {
            one.features(&spec, as_of, &mut row);
        }
    }
    report("one user, 1 in 20 up to 1h late, per event", began, n.min(500_000));
    println!("{:<44} {:8}", "records of that user", one.stored());
    println!("(checks: {total} {found})");
}

fn report(what: &str, began: u64, n: usize) {
    println!("{what:<44} {:8.1} ns", (cpu_ns() - began) as f64 / n as f64);
}

fn memory(what: &str, states: &[UserState]) {
    let heap: usize = states.iter().map(StateValue::heap_bytes).sum();
    let stored: u64 = states.iter().map(|s| u64::from(s.stored())).sum();
    println!(
        "{what:<44} {:8.1} bytes per user: {} of the struct, {:.1} of heap; {:.1} events",
        size_of::<UserState>() as f64 + heap as f64 / states.len() as f64,
        size_of::<UserState>(),
        heap as f64 / states.len() as f64,
        stored as f64 / states.len() as f64,
    );
}
