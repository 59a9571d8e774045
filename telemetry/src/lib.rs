//! Metric names, tracing, health and shutdown.
