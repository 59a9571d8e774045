use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use types::Band;

use super::super::{AtRisk, Lag, LastDecision, Phase};
use super::*;

/// A moment in the middle of streaming, with `partitions` of uneven lag.
fn streaming(partitions: u32) -> DemoState {
    let user = |user: &str, probability, band, reasons: &[&str]| AtRisk {
        user: user.to_owned(),
        probability,
        band,
        reasons: reasons.iter().map(|r| (*r).to_owned()).collect(),
    };
    DemoState {
        phase: Phase {
            name: "streaming new days".to_owned(),
            number: 3,
            of: 4,
            progress: Some(0.62),
            eta: Some(Duration::from_secs(25)),
        },
        elapsed: Duration::from_secs(42),
        events_per_second: Some(412_310.4),
        throughput: (0..120).map(|i| 300_000 + 120_000 * (i % 17) / 17 + 1_000 * i).collect(),
        stream_at: Some("2026-03-02 14:00".to_owned()),
        lag: (0..partitions)
            .map(|n| Lag {
                partition: n,
                events: (n != 5).then_some(u64::from(n * n) * 113),
                worker: (n != 6).then_some(n % 2),
            })
            .collect(),
        lag_seconds: Some(3.24),
        workers: Some(1),
        workers_desired: Some(2),
        workers_max: 2,
        decision: Some(LastDecision {
            ago: Duration::from_secs(12),
            words: "grow from 1 to 2: 24310 events wait, over 10000".to_owned(),
        }),
        commit_age: Some(Duration::from_millis(400)),
        snapshot_age: Some(Duration::from_millis(3200)),
        metrics: None,
        events: 1_203_000,
        users: Some(20_000),
        scores: 1_210_422,
        rejected: 12,
        at_risk: vec![
            user("u000042", 0.874, Band::High, &["days since plays: 12.3", "failed payments in 30 days: 2"]),
            user(
                "u017730",
                0.801,
                Band::High,
                &["support tickets in 7 days: 3", "plays in 7 days: 0", "plan: 1"],
            ),
            user("account/with/a/very/long/id", 0.5, Band::Medium, &["plays in 7 days: 1"]),
            user(
                "\u{1b}[31mred\r\n",
                0.31,
                Band::Medium,
                &["日本語の理由がここにあります、とても長いのでおさまりません、本当に長いです"],
            ),
            user("u000007", 0.0004, Band::Low, &[]),
        ],
    }
}

fn buffer(state: &DemoState, width: u16, height: u16, palette: Palette) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, palette)).unwrap();
    terminal.backend().buffer().clone()
}

/// The picture as text, without the spaces at the ends of lines.
fn picture(state: &DemoState, width: u16, height: u16) -> String {
    let text = TestBackendText(&buffer(state, width, height, Palette::coloured())).to_string();
    assert!(!text.contains('\u{1b}'), "something from outside steers the terminal");
    text
}

struct TestBackendText<'a>(&'a Buffer);

