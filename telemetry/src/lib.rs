//! Metric names, tracing, health and shutdown.
//!
//! [`catalogue`] lists every metric; [`Metrics`] records them. [`Health`] says whether the process lives and is ready, and
//! why not. [`router`] shows both over HTTP, [`Shutdown`] ends everything in order, [`init_tracing`] begins the log.
//!
//! ```
//! use telemetry::{Metrics, catalogue};
//!
//! let metrics = Metrics::new("0.1.0");
//! let mut late = metrics.counter(catalogue::EVENTS_REJECTED, ["late"]).local();
//! late.add(1); // per event: no lock, no shared memory
//! late.flush(); // per batch
//! assert!(metrics.render().contains(r#"churn_events_rejected_total{reason="late"} 1"#));
//! ```

pub mod catalogue;
mod exporter;
mod gauge;
mod health;
mod histogram;
mod http;
mod logs;
mod metrics;
mod shutdown;
mod words;

pub use self::metrics::{Counter, LocalCounter, Metrics};
pub use gauge::Gauge;
pub use health::{Check, Health, Report};
pub use histogram::{Histogram, LocalHistogram};
pub use http::{Server, router};
pub use logs::{LogFormat, LogTo, LogsError, init_tracing};
pub use shutdown::Shutdown;
pub use words::{in_words, plain};
