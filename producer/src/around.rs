//! What a run is done in: what stops it, and where it says how it goes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use telemetry::{Check, Counter, Health, Metrics, Server, Shutdown, catalogue};

/// Around one run of a command.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// What stops it.
    pub shutdown: Shutdown,
    metrics: Metrics,
    health: Health,
    ready: Arc<Check>,
}

impl Surroundings {
    /// New ones, for a process that runs one command.
    #[must_use]
    pub fn new(shutdown: Shutdown) -> Self {
        let health = Health::new();
        let ready = Arc::new(health.check("producer", "opening the log"));
        Self { shutdown, metrics: Metrics::new(env!("CARGO_PKG_VERSION")), health, ready }
    }

    /// Serves `/metrics`, `/healthz` and `/readyz` until what it returns is dropped; port 0 takes a free one. The log says which.
    ///
    /// # Errors
    /// If the address, which the error names, is taken or not allowed.
    pub fn serve(&self, address: SocketAddr) -> io::Result<Server> {
        let pages = telemetry::router(self.metrics.clone(), self.health.clone());
        let server = Server::start(address, pages, self.shutdown.clone())?;
        let bound = server.address();
        tracing::info!(%bound, "metrics and health");
        Ok(server)
    }

    /// All numbers in Prometheus' text format.
    #[must_use]
    pub fn numbers(&self) -> String {
        self.metrics.render()
    }

    /// Its word on whether it is ready, which is when it writes.
    pub(crate) fn ready(&self) -> &Arc<Check> {
        &self.ready
    }

    /// Counts what is durable in a topic.
    pub(crate) fn produced(&self, topic: &str) -> Counter {
        self.metrics.counter(catalogue::EVENTS_PRODUCED, [topic])
    }
}

impl Default for Surroundings {
    fn default() -> Self {
        Self::new(Shutdown::new())
    }
}
