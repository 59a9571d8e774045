//! What an autoscaler serves: its metrics and health, and where Prometheus finds those of its processes.

use std::net::SocketAddr;

use axum::http::{HeaderMap, header};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::ProcessCommand;
use crate::processes::Processes;
use crate::run::Surroundings;

/// Addresses, as Prometheus' discovery over HTTP reads them.
#[derive(Debug, Serialize)]
struct Targets {
    targets: Vec<String>,
}

/// The pages of metrics and health, and `/targets`.
pub(crate) fn router(around: &Surroundings, processes: Option<Processes>) -> Router {
    let targets = async move |asked: HeaderMap| {
        let host = asked.get(header::HOST).and_then(|host| host.to_str().ok());
        let of = |processes: &Processes| {
            let (desired, command) = processes.desired();
            targets(&command, desired, host)
        };
        Json(processes.iter().map(of).collect::<Vec<_>>())
    };
    telemetry::router(around.metrics.clone(), around.health.clone()).route("/targets", get(targets))
}

/// Of the processes that are to run; those that listen everywhere are found at the host that was asked.
fn targets(command: &ProcessCommand, desired: u32, asked: Option<&str>) -> Targets {
    let host = asked.map(|asked| asked.rsplit_once(':').map_or(asked, |(host, _)| host));
    let addresses = (0..desired).filter_map(|number| command.address_of(number));
    let reached = |address: SocketAddr| match host {
        Some(host) if address.ip().is_unspecified() => format!("{host}:{}", address.port()),
        _ => address.to_string(),
    };
    Targets { targets: addresses.map(reached).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_those_that_are_to_run() {
        let list = |http: &str, desired, asked| {
            let words = ["consumer", "--store", "{n}", "--http", http].map(str::to_owned).to_vec();
            let command = ProcessCommand::new(words, "kafka:b:1", "events", None, 4).unwrap();
            serde_json::to_string(&targets(&command, desired, asked)).unwrap()
        };
        let everywhere = list("0.0.0.0:946{n}", 2, Some("autoscaler:9470"));
        assert_eq!(everywhere, r#"{"targets":["autoscaler:9460","autoscaler:9461"]}"#);
        assert_eq!(list("127.0.0.1:946{n}", 1, Some("elsewhere:1")), r#"{"targets":["127.0.0.1:9460"]}"#);
        assert_eq!(list("127.0.0.1:0", 3, None), r#"{"targets":[]}"#);
    }
}
