//! How fast records are processed.

use std::collections::VecDeque;
use std::time::Duration;

/// A rate over the last few seconds.
#[derive(Default)]
pub(super) struct Rate {
    seen: VecDeque<(Duration, u64)>,
}

impl Rate {
    const WINDOW: usize = 5;

    /// A second, by how many there were in all at a moment.
    pub(super) fn over(&mut self, at: Duration, count: u64) -> f64 {
        self.seen.push_back((at, count));
        if self.seen.len() > Self::WINDOW {
            self.seen.pop_front();
        }
        let Some(&(from, before)) = self.seen.front() else { return 0.0 };
        let seconds = at.saturating_sub(from).as_secs_f64();
        if seconds > 0.0 { (count - before) as f64 / seconds } else { 0.0 }
    }
}
