//! How far the work is: a bar where people watch, plain lines where they do not. Always on standard error.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows a share of the work done, events so far, their rate and the time that is left.
#[derive(Debug)]
pub struct Progress {
    name: &'static str,
    /// What the whole work amounts to, in any unit; `None` if that is not known.
    total: Option<u64>,
    begun: Instant,
    shown: Instant,
    /// On a terminal.
    bar: Option<ProgressBar>,
}

/// What a line says.
#[derive(Debug, Clone, Copy)]
struct Line {
    name: &'static str,
    /// 0 to 1.
    share: Option<f64>,
    events: u64,
    seconds: f64,
}

impl Progress {
    const BAR_EVERY: Duration = Duration::from_millis(100);
    const LINE_EVERY: Duration = Duration::from_secs(5);

    /// Begins. `total` is what `done` will amount to in the end, in any unit.
    #[must_use]
    pub fn new(name: &'static str, total: Option<u64>) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
            let template = if total.is_some() { "{bar:30} {msg}" } else { "{spinner} {msg}" };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Self { name, total, begun: now, shown: now, bar }
    }

    /// Says how far it is; cheap enough to be called for every batch, and shows itself only so often.
    pub fn update(&mut self, done: u64, events: u64) {
        let every = if self.bar.is_some() { Self::BAR_EVERY } else { Self::LINE_EVERY };
        if self.shown.elapsed() < every {
            return;
        }
        self.shown = Instant::now();
        let line = self.line(done, events).to_string();
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(line);
            }
            None => eprintln!("{line}"),
        }
    }

    /// Shows the last line and leaves it.
    pub fn finish(self, events: u64) {
        let line = Line { share: None, ..self.line(0, events) };
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        eprintln!("{line} in {}", clock(line.seconds));
    }

    fn line(&self, done: u64, events: u64) -> Line {
        let share =
            self.total.map(|total| if total == 0 { 1.0 } else { (done as f64 / total as f64).min(1.0) });
        Line { name: self.name, share, events, seconds: self.begun.elapsed().as_secs_f64() }
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.name)?;
        if let Some(share) = self.share {
            write!(f, "{:.0} %, ", share * 100.0)?;
        }
        let rate = if self.seconds > 0.0 { self.events as f64 / self.seconds } else { 0.0 };
        write!(f, "{} events, {}/s", grouped(self.events), grouped(rate as u64))?;
        match self.share {
            Some(share) if share > 0.0 => write!(f, ", {} left", clock(self.seconds * (1.0 - share) / share)),
            _ => Ok(()),
        }
    }
}

/// A whole number with its thousands apart.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Seconds as `12s`, `3m 04s` or `2h 05m`.
fn clock(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{s}s"),
        60..3_600 => format!("{}m {:02}s", s / 60, s % 60),
        _ => format!("{}h {:02}m", s / 3_600, s / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_share_rate_and_time_left() {
        let line = Line { name: "simulate", share: Some(0.25), events: 1_234_567, seconds: 30.0 };
        assert_eq!(line.to_string(), "simulate: 25 %, 1,234,567 events, 41,152/s, 1m 30s left");
        let line = Line { share: None, events: 12, seconds: 7_500.0, ..line };
        assert_eq!(line.to_string(), "simulate: 12 events, 0/s");
        assert_eq!(
            (clock(7_500.0), clock(0.4), grouped(1_000)),
            ("2h 05m".into(), "0s".into(), "1,000".into())
        );
    }
}
