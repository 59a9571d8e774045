//! Lines for logs and pipes.

use std::time::Duration;

use super::text::{UNKNOWN, age, age_or_unknown, clock, harmless, percent, short, thousands, whole};
use super::{DemoState, LastDecision};

/// Writes a line now and then, where there is no terminal to draw on.
#[derive(Debug, Clone)]
pub struct PlainView {
    every: Duration,
    last: Option<(Duration, u32)>,
    /// The words of the decision that a line has told of.
    told: String,
    /// Where it has said that metrics are.
    told_metrics: Option<String>,
}

impl PlainView {
    /// One line each `every`, and one at the beginning of each phase.
    #[must_use]
    pub fn new(every: Duration) -> Self {
        Self { every, last: None, told: String::new(), told_metrics: None }
    }

    /// The line that is due, if one is; without its line end.
    pub fn next_line(&mut self, state: &DemoState) -> Option<String> {
        let due = self.last.is_none_or(|(at, phase)| {
            phase != state.phase.number || state.elapsed.saturating_sub(at) >= self.every
        });
        if !due {
            return None;
        }
        self.last = Some((state.elapsed, state.phase.number));
        let mut line = Self::line(state);
        if let Some(LastDecision { ago, words }) = &state.decision
            && *words != self.told
        {
            line += &format!(" | {} ({} ago)", harmless(words), age(*ago));
            self.told.clone_from(words);
        }
        if state.metrics != self.told_metrics {
            if let Some(metrics) = &state.metrics {
                line += &format!(" | metrics at {metrics}");
            }
            self.told_metrics.clone_from(&state.metrics);
        }
        Some(line)
    }

    /// The state in one line, without its line end, without the last decision and where metrics are.
    #[must_use]
    pub fn line(state: &DemoState) -> String {
        let mut parts = vec![phase(state)];
        if let Some(rate) = state.events_per_second {
            parts.push(format!("{} events/s", whole(rate)));
        }
        if !state.lag.is_empty() {
            let events = state.lag.iter().try_fold(0_u64, |sum, lag| Some(sum.saturating_add(lag.events?)));
            let seconds = state.lag_seconds.map_or_else(|| UNKNOWN.to_owned(), |s| format!("{s:.1} s"));
            let each: Vec<_> = state
                .lag
                .iter()
                .map(|lag| {
                    format!("p{} {}", lag.partition, lag.events.map_or_else(|| UNKNOWN.to_owned(), short))
                })
                .collect();
            parts.push(format!(
                "lag {} events ({}), {seconds}",
                events.map_or_else(|| UNKNOWN.to_owned(), thousands),
                each.join(", ")
            ));
        }
        if state.workers_max > 0 {
            let workers = state.workers.map_or_else(|| UNKNOWN.to_owned(), |n| n.to_string());
            parts.push(format!("workers {workers} of {}", state.workers_max));
            let (commit, snapshot) = (age_or_unknown(state.commit_age), age_or_unknown(state.snapshot_age));
            parts.push(format!("commit age {commit}, snapshot age {snapshot}"));
        }
        if state.events > 0 {
            parts.push(format!(
                "{} events, {} scores so far",
                thousands(state.events),
                thousands(state.scores)
            ));
        }
        if let Some(user) = state.at_risk.first() {
            let why =
                user.reasons.first().map(|reason| format!(" ({})", harmless(reason))).unwrap_or_default();
            let probability = percent(f64::from(user.probability));
            parts.push(format!("most at risk {} {probability}{why}", harmless(&user.user)));
        }
        parts.join(" | ")
    }
}

fn phase(state: &DemoState) -> String {
    let phase = &state.phase;
    let mut text = format!("[{}] {}/{} {}", clock(state.elapsed), phase.number, phase.of, phase.name);
    if let Some(progress) = phase.progress {
        text += &format!(" {}", percent(progress));
    }
    if let Some(eta) = phase.eta {
        text += &format!(", about {} left", age(eta));
    }
    text
}
