//! What a task measures as it works: counted locally, published once a batch.

use std::time::{Instant, SystemTime};

use telemetry::{Histogram, LocalHistogram, Metrics, catalogue};
use types::{EventTime, Millis};

/// The stages of a batch, in the order in which they follow each other.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stage {
    /// Reading from the log.
    Read,
    /// Decoding, windows, feature vectors.
    Features,
    /// Trees, calibration, and writing the scores to the output's buffer.
    Score,
    /// Handing changed state to the store's background writer.
    State,
}

/// A partition's measurements.
pub(crate) struct Measures {
    stages: [LocalHistogram; 4],
    event_to_score: LocalHistogram,
    probability: LocalHistogram,
    commit: Histogram,
    /// When the records arrived whose scores are not visible yet; the first ones since the last commit, which wait longest.
    waiting: Vec<EventTime>,
}

/// Of how many records between two commits the way to the score is measured.
const WATCHED: usize = 4096;

/// Older records are history being replayed: how long ago they arrived says nothing of this process.
const LIVE: Millis = Millis::HOUR;

impl Measures {
    pub(crate) fn new(metrics: &Metrics) -> Self {
        let stage = |name| metrics.histogram(catalogue::STAGE_DURATION, [name]).local();
        Self {
            stages: ["read", "features", "score", "state"].map(stage),
            event_to_score: metrics.histogram(catalogue::EVENT_TO_SCORE, []).local(),
            probability: metrics.histogram(catalogue::SCORE_PROBABILITY, []).local(),
            commit: metrics.histogram(catalogue::COMMIT_DURATION, []),
            waiting: Vec::with_capacity(WATCHED),
        }
    }

    /// A stage that began at `begun` has ended.
    pub(crate) fn stage(&mut self, stage: Stage, begun: Instant) {
        self.stages[stage as usize].observe(begun.elapsed().as_secs_f64());
    }

    pub(crate) fn probability(&mut self, probability: f32) {
        self.probability.observe(f64::from(probability));
    }

    /// The records that arrived at these moments are scored; readers see it once that is committed.
    pub(crate) fn scored(&mut self, arrivals: impl Iterator<Item = EventTime>) {
        let room = WATCHED - self.waiting.len();
        self.waiting.extend(arrivals.take(room));
    }

    /// What was scored is synced: readers see it.
    pub(crate) fn visible(&mut self) {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now = EventTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
        for arrival in self.waiting.drain(..).filter(|arrival| *arrival > now.minus(LIVE) && *arrival <= now)
        {
            self.event_to_score.observe(now.since(arrival).0 as f64 / 1_000.0);
        }
        self.event_to_score.flush();
    }

    /// A commit that began at `begun` has ended.
    pub(crate) fn commit(&self, begun: Instant) {
        self.commit.observe_duration(begun.elapsed());
    }

    pub(crate) fn flush(&mut self) {
        self.stages.iter_mut().for_each(LocalHistogram::flush);
        self.probability.flush();
    }
}
