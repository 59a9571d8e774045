//! `/metrics`, `/healthz` and `/readyz`, and serving them.

use std::future::IntoFuture;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::{Health, Metrics, Report, Shutdown};

/// What Prometheus calls its text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4";

/// How long open requests may take once the process shuts down. Less than the five seconds in which it drains.
const DRAIN: Duration = Duration::from_secs(2);

/// The three pages, to be merged into a larger router or served alone.
///
/// `/metrics` is Prometheus' text format. `/healthz` and `/readyz` answer 200 and `ok`, or 503 and the reasons, one a line.
pub fn router(metrics: Metrics, health: Health) -> Router {
    let for_ready = health.clone();
    Router::new()
        .route("/metrics", get(async move || ([(header::CONTENT_TYPE, TEXT_FORMAT)], metrics.render())))
        .route("/healthz", get(async move || probe(health.live())))
        .route("/readyz", get(async move || probe(for_ready.ready())))
}

fn probe(report: Report) -> impl IntoResponse {
    if report.ok {
        (StatusCode::OK, "ok\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, report.reasons.join("\n") + "\n")
    }
}

/// Pages that are served by a thread of their own until shutdown, or until this is dropped.
#[derive(Debug)]
pub struct Server {
    _runtime: Runtime,
    address: SocketAddr,
}

impl Server {
    /// Begins to serve at an address; port 0 takes a free one. At shutdown no new connections are taken, and open requests may finish
    /// for two seconds.
    ///
    /// # Errors
    /// If the address is taken or not allowed, which the error names, or if the system has no thread left.
    pub fn start(address: SocketAddr, router: Router, shutdown: Shutdown) -> io::Result<Self> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("http").enable_all().build()?;
        let (listener, address) = runtime.block_on(bind(address))?;
        runtime.spawn(async move {
            if let Err(error) = serve(listener, router, shutdown).await {
                tracing::error!(%error, "the HTTP server ended");
            }
        });
        Ok(Self { _runtime: runtime, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Binds an address and says which it is. An error names it.
async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
    let listener = TcpListener::bind(address).await.map_err(named)?;
    let bound = listener.local_addr().map_err(named)?;
    Ok((listener, bound))
}

/// Serves until shutdown, and then for a moment what is open.
async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> io::Result<()> {
    let stopping = shutdown.clone();
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async move { stopping.requested().await });
    tokio::select! {
        ended = server.into_future() => ended,
        () = async { shutdown.requested().await; tokio::time::sleep(DRAIN).await } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::time::Instant;

    use super::*;
    use crate::catalogue::EVENTS_PROCESSED;

    fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    #[test]
    fn pages_are_served_until_shutdown_even_with_an_idle_connection() {
        let (metrics, health, shutdown) = (Metrics::new("0"), Health::new(), Shutdown::new());
        metrics.counter(EVENTS_PROCESSED, []).add(12);
        let check = health.check("store", "opening");
        let pages = router(metrics, health).merge(Router::new().route("/extra", get(async || "more")));
        let server = Server::start("127.0.0.1:0".parse().unwrap(), pages, shutdown.clone()).unwrap();
        let address = server.address();
        assert_ne!(address.port(), 0);

        let answer = fetch(address, "/metrics");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
        assert!(answer.contains("\nchurn_events_processed_total 12\n"), "{answer}");
        assert!(fetch(address, "/healthz").ends_with("\r\n\r\nok\n"));
        let answer = fetch(address, "/readyz");
        assert!(
            answer.starts_with("HTTP/1.1 503") && answer.ends_with("\r\n\r\nstore: opening\n"),
            "{answer}"
        );
        check.ready();
        assert!(fetch(address, "/readyz").starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/extra").ends_with("more"));

        let idle = TcpStream::connect(address).unwrap();
        shutdown.request("test");
        let asked = Instant::now();
        while TcpStream::connect(address).is_ok() {
            assert!(asked.elapsed() < Duration::from_secs(60), "it still takes connections");
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(server);
        drop(idle);
    }

    #[test]
    fn a_taken_port_is_named() {
        let start = |address| Server::start(address, Router::new(), Shutdown::new());
        let held = start("127.0.0.1:0".parse().unwrap()).unwrap();
        let error = start(held.address()).unwrap_err();
        assert!(error.to_string().contains(&held.address().to_string()), "{error}");
        drop(held);
    }
}
