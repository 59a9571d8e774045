//! The lower half: what waits, and who may leave.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use types::Band;

use super::super::text::{UNKNOWN, bar, harmless, percent, short, thousands};
use super::super::{AtRisk, DemoState, Lag};
use super::{Palette, apart, fitted};

/// The narrowest that a partition's lag is drawn: `p12 w3 ██████████ 12.3k`.
const CELL: u16 = 26;

fn columns(width: u16) -> usize {
    usize::from(width / CELL).max(1)
}

/// How many rows the partitions take, at most `most`.
pub(super) fn lag_rows(state: &DemoState, width: u16, most: u16) -> u16 {
    u16::try_from(state.lag.len().div_ceil(columns(width))).unwrap_or(most).clamp(1, most)
}

pub(super) fn lag(frame: &mut Frame<'_>, state: &DemoState, palette: Palette, area: Rect) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let places = columns(body.width) * usize::from(body.height);
    let mut shown: Vec<Lag> = state.lag.clone();
    let hidden = shown.len().saturating_sub(places);
    if hidden > 0 {
        // What matters most is what is not known, then what waits longest.
        shown.sort_by_key(|lag| std::cmp::Reverse(lag.events.unwrap_or(u64::MAX)));
        shown.truncate(places);
        shown.sort_by_key(|lag| lag.partition);
    }
    let mut heading = vec![];
    if let Some(seconds) = state.lag_seconds {
        heading.push(format!("the oldest event waits {seconds:.1} s"));
    } else if !state.lag.is_empty() {
        heading.push(format!("the oldest event waits: {UNKNOWN}"));
    }
    if hidden > 0 {
        heading.push(format!("{hidden} with less not shown"));
    }
    let heading = Span::styled(heading.join(", "), palette.quiet);
    frame.render_widget(apart(Span::styled("Lag by partition", palette.title), heading, title.width), title);
    if shown.is_empty() {
        frame.render_widget(Line::styled("nothing is being consumed yet", palette.quiet), body);
        return;
    }

    // One scale for all, so that the bars can be compared; a thousand events are never a full bar.
    let most = shown.iter().filter_map(|lag| lag.events).max().unwrap_or(0).max(1_000);
    let columns = columns(body.width);
    let rows = usize::from(body.height).min(shown.len().div_ceil(columns)).max(1);
    let width = usize::from(body.width) / columns;
    for (at, lag) in shown.iter().enumerate() {
        let (column, row) = (at / rows, at % rows);
        let x = body.x + u16::try_from(column * width).unwrap_or(0);
        let y = body.y + u16::try_from(row).unwrap_or(0);
        // Two cells between columns.
        let cell = Rect { x, y, width: u16::try_from(width.saturating_sub(2)).unwrap_or(0), height: 1 };
        frame.render_widget(lag_line(*lag, most, palette, cell.width), cell);
    }
}

fn lag_line(lag: Lag, most: u64, palette: Palette, width: u16) -> Line<'static> {
    let worker = lag.worker.map_or_else(|| "--".to_owned(), |w| format!("w{w}"));
    let label = Span::raw(format!("p{:<3}", lag.partition));
    let worker = Span::styled(format!("{worker:<3} "), palette.quiet);
    let Some(events) = lag.events else {
        return Line::from(vec![label, worker, Span::styled(UNKNOWN, palette.alert)]);
    };
    let number = short(events);
    let room = usize::from(width).saturating_sub(label.width() + worker.width() + 7);
    let bar = bar(events as f64 / most as f64, room);
    let gap = " ".repeat(room + 7 - bar.chars().count() - number.len());
    Line::from(vec![label, worker, Span::styled(bar, palette.bar), Span::raw(gap + &number)])
}

pub(super) fn at_risk(frame: &mut Frame<'_>, state: &DemoState, palette: Palette, area: Rect) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    frame.render_widget(Line::styled("Most at risk", palette.title), title);
    if state.at_risk.is_empty() {
        frame.render_widget(Line::styled("no scores yet", palette.quiet), body);
        return;
    }
    let names: Vec<String> = state.at_risk.iter().map(|user| fitted(&harmless(&user.user), 16)).collect();
    let name_width = names.iter().map(|name| Span::raw(name).width()).max().unwrap_or(0);
    // The last row stays empty, as a line between this and the totals.
    for (row, (user, name)) in
        body.rows().zip(state.at_risk.iter().zip(names)).take(usize::from(body.height).saturating_sub(1))
    {
        frame.render_widget(risk_line(user, name, name_width, palette, row.width), row);
    }
}

fn risk_line(user: &AtRisk, name: String, name_width: usize, palette: Palette, width: u16) -> Line<'static> {
    const BAR: usize = 8;
    let pad = " ".repeat(name_width - Span::raw(&name).width());
    let style = if user.band == Band::High { palette.alert } else { palette.bar };
    let bar = bar(f64::from(user.probability), BAR);
    let rest = " ".repeat(BAR - bar.chars().count());
    let number = format!(" {:>5}  ", percent(f64::from(user.probability)));
    let room = usize::from(width).saturating_sub(name_width + 2 + BAR + number.len());
    let why = fitted(&harmless(&user.reasons.join("; ")), room);
    Line::from(vec![
        Span::raw(name + &pad + "  "),
        Span::styled(bar, style),
        Span::raw(rest + &number),
        Span::styled(why, palette.quiet),
    ])
}

pub(super) fn totals(state: &DemoState, palette: Palette, width: u16) -> Line<'static> {
    let mut parts = vec![format!("{} events", thousands(state.events))];
    if let Some(users) = state.users {
        parts.push(format!("{} users", thousands(users)));
    }
    parts.push(format!("{} scores", thousands(state.scores)));
    if state.rejected > 0 {
        parts.push(format!("{} rejected", thousands(state.rejected)));
    }
    let (totals, mut right) = (parts.join(", "), "Ctrl-C stops".to_owned());
    if let Some(metrics) = &state.metrics {
        let both = format!("{metrics}   {right}");
        // Where it does not fit, the totals are worth more.
        if totals.len() + both.len() + 3 <= usize::from(width) {
            right = both;
        }
    }
    apart(Span::raw(totals), Span::styled(right, palette.quiet), width)
}
