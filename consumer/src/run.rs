//! A consumer from start to end: open, run the pool, watch, scale, publish, stop.

use std::sync::{Arc, RwLock};
use std::time::Duration;

use partition_log::Log;
use telemetry::{Health, Metrics, Shutdown};
use types::{Offset, PartitionId};

use crate::api::{self, Api};
use crate::observe::Observer;
use crate::open::{Opened, open_all, open_base};
use crate::pool::{Pool, Routes};
use crate::status::StatusBoard;
use crate::worker::WorkerConfig;
use crate::{ConsumerError, ConsumerOptions, LastCommit, Status, Workers};

/// How often the supervisor looks.
pub(crate) const LOOK: Duration = Duration::from_millis(20);

/// A part that gives no sign of life for so long counts as dead. Opening a store that a crash left can take a while.
pub(crate) const SILENCE: Duration = Duration::from_secs(120);

/// What a consumer is run with, beside its options.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Where numbers go.
    pub metrics: Metrics,
    /// Where it says whether it is ready.
    pub health: Health,
    /// What stops it.
    pub shutdown: Shutdown,
    /// Where it says what it is doing.
    pub status: StatusBoard,
    /// Where it says, on Kafka, that it has committed for the last time.
    pub last_commit: LastCommit,
}

impl Surroundings {
    /// New ones, for a process that runs one consumer.
    #[must_use]
    pub fn new() -> Self {
        Self {
            metrics: Metrics::new(env!("CARGO_PKG_VERSION")),
            health: Health::new(),
            shutdown: Shutdown::new(),
            status: StatusBoard::default(),
            last_commit: LastCommit::default(),
        }
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs a consumer until it is told to stop, or has reached the end where it was asked to. Blocks.
///
/// # Errors
/// Whatever makes it impossible to go on; bad input does not.
pub fn run(
    options: &ConsumerOptions,
    log: &Arc<dyn Log>,
    around: &Surroundings,
) -> Result<Status, ConsumerError> {
    let ready = around.health.check_beating("consumer", "opening the log and the store", SILENCE);
    let base = open_base(options, log.as_ref())?;
    if let Some(kafka) = log.as_kafka() {
        return crate::group::run(options, log, kafka, around, base, Arc::new(ready));
    }
    let Opened { tasks, schedule, _writers } = open_all(options, log.as_ref(), &base, &around.metrics)?;
    let targets = targets(options, log.as_ref(), base.config.partitions)?;

    let (first, most) = pool_size(options, base.config.partitions);
    let worker = WorkerConfig { commit_interval: options.commit_interval, together: false };
    let partitions = base.config.partitions;
    let mut pool = Pool::start(worker, &around.health, first, partitions, tasks, Routes::default())?;
    let waker = Waker::start(log, &options.topic, pool.routes(), &around.shutdown)?;
    let schedule = Arc::new(RwLock::new(schedule));
    let server = serve(options, around, pool.routes(), partitions, &schedule)?;
    let mut observer = Observer::new(options, log, &base, &around.metrics, (first, most))?;
    ready.not_ready("rebuilding state from the log");
    let mut is_ready = false;

    let reached_end = loop {
        if around.shutdown.wait_timeout(LOOK) {
            break false;
        }
        pool.poll()?;
        observer.look(&mut pool, &base.store, Some(&schedule), &around.status)?;
        ready.beat();
        if !is_ready {
            match observer.rebuilding() {
                Some(how_far) => ready.not_ready(&how_far),
                None => {
                    is_ready = true;
                    ready.ready();
                }
            }
        }
        if options.until_end && observer.reached(&targets) {
            break true;
        }
    };
    ready.not_ready("stopping");
    drop(waker);
    pool.stop(reached_end)?;
    observer.last_look(&base.store, &around.status);
    drop(server);
    Ok(around.status.read())
}

/// Where each partition of the input ends now.
pub(crate) fn targets(
    options: &ConsumerOptions,
    log: &dyn Log,
    partitions: u32,
) -> Result<Vec<Offset>, ConsumerError> {
    let ends = (0..partitions).map(|id| Ok(log.bounds(&options.topic, PartitionId(id))?.end));
    ends.collect()
}

/// With how many workers the pool begins, and how many it may have.
pub(crate) fn pool_size(options: &ConsumerOptions, partitions: u32) -> (u32, u32) {
    let (first, most) = match options.workers {
        Workers::Fixed(workers) => (workers, workers),
        Workers::Auto { min, max } => (min, max),
    };
    let most = most.clamp(1, partitions.max(1));
    (first.clamp(1, most), most)
}

/// Starts the HTTP server, where one is asked for.
pub(crate) fn serve(
    options: &ConsumerOptions,
    around: &Surroundings,
    routes: Routes,
    partitions: u32,
    schedule: &Arc<RwLock<Arc<scorer::Schedule>>>,
) -> Result<Option<Server>, ConsumerError> {
    let api = Api { routes, partitions, schedule: Arc::clone(schedule), status: around.status.clone() };
    Server::start(options, api, around)
}

/// Wakes the workers when the log grows.
struct Waker {
    stop: Arc<std::sync::atomic::AtomicBool>,
}

impl Waker {
    fn start(
        log: &Arc<dyn Log>,
        topic: &str,
        routes: Routes,
        shutdown: &Shutdown,
    ) -> Result<Self, ConsumerError> {
        let mut watch = log.watch(topic)?;
        let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (stopped, shutdown) = (Arc::clone(&stop), shutdown.clone());
        std::thread::Builder::new()
            .name("waker".to_owned())
            .spawn(move || {
                while !stopped.load(std::sync::atomic::Ordering::Relaxed) && !shutdown.is_requested() {
                    match watch.wait(Duration::from_millis(500)) {
                        Ok(true) => routes.wake(),
                        Ok(false) => {}
                        Err(error) => {
                            // Workers look by themselves at every commit interval; only speed is lost.
                            tracing::warn!(%error, "cannot watch the log");
                            std::thread::sleep(Duration::from_secs(1));
                        }
                    }
                }
            })
            .map_err(|source| ConsumerError::Io { action: "start a thread".to_owned(), source })?;
        Ok(Self { stop })
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// The HTTP server, and the file that tells others where it listens.
pub(crate) struct Server {
    _server: telemetry::Server,
    address_file: std::path::PathBuf,
}

impl Server {
    fn start(
        options: &ConsumerOptions,
        api: Api,
        around: &Surroundings,
    ) -> Result<Option<Self>, ConsumerError> {
        let Some(address) = options.http else { return Ok(None) };
        let io = |action: &str| {
            let action = action.to_owned();
            move |source| ConsumerError::Io { action, source }
        };
        let router = telemetry::router(around.metrics.clone(), around.health.clone()).merge(api::router(api));
        let server = telemetry::Server::start(address, router, around.shutdown.clone())
            .map_err(io("start the HTTP server"))?;
        let bound = server.address();
        let address_file = options.store.join(api::ADDRESS_FILE);
        crate::files::replace(&address_file, format!("http://{bound}\n").as_bytes())
            .map_err(io("write the API's address into the store's folder"))?;
        tracing::info!(%bound, "metrics, health and reads");
        Ok(Some(Self { _server: server, address_file }))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it stays, the next reader finds nobody there and reads the store itself.
        let _ = std::fs::remove_file(&self.address_file);
    }
}
