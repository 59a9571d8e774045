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

/// Binds an address and says which it is: port 0 takes a free one.
///
/// # Errors
/// If the address is taken or not allowed; the error names it.
pub async fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let named = |e: io::Error| io::Error::new(e.kind(), format!("cannot listen on {address}: {e}"));
    let listener = TcpListener::bind(address).await.map_err(named)?;
    let bound = listener.local_addr().map_err(named)?;
    Ok((listener, bound))
}

/// Serves until shutdown; then takes no new connections and lets open requests finish for at most two seconds.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) -> io::Result<()> {
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
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (metrics, health, shutdown) = (Metrics::new("0"), Health::new(), Shutdown::new());
        metrics.counter(EVENTS_PROCESSED, []).add(12);
        let check = health.check("store", "opening");
        let (listener, address) = runtime.block_on(bind("127.0.0.1:0".parse().unwrap())).unwrap();
        assert_ne!(address.port(), 0);
        let extra = Router::new().route("/extra", get(async || "more"));
        let served = runtime.spawn(serve(listener, router(metrics, health).merge(extra), shutdown.clone()));

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
        runtime
            .block_on(async { tokio::time::timeout(Duration::from_secs(4), served).await })
            .unwrap()
            .unwrap()
            .unwrap();
        drop(idle);
        assert!(TcpStream::connect(address).is_err());
    }

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let (_held, address) = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let error = bind(address).await.unwrap_err();
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
}
