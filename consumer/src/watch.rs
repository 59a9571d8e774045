//! Whether the users of the newest sweep are still those of the champion's training, what quality to expect of it, and what revenue is at
//! risk: counted while a sweep is scored, compared by the supervisor once the sweep has ended everywhere.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use scorer::drift::{Counts, expected};
use scorer::{Baseline, Bundle, Schedule};
use telemetry::{Metrics, catalogue};
use types::{EventTime, PartitionId};

use crate::drifted::show_drift;
use crate::pipeline::Row;
use crate::prices::Prices;
use crate::stats::PartitionStats;
use crate::swept::{Swept, SweptFile};

/// About so many users of a partition's sweep are counted; of more, one in so many. That tells drift well enough, and bounds
/// what a sweep spends on it.
const COUNTED: u64 = 16_384;

/// What a partition's sweep saw.
#[derive(Debug)]
pub(crate) struct SweepSeen {
    pub(crate) as_of: EventTime,
    pub(crate) bundle: Arc<Bundle>,
    /// Of each of the bundle's baselines.
    pub(crate) counts: Vec<Counts>,
    pub(crate) probabilities: Vec<f32>,
    /// Users whose old events are kept in panes.
    pub(crate) approximate: u64,
    /// Probability times price times the model's horizon, summed over all users, for each currency of the prices.
    pub(crate) at_risk: Vec<f64>,
}

/// Counts what a partition's sweeps see.
pub(crate) struct SweepCounter {
    schedule: Arc<Schedule>,
    prices: Option<Arc<Prices>>,
    /// The sweep under way, and where rows hold what the baselines are of: none for the probability.
    seen: Option<(SweepSeen, Vec<Option<usize>>)>,
    /// Users of the sweep under way, and of the one before.
    users: u64,
    users_before: u64,
    /// The sweep under way was begun by an earlier process, which saw its first users.
    resumed: bool,
    /// Where the newest is kept for a restart, and what is to be: with the next commit.
    file: SweptFile,
    to_keep: Option<Option<Swept>>,
}

impl SweepCounter {
    pub(crate) fn new(
        schedule: Arc<Schedule>,
        prices: Option<Arc<Prices>>,
        store: &Path,
        partition: PartitionId,
    ) -> Self {
        let file = SweptFile::new(store, partition, prices.as_ref().map(|prices| prices.fingerprint()));
        Self { schedule, prices, seen: None, users: 0, users_before: 0, resumed: false, file, to_keep: None }
    }

    /// Shows what the newest sweep before a commit saw, for whoever goes on from that commit; with `ours` false another process may have
    /// swept since, and it is forgotten.
    pub(crate) fn restore(&self, stats: &PartitionStats, ours: bool) {
        if !ours {
            return self.file.keep(None);
        }
        if let Some(((customers, seen), is_all)) = self.file.load(&self.schedule) {
            stats.restore_sweep(customers, is_all.then_some(seen));
        }
    }

    /// Goes on with a schedule that was extended.
    pub(crate) fn reschedule(&mut self, schedule: Arc<Schedule>) {
        self.schedule = schedule;
    }

    /// The sweep under way goes on where an earlier process stopped.
    pub(crate) fn resume(&mut self) {
        self.resumed = true;
    }

    /// A user of the sweep under way, with the champion's probability. O(features x log bins); for most users of a large partition O(prices)
    /// only.
    pub(crate) fn row(&mut self, row: &Row<'_>, probability: f32) {
        let (seen, columns) =
            self.seen.get_or_insert_with(|| begin(&self.schedule, self.prices.as_deref(), row.as_of));
        seen.approximate += u64::from(row.approximate);
        if let Some(prices) = &self.prices
            && let Some((price, currency)) = prices.of(row.features)
        {
            let horizon = seen.bundle.manifest().horizon;
            seen.at_risk[currency] += f64::from(probability) * price * prices.periods(horizon);
        }
        let one_in = 1 + self.users_before / COUNTED;
        self.users += 1;
        if !self.users.is_multiple_of(one_in) {
            return;
        }
        seen.probabilities.push(probability);
        for ((baseline, counts), column) in
            seen.bundle.manifest().baselines.iter().zip(&mut seen.counts).zip(columns)
        {
            counts.add(baseline, column.map_or(probability, |column| row.features[column]));
        }
    }

    /// The sweep is complete: what it saw is shown, if it was seen whole.
    pub(crate) fn end(&mut self, stats: &PartitionStats) {
        self.users_before = std::mem::take(&mut self.users);
        let seen = self.seen.take().map(|(seen, _)| Arc::new(seen));
        let seen = (!std::mem::take(&mut self.resumed)).then_some(seen);
        stats.end_sweep(seen.clone());
        self.to_keep = Some(seen.map(|seen| (stats.snapshot().customers, seen)));
    }

    /// Keeps what the newest complete sweep saw, before the commit that covers it: once a commit, however many sweeps that has.
    pub(crate) fn keep(&mut self) {
        if let Some(swept) = self.to_keep.take() {
            self.file.keep(swept);
        }
    }
}

/// What a partition's last complete sweep saw (nothing if there was nobody); `None` before the first. Locked once a sweep, and when looked at.
#[derive(Debug, Default)]
pub(crate) struct LastSweep(Mutex<Option<Option<Arc<SweepSeen>>>>);

