//! From the items of a source to the sink, at their pace.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use telemetry::Shutdown;
use types::{EventTime, RejectReason};

use super::feed::{Body, Item};
use super::run::{ImportError, ImportOptions};
use super::summary::{Behind, Entities, RejectedRow, Summary};
use crate::progress::Progress;
use crate::rate::Pacer;
use crate::sink::EventSink;

/// Hands items to the sink, at their pace.
pub(super) struct Delivery<'a> {
    pub(super) sink: EventSink,
    pub(super) pacer: Pacer,
    pub(super) shutdown: &'a Shutdown,
    pub(super) progress: Option<Progress>,
    pub(super) read: Arc<AtomicU64>,
    pub(super) entities: Entities,
    pub(super) events: u64,
    pub(super) span: Option<(EventTime, EventTime)>,
    pub(super) not_after: EventTime,
    /// The files' names.
    pub(super) files: Vec<String>,
    pub(super) position: Vec<u8>,
    pub(super) first_rejected: BTreeMap<RejectReason, RejectedRow>,
    /// The newest tick that the log held before; what is written and older than the moment beside it may come too late.
    pub(super) newest: Option<(EventTime, EventTime)>,
    pub(super) behind: Option<Behind>,
}

impl Delivery<'_> {
    /// `false` if it was asked to stop before the item.
    pub(super) fn deliver(&mut self, item: &Item<'_>) -> Result<bool, ImportError> {
        if self.sink.batch_ends_before(item.arrival) {
            if self.shutdown.is_requested() {
                return Ok(false);
            }
            if let Some(progress) = &mut self.progress {
                progress.update(self.read.load(Ordering::Relaxed), self.events);
            }
        }
        self.position.clear();
        item.write_position(&mut self.position);
        let (arrival, file) = (item.arrival, item.file);
        match item.body {
            Body::Event { ts, key, value } => {
                if self.sink.append_encoded((key, value), ts, arrival, file, &self.position)? {
                    self.pacer.wait(arrival, self.shutdown);
                    self.see_behind(ts);
                }
                self.events += 1;
                self.entities.see(key);
                if ts <= self.not_after {
                    let (first, last) = self.span.get_or_insert((ts, ts));
                    *first = ts.min(*first);
                    *last = ts.max(*last);
                }
            }
            Body::Reject { reason, detail, original } => {
                self.first_rejected.entry(reason).or_insert_with(|| RejectedRow {
                    file: self.files[file].clone(),
                    line: item.line,
                    detail: detail.to_owned(),
                });
                self.sink.append_reject(original, (reason, detail), arrival, file, &self.position)?;
            }
        }
        Ok(true)
    }

    fn see_behind(&mut self, ts: EventTime) {
        if let Some((tick, _)) = self.newest.filter(|(_, due)| ts < *due && ts.is_possible()) {
            let (ts, tick) = (ts.0, tick.0);
            let behind = self.behind.get_or_insert(Behind { events: 0, first_ts: ts, last_ts: ts, tick });
            behind.events += 1;
            behind.first_ts = behind.first_ts.min(ts);
            behind.last_ts = behind.last_ts.max(ts);
        }
    }

    pub(super) fn finish(
        mut self,
        whole: bool,
        options: &ImportOptions,
        summary: impl FnOnce(&mut Self, crate::sink::SinkTotals) -> Summary,
    ) -> Result<Summary, ImportError> {
        if let Some((_, last)) = self.span.filter(|_| whole) {
            // The files end here: ticks up to the last event need no grace.
            self.sink.flush_ticks_until(options.ticks.due(last))?;
        }
        if let Some(progress) = self.progress.take() {
            progress.finish(self.events);
        }
        let totals = self.sink.totals();
        let summary = summary(&mut self, totals);
        self.sink.finish(whole)?;
        Ok(summary)
    }
}
