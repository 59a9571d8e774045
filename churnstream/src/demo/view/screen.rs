//! The full screen: a pure picture of a [`DemoState`].
//!
//! ```text
//! churnstream demo                         3 of 4: streaming new days    0:42
//! ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━────────────────────  62 %, about 25 s left
//!
//! Throughput                              Workers
//! Lag by partition
//! Most at risk
//! totals
//! ```
//!
//! Colours are the terminal's own, few of them, and none carries a meaning alone, so that it reads on dark and on light
//! ground and without colours.

mod bottom;
mod top;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};

use super::text::{age, clock, percent};
use super::{DemoState, PlainView};

/// The styles of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    title: Style,
    quiet: Style,
    bar: Style,
    alert: Style,
}

impl Palette {
    /// The terminal's own colours.
    #[must_use]
    pub const fn coloured() -> Self {
        Self { bar: Style::new().fg(Color::Cyan), alert: Style::new().fg(Color::Red), ..Self::plain() }
    }

    /// No colours; what matters is bold.
    #[must_use]
    pub const fn plain() -> Self {
        Self {
            title: Style::new().add_modifier(Modifier::BOLD),
            quiet: Style::new().add_modifier(Modifier::DIM),
            bar: Style::new(),
            alert: Style::new().add_modifier(Modifier::BOLD),
        }
    }

    /// Colours, unless `NO_COLOR` is set.
    #[must_use]
    pub fn from_env() -> Self {
        if std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) {
            Self::plain()
        } else {
            Self::coloured()
        }
    }
}

/// Less than this cannot hold the screen; what would be a plain line is shown instead.
const LEAST: (u16, u16) = (60, 18);

/// Draws the state over the whole frame, made for 80 x 24 cells and more.
pub fn draw(frame: &mut Frame<'_>, state: &DemoState, palette: Palette) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        frame.render_widget(Paragraph::new(PlainView::line(state)).wrap(Wrap { trim: true }), area);
        return;
    }
    let inner = Rect { x: area.x + 1, width: area.width - 2, ..area };
    let tall = area.height >= 32;
    let lag_rows = bottom::lag_rows(state, inner.width, if tall { 8 } else { 4 });
    let [title, progress, _, top, _, lag, _, risk, totals] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(if tall { 9 } else { 6 }),
        Constraint::Length(1),
        Constraint::Length(1 + lag_rows),
        Constraint::Length(1),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(inner);
    frame.render_widget(title_line(state, palette, title.width), title);
    frame.render_widget(progress_line(state, palette, progress.width), progress);
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)]).areas(top);
    top::throughput(frame, state, palette, left);
    top::workers(frame, state, palette, right);
    bottom::lag(frame, state, palette, lag);
    bottom::at_risk(frame, state, palette, risk);
    frame.render_widget(bottom::totals(state, palette, totals.width), totals);
}

fn title_line(state: &DemoState, palette: Palette, width: u16) -> Line<'static> {
    let phase = &state.phase;
    let right = format!("{} of {}: {}   {}", phase.number, phase.of, phase.name, clock(state.elapsed));
    apart(Span::styled("churnstream demo", palette.title), Span::raw(right), width)
}

fn progress_line(state: &DemoState, palette: Palette, width: u16) -> Line<'static> {
    let mut text = state.phase.progress.map_or_else(String::new, percent);
    if let Some(eta) = state.phase.eta {
        text += &format!(", about {} left", age(eta));
    }
    let room = usize::from(width).saturating_sub(text.chars().count() + 2);
    let done = state.phase.progress.map_or(0, |p| (p.clamp(0.0, 1.0) * room as f64).floor() as usize);
    Line::from(vec![
        Span::styled("━".repeat(done), palette.bar),
        Span::styled("─".repeat(room - done), palette.quiet),
        Span::raw(format!("  {text}")),
    ])
}

/// One thing at the left end and one at the right.
fn apart(left: Span<'static>, right: Span<'static>, width: u16) -> Line<'static> {
    let room = usize::from(width).saturating_sub(left.width() + right.width()).max(1);
    Line::from(vec![left, Span::raw(" ".repeat(room)), right])
}

/// The text, ended by `…` where it would be wider than `width` cells.
fn fitted(text: &str, width: usize) -> String {
    if Span::raw(text).width() <= width {
        return text.to_owned();
    }
    let mut short = text.to_owned();
    while Span::raw(&short).width() + 1 > width && short.pop().is_some() {}
    short.truncate(short.trim_end().len());
    short.push('…');
    short
}

#[cfg(test)]
mod tests;
