//! The bar that shows how far long work is.

use std::time::Duration;

use backtest::RowSummary;
use indicatif::{ProgressBar, ProgressStyle};

/// Says what a replay could not use, and what its files name that no event has.
pub(crate) fn tell(summary: &RowSummary) {
    for said in summary.rejected_in_words().iter().chain(&summary.unheard) {
        eprintln!("mind: {}", telemetry::plain(said));
    }
}

/// A bar on standard error; nothing is shown where that is no terminal.
pub(crate) fn bar(length: u64, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {per_sec} ETA {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(length).with_style(style);
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
