//! What the consumer's tests share: a stream with everything in it that streams have, models, and ways to compare.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test uses its part, and all are tests"
)]

pub(crate) mod compare;
pub(crate) mod foreign;
pub(crate) mod model;
pub(crate) mod random;
pub(crate) mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consumer::{ConsumerOptions, Scaling, Workers};
use feature_store::{Spec, StoreOptions};
use scorer::{Bundle, Registry};
use types::EventTime;

use random::Random;
use stream::{BEGIN, DAY};

/// The topic of events.
pub(crate) const EVENTS: &str = "events";

/// Every operation, windows from an hour to 90 days and `all`, and a small cap so that busy users are compacted.
const SPEC: &str = include_str!("spec.toml");

/// The seed of this run: the environment's `CHURNSTREAM_SEED`, or one that stays the same. Printed, for the failing test's output.
pub(crate) fn seed() -> u64 {
    let seed =
        std::env::var("CHURNSTREAM_SEED").map_or(20_231_114, |text| text.parse().expect("a whole number"));
    println!("CHURNSTREAM_SEED={seed}");
    seed
}

/// Whether the long form of the proofs is asked for.
pub(crate) fn soak() -> bool {
    std::env::var("CHURNSTREAM_SOAK").is_ok_and(|form| form == "full")
}

/// After how long a group of a test goes on without a process. Brokers refuse less than six seconds unless they were told otherwise, as
/// those are that the tests start.
pub(crate) fn session() -> Duration {
    let own = std::env::var("CHURNSTREAM_TEST_KAFKA").is_ok_and(|brokers| !brokers.is_empty());
    Duration::from_secs(if own { 7 } else { 3 })
}

/// A spec and three models, in files.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) spec: Arc<Spec>,
    first: Bundle,
    second: Bundle,
    challenger: Bundle,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_spec(seed, SPEC)
    }

    /// The same with the usual cap on a user's events, and no window beyond a week: what is stored of a user stops growing.
    pub(crate) fn with_short_windows(seed: u64) -> Self {
        let spec = SPEC.replace("event_cap", "# event_cap").replace("90d", "5d").replace("30d", "2d");
        Self::with_spec(seed, &spec)
    }

    fn with_spec(seed: u64, spec: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spec.toml");
        std::fs::write(&path, spec).unwrap();
        let spec = Arc::new(Spec::load(&path).unwrap());
        let mut random = Random::new(seed ^ 0x00b0_0573);
        let mut bundle = |name: &str| model::write(&dir.path().join(name), &spec, &mut random);
        let (first, second, challenger) = (bundle("first"), bundle("second"), bundle("challenger"));
        Self { dir, spec, first, second, challenger }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn spec_path(&self) -> PathBuf {
        self.dir.path().join("spec.toml")
    }

    /// A registry in which the first model is the champion, and another challenges it from the third day on.
    pub(crate) fn registry(&self, name: &str) -> Registry {
        let registry = Registry::open(&self.registry_path(name)).unwrap();
        registry.promote(&self.first, BEGIN).unwrap();
        registry.challenge(&self.challenger, EventTime(BEGIN.0 + 3 * DAY)).unwrap();
        registry
    }

    pub(crate) fn registry_path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes the second model the champion from a day on.
    pub(crate) fn promote(&self, registry: &Registry, day: i64) {
        registry.promote(&self.second, EventTime(BEGIN.0 + day * DAY)).unwrap();
    }

    /// Options of a consumer that runs to the end and keeps its state in a folder of that name.
    pub(crate) fn options(&self, name: &str, registry: &str) -> ConsumerOptions {
        ConsumerOptions {
            topic: EVENTS.to_owned(),
            group: None,
            session_timeout: Duration::from_secs(10),
            store: self.dir.path().join(name),
            model: self.registry_path(registry),
            features: self.spec_path(),
            workers: Workers::Fixed(1),
            until_end: true,
            commit_interval: Duration::from_millis(50),
            tick_idle: Duration::from_secs(60),
            batch_events: 10_000,
            reasons: consumer::pipeline::Reasons::Risen,
            prices: None,
            without_beginning: false,
            state: StoreOptions::default(),
            http: None,
            scaling: Scaling::default(),
        }
    }
}