impl LastSweep {
    pub(crate) fn set(&self, seen: Option<Option<Arc<SweepSeen>>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    pub(crate) fn get(&self) -> Option<Option<Arc<SweepSeen>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn begin(schedule: &Schedule, prices: Option<&Prices>, as_of: EventTime) -> (SweepSeen, Vec<Option<usize>>) {
    let bundle = Arc::clone(schedule.champion(as_of));
    let baselines = &bundle.manifest().baselines;
    let column = |baseline: &Baseline| bundle.feature_names().iter().position(|n| *n == baseline.feature);
    let columns = baselines.iter().map(column).collect();
    let counts = baselines.iter().map(Counts::new).collect();
    let at_risk = vec![0.0; prices.map_or(0, |prices| prices.currencies().len())];
    (SweepSeen { as_of, counts, probabilities: Vec::new(), approximate: 0, at_risk, bundle }, columns)
}

/// Shows as metrics what the newest complete sweep saw.
pub(crate) struct SweepGauges {
    metrics: Metrics,
    prices: Option<Arc<Prices>>,
    /// What was shown last: a partition's sweep is known by its address.
    shown: Vec<Option<Arc<SweepSeen>>>,
    /// The features that were shown.
    features: BTreeSet<String>,
}

impl SweepGauges {
    pub(crate) fn new(metrics: &Metrics, prices: Option<Arc<Prices>>) -> Self {
        Self { metrics: metrics.clone(), prices, shown: Vec::new(), features: BTreeSet::new() }
    }

    /// Looks at the newest sweeps of the partitions that this process has. While a sweep is under way, what the one before saw
    /// stays. O(features) for a sweep that is shown already.
    pub(crate) fn look(&mut self, stats: &[Arc<PartitionStats>]) {
        let owned = stats.iter().filter(|stats| stats.is_owned());
        let newest = owned.map(|stats| stats.swept_seen()).collect::<Option<Vec<_>>>();
        let Some(newest) = newest.filter(|newest| !newest.is_empty()) else {
            return self.forget();
        };
        let same = |a: &Option<Arc<SweepSeen>>, b: &Option<Arc<SweepSeen>>| {
            a.as_ref().map(Arc::as_ptr) == b.as_ref().map(Arc::as_ptr)
        };
        let is_shown =
            newest.len() == self.shown.len() && newest.iter().zip(&self.shown).all(|(a, b)| same(a, b));
        if is_shown {
            return;
        }
        let mut parts = newest.iter().flatten();
        let Some(first) = parts.next() else {
            // All were swept, and nobody was there.
            let nothing = vec![0.0; self.prices.as_ref().map_or(0, |prices| prices.currencies().len())];
            self.show_sums(0, &nothing);
            self.shown = newest;
            return;
        };
        if parts.any(|part| part.as_of != first.as_of || part.bundle.hash() != first.bundle.hash()) {
            return;
        }
        self.show(first, newest.iter().flatten());
        self.shown = newest;
    }

    fn show_sums(&self, approximate: u64, at_risk: &[f64]) {
        self.metrics.gauge(catalogue::USERS_APPROXIMATE, []).set(approximate as f64);
        let currencies = self.prices.iter().flat_map(|prices| prices.currencies());
        for (currency, at_risk) in currencies.zip(at_risk) {
            self.metrics.gauge(catalogue::REVENUE_AT_RISK, [currency]).set(*at_risk);
        }
    }

    /// Sums over users are not known as long as a partition was not swept here, and elsewhere somebody else may count its users.
    fn forget(&mut self) {
        if std::mem::take(&mut self.shown).is_empty() {
            return;
        }
        self.metrics.gauge(catalogue::USERS_APPROXIMATE, []).unset();
        for currency in self.prices.iter().flat_map(|prices| prices.currencies()) {
            self.metrics.gauge(catalogue::REVENUE_AT_RISK, [currency]).unset();
        }
    }

    fn show<'a>(&mut self, first: &SweepSeen, parts: impl Iterator<Item = &'a Arc<SweepSeen>>) {
        let baselines = &first.bundle.manifest().baselines;
        let mut counts: Vec<Counts> = baselines.iter().map(Counts::new).collect();
        let (mut probabilities, mut approximate) = (Vec::new(), 0);
        let mut at_risk = vec![0.0; first.at_risk.len()];
        for part in parts {
            approximate += part.approximate;
            at_risk.iter_mut().zip(&part.at_risk).for_each(|(sum, part)| *sum += part);
            counts.iter_mut().zip(&part.counts).for_each(|(sum, part)| sum.merge(part));
            probabilities.extend_from_slice(&part.probabilities);
        }
        self.show_sums(approximate, &at_risk);
        let before = std::mem::take(&mut self.features);
        for (baseline, counts) in baselines.iter().zip(&counts) {
            show_drift(&self.metrics, &baseline.feature, counts.drift(baseline).ok().as_ref());
            self.features.insert(baseline.feature.clone());
        }
        for gone in before.difference(&self.features) {
            show_drift(&self.metrics, gone, None);
        }
        let enough = probabilities.len() as u64 >= scorer::drift::MIN_ROWS;
        let expected = enough.then(|| expected(&probabilities)).flatten();
        for (metric, value) in [
            ("auc", expected.map(|expected| expected.auc)),
            ("brier", expected.map(|expected| expected.brier)),
            ("loss_rate", expected.map(|expected| expected.loss_rate)),
        ] {
            self.metrics.gauge(catalogue::MODEL_QUALITY, [metric, "expected"]).set_known(value);
        }
    }
}
