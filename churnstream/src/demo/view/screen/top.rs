//! The upper half: how fast it goes, and who does it.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline, Wrap};

use super::super::text::{UNKNOWN, age, age_or_unknown, harmless, whole};
use super::super::{DemoState, LastDecision};
use super::Palette;

pub(super) fn throughput(frame: &mut Frame<'_>, state: &DemoState, palette: Palette, area: Rect) {
    let [title, now, curve, at] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Line::styled("Throughput", palette.title), title);
    let rate =
        state.events_per_second.map_or_else(|| UNKNOWN.to_owned(), |r| format!("{} events/s", whole(r)));
    frame.render_widget(Line::raw(rate), now);
    let newest = state.throughput.len().saturating_sub(usize::from(curve.width));
    frame.render_widget(Sparkline::default().data(&state.throughput[newest..]).style(palette.bar), curve);
    if let Some(moment) = &state.stream_at {
        frame.render_widget(Line::styled(format!("stream is at {}", harmless(moment)), palette.quiet), at);
    }
}

pub(super) fn workers(frame: &mut Frame<'_>, state: &DemoState, palette: Palette, area: Rect) {
    let [title, count, decision, ages] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Line::styled("Workers", palette.title), title);
    if state.workers_max == 0 {
        frame.render_widget(Line::styled("no pool is running in this phase", palette.quiet), count);
        return;
    }
    frame.render_widget(count_line(state, palette), count);
    let said = match &state.decision {
        None => Line::styled("the autoscaler has changed nothing yet", palette.quiet),
        Some(LastDecision { ago, words }) => Line::from(vec![
            Span::styled(format!("{} ago: ", age(*ago)), palette.quiet),
            Span::raw(harmless(words)),
        ]),
    };
    frame.render_widget(Paragraph::new(said).wrap(Wrap { trim: true }), decision);
    let (commit, snapshot) = (age_or_unknown(state.commit_age), age_or_unknown(state.snapshot_age));
    frame.render_widget(
        Line::styled(format!("commit age {commit}, snapshot age {snapshot}"), palette.quiet),
        ages,
    );
}

fn count_line(state: &DemoState, palette: Palette) -> Line<'static> {
    /// More than this many are not drawn one by one.
    const DRAWN: u32 = 12;
    let Some(workers) = state.workers else { return Line::raw(UNKNOWN) };
    let mut spans = vec![Span::raw(format!("{workers} of {}", state.workers_max))];
    if let Some(desired) = state.workers_desired.filter(|desired| *desired != workers) {
        spans.push(Span::raw(format!(", {desired} wanted")));
    }
    if state.workers_max <= DRAWN {
        let there = workers.min(state.workers_max) as usize;
        spans.push(Span::styled(format!("  {}", "■ ".repeat(there)), palette.bar));
        spans.push(Span::styled("□ ".repeat(state.workers_max as usize - there), palette.quiet));
    }
    Line::from(spans)
}