impl std::fmt::Display for TestBackendText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for y in 0..self.0.area.height {
            let mut line = String::new();
            let mut x = 0;
            while x < self.0.area.width {
                let symbol = self.0[(x, y)].symbol();
                line += symbol;
                // A wide character takes the next cell too.
                x += u16::try_from(Span::raw(symbol).width()).unwrap().max(1);
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[test]
fn streaming_on_80_by_24() {
    insta::assert_snapshot!(picture(&streaming(8), 80, 24));
}

#[test]
fn streaming_on_120_by_40() {
    insta::assert_snapshot!(picture(&streaming(16), 120, 40));
}

#[test]
fn more_partitions_than_there_is_room_for() {
    insta::assert_snapshot!(picture(&streaming(48), 80, 24));
}

#[test]
fn where_metrics_are_is_shown_where_there_is_room() {
    let state = DemoState { metrics: Some("http://127.0.0.1:9464/metrics".to_owned()), ..streaming(4) };
    assert!(
        picture(&state, 120, 40).contains("12 rejected")
            && picture(&state, 120, 40).contains(":9464/metrics   Ctrl-C")
    );
    assert!(picture(&state, 80, 24).contains("12 rejected") && !picture(&state, 80, 24).contains(":9464"));
}

#[test]
fn nothing_is_known_yet() {
    let phase =
        Phase { name: "simulating a history".to_owned(), number: 1, of: 4, progress: None, eta: None };
    insta::assert_snapshot!(picture(&DemoState { phase, ..DemoState::default() }, 80, 24));
}

#[test]
fn lost_telemetry_is_unknown() {
    let mut state = streaming(4);
    state.lag.iter_mut().for_each(|lag| lag.events = None);
    (state.workers, state.lag_seconds, state.events_per_second) = (None, None, None);
    (state.commit_age, state.snapshot_age, state.decision) = (None, None, None);
    insta::assert_snapshot!(picture(&state, 80, 24));
}

#[test]
fn too_small_for_a_screen() {
    insta::assert_snapshot!(picture(&streaming(8), 50, 12));
}

#[test]
fn no_size_and_no_state_breaks_it() {
    let mut odd = streaming(1000);
    odd.phase.progress = Some(f64::NAN);
    odd.events_per_second = Some(f64::INFINITY);
    odd.workers_max = 1;
    odd.workers = Some(64);
    odd.at_risk[0].probability = f32::NAN;
    odd.lag[3].events = Some(u64::MAX);
    for state in [odd, streaming(1), DemoState::default()] {
        for width in [1, 2, 59, 60, 61, 79, 133, 300] {
            for height in [1, 2, 17, 18, 19, 31, 32, 90] {
                picture(&state, width, height);
            }
        }
    }
}

#[test]
fn without_colours_there_are_none() {
    let plain = buffer(&streaming(8), 80, 24, Palette::plain());
    let coloured = buffer(&streaming(8), 80, 24, Palette::coloured());
    let colours = |b: &Buffer| {
        b.content().iter().filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
    };
    assert_eq!(colours(&plain), 0);
    assert!(colours(&coloured) > 100);
    assert!(
        coloured.content().iter().all(|cell| cell.bg == Color::Reset),
        "the ground stays the terminal's own"
    );
}

#[test]
fn plain_lines_come_when_due() {
    let mut view = PlainView::new(Duration::from_secs(5));
    let mut state = streaming(4);
    let first = view.next_line(&state).unwrap();
    assert_eq!(
        first,
        "[0:42] 3/4 streaming new days 62 %, about 25 s left | 412,310 events/s | lag 1,582 events (p0 0, p1 113, p2 452, p3 1.0k), 3.2 s \
         | workers 1 of 2 \
         | commit age 0.4 s, snapshot age 3.2 s | 1,203,000 events, 1,210,422 scores so far | most at risk u000042 87 % \
         (days since plays: 12.3) | grow from 1 to 2: 24310 events wait, over 10000 (12 s ago)"
    );
    state.elapsed += Duration::from_secs(4);
    assert_eq!(view.next_line(&state), None);
    state.elapsed += Duration::from_secs(1);
    state.metrics = Some("http://127.0.0.1:9464/metrics".to_owned());
    let second = view.next_line(&state).unwrap();
    assert!(!second.contains("grow from"), "told already: {second}");
    assert!(second.ends_with(" | metrics at http://127.0.0.1:9464/metrics"), "{second}");
    state.phase = Phase { name: "summing up".to_owned(), number: 4, of: 4, progress: None, eta: None };
    state.lag[0].events = None;
    state.at_risk[0].user = "a\nb".to_owned();
    let third = view.next_line(&state).unwrap();
    assert!(
        third.starts_with("[0:47] 4/4 summing up | ")
            && third.contains("lag unknown events (p0 unknown, p1 "),
        "{third}"
    );
    assert!(!third.contains("metrics at"), "told already: {third}");
    assert_eq!(third.lines().count(), 1);
}
