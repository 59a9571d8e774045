//! Variables that are no settings although their names begin like one.
//!
//! Kubernetes tells every container of a namespace where its Services are, in variables that begin with the Service's name: for one that is
//! called `churnstream-kafka`, or `churnstream-kafka-bootstrap` as an operator would, with what our own begin with. Those are, behind
//! `CHURNSTREAM_KAFKA_` or a longer name (<https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>):
//!
//! - `SERVICE_HOST`, `SERVICE_PORT`, and `SERVICE_PORT_NAME` for each port that has a name;
//! - `PORT`, whose value is an address `tcp://10.0.0.11:9092`;
//! - `PORT_9092_TCP`, with the same, and `PORT_9092_TCP_PROTO`, `PORT_9092_TCP_PORT`, `PORT_9092_TCP_ADDR`; TCP, UDP or SCTP.

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether a variable, of whose name this is what stands behind `CHURNSTREAM_KAFKA_`, tells of a Service. No setting of librdkafka has such a name.
pub(super) fn is_of_a_service(rest: &str, value: &str) -> bool {
    // The Service's name may go on: what tells of it stands behind any of the lines below.
    let starts = std::iter::once(0).chain(rest.match_indices('_').map(|(at, _)| at + 1));
    starts.map(|at| &rest[at..]).any(|tail| tells(tail, value))
}

fn tells(tail: &str, value: &str) -> bool {
    if tail == "SERVICE_HOST" || tail == "SERVICE_PORT" || tail.starts_with("SERVICE_PORT_") {
        return true;
    }
    if tail == "PORT" {
        let is_place = |protocol: &&str| value.starts_with(&format!("{}://", protocol.to_ascii_lowercase()));
        return PROTOCOLS.iter().any(is_place);
    }
    let Some((number, rest)) = tail.strip_prefix("PORT_").and_then(|port| port.split_once('_')) else {
        return false;
    };
    let (protocol, what) =
        rest.split_once('_').map_or((rest, None), |(protocol, what)| (protocol, Some(what)));
    number.parse::<u16>().is_ok()
        && PROTOCOLS.contains(&protocol)
        && matches!(what, None | Some("PROTO" | "PORT" | "ADDR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tells_of_a_service_is_told_from_settings() {
        for (rest, value) in [
            ("SERVICE_HOST", "10.0.0.11"),
            ("SERVICE_PORT", "9092"),
            ("SERVICE_PORT_CLIENTS", "9092"),
            ("PORT", "tcp://10.0.0.11:9092"),
            ("PORT_9092_TCP", "tcp://10.0.0.11:9092"),
            ("PORT_9092_TCP_PROTO", "tcp"),
            ("PORT_9092_TCP_PORT", "9092"),
            ("PORT_9092_TCP_ADDR", "10.0.0.11"),
            ("PORT_53_UDP_ADDR", "10.0.0.11"),
            ("BOOTSTRAP_SERVICE_HOST", "10.0.0.11"),
            ("BOOTSTRAP_PORT_9092_TCP_ADDR", "10.0.0.11"),
        ] {
            assert!(is_of_a_service(rest, value), "{rest}");
        }
        for (rest, value) in [
            ("PORT", "9092"),
            ("PORT_X_TCP_ADDR", "10.0.0.11"),
            ("PORT_9092_TCP_NAME", "x"),
            ("PORT_9092_HTTP", "x"),
            ("SERVICE", "x"),
            ("SERVICE_HOSTS", "x"),
            ("SASL_KERBEROS_SERVICE_NAME", "kafka"),
            ("SASL_PASSWORD", "tcp://x"),
        ] {
            assert!(!is_of_a_service(rest, value), "{rest}");
        }
    }
}
